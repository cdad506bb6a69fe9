"""Teacher and student of a pair are spoken to alike: by the student's chat template and end tokens."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import methods
from harness.data import chat_format
from harness.executors import scheduler
from harness.executors.options import Machine
from harness.executors.this_machine.inline import Inline
from harness.plan.plan import Plan, ordered, plan
from harness.run.progress import PlainProgress
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.bench_command import bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import TEMPLATE, WORDS, tiny_folder

SAID = ("rollouts of", "probes of", "mine answers of")  # what the teacher says, by the labels of steps


def change(folder: Path, file: str, **keys: object) -> None:
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | keys))


def other_template(teacher: Path) -> None:
    (teacher / "chat_template.jinja").write_text(TEMPLATE.replace("{{ m.content }}", "z {{ m.content }} z"))


def other_end(teacher: Path) -> None:
    change(teacher, "generation_config.json", eos_token_id=[3, *range(5, 17)])


def other_special_token(teacher: Path) -> None:
    change(teacher, "tokenizer_config.json", eos_token="q")


def no_template(teacher: Path) -> None:
    (teacher / "chat_template.jinja").unlink()


def other_words(teacher: Path) -> None:
    """The same tokens, of a text in which one letter stands for another."""
    replaced = {"type": "Replace", "pattern": {"String": "b"}, "content": "c"}
    change(teacher, "tokenizer.json", normalizer=replaced)


CHANGES = {
    other_template: "chat template",
    no_template: "chat template",
    other_end: "end tokens",
    other_special_token: "special tokens",
    other_words: "tokenizer",
}


def suite(folder: Path, extra: str = "") -> str:
    """PAD and SeqKD of two tiny models on pairs of letters, and questions for them."""
    tiny_folder(folder / "teacher")
    tiny_folder(folder / "student", hidden=8, seed=1)
    write_rows(
        folder / "pairs.jsonl",
        [{"prompt": f"{x} b", "chosen": "c d", "rejected": f"e {x}"} for x in WORDS[8:16]],
    )
    (folder / "mine").mkdir()
    questions = [{"instruction": f"{word} b"} for word in "abcd"]
    (folder / "mine" / "questions.json").write_text(json.dumps(questions))
    (folder / "suite.yaml").write_text(
        f"""name: alike
max_length: 64
pairs:
  tiny: {{teacher: {{base: {folder}/teacher}}, student: {{base: {folder}/student}}}}
datasets:
  own: {{preference: {{path: {folder}/pairs.jsonl}}}}
generation: {{max_tokens: 12, temperature: 1.0}}
probe: {{question: "q {{question}} x {{a}} y {{b}}", options: [k, m]}}
methods: {{SeqKD: {{}}, PAD: {{}}}}
judges: {{j: {{model: gpt-4}}}}
benchmarks: {{mine: {{like: alpaca-eval, data: {folder}/mine, judge: j, reference: Teacher, max_tokens: 8}}}}
{extra}"""
    )
    return str(folder / "suite.yaml")


def planned(path: str) -> Plan:
    return plan(suites.load(path), methods.registry(), Machine(batch=4, tokens=256, replies=""))


def said(path: str, runs: Path) -> dict[str, bytes]:
    """The bytes of all that teacher and student say, by step and file."""
    store, steps = Store(runs), planned(path).steps
    wanted = [s for s in steps if s.label.startswith(SAID)]
    wanted = [s for s in wanted if not any(source.kind.name == "train" for source in s.sources.values())]
    assert {s.kind.name for s in wanted} == {"rollouts", "probes", "answers"}
    making = ordered(wanted)
    scheduler.run(making, store, PlainProgress(len(making)), Inline(store))
    return {f"{name(s)}/{file.name}": file.read_bytes() for s in wanted for file in files(s, store)}


def name(step: Step) -> str:
    return step.label.replace(" with the student's tokenizer", "")


def files(step: Step, store: Store) -> list[Path]:
    folder = store.find(step)
    assert folder
    return [f for f in sorted(folder.iterdir()) if f.name != "RECORD.json" and f.is_file()]


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is said where teacher and student are spoken to alike anyway."""
    folder = tmp_path_factory.mktemp("alike")
    return said(suite(folder), folder / "store")


@pytest.mark.parametrize("changed", CHANGES, ids=lambda changed: changed.__name__)
def test_a_teacher_says_what_it_says_to_the_students_template_and_end_tokens(
    tmp_path: Path, alike: dict[str, bytes], changed: Callable[[Path], None]
) -> None:
    path = suite(tmp_path)
    changed(tmp_path / "teacher")
    found = said(path, tmp_path / "store")
    assert [label for label in alike if found[label] != alike[label]] == [] and found.keys() == alike.keys()
    lineage = planned(path).cells[0].lineage
    assert lineage and lineage.format_differences == [CHANGES[changed]]


def test_the_template_of_the_suite_is_that_of_both(tmp_path: Path) -> None:
    path = suite(tmp_path, f"chat_template: {json.dumps(TEMPLATE)}")
    before = [s.id for s in planned(path).steps]
    other_template(tmp_path / "teacher")
    kinds = {s.kind.name for s in planned(path).steps}
    assert "tokenizer" not in kinds and len(before) == len(planned(path).steps)


def test_where_nothing_differs_there_is_no_step_of_it(tmp_path: Path) -> None:
    """Nor where files differ in what nobody reads."""
    path = suite(tmp_path)
    change(tmp_path / "teacher", "tokenizer_config.json", model_max_length=77, padding_side="left")
    change(tmp_path / "teacher", "generation_config.json", temperature=0.3, eos_token_id=[3])
    assert "tokenizer" not in {s.kind.name for s in planned(path).steps}


def test_what_differs_is_told_by_a_plan_and_by_a_run(tmp_path: Path) -> None:
    path = suite(tmp_path)
    other_template(tmp_path / "teacher")
    other_end(tmp_path / "teacher")
    expected = (
        f"teacher {tmp_path}/teacher: other chat template, end tokens than student {tmp_path}/student: "
        "both are spoken to as the student is"
    )
    told = bench("run", path, "--plan", "--runs", str(tmp_path / "runs"))
    assert told.returncode == 0 and expected in told.stdout.splitlines()


def test_a_model_of_the_world_and_one_from_outside_are_compared(copied: Path) -> None:
    """A finished run's own teacher, given as a folder, is spoken to as the world's student is."""
    (teacher,) = copied.glob("store/train/dpo-teacher-*")
    world = chat_format.format_of_world(None)
    assert chat_format.differences(world, chat_format.format_of(teacher, None)) == []
    (teacher / "chat_template.jinja").write_text(TEMPLATE)
    assert chat_format.differences(world, chat_format.format_of(teacher, None)) == ["chat template"]


def test_answers_of_a_template_that_knows_of_thoughts_have_ids_of_their_own(tmp_path: Path) -> None:
    """Such models were judged with their thoughts; those of others are the same answers as before."""
    path = suite(tmp_path)

    def settings() -> list[dict[str, object]]:
        return [s.settings_record for s in planned(path).steps if s.kind.name == "answers"]

    assert not any("thinks" in one or "thoughts" in one for one in settings())
    with (tmp_path / "student" / "chat_template.jinja").open("a") as file:
        file.write("{# <think> #}")
    assert all(one["thinks"] is True for one in settings())
