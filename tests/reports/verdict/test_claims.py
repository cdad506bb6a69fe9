"""No sentence claims a difference that no test tells: random records, claim by claim and word by word."""

import random
import re
from dataclasses import replace

import pytest

from reports.records.groups import grouped
from reports.records.rows import Record
from reports.records.run_folder import Rows
from reports.statistics import paired_test
from reports.statistics.bootstrap import Draw
from reports.tables import columns, pairwise_tests
from reports.tables.columns import MeasuredColumn, heading
from reports.tables.main import main_tables
from reports.verdict import words
from reports.verdict.evidence import verdicts
from reports.verdict.facts import Claim, Standing, Verdict
from tests.reports.verdict.made_up import paid, scores

QUICK = Draw(resamples=100)
COMPARING = re.compile(r"\b(leads?|above|below|better|worse|beats?|higher|lower|best|wins?)\b")
CASES = 40


def random_records(rng: random.Random) -> list[Record]:
    """Of one or two benchmarks: methods alike and not, one run and several, ties, and lost verdicts."""
    names = [*rng.sample(["Teacher", "Student"], rng.randint(0, 2)), *rng.sample("ABCDE", rng.randint(1, 5))]
    spread, kinds = rng.choice([0.0, 0.3, 2.0]), rng.sample(["mt-bench", "rule"], rng.randint(1, 2))
    seeds, worlds, training = rng.choice([1, 2, 3, 3]), rng.choice([1, 1, 2]), rng.choice([0.0, 0.05, 0.3])
    found = []
    for benchmark in kinds:
        means = {m: rng.gauss(5, spread) for m in names}
        n = rng.choice([1, 12, 40, 40])
        found += scores(means, seeds, worlds, training, n, rng.randrange(10**6), benchmark=benchmark)
    if rng.random() < 0.3:
        found = [replace(r, value=float(round(r.value))) for r in found]
    if rng.random() < 0.3:
        found = [r if rng.random() < 0.8 else replace(r, value=None, status="unparsed") for r in found]
    if rng.random() < 0.2:
        found = [r for r in found if r.seed == 0 or r.method in "AB"]
    if rng.random() < 0.3:
        against = [replace(r, reference="A") for r in found]
        found = [replace(r, value=5.0) if r.method == "A" and r.value else r for r in against]
    return found


class Case:
    """Random records with their verdict, and what their columns' tests say of every pair."""

    def __init__(self, seed: int) -> None:
        self.records = random_records(random.Random(seed))
        self.names = list(dict.fromkeys(r.method for r in self.records))
        self.rows = Rows(records=self.records, costs=paid(m for m in self.names if len(m) == 1))
        groups = grouped(self.records)
        (self.verdict,) = verdicts(self.rows, groups, self.names, QUICK)
        (self.words,) = words.paragraphs([self.verdict])
        shown = [c for c in columns.find(groups) if c.source.column.best]
        self.columns: dict[str, MeasuredColumn] = {heading(c, shown).title: c for c in shown}
        (self.table,) = main_tables(self.records, self.names, QUICK)

    def adjusted(self, title: str, with_teacher: bool) -> dict[Claim, float]:
        """Every claim that the tests of a column allow."""
        column = self.columns[title]
        tests = pairwise_tests.tested(column, "data", [m for m in self.names if m != "Teacher"])
        assert tests is not None
        chance, adjusted = tests.scores.chance, tests.adjusted
        if with_teacher:
            chance = column.scores("data", [*tests.scores.values, "Teacher"]).chance
            pairs = [tuple(sorted((m, "Teacher"))) for m in tests.scores.values]
            ps = {pair: paired_test.p_value(chance, *pair) for pair in pairs}
            adjusted = paired_test.adjusted(chance, {k: p for k, p in ps.items() if p is not None})
        at, gaps = chance.sample.methods.index, paired_test.gaps(chance.sample)
        return {
            Claim(*(pair if gaps[at(pair[0]), at(pair[1])] > 0 else pair[::-1]), p)
            for pair, p in adjusted.items()
            if p < 0.05 and chance.is_known
        }


def claims(s: Standing) -> tuple[list[Claim], list[Claim]]:
    """All of a column's, and those with the Teacher."""
    gaps = [g.gap for g in s.gains if g.gap]
    own = [*s.above, *(g.claim for g in s.gains if g.claim)]
    return own, [c for gap in gaps for c in (gap.claim, gap.beyond) if c]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [Case(seed) for seed in range(CASES)]


def test_every_claim_is_one_that_a_test_tells(cases):
    claimed = 0
    for case in cases:
        for s in case.verdict.standings:
            own, of_teacher = claims(s)
            assert set(own) <= case.adjusted(s.title, with_teacher=False)
            assert not of_teacher or set(of_teacher) <= case.adjusted(s.title, with_teacher=True)
            claimed += len(own) + len(of_teacher)
    assert claimed > 30  # else the cases show nothing


def test_of_one_run_a_method_nothing_is_claimed(cases):
    single = [c for c in cases if len({r.replicate for r in c.records}) == 1]
    assert len(single) > 4
    for case in single:
        assert not any(claims(s) != ([], []) for s in case.verdict.standings)
        assert not case.verdict.replicates and not case.verdict.spent


def comparisons(told: str) -> list[str]:
    """The words that compare, but for those that say that nothing can be said."""
    for kind in ("method", "model"):
        told = told.replace(words.NO_CLAIM.format(kind), "")
    return COMPARING.findall(told)


def backed(verdict: Verdict) -> int:
    """How many comparing words there may be: one a claim at most."""
    told = [s for s in verdict.standings if s.above]
    gains = [g for s in verdict.standings for g in s.gains]
    return len(told) + sum(bool(g.claim) for g in gains) + sum(bool(g.gap and g.gap.beyond) for g in gains)


def test_words_compare_only_where_a_claim_stands_behind_them(cases):
    compared = 0
    for case in cases:
        found = comparisons(case.words)
        assert len(found) <= backed(case.verdict), case.words
        compared += len(found)
    assert compared > 15


def test_who_leads_is_told_from_all_others_and_bold_in_the_table(cases):
    leading = 0
    for case in cases:
        titles = [c.title for c in case.table.columns]
        said = re.findall(r"(?:^|; )(\S+|[Tt]he Student) leads on ", case.words)
        assert {m.split()[-1] for m in said} == {s.tops[0].row for s in case.verdict.standings if s.leads}
        for s in (s for s in case.verdict.standings if s.leads):
            (top,) = s.tops
            assert {(c.row, c.other) for c in s.above} == {(top.row, m) for m in s.rows if m != top.row}
            (cell,) = (r.cells[titles.index(s.title)] for r in case.table.rows if r.method == top.row)
            assert cell.mark == "best"
            leading += 1
    assert leading > 4
