"""What recomputes a benchmark's numbers from its export: the official tool itself, in a process of its own.

    {"tool": "fschat 0.2.36", "notes": [], "numbers": [
        {"row": "ADPA", "judge": "gpt-4", "reference": "", "metric": "score", "value": 7.2, "by_design": []}]}

A referee's script is a file that imports nothing of ours, but thoughts.py by its path: any interpreter that
holds the tool can run it, as `python -I referee.py EXPORT OUT [CHECKOUT]`. Numbers are in the unit of our
records, under the names of our metrics; row, judge and reference are as the export's files have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Referee:
    """The official tool of a benchmark.

    tool      what it is called
    script    what runs it
    reasons   why a number may differ by design: a closed list, name -> what we do and the tool does not
    checkout  where its repository is, for a tool that no package holds: whoever audits names a copy
    """

    tool: str
    script: Path
    reasons: Mapping[str, str]
    checkout: str = ""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ByDesign(_Frozen):
    """What the tool gives once it does what we do, for these reasons and no other."""

    reasons: tuple[str, ...]
    value: float


class OfficialNumber(_Frozen):
    """A number as the tool computes it; None where it has none. `way`: how, of one that is there twice."""

    row: str
    judge: str
    reference: str
    metric: str
    value: float | None
    way: str = ""
    by_design: tuple[ByDesign, ...] = ()


class Ruling(_Frozen):
    """All that a tool says of an export; `notes` are what has to be known of how it was run."""

    tool: str
    notes: tuple[str, ...]
    numbers: tuple[OfficialNumber, ...]
