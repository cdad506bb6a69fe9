"""Where the rows of an lm-eval task are, when they are in local files.

A task is extended, not rewritten: a YAML file of a few lines includes the task's own and names
`read_splits` as its data set. The rows are held in memory, past the cache of `datasets`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from os.path import normpath
from pathlib import Path
from typing import Any, NamedTuple, cast

from benchmarks.file_bytes import content_of
from benchmarks.json_files import json_of, rows_in
from benchmarks.text import cut

# Hub dataset -> configuration, or "" -> split -> a .jsonl, .jsonl.gz or .json file in `data`. "*" stands for
# every configuration: "{config}" in the file's name is the configuration, else each row names its own as
# "subject".
LOCAL: dict[str, dict[str, dict[str, str]]] = json_of(Path(__file__).with_name("local_files.json"))
TYPES: dict[tuple[type, ...], str] = {  # bool first: it is an int
    (bool,): "true or false",
    (int, float): "a number",
    (str,): "a text",
    (list,): "a list",
    (dict,): "an object",
}
# Where lm-eval draws examples from.
POOLS = ("fewshot_split", "training_split", "validation_split")


class Local(NamedTuple):
    """Files of a task's splits, there or not; `subject` picks the rows of one configuration."""

    files: dict[str, list[Path]]
    subject: str | None = None


def extension(task: Mapping[str, Any], path: Path, data: Path | None) -> str:
    """YAML that includes the task of `path`, its rows read from local files if they are there."""
    lines: dict[str, str | None] = {"include": str(path.resolve())}
    if local := _local(task, path, data):
        missing = {split for split, files in local.files.items() if not all(f.exists() for f in files)}
        absent = missing - {_evaluated(task)}  # that one is missed when it is read
        lines |= {key: None for key in POOLS if task.get(key) in absent}
        kept = {split: [str(f) for f in files] for split, files in local.files.items() if split not in absent}
        reads: dict[str, Any] = {"data_files": kept} | ({"subject": local.subject} if local.subject else {})
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items())  # JSON is YAML
    if local:
        text += f"custom_dataset: !function {__name__}.read_splits\ndataset_kwargs: {json.dumps(reads)}\n"
    return text


def is_local(task: Mapping[str, Any], data: Path | None) -> bool:
    """Whether a task's rows are read from files: beside its YAML, or in `data`."""
    return _local(task, Path(), data) is not None


def check_files(name: str, task: Mapping[str, Any], path: Path, data: Path | None, shots: int) -> None:
    """ValueError where the rows of a task are not there, or none that `shots` examples could come from."""
    local = _local(task, path, data)
    assert local
    there = {split for split, files in local.files.items() if all(file.exists() for file in files)}
    if (split := _evaluated(task)) not in there:
        wanted = next(iter(local.files.get(split, [])), f"a file of the split {split}")
        raise ValueError(f"{name}: no {wanted}")
    few = task.get("fewshot_config") or {}
    if not isinstance(few, Mapping):
        raise ValueError(f"{path}: fewshot_config: given {cut(repr(few))}; a mapping")
    shown = few.get("samples") is not None
    if (
        shots
        and task.get("num_fewshot") != 0
        and not shown
        and not there & {task.get(key) for key in POOLS[:2]}
    ):
        missing = [file.name for key in POOLS[:2] for file in local.files.get(task.get(key) or "", ())]
        where = f" ({', '.join(missing)} is not in {data})" if missing else ""
        raise ValueError(f"{name}: {shots}-shot needs a training split{where}; use num_fewshot=0")


def check_inside(name: str, task: Mapping[str, Any], path: Path, folder: Path) -> None:
    """ValueError where a task of a folder of one's own reads files outside of it: results are kept by what is
    in the folder, and would stay when those change. lm-eval's own tasks may be included.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    local = _local(task, path, None)
    files = [file for files in local.files.values() for file in files] if local else []
    seen, included = [path], [path]
    while included:
        below = included.pop()
        given = load_yaml(below, resolve_func=False, recursive=False).get("include", [])
        found = [below.parent / file for file in (given if isinstance(given, list) else [given])]
        # One that is not there is of lm-eval itself, or missed when it is read.
        included += [file for file in found if file.is_file() and file not in seen]
        seen += found
    spec = find_spec("lm_eval")
    assert spec and spec.origin
    allowed = folder, folder.resolve(), Path(spec.origin).parent
    for file in (*files, *(file for file in seen if file.is_file())):
        if not any(Path(normpath(file)).is_relative_to(place) for place in allowed):
            raise ValueError(f"{name}: reads {file}, which is not below {folder}; put it there")


def check_hub(name: str, dataset: str, data: Path | None) -> None:
    """ValueError where the rows of a task are neither in the hub's caches nor to be had from the hub."""
    from datasets import config  # imports pyarrow and pandas
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    cached = (
        Path(dataset),
        Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}",
        Path(config.HF_DATASETS_CACHE) / dataset.replace("/", "___"),
    )
    if any(place.exists() for place in cached):
        return
    refusals = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)  # the HTTP library's, and OSError
    try:
        if HfApi().dataset_info(dataset, timeout=5).gated:
            HfApi().auth_check(dataset, repo_type="dataset")
    except refusals as error:
        hint = "" if data or dataset not in LOCAL else "; or give a folder as `data`"
        raise ValueError(
            f"{name}: its rows, {dataset}, are not in the cache {constants.HF_HUB_CACHE}, and the hub did "
            f"not give them ({type(error).__name__}){hint}"
        ) from None


def _local(task: Mapping[str, Any], path: Path, data: Path | None) -> Local | None:
    kwargs = task.get("dataset_kwargs") or {}
    dataset, config = task.get("dataset_path"), task.get("dataset_name")
    if dataset == "json" and set(kwargs) == {"data_files"}:
        return Local(_beside(path, kwargs["data_files"]))
    configurations = LOCAL.get(str(dataset), {})
    named = configurations.get(config or "") or configurations.get("*")
    if data is None or named is None:
        return None
    files = {split: [_find(data, name.format(config=config))] for split, name in named.items()}
    shared = "*" in configurations and all("{config}" not in name for name in named.values())
    return Local(files, config if shared else None)


def _evaluated(task: Mapping[str, Any]) -> str:
    return str(task.get("test_split") or task.get("validation_split"))


def _beside(path: Path, data_files: Any) -> dict[str, list[Path]]:
    """Split -> paths, from any form of `datasets`: a name, a list of names, or either for each split."""
    splits = data_files if isinstance(data_files, dict) else {"train": data_files}
    names = {split: [given] if isinstance(given, str) else given for split, given in splits.items()}
    for split, given in names.items():
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise ValueError(f"{path}: data_files: {split}: given {cut(repr(given))}; names of files")
    return {split: [path.resolve().parent / name for name in given] for split, given in names.items()}


def _find(data: Path, name: str) -> Path:
    files = [data.resolve() / f"{name}{suffix}" for suffix in (".jsonl", ".jsonl.gz", ".json")]
    return next((file for file in files if file.exists()), files[0])


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a file with where each stands."""
    found = _parsed(content_of(path), path)
    if not found:
        raise ValueError(f"{path}: holds no rows")
    return found


@lru_cache(maxsize=8)  # MMLU's 57 subjects share three files; the content is in the key, so nothing is stale
def _parsed(content: bytes, path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = list(rows_in(BytesIO(content), path))
    if len(found) == 1 and isinstance(examples := found[0][1].get("examples"), list):  # BIG-Bench Hard's
        found = [(f"{path}, row {n}", row) for n, row in enumerate(examples, 1)]
        if strange := [where for where, row in found if not isinstance(row, dict)]:
            raise ValueError(f"{strange[0]}: no JSON object")
    return [(where, _choices_and_labels(row)) for where, row in found]


def _choices_and_labels(row: dict[str, Any]) -> dict[str, Any]:
    """TruthfulQA's {answer: label} in the layout of the hub; other rows as they are."""
    told = [key for key in ("mc1_targets", "mc2_targets") if isinstance(row.get(key), dict)]
    keys = [key for key in told if "choices" not in row[key]]
    targets = {key: row[key] for key in keys}
    return row | {key: {"choices": list(t), "labels": list(t.values())} for key, t in targets.items()}


def rows_of(paths: Sequence[Path], subject: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a split with where each stands, of one configuration where `subject` names it."""
    found = [one for path in paths for one in _rows(path)]
    return [(where, row) for where, row in found if subject in (None, row.get("subject"))]


def asked_rows(
    task: Mapping[str, Any], path: Path, data: Path | None
) -> list[tuple[str, dict[str, Any]]] | None:
    """The rows under test of a task with where each stands; None where they are in no local files."""
    local = _local(task, path, data)
    return rows_of(local.files.get(_evaluated(task), []), local.subject) if local else None


def read_splits(data_files: Mapping[str, Sequence[str]], subject: str | None = None, **metadata: Any) -> Any:
    """A DatasetDict of local rows; lm-eval passes a task's dataset_kwargs and, unasked, its metadata."""
    from datasets import Dataset, DatasetDict  # imports pyarrow and pandas

    splits = {}
    for split, paths in data_files.items():
        found = rows_of([Path(path) for path in paths], subject)
        # Rows need not have the same keys; a dict keeps their order, a set would not.
        columns = {key: None for _, row in found for key in row}
        for key in columns:
            _check_types(key, found)
        splits[split] = Dataset.from_dict({key: [row.get(key) for _, row in found] for key in columns})
    return DatasetDict(splits)


def _check_types(column: str, found: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """ValueError for the first value of a column that no table holds with those above it."""
    first: tuple[str, str] | None = None
    for where, row in found:
        if (value := row.get(column)) is None:
            continue
        if isinstance(value, int) and value.bit_length() > 63:
            raise ValueError(f"{where}: {column}: given {cut(str(value))}; a number of 18 digits at most")
        named = next(name for kinds, name in TYPES.items() if isinstance(value, kinds))
        if first and first[1] != named:
            raise ValueError(
                f"{where}: {column}: given {cut(repr(value))}, {named}; {first[1]}, as {Path(first[0]).name}"
            )
        first = first or (where, named)
