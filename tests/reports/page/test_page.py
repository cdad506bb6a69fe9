"""The report page without a browser: one file that loads nothing, safe, and a function of its rows."""

import base64
import hashlib
import json
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports import build
from reports.page import first_screen, page, plan_view, table_views
from reports.page.figures import forest, label_placement, scatter
from reports.page.figures.label_placement import Box
from reports.page.figures.scatter import Point
from reports.records import groups, jsonl, run_folder, texts
from reports.records.benchmarks import DEFAULT
from reports.records.rows import JudgeCheck
from reports.records.run_folder import Rows
from reports.records.texts import StepRecord
from reports.tables.table import Source, Table
from tests.reports.page import page_run
from tests.reports.verdict.made_up import scores


class Elements(HTMLParser):
    """Every element's tag and attributes, and the text of scripts and styles in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem:
            self.raw.append((self.cdata_elem, data))

    def scripts(self) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.found if tag == "script"]


@pytest.fixture(scope="module")
def html() -> str:
    return page.render(page_run.rows(), page_run.texts(), page_run.made())


def blocks(html: str) -> dict[str, object]:
    found = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', html, re.S)
    return {name: json.loads(text) for name, text in found}


def test_a_page_loads_nothing(html):
    """No element names another file, and neither style nor drawings fetch one."""
    for tag, attrs in Elements(html).found:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base"), tag
        for name in ("src", "srcset", "xlink:href", "action", "data"):
            assert name not in attrs, (tag, name)
        assert (attrs.get("href") or "#").startswith("#"), attrs
    style = next(text for tag, text in Elements(html).raw if tag == "style")
    assert "url(" not in style and "@import" not in style
    assert not re.search(
        r"\b(fetch\(|eval\(|XMLHttpRequest|WebSocket|innerHTML|outerHTML|insertAdjacentHTML)", html
    )


def test_the_policy_names_the_very_style_and_script_of_the_page(html):
    parsed = Elements(html)
    meta = next(
        a for t, a in parsed.found if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    style = "".join(text for tag, text in parsed.raw if tag == "style")
    code = next(text for tag, text in parsed.raw if tag == "script")  # the data stand after it
    hashes = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in (style, code)]
    allowed = f"style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'"
    assert meta["content"] == f"default-src 'none'; {allowed}; base-uri 'none'"
    assert not [a for _, a in parsed.found if "style" in a or any(n.startswith("on") for n in a)]


def test_the_tables_the_verdict_and_the_page_add_a_run_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    grouped, compared, weighed = [], [], []
    monkeypatch.setattr(build, "grouped", lambda *of: grouped.append(of) or groups.grouped(*of))
    compare, weigh = build.comparison_tables, build.verdicts
    monkeypatch.setattr(build, "comparison_tables", lambda *of: compared.append(of) or compare(*of))
    monkeypatch.setattr(build, "verdicts", lambda *of: weighed.append(of) or weigh(*of))
    made = build.paired(page_run.rows())
    tables, words = build.build(made), build.verdict(made)
    html = page.render(made)
    assert (len(grouped), len(compared), len(weighed)) == (1, 1, 1)
    assert html == page.render(page_run.rows())
    assert (tables, words) == (build.build(page_run.rows()), build.verdict(page_run.rows()))
    grouped.clear()
    page.render(page_run.rows())
    assert len(grouped) == 1


def test_the_verdict_stands_before_the_first_table_word_by_word(html):
    (paragraph,) = build.verdict(page_run.rows())
    assert paragraph.startswith("One run a method: ADPA has the highest score on MT-Bench (6.50) and ")
    first, *others = (f"<p>{escape(line)}</p>" for line in paragraph.splitlines())
    before, after = html.split(f"<div>{first}")
    assert "<table>" not in before and "<table>" in after
    assert "".join(others) in after.partition("</section>")[0]


def test_a_script_in_an_answer_is_data(html):
    """It adds no element, and comes back letter by letter from the data."""
    plain = page.render(page_run.rows(), page_run.texts(said="nothing"), page_run.made())
    count = [len(Elements(text).found) for text in (html, plain)]
    assert count[0] == count[1]
    strings = blocks(html)["texts-0"]["strings"]
    assert f"ADPA says {page_run.SCRIPT}" in strings
    assert [s.get("type") for s in Elements(html).scripts()] == [None, *["application/json"] * 3]


def test_a_script_in_a_name_is_text():
    """Names of methods and notes stand in the document itself, and in the drawings."""
    methods = ("Teacher", "Student", page_run.SCRIPT, "ADPA")
    found = Elements(page.render(page_run.rows(methods), page_run.texts(methods), page_run.made()))
    assert len(found.scripts()) == 4 and not [t for t, _ in found.found if t == "img"]


def test_the_order_of_rows_does_not_matter(html):
    """The order of costs is that of methods, the order of summaries that of columns; no other counts."""
    rng, rows = random.Random(1), page_run.rows()
    measured, trained, said = (list(x) for x in (rows.records, rows.training, page_run.texts()))
    for part in (measured, trained, said):
        rng.shuffle(part)
    assert page.render(rows._replace(records=measured, training=trained), said, page_run.made()) == html


@pytest.mark.parametrize("kept", ["records", "costs", "training", "summaries"])
def test_a_run_with_one_kind_of_rows_makes_a_page(kept):
    html = page.render(Rows(**{kept: getattr(page_run.rows(), kept)}))
    assert "<h1>" in html and 'href="#answers"' not in html and 'href="#plan"' not in html


def test_texts_and_steps_without_tables_make_a_page():
    html = page.render(Rows(), page_run.texts(), page_run.made())
    assert "No benchmark was measured" in html and 'href="#answers"' in html


def test_a_string_stands_once_in_a_block(html):
    """A reference's answer stands in every judgment against it, and once in the page."""
    data = blocks(html)
    strings = data["texts-0"]["strings"]
    assert len(strings) == len(set(strings))
    assert html.count("ADPA says \\u003cscript>") == 2  # one for each benchmark


def test_a_page_is_made_of_a_folder_alone(tmp_path: Path):
    """Rows and texts written and read again give the page of the rows themselves."""
    run_folder.write(page_run.rows(), tmp_path)
    jsonl.write(page_run.texts(), tmp_path / "texts.jsonl")
    jsonl.write(page_run.made(), tmp_path / "steps.jsonl")
    path = page.write(tmp_path)
    assert path.name == "report.html"
    assert path.read_text() == page.render(page_run.rows(), page_run.texts(), page_run.made())
    assert not list(tmp_path.glob("*.partial"))


def test_a_line_that_is_no_text_is_named(tmp_path: Path):
    (tmp_path / "texts.jsonl").write_text('{"method": "ADPA"}\n')
    with pytest.raises(ValueError, match=r"texts.jsonl:1: not a text: pair: Field required"):
        texts.read_texts(tmp_path / "texts.jsonl")


def test_a_cell_of_the_main_table_leads_to_its_answers(html):
    """OpenLLM has no texts, so its cells lead nowhere."""
    row = next(r for r in html.split("<tr ") if 'data-method="SFT"' in r)
    links = re.findall(r'href="(#bench[^"]*)"', row)
    assert links == [
        "#bench=mt-bench&amp;judge=rule&amp;data=data&amp;pair=pair&amp;a=SFT",
        "#bench=alpaca-eval&amp;judge=rule&amp;ref=ADPA&amp;data=data&amp;pair=pair&amp;a=SFT",
    ]


def test_the_main_table_says_how_good_its_judge_is_as_in_a_terminal() -> None:
    check = JudgeCheck("toy", "rule", "alpaca-eval", 20, 20, 0.8, 0.6, 0.9, 0.9, 0.5, 0.1, 0.05, 0.6, 3, 40)
    rows = page_run.rows()._replace(checks=[check])
    html = page.render(rows, page_run.texts(), page_run.made())
    (main,) = (t for t in build.build(rows.of_pair("pair"))["main"])
    (note,) = (n for n in main.notes if "agrees with 80.0 % of 20 gold pairs" in n)
    assert html.count(escape(note)) == 1


def test_a_column_leads_to_the_judge_and_reference_that_it_names():
    sets = [
        table_views.JudgmentSet("p", "d", "alpaca-eval", "win_rate", j, r)
        for j in ("gpt", "rule")
        for r in ("ADPA", "DPO")
    ]
    benchmark = DEFAULT.get("alpaca-eval")
    source = Source(benchmark, benchmark.columns[0], "rule", "DPO")
    assert table_views.link("p", "d", "SFT", source, sets).startswith(
        "#bench=alpaca-eval&judge=rule&ref=DPO&"
    )
    assert not table_views.link("p", "other", "SFT", source, sets)


def test_cells_of_every_table_of_values_lead_to_their_answers_and_differences_to_both(html):
    found = Elements(html).found
    hrefs = {attrs["href"] for tag, attrs in found if tag == "a"}
    assert "#bench=mt-bench&judge=rule&data=data&pair=pair&a=SFT" in hrefs  # the main table
    assert "#bench=mt-bench&judge=rule&data=data&pair=pair&a=SFT&b=Student" in hrefs  # the comparison
    assert "#bench=alpaca-eval&judge=rule&ref=ADPA&data=data&pair=pair&a=ADPA&b=Student" in hrefs


def test_every_drawing_is_whole_and_says_its_numbers(html):
    """MT-Bench of ADPA: (3 + q) mod 10 + 1 over six questions and two turns, from 4 to 9: 6.50."""
    drawings = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(drawings) > 8
    for drawing in drawings:
        ET.fromstring(drawing)
    said = re.findall(r'aria-label="(ADPA: 6\.50 \[[^"]*)"', html)
    assert said and all(re.fullmatch(r"ADPA: 6\.50 \[\d\.\d\d, \d\.\d\d\]", s) for s in said)
    for told in ("ADPA, step 20: 2.00", "ADPA, math: 5.30", "ADPA, on the probe: 71.43", "ADPA, after: 2.00"):
        assert f'aria-label="{told}"' in html


def _main_view() -> table_views.TableView:
    ((_, tables),) = build.paired(page_run.rows()).tables
    return table_views.view("main", tables["main"][0], "pair", ())


def test_a_forest_has_the_highest_first_with_the_table_s_numbers() -> None:
    """Of shares in percent; a method's whisker and point say the same."""
    view = _main_view()
    at = next(i for i, c in enumerate(view.columns) if c.unit == "share")
    drawn = forest.marks(view.rows, at, view.columns[at])
    assert [m["method"] for m in drawn] == ["ADPA", "SFT", "Student", "Teacher"]
    cells = {row.method: row.cells[at].cell for row in view.rows}
    for one in drawn:
        cell = cells[one["method"]]
        assert (one["value"], one["low"], one["high"]) == (100 * cell.value, 100 * cell.low, 100 * cell.high)
        assert (
            one["label"]
            == f"{one['method']}: {100 * cell.value:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
        )
    spec = forest.spec(drawn)
    assert spec["layer"][1]["encoding"]["y"]["sort"] == [m["method"] for m in drawn]
    whisker, point = spec["layer"][1:]
    assert (whisker["mark"]["type"], point["mark"]["type"]) == ("rule", "point")
    assert whisker["encoding"]["description"] == point["encoding"]["description"] == {"field": "label"}


def _first(rows: Rows) -> tuple[table_views.TableView, list[Table]]:
    """The first table of a run's only pair, and the comparisons."""
    made = build.paired(rows)
    ((_, tables),) = made.tables
    return first_screen.view(tables["main"][0], made.pairs[0], tables["comparison"], ()), tables["comparison"]


def test_the_first_table_has_runs_and_flops_and_knows_the_registry_s_order() -> None:
    """SFT took 3e11 of its own and 1e10 of the teacher's. Of one run a method no letters tell rows apart."""
    shown, compared = _first(page_run.rows())
    assert [(row.method, row.place) for row in shown.rows] == [
        ("ADPA", 3), ("SFT", 2), ("Student", 1), ("Teacher", 0)
    ]  # fmt: skip
    assert shown.heads[-2:] == ["Runs", "FLOPs"]
    assert [[cell.text.value for cell in row.cells[-2:]] for row in shown.rows][1] == ["1", "3.1e11"]
    assert compared and not any(cell.letters for row in shown.rows for cell in row.cells)


def test_the_letters_of_replicated_rows_are_those_of_the_comparison() -> None:
    shown, (compared, *_) = _first(
        Rows(records=scores({"Student": 3.0, "SFT": 3.3, "DPO": 3.8, "ADPA": 4.5}))
    )
    at = [c.title for c in compared.columns].index("Group")
    letters = {row.method: row.cells[at].value for row in compared.rows}
    assert len(set(letters.values())) > 1
    assert {row.method: row.cells[0].letters.strip() for row in shown.rows} == letters
    assert len({len(row.cells[0].letters) for row in shown.rows}) == 1
    assert {row.cells[-2].text.value for row in shown.rows} > {"1"}


def test_figures_of_two_pairs_say_whose_they_are() -> None:
    rows, kinds = page_run.rows(), ("records", "costs", "training", "curves", "summaries")
    both = {k: [*getattr(rows, k), *(replace(r, pair="other") for r in getattr(rows, k))] for k in kinds}
    html = page.render(Rows(**both))
    section = html.partition("Every column with its intervals")[2].partition("</section>")[0]
    titles = re.findall("<figcaption>([^<]*)</figcaption>", section)
    assert [title.rpartition(", ")[2] for title in titles] == ["other"] * 3 + ["pair"] * 3


def test_a_front_holds_what_nothing_beats_at_its_cost():
    """B is beaten by A, which is cheaper and better; D costs as much as C and is worse."""
    points = [Point(m, x, y, "") for m, x, y in (("A", 1, 5), ("B", 2, 4), ("C", 3, 9), ("D", 3, 8))]
    assert [p.method for p in scatter.pareto(points)] == ["A", "C"]


def test_names_of_close_points_are_put_apart():
    """Two points 4 px apart: the right place is taken by the first name, so the second goes elsewhere."""
    first, second = label_placement.place([(100, 100), (104, 100)], ["first", "second"], (300, 200))
    assert first.align != second.align or first.dy != second.dy
    # A whisker runs to the right and left of it, another through what lies above: the name goes below.
    whiskers = [Box(50, 100, 200, 100), Box(50, 89, 250, 89), Box(50, 80, 250, 80)]

    def crossed(at):
        return any(label_placement._box((100, 100), "name", at).crossed(line) for line in whiskers)

    (beside,) = label_placement.place([(100, 100)], ["name"], (300, 200), whiskers)
    assert beside.dy > 6 and not crossed(beside)
    assert crossed(label_placement.PLACES[0])
    (edge,) = label_placement.place([(295, 100)], ["right"], (300, 200))
    assert edge.align == "right"  # there is no room on that side


def test_a_lineage_is_told_first_to_last():
    """SFT took 2 s and its start 1 s; what is unusual is marked, what all share is not a column."""
    trained = plan_view.trained(page_run.made())
    assert [(t.name, t.stages, t.steps, t.seconds) for t in trained] == [
        ("SFT", ["init student", "SFT"], 2, 3.0),
        ("ADPA", ["init student", "ADPA"], 2, 5.0),
    ]
    settings = plan_view.settings(page_run.made())
    assert settings.columns == ["hyper-parameters", "lr"]
    assert settings.rows[1] == ("ADPA", [("beta 0.1", False), ("0.002", True)])
    assert settings.shared == [("epochs", "1")]


def test_rows_of_several_seeds_are_told_apart():
    made = [StepRecord(str(s), "train", "SFT", 1.0, (), (), (("pair", "data", "SFT", s),)) for s in (0, 1)]
    assert [t.name for t in plan_view.trained(made)] == ["SFT, seed 0", "SFT, seed 1"]
