"""Run the check, or write the page from what one found."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from harness.common.suggest import nearest
from tests.gpu import page, supervisor
from tests.gpu.order import PARTS

MEMORY = Path("/dev/shm")
NEEDED = 48e9  # bytes: of models and signals, most of them the teacher with all layers


def main() -> int:
    if sys.argv[1:2] == ["page"]:
        return _page(sys.argv[2:])
    ask = argparse.ArgumentParser(prog="python -m tests.gpu", description="What only a GPU can tell.")
    ask.add_argument("--out", type=Path, required=True, help="the folder that gets gpu_check.jsonl")
    ask.add_argument("--budget", type=float, default=420, help="seconds after which no part begins")
    ask.add_argument("--small", action="store_true", help="in a size that a CPU runs within a minute")
    ask.add_argument("--parts", default="", help=f"of {', '.join(PARTS)}; all without")
    given = ask.parse_args()
    names = [name for name in given.parts.split(",") if name] or list(PARTS)
    for name in names:
        if name not in PARTS:
            ask.error(f"--parts {name}: {nearest(name, list(PARTS))}")
    with tempfile.TemporaryDirectory(dir=_fast()) as folder:
        asked = {name: PARTS[name] for name in names}
        lines = supervisor.run(asked, given.out, Path(folder), budget=given.budget, small=given.small)
    failed = [line["part"] for line in lines if "error" in line]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _fast() -> Path | None:
    """Where models are written and read soonest: memory, if they fit there."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > NEEDED else None


def _page(words: list[str]) -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.gpu page", description="Write the page's part.")
    ask.add_argument("lines", type=Path, help="a gpu_check.jsonl")
    given = ask.parse_args(words)
    if not given.lines.is_file():
        ask.error(f"{given.lines}: no such file; python -m tests.gpu --out FOLDER writes one")
    page.write(given.lines)
    print(f"Written: {page.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
