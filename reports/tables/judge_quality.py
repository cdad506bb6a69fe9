"""How good the judges of a run are, by pairs whose better answer is known, and a note for other tables.

agreement (%) 87.1 [83.6, 90.0] | consistent (%) 81.0 | first slot (%) 52.3 | repeat noise (%) 11.2
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

from reports.records.rows import JudgeCheck
from reports.tables.table import Cell, Column, Row, Table

Z = 1.96  # 95 %
COLUMNS = (
    Column("agreement", "Agreement (%)", "share"),
    Column("consistent", "Consistent (%)", "share"),
    Column("first_slot_rate", "First slot (%)", "share"),
    Column("repeat_noise", "Repeat noise (%)", "share"),
    Column("flips", "Flips (%)", "share"),
    Column("kappa", "Kappa", "score"),
    Column("unparsed", "Unparsed", "count"),
)
NOTES = (
    "pairs of which one answer is known to be better, asked in both orders; a tie counts half",
    "consistent: both orders name one winner; first slot: verdicts for the answer shown first, 50 is fair",
    "repeat noise: standard deviation of a pair's verdict between repeats; flips: verdicts that change",
)


def judge_tables(checks: Sequence[JudgeCheck]) -> list[Table]:
    """One table of all judges that were checked, a row for each prompt."""
    if not checks:
        return []
    rows = tuple(Row("", f"{c.judge}, {c.prompt}", _cells(c)) for c in checks)
    return [Table(f"Judges: {checks[0].suite}", COLUMNS, rows, NOTES)]


def _cells(check: JudgeCheck) -> tuple[Cell, ...]:
    others = {
        "agreement": Cell(check.agreement, check.low, check.high, n=check.n),
        "unparsed": Cell(check.unparsed, n=check.verdicts),
    }
    return tuple(others.get(c.name) or Cell(getattr(check, c.name)) for c in COLUMNS)


def noise_notes(
    checks: Iterable[JudgeCheck], judges: Iterable[str], questions: Mapping[tuple[str, str], int]
) -> tuple[str, ...]:
    """How good the judges of a table are, and how far a win rate moves when each verdict is asked for again.

    `questions` counts those of each (judge, benchmark). That noise of each verdict alone is in the spread of
    questions, so the intervals hold it: adding it to them would count it twice.
    """
    wanted, notes = set(judges), []
    for c in checks:
        if c.judge not in wanted or c.agreement is None:
            continue
        noise = ""
        if c.repeat_noise is not None:
            noise = f"; repeats differ by {100 * c.repeat_noise:.1f} (sd)"
            if n := questions.get((c.judge, c.prompt), 0):
                moved = 100 * Z * c.repeat_noise / sqrt(n)
                noise += f", which moves a win rate over {n:,} questions by about +-{moved:.1f}"
                noise += " (its interval holds that)"
        agrees = f"agrees with {100 * c.agreement:.1f} % of {c.n} gold pairs"
        notes.append(f"judge {c.judge} ({c.prompt}): {agrees}{noise}")
    return tuple(notes)
