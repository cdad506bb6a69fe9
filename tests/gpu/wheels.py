"""Collect the wheels that a bare GPU machine is given, at the versions of constraints.txt.

    python -m tests.gpu.wheels [--out runs/wheels]

Such a machine has Python 3.12 and a torch for its GPU, and no network: there

    pip install --no-index --no-deps --target FOLDER runs/wheels/*.whl
    PYTHONPATH=FOLDER:. python -m tests.gpu --out runs/gpu
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

MOST = 64 * 2**20  # bytes together
PYTHON, PLATFORMS = "312", ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
# What the parts import. Left out are numpy, scipy, pandas and pyarrow: large, and found where torch is.
NAMES = (
    *("transformers", "accelerate", "tokenizers", "safetensors", "huggingface_hub", "peft", "regex", "tqdm"),
    *("pyyaml", "packaging", "filelock", "fsspec", "hf-xet", "httpx2", "httpcore2", "anyio", "h11", "idna"),
    *("sniffio", "truststore", "certifi", "pydantic", "pydantic_core", "annotated-types"),
    *("typing-inspection", "typing_extensions", "psutil", "ruamel.yaml", "threadpoolctl"),
    *("typer", "annotated-doc", "shellingham", "click", "rich", "pygments", "markdown-it-py", "mdurl"),
    *("jinja2", "markupsafe", "openai", "jiter", "httpx", "httpcore"),
    *(
        "alpaca_eval",
        "datasets",
        "multiprocess",
        "dill",
        "xxhash",
        "requests",
        "charset-normalizer",
        "urllib3",
    ),
)


def pins(constraints: str, names: tuple[str, ...]) -> list[str]:
    """`name==version` of each name; ValueError for one that has none."""
    known = {_plain(line.partition("==")[0]): line for line in constraints.splitlines() if "==" in line}
    if missing := [name for name in names if _plain(name) not in known]:
        raise ValueError(f"constraints.txt has no version of {', '.join(missing)}")
    return [known[_plain(name)] for name in names]


def _plain(name: str) -> str:
    """A package's name as all its spellings have it."""
    return name.lower().replace("_", "-").replace(".", "-")


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.gpu.wheels", description="Collect wheels.")
    ask.add_argument("--out", type=Path, default=Path("runs/wheels"))
    out = ask.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.whl"):  # two versions of one package would stop the install
        old.unlink()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", PYTHON, *(word for p in PLATFORMS for word in ("--platform", p))]
    command += ["--dest", str(out), *pins((ROOT / "constraints.txt").read_text(), NAMES)]
    subprocess.run(command, check=True)
    size = sum(wheel.stat().st_size for wheel in out.glob("*.whl"))
    print(f"{len(list(out.glob('*.whl')))} wheels, {size / 2**20:.0f} MiB of at most {MOST // 2**20}: {out}")
    return 0 if size <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
