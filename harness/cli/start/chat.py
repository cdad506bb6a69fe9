"""`bench chat`: talk to one or two checkpoints of a run; each answers in a conversation of its own.

    you   What is the capital of France?
    ADPA  Paris.
    DPO   The capital is Lyon.

A line of standard input is a turn; `/new` begins anew, and the end of the input ends the talk.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import FinishedRuns, RunName, quiet_libraries
from harness.cli.report import folder_of
from harness.common.text import printed

if TYPE_CHECKING:
    from benchmarks.api import Message, Sampling

AGAIN = "/new"
SPOKEN = ("pairs", "dialogues", "answers")  # kinds of steps that write or ask by a chat template
Answers = Callable[[str], str]  # a turn -> the answer


def chat(
    run: RunName,
    methods: Annotated[list[str], typer.Argument(metavar="METHOD [METHOD]", help="One or two of its rows.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="The most tokens of an answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest token each time.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="What draws are seeded by.")] = 0,
    chat_template: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file with a chat template in place of the run's."),
    ] = None,
    runs: FinishedRuns = Path("runs"),
) -> None:
    """Talk to one or two trained rows of a run: each line of the input is a turn to both.

    Of a row with several seeds the least one answers.
    """
    if len(methods) > 2:
        raise ValueError(f"chat: given {', '.join(methods)}; one or two methods")
    quiet_libraries()
    from benchmarks.api import Sampling
    from benchmarks.file_bytes import text_of
    from harness.store import maintenance
    from harness.suite.validation import bounded_temperature

    try:
        bounded_temperature(temperature)
    except ValueError as fault:
        raise ValueError(f"--temperature: {fault}") from None
    at = folder_of(run, runs)
    # All are found before the first is loaded. Artifacts are named by runs as they lie below `runs`.
    named = {name: f"{os.path.relpath(at, runs)}/{name}" for name in methods}
    folders = {name: maintenance.model(artifact, runs, first_seed=True) for name, artifact in named.items()}
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    template = text_of(chat_template) if chat_template else template_of(at, runs)
    begins = {name: _speaker(folder, sampling, seed, template) for name, folder in folders.items()}
    talks = {name: begin() for name, begin in begins.items()}
    for turn in _turns():
        if turn == AGAIN:
            talks = {name: begin() for name, begin in begins.items()}
            continue
        said: dict[str, str] = {}
        for name, answer in talks.items():
            with _told(name, said):
                said[name] = answer(turn)
        _show(said)


def template_of(run: Path, runs: Path) -> str | None:
    """The chat template that a run's rows were trained and asked with; None: their tokenizers' own."""
    from harness.store.store import Store
    from reports.records.texts import read_steps

    store = Store(runs / "store")
    ids = {step.id for step in read_steps(run / "steps.jsonl") if step.kind in SPOKEN}
    # One suite has one for all; what asks an endpoint has none.
    for kind in SPOKEN:
        for record in store.records(kind):
            if record["id"] in ids and "template" in record["settings"]:
                return record["settings"]["template"] or None
    return None


def _turns() -> Iterator[str]:
    """The lines of standard input that say something; a person is shown where to type."""
    asks = sys.stdin.isatty()
    if asks:
        typer.echo(printed(f"A line is a turn; {AGAIN} begins anew, Ctrl-D ends."))
    while True:
        if asks:
            typer.echo("> ", nl=False)
        try:
            line = sys.stdin.readline()
            line.encode()  # a stream may hand on bytes that are no text as halves of characters
        except UnicodeError:
            raise ValueError("standard input: a line is not UTF-8") from None
        if not line:
            return
        if line.strip():
            yield line.strip()


@contextmanager
def _told(name: str, said: dict[str, str]) -> Iterator[None]:
    """A turn that a model or its template cannot take is told in the answer's place; the talk goes on."""
    try:
        yield
    except ValueError as fault:
        said[name] = f"[{fault}; {AGAIN} begins anew]"


def _show(said: dict[str, str]) -> None:
    """Two answers side by side at a terminal; elsewhere each after the name of its method."""
    if len(said) < 2 or not sys.stdout.isatty():
        for name, text in said.items():
            typer.echo(printed(f"{name}: {text}"))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(Text(printed(name))) for name in said), expand=True)
    table.add_row(*(Text(printed(text)) for text in said.values()))
    Console().print(table)


def _speaker(folder: Path, sampling: "Sampling", seed: int, template: str | None) -> Callable[[], Answers]:
    """What begins a conversation with the model of a folder."""
    from harness.common.devices import gpu_count
    from harness.common.tokenizer import load_tokenizer, vocabulary
    from harness.data import chat_template
    from harness.evaluate.answers import decoded
    from harness.models import generation, loading, positions
    from harness.models.decoding.rows import Request

    model = loading.load(folder).to("cuda" if gpu_count() else "cpu")
    tokenizer = load_tokenizer(folder)
    stop = chat_template.end_ids(tokenizer, model.generation_config, template=template)
    vocab, most = vocabulary(tokenizer, folder), positions.learned(model.config)

    def begin() -> Answers:
        messages: list[Message] = []

        def answer(turn: str) -> str:
            asked: list[Message] = [*messages, {"role": "user", "content": turn}]
            prompt = chat_template.encode_prompt(tokenizer, asked, template=template)
            room = sampling.max_tokens if most is None else most - len(prompt)
            if room < 1:
                raise ValueError(f"{len(prompt)} tokens so far; the model was trained on {most}")
            within = replace(sampling, max_tokens=min(room, sampling.max_tokens))
            request = Request(prompt, within, f"turn {len(messages) // 2 + 1}")
            (given,) = generation.generate(model, [request], stop, vocab=vocab, batch=1, seed=seed)
            text = decoded(tokenizer, given.ids).strip()
            messages[:] = [*asked, {"role": "assistant", "content": text}]
            return f"{text} [cut at {len(given.ids)} tokens]" if given.truncated else text

        return answer

    return begin
