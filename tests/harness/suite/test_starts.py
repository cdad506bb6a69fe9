"""What a method's last stage starts from, as a suite says."""

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.run.tuning.tune import side_by_side
from harness.suite import loading
from tests import suites
from tests.paths import TINY


def plan(*overrides: str) -> planning.Plan:
    return planning.plan(suites.load(TINY, overrides), methods.registry(), Machine())


def ids(p: planning.Plan) -> dict[str, str]:
    return {cell.method: cell.model.id for cell in p.cells}


def test_adpa_that_starts_from_dckd_is_adpa_plus() -> None:
    """One formula, one setting, one start: one computation; rollouts are the start's, too."""
    same = [
        "methods.ADPA+={gamma_beta: 0.2, training: {lr: 1e-3}}",
        "methods.ADPA={gamma_beta: 0.2, training: {lr: 1e-3}}",
    ]
    apart, moved = ids(plan(*same)), ids(plan(*same, "methods.ADPA.starts_from=DCKD"))
    assert apart["ADPA"] != apart["ADPA+"]
    assert moved["ADPA"] == moved["ADPA+"] == apart["ADPA+"]


def test_the_start_that_was_published_changes_no_id() -> None:
    assert ids(plan("methods.ADPA+.starts_from=DCKD", "methods.ADPA.starts_from=Student")) == ids(plan())
    assert ids(plan("methods.ADPA.starts_from=null")) == ids(plan())


def test_a_start_that_no_row_names_is_trained_for_it() -> None:
    p = plan("methods.ADPA.starts_from=SeqKD")
    assert {"SeqKD", "rollouts of SeqKD"} <= {step.label for step in p.steps}
    assert "SeqKD" not in {cell.method for cell in p.cells}


@pytest.mark.parametrize(
    "given, fault",
    [
        (["methods.ADPA.starts_from=DCKDD"], "methods.ADPA.starts_from: given 'DCKDD'; did you mean 'DCKD'?"),
        (["methods.ADPA.starts_from=Teacher"], "methods.ADPA.starts_from: given 'Teacher'"),
        (["methods.ADPA.starts_from=[DCKD]"], "methods.ADPA.starts_from: given ['DCKD']; input should be"),
        (["methods.ADPA.start_from=DCKD"], "ADPA.start_from: unknown key; did you mean 'starts_from'?"),
        (["methods.ADPA.starts_from=ADPA"], "methods.ADPA.starts_from: a circle, ADPA from ADPA;"),
        (["methods.DCKD.starts_from=ADPA+"], "a circle, DCKD from ADPA+ from DCKD; one starts from Student"),
        (
            ["methods.DCKD.starts_from=SFT", "methods.SFT.starts_from=DPO", "methods.DPO.starts_from=SFT"],
            "a circle, SFT from DPO from SFT; one starts from Student",
        ),
    ],
)  # fmt: skip
def test_a_start_that_cannot_be_is_one_line(given: list[str], fault: str) -> None:
    with pytest.raises(ValueError) as told:
        plan(*given)
    assert fault in str(told.value) and "\n" not in str(told.value)


def test_trials_wait_for_the_start_that_a_suite_names() -> None:
    known = loading.with_starts(suites.load(TINY, ["methods.DPO.starts_from=ADPA+"]), methods.registry())
    assert side_by_side(["DPO", "ADPA+", "DCKD"], known) == [["DCKD"], ["ADPA+"], ["DPO"]]


def test_adpa_as_released_starts_from_dckd_as_released() -> None:
    """student_adpa.yaml: from student_dckd, whose responses it reads, with weight 1.6 and the clip."""
    plus = methods.registry()["ADPA+[release]"]
    assert (plus.formula, plus.starts_from) == ("methods.adpa_release.loss", "DCKD[release]")
    p = plan("methods.ADPA+[release].training.lr=1e-3")
    (model,) = [cell.model for cell in p.cells if cell.method == "ADPA+[release]"]
    assert model.sources["start"].label == "DCKD[release]"
    assert model.sources["view.student_rollout"].label == "rollouts of DCKD[release]"
