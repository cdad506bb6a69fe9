"""`bench new-method` and `bench new-benchmark`: a file that works as it stands, and a test beside it."""

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from harness.common.files import is_taken
from harness.common.text import printed

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*")
Named = Annotated[str, typer.Argument(help="Its name in suites and tables: letters, digits, - and _.")]
Into = Annotated[Path, typer.Option("--to", help="The folder to write into.")]


def new_method(name: Named, to: Into = Path()) -> None:
    """Write a method's file, and a test of its loss beside it that passes at once."""
    import methods
    from harness.suite.schema import UNTRAINED

    # Tables have rows of models before any method.
    taken = {known.lower(): known for known in (*methods.registry(), *UNTRAINED)}
    file, test = _written("method", name, to, taken)
    typer.echo(printed(f"Written: {file}, {test}"))
    typer.echo(
        printed(f"Next: pytest {test}, and then bench run my_suite.yaml --method-file {file} --only {name}")
    )


def new_benchmark(name: Named, to: Into = Path()) -> None:
    """Write a benchmark's file, and a test of its scores beside it that passes at once."""
    from harness.evaluate import registry

    taken = {known.lower(): known for known in registry.known().benchmarks}
    file, test = _written("benchmark", name, to, taken)
    typer.echo(printed(f"Written: {file}, {test}"))
    setting = f"--set benchmarks.{name}.data=FOLDER"
    typer.echo(
        printed(f"Next: pytest {test}, and then bench run my_suite.yaml --benchmark-file {file} {setting}")
    )


def _written(kind: str, name: str, to: Path, taken: dict[str, str]) -> tuple[Path, Path]:
    """Write the file and its test; ValueError, and neither, where a name is taken or a file is there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if not NAME.fullmatch(name):
        raise ValueError(f"new-{kind} {name!r}: allowed are letters, digits, - and _, a letter first")
    if name.lower() in taken:
        raise ValueError(f"new-{kind} {name}: there is a {taken[name.lower()]} already; another name")
    module = re.sub(r"\W", "_", name).lower()
    if not to.is_dir():
        raise ValueError(f"--to {to}: no such folder")
    file, test = to / f"{module}.py", to / f"test_{module}.py"
    for path in (file, test):
        if is_taken(path):
            raise ValueError(f"{path} is there already; choose another name, or remove it")
    # A file of such a name would be imported in the place of the library.
    if keyword.iskeyword(module) or find_spec(module):
        raise ValueError(f"new-{kind} {name}: {module} is Python's or a library's name; another name")
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    for path, template in ((file, f"{kind}.py.j2"), (test, f"test_{kind}.py.j2")):
        text = templates.get_template(template).render(name=name, module=module)
        path.write_text(text, encoding="utf-8")
    return file, test
