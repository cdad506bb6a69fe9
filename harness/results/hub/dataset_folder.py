"""A run's results as a folder that `datasets` loads, a configuration for each kind of row.

load_dataset("DIR", "records")     a row for each measured item, as results.jsonl has them
load_dataset("DIR", "tables")      a row for each cell of each table, with the ends of its interval
summaries, judging, costs, training, counts, checks, repeats: as the run's folder has them
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

import pyarrow as pa
from huggingface_hub import DatasetCardData
from pyarrow import parquet

from harness.common.files import check_new
from harness.results.hub.card import public
from reports import build, escapes, notebook
from reports.records import run_folder
from reports.records.rows import Row
from reports.render import to_markdown

SPLIT = "train"  # what `datasets` calls the only one
# What is none of these, such as a list of terms, is its JSON.
TYPES: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str | None: pa.string(),
    int | None: pa.int64(),
    float | None: pa.float64(),
    tuple[str, ...]: pa.list_(pa.string()),
}


def write(run: Path, to: Path) -> None:
    """Write the folder `to`, which must not exist, whole or not at all."""
    check_new(to)
    told = build.paired(run_folder.read(run))
    to.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}") as scratch:
        aside = Path(scratch) / to.name
        aside.mkdir()
        tables = dict(_tables(told, run))
        for name, table in tables.items():
            parquet.write_table(table, aside / f"{name}.parquet")
        (aside / "README.md").write_text(_card(told, run.name, list(tables)), encoding="utf-8")
        aside.rename(to)


def _tables(told: build.Paired, run: Path) -> Iterator[tuple[str, pa.Table]]:
    kinds: dict[str, Sequence[Row]] = {
        name: getattr(told.rows, name)
        for name in ("records", "summaries", "judging", "costs", "training", "counts", "checks", "repeats")
    }
    for name, of_kind in kinds.items():
        if of_kind:
            yield name, _table(of_kind)
    frames = notebook.Results(run, told).tables()
    cells = [
        {"name": name, **{k: None if v != v else v for k, v in row.items()}}
        for name, frame in frames.items()
        for row in frame.to_dict("records")
    ]
    # A cell of words, such as a device, is no number.
    for cell in cells:
        words = isinstance(cell["value"], str)
        cell["text"], cell["value"] = (cell["value"], None) if words else (None, cell["value"])
    yield "tables", pa.Table.from_pylist(cells, schema=CELLS)


CELLS = pa.schema(
    [
        *((name, pa.string()) for name in ("name", "table", "dataset", "method", "column")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()),
        *((name, pa.string()) for name in ("note", "text")),
    ]
)


def _table(rows: Sequence[Row]) -> pa.Table:
    hints = get_type_hints(type(rows[0]))
    names = [field.name for field in fields(rows[0])]  # type: ignore[arg-type]
    schema = pa.schema([(name, TYPES.get(hints[name], pa.string())) for name in names])
    plain = {name for name in names if hints[name] in TYPES}
    told = [
        {n: v if n in plain else json.dumps(v) for n, v in asdict(row).items()}  # type: ignore[call-overload]
        for row in rows
    ]
    return pa.Table.from_pylist(told, schema=schema)


def _card(told: build.Paired, run: str, names: Sequence[str]) -> str:
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": SPLIT, "path": f"{name}.parquet"}],
            **({"default": True} if name == "records" else {}),
        }
        for name in names
    ]
    data = DatasetCardData(configs=configs, tags=["prefbench"], pretty_name=f"Results of {run}")
    main = "\n".join(map(to_markdown, build.build(told).get("main", [])))
    verdict = build.verdict_markdown(build.verdict(told))
    body = f"# Results of {escapes.markdown(run)}\n\n{verdict}\n{main}\n{__doc__}"
    return f"---\n{data.to_yaml()}\n---\n\n{public(body)}"
