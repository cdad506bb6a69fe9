"""How good the judges of a run are, by pairs whose better answer is known, and a note for other tables.

agreement (%) 87.1 [83.6, 90.0] | consistent (%) 81.0 | first slot (%) 52.3 | repeat noise (%) 11.2
"""

from collections.abc import Iterable, Sequence

from reports.records import JudgeCheck
from reports.table import Cell, Column, Row, Table

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


def _cells(c: JudgeCheck) -> tuple[Cell, ...]:
    return (
        Cell(c.agreement, c.low, c.high, n=c.n),
        Cell(c.consistent),
        Cell(c.first_slot_rate),
        Cell(c.repeat_noise),
        Cell(c.flips),
        Cell(c.kappa),
        Cell(c.unparsed, n=c.verdicts),
    )


def noise_notes(checks: Iterable[JudgeCheck], judges: Iterable[str]) -> tuple[str, ...]:
    """The noise floor of the judges of a table: how far a verdict moves when it is asked for again."""
    wanted, told = set(judges), []
    for c in checks:
        if c.judge in wanted and c.agreement is not None:
            noise = "" if c.repeat_noise is None else f"; repeats differ by {100 * c.repeat_noise:.1f} (sd)"
            agrees = f"agrees with {100 * c.agreement:.1f} % of {c.n} gold pairs"
            told.append(f"judge {c.judge} ({c.prompt}): {agrees}{noise}")
    return tuple(told)
