"""LLMBar's gold pairs: where `bench judge check` has them from."""

from pathlib import Path

from benchmarks.declaration import DataSet

DATA_SET = DataSet.pinned(Path(__file__).with_name("data.json"))
