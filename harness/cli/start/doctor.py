"""`bench doctor`: what this machine has, what will not run here, and how to mend it.

ok             memory     12.1 GB free: training by AdamW in float32 has room for some 0.8 billion parameters
will not run   mt-bench   no data of it; bench data fetch mt-bench
"""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import NamedTuple

import typer

from harness.cli.options import AsJson, Runs, echo_json
from harness.common.text import printed
from harness.endpoints.wire import OPENAI_KEY

PACKAGE = "prefbench"
# Of a parameter that is trained: its value, its gradient and AdamW's two moments, float32 each.
TRAINED_BYTES = 16
LEAST_DISK = 5e9  # bytes: a model of half a billion parameters with its checkpoints
PURPOSE = {
    "serve": "judges that are served here by transformers",
    "vllm": "answers and judges by vllm",
    "ray": "steps on a Ray cluster",
    "slurm": "steps as SLURM jobs",
    "ifeval": "IFEval of OpenLLM v2",
    "math": "MATH of OpenLLM v2",
    "tensorboard": "--track tensorboard",
    "wandb": "--track wandb",
    "mlflow": "--track mlflow",
    "trackio": "--track trackio",
    "8bit": "optimizer: adamw8bit",
    "docs": "make docs: the pages as a site",
    "browser": "tests of the page in a browser",
    "dev": "work on bench itself",
}


class Finding(NamedTuple):
    """One line: whether it is there, what was found, and where it is not, what to do."""

    part: str
    name: str
    ok: bool
    found: str
    mend: str = ""


def doctor(
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say what this machine has, what will not run here, and how to mend it."""
    findings = list(examined(runs))
    if as_json:
        echo_json([finding._asdict() for finding in findings])
        return
    from harness.common.text import aligned

    told = [
        (f.part, "ok" if f.ok else "will not run", f.name, f"{f.found}; {f.mend}" if f.mend else f.found)
        for f in findings
    ]
    typer.echo(printed("\n".join(aligned(told))))
    missing = sum(not f.ok for f in findings)
    needed = "what will not run is needed by suites that name it, no others"
    typer.echo(printed(f"{len(findings) - missing} of {len(findings)} ok; {needed}"))


def examined(runs: Path) -> Iterator[Finding]:
    """Every finding, part by part."""
    yield from _versions()
    yield from _devices()
    yield from _room(runs)
    yield from _network()
    yield from _keys()
    yield from _benchmark_data()
    yield from _extras()


def _versions() -> Iterator[Finding]:
    """Python, and each library that bench needs, held against what it asks for."""
    yield Finding("versions", "python", True, platform.python_version())
    yield Finding("versions", "bench", True, version(PACKAGE))
    for wanted in requires(PACKAGE) or ():
        if name := _needed(wanted, ""):
            yield _library("versions", name, wanted.partition(";")[0].strip())


def _library(part: str, name: str, wanted: str) -> Finding:
    from packaging.requirements import Requirement

    mend = f"pip install '{wanted}'"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(part, name, False, "not installed", mend)
    fits = Requirement(wanted).specifier.contains(found, prereleases=True)
    return Finding(part, name, fits, found, "" if fits else mend)


def _needed(wanted: str, extra: str) -> str:
    """The library that a requirement names; "" where it is none of this extra ("": of all installations)."""
    from packaging.requirements import Requirement

    one = Requirement(wanted)
    if one.marker is None:
        return "" if extra else one.name
    mine, without = one.marker.evaluate({"extra": extra}), one.marker.evaluate({"extra": ""})
    return one.name if mine and (not extra or not without) else ""


def _devices() -> Iterator[Finding]:
    from harness.common import devices
    from harness.common.text import size

    yield Finding("devices", "cpu", True, f"{devices.available_cpus()} for this process")
    count = devices.gpu_count()
    if not count:
        found = "none: billions of parameters take days"
        mend = "what a suite takes elsewhere: bench run SUITE --plan --device h100"
        yield Finding("devices", "gpu", False, found, mend)
        return
    import torch

    for n in range(count):
        card = torch.cuda.get_device_properties(n)
        yield Finding("devices", f"gpu {n}", True, f"{card.name}, {size(card.total_memory)}")


def _room(runs: Path) -> Iterator[Finding]:
    """Memory, and the disk that --runs lies on."""
    from harness.common import devices
    from harness.common.text import size

    free = devices.free_memory()
    room = f"{free / TRAINED_BYTES / 1e9:.1f} billion parameters at most"
    yield Finding("memory", "memory", True, f"{size(free)} free: AdamW in float32 has room for {room}")
    at = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.is_dir())
    left, writable = shutil.disk_usage(at).free, os.access(at, os.W_OK)
    found = f"{size(left) or '0 B'} free at {at}" + ("" if writable else ", which cannot be written")
    fits = writable and left >= LEAST_DISK
    mend = "bench store gc, or another folder by --runs or BENCH_RUNS"
    yield Finding("disk", "runs", fits, found, "" if fits else mend)


def _network() -> Iterator[Finding]:
    from huggingface_hub import get_token

    from harness.common import hub

    silent = hub.silence()
    mend = "models and data from local folders, as docs/quickstart.md has them"
    yield Finding("network", "hub", not silent, silent or "answers", mend if silent else "")
    token = get_token() is not None
    mend = "hf auth login, or HF_TOKEN"
    found = "there" if token else "none: gated models (Llama, Gemma) are refused"
    yield Finding("keys", "hub token", token, found, "" if token else mend)


def _keys() -> Iterator[Finding]:
    """Whether a key is set, never which."""
    there = bool(os.environ.get(OPENAI_KEY))
    found = "set" if there else "not set: no judge of OpenAI's"
    mend = f"export {OPENAI_KEY}=..., or judges.NAME.api_key_env, or a judge that is a folder"
    yield Finding("keys", OPENAI_KEY, there, found, "" if there else mend)


def _benchmark_data() -> Iterator[Finding]:
    from benchmarks.registry import DATA_SETS
    from harness.evaluate import benchmark_files

    for row in benchmark_files.listing():
        needed = {file.name for file in DATA_SETS[row.name].files if file.needed}
        lacking = [name for name in row.in_state("missing") if name in needed]
        other = row.in_state("other content")
        told = f"; other content than upstream's: {', '.join(other)}" if other else ""
        found = f"lacks {', '.join(lacking)}" if lacking else f"{row.kind}, {row.folder}{told}"
        mend = f"bench data fetch {row.name}, or bench data add {row.name} FOLDER" if lacking else ""
        yield Finding("benchmark data", row.name, not lacking, found, mend)


def _extras() -> Iterator[Finding]:
    """Each extra, whole or with what it lacks."""
    for extra in metadata(PACKAGE).get_all("Provides-Extra") or ():
        named = {n: w.partition(";")[0].strip() for w in requires(PACKAGE) or () if (n := _needed(w, extra))}
        lacking = [name for name, wanted in named.items() if not _library(extra, name, wanted).ok]
        purpose = PURPOSE.get(extra, "")
        found = f"{purpose}: lacks {', '.join(lacking)}" if lacking else purpose
        mend = f"pip install '{PACKAGE}[{extra}]'" if lacking else ""
        yield Finding("extras", extra, not lacking, found, mend)
