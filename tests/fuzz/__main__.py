"""`make fuzz`: every case of the corpus, those that end as they should not one by one, and a table of counts.

python -m tests.fuzz [--only WORDS IN A CASE'S NAME]
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.cases import Case, cases
from tests.fuzz.judge import Judged, judged, run

AT_ONCE = 2


def main() -> int:
    """Run the corpus; 1 where a case ends as it should not."""
    parser = argparse.ArgumentParser(description="Run the corpus of bad inputs.")
    parser.add_argument("--only", default="", help="the cases with these words in their names")
    only = parser.parse_args().only
    chosen = [(name, case) for name, case in cases() if only in name]
    # Not threads: each would look after the other's commands, and of a command only one is told how it ended.
    with TemporaryDirectory() as folder, ProcessPoolExecutor(AT_ONCE) as processes:
        folders = [Path(folder) / name[:100] for name, _ in chosen]
        ended = list(processes.map(_judged, [case for _, case in chosen], folders))
    for (name, _), found in zip(chosen, ended, strict=True):
        if found.ending:
            print(f"{name}: {found.ending}: {found.shown}")
    print(table([case for _, case in chosen], ended))
    return int(any(found.ending for found in ended))


def _judged(case: Case, folder: Path) -> Judged:
    return judged(case, run(case, folder))


def table(chosen: list[Case], ended: list[Judged]) -> str:
    """A line for each border: cases, kinds of faults, how many failed when they were added, and now."""
    lines = ["border | cases | faults | failed before | fail now"]
    for border in dict.fromkeys(case.border for case in chosen):
        own = [(case, found) for case, found in zip(chosen, ended, strict=True) if case.border == border]
        faults = len({case.fault for case, _ in own})
        before = sum(case.before is not None for case, _ in own)
        now = sum(found.ending is not None for _, found in own)
        lines.append(f"{border} | {len(own)} | {faults} | {before} | {now}")
    pairs = len({(case.border, case.fault) for case in chosen})
    kinds = Counter(case.before for case in chosen if case.before)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    lines.append(f"all: {len(chosen)} cases over {pairs} pairs of border and fault; before: {told or 'none'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
