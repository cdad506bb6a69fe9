"""The commands `bench store` and `bench export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    AsJson,
    BenchmarkFile,
    FinishedRuns,
    JudgeFile,
    MethodFile,
    echo_json,
    quiet_libraries,
)
from harness.common.text import printed

if TYPE_CHECKING:
    from harness.suite.loading import Known

store_commands = typer.Typer(no_args_is_help=True, help="What the store holds: list, check, clear.")


@store_commands.command(name="ls")
def list_(runs: FinishedRuns = Path("runs"), as_json: AsJson = False) -> None:
    """List every artifact: kind, name, size, age, how many others stand on it, whether a plan can use it."""
    from harness.run.kinds import versions
    from harness.store.contents import listing
    from harness.store.store import Store

    held = listing.contents(Store(runs / "store"), versions())
    if as_json:
        echo_json({**held._asdict(), "artifacts": [one._asdict() for one in held.artifacts]})
    else:
        typer.echo(printed(listing.text(held)))


@store_commands.command()
def verify(runs: FinishedRuns = Path("runs"), as_json: AsJson = False) -> None:
    """Read every file again and name those that are not as they were published; exit code 1 if there are."""
    from harness.store import maintenance
    from harness.store.store import Store

    if not (runs / "store").is_dir():
        raise ValueError(f"no store in {runs}; --runs names the folder of runs that it lies in")
    store, found = Store(runs / "store"), []
    for damage in maintenance.damaged(store):
        found.append(damage)
        if not as_json:
            typer.echo(printed(str(damage)))
    checked = len(maintenance.artifacts(store))
    if as_json:
        echo_json({"artifacts": checked, "damages": [damage._asdict() for damage in found]})
    else:
        typer.echo(printed(f"{checked} artifacts checked, {len(found)} damages"))
    if found:
        raise typer.Exit(1)


@store_commands.command()
def gc(
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A suite whose steps are needed; artifacts of no such suite are removed."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, say what would be.")] = False,
    as_json: AsJson = False,
    runs: FinishedRuns = Path("runs"),
    method_file: MethodFile = None,
    benchmark_file: BenchmarkFile = None,
    judge_file: JudgeFile = None,
) -> None:
    """Remove unfinished work that nobody is at, and with --keep, what none of those suites needs."""
    quiet_libraries()
    from harness.evaluate import registry
    from harness.store import maintenance
    from harness.store.store import Store

    store, known = Store(runs / "store"), registry.known(benchmark_file, judge_file)
    # Nothing goes without --yes: an artifact may be days of computing.
    unneeded = maintenance.unreferenced(store, _needed(keep, runs, known, method_file) if keep else None)
    found = [maintenance.removable(folder, store) for folder in unneeded]
    for folder in () if as_json else found:
        typer.echo(printed(f"{'removed' if yes else 'would remove'}  {folder}"))
    if yes:
        maintenance.remove(store, unneeded)
    if as_json:
        echo_json({"removed": yes, "folders": [folder._asdict() for folder in found]})
        return
    typer.echo(printed(f"{len(unneeded)} folders {'removed' if yes else 'to remove; --yes removes them'}"))


def _needed(names: list[str], runs: Path, known: "Known", method_file: str | None) -> set[str]:
    """The ids of all steps of suites."""
    from harness.results.health.counts import overlap_steps
    from harness.run import pipeline
    from harness.store.store import Store
    from harness.suite import loading

    store, where = Store(runs / "store"), pipeline.machine(runs)
    loaded = [loading.load(name, [], known) for name in names]
    # Ids follow from suites and from whom their endpoints were last, so that a plan of today names what any
    # run of theirs has made.
    plans = [pipeline.make_plan(suite, (), store, where, method_file, reuse=True) for suite in loaded]
    return {step.id for plan in plans for step in (*plan.steps, *overlap_steps(plan))}


def export(
    artifact: Annotated[
        str, typer.Argument(help="RUN/METHOD, or a model's label, name or id in the store; or RUN.")
    ],
    to: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; it must not exist.")],
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Copy a trained model out of the store, as a plain Hugging Face folder; of a run write its results, as
    a folder that `datasets` loads.
    """
    if of_run := [at for at in (Path(artifact), runs / artifact) if (at / "results.jsonl").is_file()]:
        from harness.results.hub import dataset_folder

        dataset_folder.write(of_run[0], to)
        typer.echo(printed(f"Written: {to}, the results of {artifact}"))
        return
    from harness.store import maintenance

    typer.echo(printed(f"Written: {to}, a copy of {maintenance.export(artifact, runs, to).name}"))
