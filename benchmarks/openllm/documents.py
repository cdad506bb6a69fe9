"""Whether lm-eval can ask the documents of local rows: what its templates would render of nothing in silence,
or stumble over when a model is loaded, is one line with the file, the row and the column.

    t/facts.jsonl, line 3: gold: given 4; the number of a choice, from 0 to 3, or its text
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.openllm import task_values
from benchmarks.openllm.evaluate import manager_of, quiet, seeded
from benchmarks.openllm.local_rows import asked_rows
from benchmarks.openllm.tasks import expand, ifeval_tools, index, leaves
from benchmarks.text import cut

TEXT, CHOICE, TARGET = "doc_to_text", "doc_to_choice", "doc_to_target"
VALUE = re.compile(r"\{\{\s*(\w+)\s*\}\}")  # a column in a template
CHOOSES = "multiple_choice"  # its tasks are answered by one of several choices


def check(tasks: Sequence[str], include: Path | None, data: Path | None, limit: int | None) -> None:
    """ValueError for the first document of local rows that cannot be asked."""
    import torch  # lm-eval imports it

    names = expand(tasks, include)
    known = index(names, include)
    asked = {leaf: known[leaf] for name in names for leaf in leaves(known, name)}
    rows = {leaf: asked_rows(of.cfg, of.yaml_path, data) for leaf, of in asked.items()}
    if not any(found is not None for found in rows.values()):
        return
    with TemporaryDirectory() as scratch, quiet(names), ifeval_tools(), seeded(torch.device("cpu")):
        manager = manager_of(known, data, Path(scratch))
        for leaf, found in rows.items():
            if found is not None:
                _check_task(manager, leaf, asked[leaf], found, limit)


def _loaded(manager: Any, leaf: str, path: Path) -> Any:
    """The task by lm-eval. ValueError where its YAML is none that lm-eval takes."""
    try:
        return manager.load([leaf])["tasks"][leaf]
    except Exception as error:  # of whatever key it stumbles over
        words = cut(" ".join(str(error).split()) or type(error).__name__, 120)
        raise ValueError(f"{path}: {leaf}: lm-eval cannot read it: {words}") from error


def _check_task(
    manager: Any,
    leaf: str,
    known: Any,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    limit: int | None,
) -> None:
    """ValueError for the first value, row or document of a task that is not as it should be; `known`: its
    entry in lm-eval's index.
    """
    path, config = known.yaml_path, known.cfg
    task_values.check(path, leaf, config)
    plain = not config.get("process_docs")
    # Before lm-eval reads the first row itself.
    for where, row in islice(rows, limit) if plain else ():
        _check_row(config, where, row)
    task, where = _loaded(manager, leaf, path), leaf
    try:
        for number, document in enumerate(islice(task.eval_docs, limit)):
            where = rows[number][0] if plain else f"{leaf}, document {number + 1}"
            _check_document(task, where, document)
    except ValueError:
        raise
    except Exception as error:  # of a template, or of a task's own code
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{where}: lm-eval cannot read it: {cut(words, 120)}") from error


def _check_row(config: Mapping[str, Any], where: str, row: Mapping[str, Any]) -> None:
    """ValueError where a column that the templates read is empty, or no choice is the right one."""
    chooses = config.get("output_type") == CHOOSES
    for field in (TEXT, CHOICE, TARGET):
        for column in _columns(config.get(field), row, chooses and field != TEXT):
            if row.get(column) is None:
                given = "null" if column in row else "nothing"
                raise ValueError(f"{where}: {column}: given {given}; {field} of the task reads it")
    if text := _column(config.get(TEXT), row):
        _check_text(where, text, row[text])
    choices = config.get(CHOICE)
    if column := _column(choices, row):
        _check_choices(where, column, choices := row[column])
    if chooses and isinstance(choices, list) and (column := _column(config.get(TARGET), row)):
        target, in_template = row[column], config[TARGET] != column
        # A template's number is read as one, a column's text is not.
        number = in_template and isinstance(target, str) and target.isdigit()
        _check_target(where, column, int(target) if number else target, choices)


def _columns(template: Any, row: Mapping[str, Any], named: bool) -> list[str]:
    """The columns that a template cannot do without; `named`: a single word is one."""
    if not isinstance(template, str) or "{%" in template:
        return []
    return [template] if template in row or (named and template.isidentifier()) else VALUE.findall(template)


def _column(template: Any, row: Mapping[str, Any]) -> str:
    """The column that a template is all of; "" where it is more."""
    if not isinstance(template, str):
        return ""
    found = VALUE.fullmatch(template.strip())
    return template if template in row else found[1] if found and found[1] in row else ""


def _check_document(task: Any, where: str, document: Any) -> None:
    """ValueError for what lm-eval makes of a document, whatever code has made it."""
    text, target = task.doc_to_text(document), task.doc_to_target(document)
    if task.OUTPUT_TYPE != CHOOSES:
        _check_text(where, TEXT, text)
        if target is None:
            raise ValueError(f"{where}: {TARGET}: given nothing; what is right")
        return
    choices = task.doc_to_choice(document)
    _check_choices(where, CHOICE, choices)
    if isinstance(text, int):  # each choice is a beginning, and the number is that of the right one
        _check_target(where, TEXT, text, choices)
        return
    _check_text(where, TEXT, text)
    _check_target(where, TARGET, target, choices)


def _check_text(where: str, name: str, text: Any) -> None:
    if isinstance(text, bool) or not isinstance(text, str | int | float) or not str(text).strip():
        raise ValueError(f"{where}: {name}: given {cut(repr(text))}; a text that says something")


def _check_choices(where: str, name: str, choices: Any) -> None:
    texts = choices if isinstance(choices, list) else []
    strange = [c for c in texts if isinstance(c, bool) or not isinstance(c, str | int | float)]
    if len(texts) < 2 or strange or not all(str(choice).strip() for choice in texts):
        raise ValueError(f"{where}: {name}: given {cut(repr(choices))}; a list of two texts or more")
    if twice := next((c for n, c in enumerate(texts) if c in texts[:n]), None):
        raise ValueError(f"{where}: {name}: {cut(repr(twice))} stands twice; choices that differ")


def _check_target(where: str, name: str, target: Any, choices: Sequence[Any]) -> None:
    for one in target if isinstance(target, list) and target else [target]:
        numbered = isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(choices)
        if not numbered and not (isinstance(one, str) and one in choices):
            allowed = f"the number of a choice, from 0 to {len(choices) - 1}, or its text"
            raise ValueError(f"{where}: {name}: given {cut(repr(target))}; {allowed}")
