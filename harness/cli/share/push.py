"""`bench push RUN METHOD --to OWNER/NAME`: a row's model on the hub, with a card of its results."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from harness.cli.options import FinishedRuns, RunName, gathered, quiet_libraries
from harness.cli.report import folder_of
from harness.common.files import check_new
from harness.common.text import printed


@dataclass(frozen=True)
class Row:
    """Which of a method's checkpoints is meant."""

    seed: Annotated[int | None, typer.Option(help="Its seed; of several the least if absent.")] = None
    world_seed: Annotated[int | None, typer.Option(help="The world seed of its models.")] = None
    pair: Annotated[str | None, typer.Option(help="The pair, where the run has several.")] = None
    dataset: Annotated[str | None, typer.Option(help="The data set, where the run has several.")] = None


@gathered
def push(
    row: Row,
    run: RunName,
    method: Annotated[str, typer.Argument(help="One of its rows.")],
    to: Annotated[str, typer.Option(help="The repository, OWNER/NAME; it is made if it is not there.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the folder; upload nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder to write; RUN/hub/NAME of a dry run.")] = None,
    private: Annotated[bool, typer.Option("--private/--public", help="Who may see a new repository.")] = True,
    licence: Annotated[
        str | None, typer.Option("--license", help="The model's licence, such as apache-2.0.")
    ] = None,
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Push a trained row to the Hugging Face hub: weights, tokenizer, and a card with its results."""
    quiet_libraries()
    from harness.results.hub import folder, licences, origin, upload
    from harness.results.hub.card import Card
    from harness.store import maintenance
    from harness.store.store import Store
    from reports.records import run_folder

    upload.check_name(to)
    at = folder_of(run, runs)
    rows = run_folder.read(at)
    found = folder.found(rows, folder.Asked(method, row.pair, row.dataset, row.world_seed, row.seed))
    target = out or (at / "hub" / to.rpartition("/")[2] if dry_run else None)
    if target:
        check_new(target, "--out")
    if not dry_run:
        upload.check(to, private)
    known = origin.origin(maintenance.model(found.artifact, runs), Store(runs / "store"))
    stated = licences.known(known)
    licence = licence or stated.get(known.base.repository or known.base.name, "")
    told = Card(to, at.name, found.key, found.seeds, known, rows, licence, stated)
    with TemporaryDirectory() as scratch:
        written = target or Path(scratch) / "model"
        folder.write(found.artifact, told, written, runs)
        if target:
            typer.echo(printed(f"Written: {target}, seed {found.key.seed} of {found.key.method}"))
        if not licence:
            typer.echo("licence: not known, and the card says so; --license names it")
        if not dry_run:
            address = upload.upload(written, to, private)
            typer.echo(printed(f"Pushed: {address} ({'private' if private else 'public'} if it is new)"))
