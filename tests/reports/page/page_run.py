"""Rows of a run that never was, small or as large as wanted: what tests of the report page show."""

import random
from collections.abc import Sequence

from reports.records.rows import Cost, Curve, Record, Summary, Training
from reports.records.run_folder import Rows
from reports.records.texts import StepRecord, Text

METHODS = ("Teacher", "Student", "SFT", "ADPA")
SCRIPT = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"></script>"
OF = ("toy", "pair", "data")  # suite, pair, dataset


def record(method: str, benchmark: str, metric: str, question: str, value: float, **more: object) -> Record:
    fields = {"group": "", "turn": 1, "order": "", "judge": "rule", "reference": ""} | more
    return Record(*OF, method, 0, benchmark, metric, question=question, value=value, **fields)


def rows(methods: Sequence[str] = METHODS, questions: int = 6) -> Rows:
    """Scores that rise with the method's place and fall with the question's; a curve for the last method."""
    measured, paid, trained, summed = [], [], [], []
    for place, method in enumerate(methods):
        for q in range(questions):
            name, high = str(q + 1), (place + q) % 10
            category = ("math", "writing")[q % 2]
            measured += [
                record(method, "mt-bench", "score", name, 1.0 + high, group=category, turn=turn)
                for turn in (1, 2)
            ]
            measured.append(
                record(method, "alpaca-eval", "win_rate", name, high / 10, reference="ADPA", order="ab")
            )
            measured.append(
                record(method, "openllm", "primary", name, high % 2, group="arc_challenge", judge="")
            )
        paid.append(Cost(*OF, method, 0, 5.0, 1e11 * (place + 1), 1e10, 1000, 0.1, 0, 0, "cpu"))
        summed += [
            Summary(*OF, method, 0, "mt-bench", "rule", "", f"score/{category}", 5.0 + place / 10)
            for category in ("math", "writing")
        ]
        if method not in ("Teacher", "Student"):
            trained.append(
                Training(*OF, method, 0, 0.7, 0.5, -1.0, 2.0, 0.9, 30, held_before=0.7, held_after=0.6)
            )
    for step in (10, 20):
        measured += [
            record(methods[-1], "reward", "checkpoint_reward", "1", step / 10, group=str(step), judge="rm")
        ]
    return Rows(records=measured, summaries=summed, costs=paid, training=trained, curves=curves(methods))


def curves(methods: Sequence[str] = METHODS) -> list[Curve]:
    """Of each method that is trained a gradient norm, ten times as high as the one before it, and a term that
    falls from 0.9 to 0.7.
    """
    found = []
    for place, method in enumerate(methods[2:]):
        norms = tuple(10.0 ** (place - 1) * n for n in (1, 2, 4))
        found += [
            Curve(*OF, method, 0, "gradient", "grad_norm", (10, 20, 30), norms, 3),
            Curve(*OF, method, 0, "term", "sft", (10, 20, 30), (0.9, 0.8, 0.7), 5),
        ]
    return found


def texts(
    methods: Sequence[str] = METHODS, questions: int = 6, said: str = SCRIPT, words: int = 3, seed: int = 0
) -> list[Text]:
    """AlpacaEval in two orders and MT-Bench in two turns; question 1 is answered with `said`."""
    rng = random.Random(seed)
    known = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu") for b in ("ra", "ste", "von", "ti", "pel")]
    found = []
    for q in range(questions):
        category, name = ("math", "writing")[q % 2], str(q + 1)
        asked = f"Question number {name}: " + " ".join(rng.choices(known, k=words))
        given = {m: said if q == 0 else " ".join(rng.choices(known, k=words)) for m in methods}
        answers = {m: f"{m} says {text}" for m, text in given.items()}
        for place, method in enumerate(methods):
            won = 0.5 if method == "ADPA" else float((place + q) % 3) / 2
            about = {"question": name, "category": category, "asked": asked, "answer": answers[method]}
            of = {"pair": OF[1], "dataset": OF[2], "method": method, "seed": 0, "judge": "rule"}
            more = {"tokens": words, "truncated": False, "status": "ok"}
            for order in ("ab", "ba"):
                reply = f"{order} {' '.join(rng.choices(known, k=words // 3 + 1))}"
                found.append(
                    Text(
                        **of, **about, **more, benchmark="alpaca-eval", metric="win_rate", reference="ADPA",
                        turn=1, order=order, reference_answer=answers["ADPA"], reply=reply, value=won,
                    )
                )  # fmt: skip
            if q < 80:
                found += [
                    Text(
                        **of, **about, **more, benchmark="mt-bench", metric="score", reference="", turn=turn,
                        order="", reference_answer="", reply="Rating: [[4]]", value=1.0 + (place + q) % 10,
                    )
                    for turn in (1, 2)
                ]  # fmt: skip
    return found


def made() -> list[StepRecord]:
    """SFT and ADPA, both trained from one start, with different learning rates."""
    start = StepRecord("0" * 12, "init", "init student", 1.0, ())
    found = [start]
    for n, (method, lr) in enumerate((("SFT", "0.001"), ("ADPA", "0.002")), 1):
        settings = (("hp.beta", "0.1"), ("training.lr", lr), ("training.epochs", "1"))
        result = ((OF[1], OF[2], method, 0),)
        found.append(
            StepRecord(str(n) * 12, "train", method, 2.0 * n, (("start", start.id),), settings, result)
        )
    return found
