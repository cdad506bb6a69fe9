"""The answers that AlpacaEval compares with: the file of a folder that holds them, and whether it does.

Those of AlpacaEval 1 are text_davinci_003's in the hub's data set (alpaca_eval.json). Upstream's
results/text_davinci_003/model_outputs.json holds other answers of that model: 785 of the 805 differ, and a
win rate against them is not AlpacaEval's.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.alpaca_eval import files
from benchmarks.api import Answer, Question
from benchmarks.declaration import DataSet
from benchmarks.json_files import Row, rows_hash

# Of the 805, sorted; see `_fingerprint`.
INSTRUCTIONS = frozenset(json.loads(Path(__file__).with_name("instructions.json").read_text()))
ANSWERS = {  # model -> of (instruction, output) of its answers to them
    "text_davinci_003": "ee4c01e730f41ca47a2e4ecc939890ea1fca243b9b9380c6581767916a46e5d2",
    "gpt4_1106_preview": "81e466bf285d8fb1c15f0183b6c5ccf1a344281b6a40638966997f598766996f",
}
PAIR = ("instruction", "output")
HUB = {"text_davinci_003": "alpaca_eval"}  # model -> its file where the hub keeps one, before `model_outputs`


def read(folder: Path, generator: str, questions: Sequence[Question], data_set: DataSet) -> dict[str, Answer]:
    """Question id -> the reference's answer. Where any of its instructions is one of the 805 these are
    upstream's, all of them, or a ValueError says where they are; else whatever the folder holds under the
    model's name.
    """
    path, rows = _rows(folder, generator)
    found, theirs = rows_hash(rows, PAIR), ANSWERS[generator]
    known = len({_fingerprint(str(row.get("instruction"))) for row in rows} & INSTRUCTIONS)
    if known and found != theirs:
        raise ValueError(
            f"{path}: not the answers of {generator} that AlpacaEval compares with: {len(rows)} rows with "
            f"{known} of its {len(INSTRUCTIONS)} instructions, whose (instruction, output) have the hash "
            f"{found[:12]}, upstream's {theirs[:12]}. {_home(generator, data_set)}. `limit` asks fewer of "
            "its questions; other answers are compared with under another name: models: {x: {answers: x}}, "
            "reference: x"
        )
    return files.answers_in(rows, path, questions)


def _fingerprint(instruction: str) -> str:
    """8 hex digits of an instruction's letters and digits, the same however a file lays the text out."""
    plain = "".join(filter(str.isalnum, instruction.casefold()))
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def _rows(folder: Path, generator: str) -> tuple[Path, list[Row]]:
    if generator in HUB and (hub := files.find(folder, HUB[generator])):
        rows = files.read_rows(hub)
        if all("output" in row for row in rows):  # one's own may hold questions alone
            return hub, rows
    path = files.outputs_path(folder, generator)
    return path, files.read_rows(path)


def _home(generator: str, data_set: DataSet) -> str:
    """Where upstream's answers are, in words."""
    name = f"{HUB.get(generator, f'model_outputs/{generator}')}.json"
    file = next(f for f in data_set.files if f.name == name)
    return f"Put {name} there: {file.url}{f' ({file.note})' if file.note else ''}"
