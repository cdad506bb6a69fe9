"""`bench init`: a commented suite for one's own teacher, student, data and judge."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import JudgeEndpoint, gathered, quiet_libraries
from harness.common.files import is_taken
from harness.common.text import printed

if TYPE_CHECKING:
    from harness.cli.start.look import Given
    from harness.suite.loading import Known

METHODS = "SFT,DPO,DCKD,ADPA"


@gathered
def init(
    judge_endpoint: JudgeEndpoint,
    teacher: Annotated[str | None, typer.Option(help="The teacher: a folder or hub id.")] = None,
    student: Annotated[str | None, typer.Option(help="The student: a folder or hub id.")] = None,
    preference: Annotated[
        str | None, typer.Option(help="Pairs to learn from: a .jsonl or .parquet file, or a hub id.")
    ] = None,
    sft: Annotated[str | None, typer.Option(help="Dialogues for a stage before all methods.")] = None,
    validation: Annotated[str | None, typer.Option(help="Held-out pairs; some of --preference.")] = None,
    judge: Annotated[str | None, typer.Option(help="A model at an endpoint, or a folder to serve.")] = None,
    bench: Annotated[str, typer.Option(help="Further benchmarks, with commas between.")] = "",
    methods: Annotated[str, typer.Option(help="Methods with commas between.")] = METHODS,
    chat_template: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A file with a chat template, for models without one."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The suite's file.")] = Path("my_suite.yaml"),
) -> None:
    """Write a commented suite for your own teacher, student, data and judge; asks what is not given."""
    quiet_libraries()
    _check_free(out)
    needed = {"teacher": teacher, "student": student, "preference": preference}
    more = {"sft": sft, "validation": validation, "judge": judge}
    answers = _asked(needed, more)
    if answers["judge"] and judge_endpoint == JudgeEndpoint() and sys.stdin.isatty():
        url = typer.prompt("The judge's URL (empty: OpenAI's, or a folder)", default="", show_default=False)
        key = typer.prompt("The environment variable with its key", default="OPENAI_API_KEY")
        judge_endpoint = JudgeEndpoint(url or None, key)
    from benchmarks.file_bytes import text_of
    from harness.cli.start.look import Given
    from harness.evaluate import registry

    given = Given(
        teacher=answers["teacher"],
        student=answers["student"],
        preference=answers["preference"],
        sft=answers["sft"] or None,
        validation=answers["validation"] or None,
        judge=judge_endpoint.arguments(answers["judge"]) if answers["judge"] else None,
        benchmarks=_names(bench),
        methods=_names(methods),
        chat_template=text_of(chat_template) if chat_template else None,
    )
    _write(given, registry.known(), out)


def _names(typed: str) -> list[str]:
    return [name.strip() for name in typed.split(",") if name.strip()]


def _check_free(out: Path) -> None:
    """ValueError where the suite would take the place of a file, or has no file's name."""
    if out.suffix not in (".yaml", ".yml"):
        raise ValueError(f"--out {out}: a suite's file ends in .yaml")
    for path in (out, _questions(out)):
        if is_taken(path):
            raise ValueError(f"{path} is there already; choose another --out, or remove it")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: no folder {out.parent}")


def _questions(out: Path) -> Path:
    return out.with_name(f"{out.stem}-questions")


def _asked(needed: dict[str, str | None], more: dict[str, str | None]) -> dict[str, str]:
    """What was given and, at a terminal, answers to what was not; elsewhere ValueError for what is needed."""
    missing = [f"--{name}" for name, value in needed.items() if not value]
    if not sys.stdin.isatty():
        if missing:
            raise ValueError(f"init: {', '.join(missing)} missing; each a folder, file or hub id")
        return {name: value or "" for name, value in {**needed, **more}.items()}
    if not missing:  # all was said by flags: nothing is asked
        return {name: value or "" for name, value in {**needed, **more}.items()}
    questions = {
        "teacher": "The teacher, a folder or hub id",
        "student": "The student, a folder or hub id",
        "preference": "Preference pairs, a file or hub id",
        "sft": "Dialogues for a stage before all methods (empty: none)",
        "validation": "Held-out pairs (empty: some of the preference pairs)",
        "judge": "A judge, a model's name or a folder (empty: none)",
    }
    empty = {name: None if name in needed else "" for name in questions}
    return {
        name: given or str(typer.prompt(questions[name], default=empty[name], show_default=False)).strip()
        for name, given in {**needed, **more}.items()
    }


def _write(given: "Given", known: "Known", out: Path) -> None:
    """Look, write, plan what was written, and say what came of it; what cannot be planned is not left."""
    from harness.cli.start import look, own_suite

    if found := look.faults(given, known):
        for line in found:
            typer.echo(printed(f"bench: {line}"), err=True)
        raise typer.Exit(2)
    split = own_suite.split_of(given)
    asked = own_suite.questions_of(split.held_out) if given.judge else []
    folder = _questions(out)
    try:
        if asked:
            folder.mkdir()
            (folder / "questions.json").write_text(json.dumps(asked, indent=1), encoding="utf-8")
        out.write_text(
            own_suite.text_of(given, known, out, split, folder if asked else None), encoding="utf-8"
        )
        counts = own_suite.planned(out, known)
        example = own_suite.example_of(given, split)
    except BaseException:
        out.unlink(missing_ok=True)
        (folder / "questions.json").unlink(missing_ok=True)
        if asked:
            folder.rmdir()
        raise
    for line in counts:
        typer.echo(printed(line))
    if split.shared:
        shared = f"{split.shared} of {len(split.held_out)} pairs"
        typer.echo(printed(f"held out: {shared} have a prompt that is trained on"))
    if example:
        typer.echo(printed(f"An example, as the student reads it:\n{example}"))
    _, waiting = look.benchmarks(given, known)
    lacking = [*look.silence(look.judges(given, known), known), *(f"{n}: {why}" for n, _, why in waiting)]
    if given.judge and not asked:
        lacking.append("the judge has no questions: no held-out prompts of one turn are here")
    for line in lacking:
        typer.echo(printed(f"missing: {line}"))
    files = f"{out} and {folder}/questions.json, {len(asked)} held-out prompts" if asked else str(out)
    typer.echo(printed(f"Written: {files}\nNext: bench run {out} --plan, and then bench run {out}"))
