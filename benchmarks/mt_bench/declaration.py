"""MT-Bench as the registry has it: settings, data, columns, export."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Question, Unparsed
from benchmarks.declaration import (
    BASELINE,
    MT_BENCH_USAGE,
    Benchmark,
    DataSet,
    JudgedAnswers,
    JudgedSettings,
    Presentation,
    QuestionSizes,
    optional,
)
from benchmarks.mt_bench import benchmark, fastchat_files
from benchmarks.referee import Referee

FOLDER = Path(__file__).parent
DATA_SET = DataSet.pinned(FOLDER / "data.json")


class MTBenchSettings(JudgedSettings):
    """Each turn is rated from 1 to 10."""

    references: str = benchmark.REFERENCE
    """The set of reference answers that a judge sees in math, reasoning and coding."""
    rating: benchmark.Rating = optional("first")
    """Which of several ratings in a reply counts; FastChat reads the first."""

    def reference_answers(self) -> str:
        """The name of the set; "" where a folder has none, and its questions bring their own references.

        The generated world has none, and its folder is known to nobody while a run is planned.
        """
        if (self.data or "").split("/")[0] == "world":
            return ""
        has_sets = self.data is None or bool(benchmark.reference_files(Path(self.data)))
        return self.references if has_sets else ""


def load(folder: Path, settings: MTBenchSettings) -> tuple[list[Question], JudgedBenchmark]:
    """FastChat's folder as these settings ask for it."""
    max_tokens = settings.max_tokens or benchmark.MAX_TOKENS
    return benchmark.load(
        folder, reference=settings.references, max_tokens=max_tokens, rating=settings.rating
    )


def stored(folder: Path, settings: MTBenchSettings, model: str) -> dict[str, Answer] | None:
    """A model's answers in FastChat's files; ratings need no baseline, so its authors published none."""
    return None if model == BASELINE else fastchat_files.read_answers(folder, model)


def export(out: Path, judged: Sequence[JudgedAnswers]) -> None:
    """model_answer/ADPA.jsonl and model_judgment/gpt-4_single.jsonl, as FastChat's tools read them."""
    by_judge: dict[str, list[fastchat_files.Judgment]] = defaultdict(list)
    for one in judged:
        fastchat_files.write_answers(out, one.row, one.answers.values())
        for q, item, row in one.requests():
            assert isinstance(item, JudgeRequest)
            value = Unparsed(row["reply"]) if row["value"] is None else float(row["value"])
            # A reply that was refused or filtered was not read: FastChat would read what there is of it.
            said = "" if row.get("status") else row["reply"]
            by_judge[one.judge].append(fastchat_files.judgment(one.row, one.judge, q, item, said, value))
    for judge, judgments in by_judge.items():
        fastchat_files.write_judgments(out, judge, judgments)


REFEREE = Referee(
    "fschat",
    FOLDER / "referee.py",
    {
        "out of range": "a rating outside 1-10 is none here; FastChat averages it",
        "thoughts": "what a judge thought before its reply is not read here",
        "last rating": "rating: last; FastChat reads the first",
    },
)
BENCHMARK = Benchmark(
    name="mt-bench",
    settings=MTBenchSettings,
    metric="score",
    presentation=Presentation.described(FOLDER / "presentation.json", "mt-bench"),
    data_set=DATA_SET,
    load=load,
    stored=stored,
    judging=("references", "rating"),
    sizes=QuestionSizes(80, turns=2, prompt=100, max_tokens=benchmark.MAX_TOKENS),
    usage=MT_BENCH_USAGE,
    export=export,
    referee=REFEREE,
)
