"""Columns of whole benchmarks, and the tables on judges: what they read, and what they say without it."""

from dataclasses import replace

from reports.records.rows import JudgeCheck, Judging, Record, Summary
from reports.statistics.bootstrap import Draw
from reports.tables.benchmark_summaries import summary_tables
from reports.tables.judge_quality import judge_tables, noise_notes
from reports.tables.judging_cost import judging_tables
from reports.tables.main import main_tables
from reports.tables.table import Cell, Table

QUICK = Draw(resamples=100)
RUN = ("real", "llama", "mix", "DPO", 0)
RECORD = Record(*RUN, "arena-hard", "win_rate", "", "q1", 1, "ab", "gpt-4", "baseline", 0.75)
SUMMARY = Summary(*RUN, "arena-hard", "gpt-4", "baseline", "win_rate", 0.25)
JUDGING = Judging(*RUN, "mt-bench", "gpt-4", "", 160, 0, 0, 160, 1000, 100, 0.5, ("gpt-4-1106 fp_1",))
CHECK = JudgeCheck(
    "real", "gpt-4", "alpaca-eval", 419, 400, 0.8, 0.76, 0.84, 0.9, 0.52, 0.1, 0.05, 0.6, 3, 838
)


def shown(table: Table, method: str) -> dict[str, Cell]:
    (row,) = (r for r in table.rows if r.method == method)
    return {column.title: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def summed(**metrics: float) -> list[Summary]:
    return [replace(SUMMARY, metric=name, value=value) for name, value in metrics.items()]


def test_a_score_of_a_whole_benchmark_is_a_column_with_the_interval_drawn_with_it() -> None:
    summaries = summed(win_rate=0.25, low=0.2, high=0.3, n=500)
    (table,) = main_tables([RECORD], ["DPO"], QUICK, summaries)
    assert shown(table, "DPO") == {"Arena-Hard (%)": Cell(0.25, 0.2, 0.3, n=500)}
    assert any("judge gpt-4, reference baseline" in note for note in table.notes)


def test_verdicts_that_could_not_be_read_are_marked_beside_the_number_that_leaves_them_out() -> None:
    """In Arena-Hard's column, and in the length-controlled one, whose judgments go by another name."""
    unread = replace(RECORD, order="ba", value=None, status="unparsed")
    lc = replace(SUMMARY, benchmark="alpaca-eval-2", metric="lc_win_rate")
    records = [of for r in (RECORD, unread) for of in (r, replace(r, benchmark="alpaca-eval-2"))]
    (table,) = main_tables(records, ["DPO"], QUICK, [*summed(win_rate=0.25), lc])
    cells = shown(table, "DPO")
    assert cells["Arena-Hard (%)"].notes == ("1 of 2 unparsed",)
    half = "1 of 1 questions half-judged, in no number"
    assert cells["AlpacaEval 2 LC (%)"].notes == ("1 of 2 unparsed", half)


def test_over_seeds_it_is_a_mean_without_an_interval() -> None:
    summaries = summed(win_rate=0.25, low=0.2, high=0.3, n=500)
    summaries += [replace(s, seed=1, value=s.value + 0.5) for s in summaries]
    (table,) = main_tables([RECORD, replace(RECORD, seed=1)], ["DPO"], QUICK, summaries)
    cell = shown(table, "DPO")["Arena-Hard (%)"]
    assert (cell.value, cell.low, cell.high) == (0.5, None, None)


def test_a_stand_in_for_df_gamed_is_marked() -> None:
    lc = [replace(s, benchmark="alpaca-eval-2") for s in summed(lc_win_rate=0.3, lc_stand_in=1.0, n=805)]
    (table,) = main_tables([RECORD], ["DPO"], QUICK, lc)
    assert shown(table, "DPO")["AlpacaEval 2 LC (%)"].notes == ("df_gamed.csv is a stand-in",)


def test_a_row_without_the_number_is_empty_and_two_judges_are_two_columns() -> None:
    other = [replace(s, judge="gpt-4o", value=0.5) for s in summed(win_rate=0.25)]
    (table,) = main_tables([RECORD], ["DPO", "ADPA"], QUICK, [*summed(win_rate=0.25), *other])
    assert set(shown(table, "ADPA").values()) == {Cell()}
    found = {title: cell.value for title, cell in shown(table, "DPO").items()}
    assert found == {"Arena-Hard (%) by gpt-4": 0.25, "Arena-Hard (%) by gpt-4o": 0.5}


def test_the_parts_of_openllm_v2_stand_where_its_average_could_not_be_had() -> None:
    parts = {"normalised/leaderboard_bbh": 0.2, "normalised/leaderboard_ifeval": 0.4, "n": 10.0}
    of_v2 = [replace(s, benchmark="openllm-v2", judge="", reference="") for s in summed(**parts)]
    (table,) = main_tables([RECORD], ["DPO"], QUICK, of_v2)
    assert {t: c.value for t, c in shown(table, "DPO").items()} == {"bbh": 0.2, "ifeval": 0.4}
    (table,) = main_tables([RECORD], ["DPO"], QUICK, [*of_v2, replace(of_v2[0], metric="average", value=0.3)])
    assert {t: c.value for t, c in shown(table, "DPO").items()} == {"OpenLLM v2": 0.3}


def test_subjects_of_mmlu_weigh_as_much_as_one_task() -> None:
    """ARC 1, MMLU's subjects 0 and 0.5: (1 + (0 + 0.5) / 2) / 2 = 0.625."""
    values = {"arc_challenge": 1.0, "mmlu_anatomy": 0.0, "mmlu_virology": 0.5}
    about = {"benchmark": "openllm", "metric": "primary", "judge": "", "reference": "", "order": ""}
    records = [replace(RECORD, **about, group=task, value=value) for task, value in values.items()]
    (table,) = main_tables(records, ["DPO"], QUICK)
    assert shown(table, "DPO")["OpenLLM"].value == 0.625
    assert "OpenLLM: unweighted mean over arc_challenge, mmlu, in percent" in table.notes


def test_judging_adds_up_calls_tokens_and_money_and_names_who_served() -> None:
    other = replace(JUDGING, seed=1, models=("gpt-4-1106 fp_2",))
    (table,) = judging_tables([JUDGING, other], ["DPO", "ADPA"])
    assert {t: c.value for t, c in shown(table, "DPO").items()} == {
        "mt-bench calls": 320, "mt-bench tokens in": 2000, "mt-bench tokens out": 200, "USD": 1.0
    }  # fmt: skip
    assert set(shown(table, "ADPA").values()) == {Cell()}
    assert table.notes == ("gpt-4: replies of gpt-4-1106 fp_1, gpt-4-1106 fp_2",)


def test_a_judge_without_a_price_is_named_and_a_rule_has_no_table() -> None:
    (table,) = judging_tables([replace(JUDGING, usd=None)], ["DPO"])
    assert shown(table, "DPO")["USD"] == Cell(None, notes=("no price of gpt-4 is known",))
    assert not judging_tables([replace(JUDGING, judge="rule", calls=0)], ["DPO"])


def test_what_a_check_found_is_a_table_and_a_note_under_what_the_judge_judged() -> None:
    (table,) = judge_tables([CHECK])
    assert shown(table, "gpt-4, alpaca-eval")["Agreement (%)"] == Cell(0.8, 0.76, 0.84, n=400)
    told = "judge gpt-4 (alpaca-eval): agrees with 80.0 % of 400 gold pairs; repeats differ by 10.0 (sd)"
    assert noise_notes([CHECK], ["gpt-4"], {}) == (told,)
    assert noise_notes([CHECK], ["rule"], {}) == ()
    (main,) = main_tables([RECORD], ["DPO"], QUICK, summed(win_rate=0.25), [CHECK])
    assert told in main.notes
    assert not judge_tables([])


def test_the_noise_of_a_judge_is_told_for_the_number_of_its_questions() -> None:
    """1.96 x 10 / sqrt(400) = 0.98."""
    (told,) = noise_notes([CHECK], ["gpt-4"], {("gpt-4", "alpaca-eval"): 400, ("gpt-4", "mt-bench"): 9})
    assert told.endswith("moves a win rate over 400 questions by about +-1.0 (its interval holds that)")


def test_every_number_of_a_benchmark_stands_in_a_table_of_its_own() -> None:
    """A mean over seeds; a flag is no number."""
    rows = summed(win_rate=0.25, n=500, upstream_low=0.2, mean_length=800.0, lc_stand_in=1.0)
    rows = [replace(s, benchmark="alpaca-eval-2") for s in rows]
    rows += [replace(s, seed=1, value=s.value + 0.5) for s in rows if s.metric == "win_rate"]
    rows += [replace(SUMMARY, benchmark="mt-bench", reference="", metric="score/math", value=4.0)]
    alpaca, mt_bench = summary_tables(rows, ["DPO", "ADPA"])
    assert {t: c.value for t, c in shown(alpaca, "DPO").items()} == {
        "win_rate": 0.5, "n": 500, "upstream_low": 0.2, "mean_length": 800.0
    }  # fmt: skip
    assert [c.unit for c in alpaca.columns] == ["share", "count", "share", "tokens"]
    assert set(shown(alpaca, "ADPA").values()) == {Cell()}
    assert "alpaca-eval-2 by gpt-4 against baseline" in alpaca.title and "mt-bench by gpt-4" in mt_bench.title
    assert mt_bench.columns[0].unit == "score"
