"""The answers that AlpacaEval compares with: the file of a folder that holds them, and whether it does.

Those of AlpacaEval 1 are text_davinci_003's in the hub's data set (alpaca_eval.json). Upstream's
results/text_davinci_003/model_outputs.json holds other answers of that model: 785 of the 805 differ, and a
win rate against them is not AlpacaEval's.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.alpaca_eval import files
from benchmarks.api import Answer, Question
from benchmarks.declaration import DataSet
from benchmarks.json_files import rows_hash

INSTRUCTIONS = "25e2b496a25f001f2d670c9cdc9c204f201fcd41a3b730266017b392130dd008"  # of the 805
ANSWERS = {  # model -> of (instruction, output) of its answers to them
    "text_davinci_003": "ee4c01e730f41ca47a2e4ecc939890ea1fca243b9b9380c6581767916a46e5d2",
    "gpt4_1106_preview": "81e466bf285d8fb1c15f0183b6c5ccf1a344281b6a40638966997f598766996f",
}
PAIR = ("instruction", "output")
HUB = {"text_davinci_003": "alpaca_eval"}  # model -> its file where the hub keeps one, before `model_outputs`


def read(folder: Path, generator: str, questions: Sequence[Question], data_set: DataSet) -> dict[str, Answer]:
    """Question id -> the reference's answer. On the 805 instructions these are upstream's, or a ValueError
    says where they are; on others whatever the folder holds under the model's name.
    """
    path = _path(folder, generator)
    rows = files.read_rows(path)
    found = rows_hash(rows, PAIR)
    if rows_hash(rows, PAIR[:1]) == INSTRUCTIONS and found != ANSWERS[generator]:
        raise ValueError(
            f"{path}: not the answers of {generator} that AlpacaEval compares with: (instruction, output) "
            f"have the hash {found[:12]}, upstream's {ANSWERS[generator][:12]}. {_home(generator, data_set)}"
        )
    return files.read_answers(path, questions)


def _path(folder: Path, generator: str) -> Path:
    hub = files.find(folder, HUB[generator]) if generator in HUB else None
    # One's own alpaca_eval.json may hold questions alone.
    if hub and all("output" in row for row in files.read_rows(hub)):
        return hub
    return files.outputs_path(folder, generator)


def _home(generator: str, data_set: DataSet) -> str:
    """Where upstream's answers are, in words."""
    name = f"{HUB.get(generator, f'model_outputs/{generator}')}.json"
    file = next(f for f in data_set.files if f.name == name)
    return f"Put {name} there: {file.url}{f' ({file.note})' if file.note else ''}"
