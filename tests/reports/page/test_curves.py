"""Figures of what trainings logged on their way."""

from dataclasses import replace

import pytest

from reports.page import page
from reports.page.figures import curves
from tests.reports.page import page_run

OF = ("toy", "pair", "data")


def test_a_figure_for_each_quantity_shows_every_training_s_values() -> None:
    """The norms of ADPA are ten times those of SFT, which an axis of powers shows; terms come last."""
    known, own = curves.looks(page_run.METHODS), page_run.curves()
    assert [(look.method, look.colour, look.dash) for look in known] == [("SFT", 0, 0), ("ADPA", 1, 0)]
    norms, term = curves.figures(own, known)
    assert (norms.title, norms.axes) == ("Gradient norm", "10 30 0.1 4 log")
    assert (term.title, term.note, term.axes) == ("Loss term sft", "SFT, ADPA", "10 30 0.7 0.9")
    rows = curves.points([c for c in own if c.kind == "gradient"])
    assert [(r["method"], r["step"], r["value"]) for r in rows] == [
        *(("SFT", s, v) for s, v in ((10, 0.1), (20, 0.2), (30, 0.4))),
        *(("ADPA", s, v) for s, v in ((10, 1.0), (20, 2.0), (30, 4.0))),
    ]
    assert rows[0]["label"] == "SFT: 0.1 at step 10, 0.4 at step 30"
    assert len({row["line"] for row in rows}) == 2


def test_seeds_are_lines_of_one_look_and_methods_beyond_the_colours_have_dashes() -> None:
    own = [replace(c, seed=seed) for c in page_run.curves() for seed in (0, 1)]
    rows = curves.points([c for c in own if (c.kind, c.method) == ("term", "SFT")])
    assert [row["label"] for row in rows[::3]] == [
        f"SFT, seed {s}: 0.9 at step 10, 0.7 at step 30" for s in (0, 1)
    ]
    many = curves.looks(["Teacher", *(f"M{n}" for n in range(12))])
    assert [(look.colour, look.dash) for look in (many[0], many[9], many[10], many[11])] == [
        (0, 0), (9, 0), (0, 1), (1, 1)
    ]  # fmt: skip


def test_what_curves_leave_out_is_counted() -> None:
    """Terms were logged five times, three of which are drawn; a value that is no number is not."""
    norms, *others = page_run.curves()
    broken = [replace(norms, values=(0.1, None, 0.4)), *others]
    assert curves.notes(broken, ["SFT", "ADPA", "PAD"]) == [
        "2 of 4 curves are thinned; 12 of 16 logged values are drawn",
        "1 value is not finite and not drawn",
        "no log of PAD: trained before logs were kept",
    ]
    assert [row["step"] for row in curves.points(broken[:1])] == [10, 30]


def test_a_run_without_logs_says_so_on_its_page() -> None:
    html = page.render(page_run.rows()._replace(curves=()))
    assert html.count("No logs of these trainings are in the run") == 1
    assert 'data-axes="' not in html


@pytest.mark.parametrize(
    "quantity, kind, title",
    [
        ("chosen.teacher_kl", "mean", "teacher kl on chosen"),
        ("policy_rollout.kl_ref", "mean", "kl ref on policy rollout"),
        ("kd_chosen", "term", "Loss term kd_chosen"),
    ],
)
def test_a_quantity_is_told_in_words(quantity: str, kind: str, title: str) -> None:
    assert curves.title(kind, quantity) == title
