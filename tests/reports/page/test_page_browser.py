"""The report page in headless Chromium, opened from disk as a reader opens it."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reports.page import page
from reports.page.figures.curves import COLOURS
from reports.records.run_folder import Rows
from tests.reports.page import page_run
from tests.reports.verdict.made_up import scores

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium (apt-get install chromium)")
SIZES = ((390, 844), (1400, 900))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render(page_run.rows(), page_run.texts(), page_run.made()))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as started:
        # No sandbox: tests may run as root in a container, and the page is our own.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Tab:
    """An open page, with everything that it complained of and every address that it asked for."""

    def __init__(self, browser, size=(1400, 900), scheme="light"):
        width, height = size
        self.page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url.partition("#")[0]))

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def column(self, at: int) -> list[str]:
        return self.texts(f"#sheet-results tbody tr:visible > :nth-child({at})")


@pytest.fixture
def tab(browser) -> Iterator[Tab]:
    opened = Tab(browser)
    yield opened
    opened.page.close()
    assert opened.complaints == []


def test_a_page_asks_for_itself_alone_and_complains_of_nothing(tab, address):
    for sheet in ("results", "training", "tables", "plan", "answers"):
        tab.page.goto(f"{address}#{sheet}")
        assert tab.page.locator(".sheet.open").get_attribute("id") == f"sheet-{sheet}"
    tab.page.goto("about:blank")
    assert set(tab.asked) == {address}


def test_the_verdict_is_the_first_that_a_reader_sees_and_stands_on_the_sheet_of_results_alone(tab, address):
    tab.page.goto(address)
    assert tab.texts("main p >> nth=0")[0].startswith(
        "One run a method: ADPA has the highest score on MT-Bench"
    )
    assert tab.page.locator("#verdict").is_visible()
    tab.page.goto(f"{address}#tables")
    assert not tab.page.locator("#verdict").is_visible()


def test_a_column_sorts_down_then_up_then_back(tab, address):
    """MT-Bench rises with the row: 3.5, 4.5, 5.5, 6.5. The page opens with the best row first."""
    tab.page.goto(address)
    head = tab.page.locator("#sheet-results thead button", has_text="MT-Bench")
    given = ["Teacher", "Student", "SFT", "ADPA"]
    assert tab.column(1) == given[::-1]
    for sort, expected in (("ascending", given), (None, given), ("descending", given[::-1])):
        head.click()
        assert tab.column(1) == expected
        assert tab.page.locator("#sheet-results thead th").nth(1).get_attribute("aria-sort") == sort
    tab.page.locator("#sheet-results thead button", has_text="Method").click()
    assert tab.column(1) == sorted(given)


def test_rows_of_two_data_sets_are_sorted_each_by_itself(browser, tmp_path: Path):
    rows, kinds = page_run.rows(), ("records", "costs")
    both = {k: [*getattr(rows, k), *(replace(r, dataset="other") for r in getattr(rows, k))] for k in kinds}
    path = tmp_path / "report.html"
    path.write_text(page.render(Rows(**both)))
    tab, down = Tab(browser), ["ADPA", "SFT", "Student", "Teacher"]
    tab.page.goto(path.as_uri())
    assert tab.column(1) == ["data"] * 4 + ["other"] * 4 and tab.column(2) == down * 2
    tab.page.locator("#sheet-results thead button", has_text="MT-Bench").click()
    assert tab.column(1) == ["data"] * 4 + ["other"] * 4 and tab.column(2) == down[::-1] * 2
    shown = tab.texts(".beside figure:visible figcaption")
    assert shown == ["MT-Bench, data", "MT-Bench, other"]
    tab.page.close()
    assert tab.complaints == []


def test_rows_are_filtered_by_text_and_by_method(tab, address):
    tab.page.goto(address)
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("sft, adpa")
    assert tab.column(1) == ["ADPA", "SFT"]
    tab.page.locator(".chips summary").click()
    tab.page.get_by_label("ADPA", exact=True).uncheck()
    assert tab.column(1) == ["SFT"]
    assert tab.page.locator("svg .dim").count() > 0


def test_a_filter_fades_whiskers_and_names_with_their_points(tab, address):
    tab.page.goto(f"{address}#results&rows=adpa")
    first = tab.page.locator(".beside figure:visible svg")
    said = (
        "marks => marks.map(m => [m.getAttribute('aria-label').split(':')[0], m.classList.contains('dim')])"
    )
    drawn = first.locator(".mark-symbol [aria-label], .mark-rule [aria-label]").evaluate_all(said)
    faded = {method: dim for method, dim in drawn}
    assert len(drawn) == 8  # a point and a whisker of each
    assert faded == {"Teacher": True, "Student": True, "SFT": True, "ADPA": False}
    assert all(faded[method] == dim for method, dim in drawn)
    names = first.locator("text.dim").all_text_contents()
    assert sorted(names) == ["SFT", "Student", "Teacher"]


def test_a_long_name_with_a_comma_fades_with_its_marks(tab, tmp_path: Path):
    long = "a method of many words, one after another"
    (tmp_path / "report.html").write_text(page.render(page_run.rows(("Teacher", "Student", long, "ADPA"))))
    tab.page.goto(f"{(tmp_path / 'report.html').as_uri()}#results&rows=adpa")
    first = tab.page.locator(".beside figure:visible svg")
    assert first.locator(f'[aria-label^="{long}"].dim').count() == 2
    (shown,) = (t for t in first.locator("text.dim").all_text_contents() if t.startswith("a method"))
    assert shown != long


def test_a_whisker_shows_its_numbers_where_it_is_pointed_at(tab, address):
    tab.page.goto(address)
    whisker = tab.page.locator(".beside figure:visible [aria-roledescription=interval]").first
    whisker.dispatch_event("pointerover")
    assert tab.texts("#tip") == [whisker.get_attribute("aria-label")]
    assert tab.texts("#tip")[0].startswith("ADPA: 6.50 [")


def test_a_curve_shows_the_step_and_value_that_are_pointed_at(tab, address):
    """The last points: a norm of 4 of ADPA, on an axis of powers, and a term of 0.7."""
    tab.page.goto(f"{address}#training&rows=adpa")
    for title, at, told in (
        ("Gradient norm", 3, "ADPA, step 30: 4"),
        ("Loss term sft", 1, "ADPA, step 10: 0.9"),
    ):
        line = tab.page.locator("figure[data-axes]", has_text=title).locator(".mark-line path:not(.dim)")
        box = line.bounding_box()
        x, y = (box["x"] + box["width"], box["y"]) if at == 3 else (box["x"], box["y"])
        tab.page.mouse.move(x, y + 1)
        assert tab.texts("#tip") == [told]


def test_a_method_of_the_curves_is_shown_alone_and_once_more_among_all(tab, address):
    tab.page.goto(f"{address}#training")
    button = tab.page.locator("button[data-only=SFT]")
    faded = tab.page.locator("figure[data-axes] .mark-line path.dim")
    button.click()
    assert faded.count() == 2 and "off=ADPA" in tab.page.url
    button.click()
    assert faded.count() == 0 and "off" not in tab.page.url


def test_the_forest_beside_the_table_is_that_of_the_column_it_is_sorted_by(tab, address):
    tab.page.goto(address)
    shown = ".beside figure:visible figcaption"
    assert tab.texts(shown) == ["MT-Bench"]
    head = tab.page.locator("#sheet-results thead button").nth(3)
    head.click()
    (title,) = tab.texts(shown)
    assert title != "MT-Bench" and head.inner_text().startswith(title)


def test_filters_and_orders_stand_in_the_address_and_come_back(browser, address):
    tab = Tab(browser)
    tab.page.goto(address)
    tab.page.locator("#sheet-results thead button", has_text="MT-Bench").click()
    tab.page.fill("#filter", "t")
    tab.page.locator(".chips summary").click()
    tab.page.get_by_label("SFT", exact=True).uncheck()
    assert tab.column(1) == ["Teacher", "Student"]
    tab.page.locator("nav a", has_text="Tables").click()
    assert tab.page.locator("#sheet-tables").is_visible()
    other = Tab(browser)
    other.page.goto(tab.page.url)
    assert other.page.locator("#sheet-tables").is_visible()
    other.page.locator("nav a", has_text="Results").click()
    assert other.column(1) == ["Teacher", "Student"]
    assert other.page.locator("#filter").input_value() == "t"
    assert other.page.locator("thead th[aria-sort=ascending]").count() == 1
    assert other.page.locator("#notice").is_hidden()
    for one in (tab, other):
        assert one.complaints == []
        one.page.close()


@pytest.mark.parametrize(
    "asked, sheet, told",
    [
        ("bench=mt-bench&q=3&a=ADPX", "answers", 'no answers of the method "ADPX" (nearest: "ADPA")'),
        ("bench=mt-bench&q=33&a=ADPA", "answers", 'no question "33" (nearest: "3")'),
        ("bench=mt-bensh&q=3&a=ADPA", "answers", 'no benchmark "mt-bensh" (nearest: "mt-bench")'),
        ("bench=mt-bench&q=3&judge=rul", "answers", 'no judge "rul" (nearest: "rule")'),
        (
            "bench=mt-bench&seed=7&show=wins",
            "answers",
            'no seed "7" (nearest: "0"), no outcome "wins" (nearest: "win")',
        ),
        ("result", "results", 'no sheet "result" (nearest: "results")'),
        ("results&off=SFF", "results", 'no method "SFF" (nearest: "SFT")'),
        ("results&sort=maim:mt-bench.score:ascending", "results", 'no table "maim" (nearest: "main")'),
        (
            "results&sort=main:mt-bench.scor:ascending",
            "results",
            'no order of the table main "mt-bench.scor:ascending" (nearest: "mt-bench.score:ascending")',
        ),
        ("results&row=SFT", "results", 'no key "row" (nearest: "rows")'),
    ],
)
def test_an_address_that_names_what_is_not_there_says_so_in_a_line_and_the_page_works(
    tab, address, asked, sheet, told
):
    tab.page.goto(f"{address}#{asked}")
    assert tab.texts("#notice:visible") == [f"The address of this page names {told}."]
    assert tab.page.locator("#notice").bounding_box()["height"] < 60
    assert tab.page.locator(".sheet.open").get_attribute("id") == f"sheet-{sheet}"
    if sheet == "answers":
        assert len(tab.texts("#question h3")) == 1
        tab.page.keyboard.press("ArrowRight")
    else:
        assert tab.column(1) == ["ADPA", "SFT", "Student", "Teacher"]
        tab.page.fill("#filter", "sft")
    assert tab.page.locator("#notice").is_hidden()  # what is shown now is in the address


def test_an_address_opens_a_question_and_two_methods(tab, address):
    tab.page.goto(f"{address}#bench=mt-bench&q=3&a=SFT&b=Student")
    assert tab.texts("#question h3") == ["Question 3"]
    assert tab.texts("#question .side header b") == ["SFT", "Student"] * 2
    assert tab.page.locator("#question .turn").count() == 2
    assert tab.texts("#question .side .verdict b") == ["5", "4", "5", "4"]  # 1 + (2 + 2) and 1 + (1 + 2)
    assert tab.texts("#question .bar > b") == ["A +1"]


def test_a_cell_leads_to_its_questions_within_two_clicks(tab, address):
    tab.page.goto(address)
    tab.page.locator("#sheet-results tr[data-method=SFT] a").last.click()
    tab.page.locator("#questions button").nth(1).click()
    assert tab.texts("#question h3") == ["Question 2"]
    assert "bench=alpaca-eval" in tab.page.url and "a=SFT" in tab.page.url and "q=2" in tab.page.url
    sides = tab.texts("#question .side header b")
    assert sides == ["SFT", "ADPA"]  # beside its reference
    assert "ADPA preferred" in tab.texts("#question .side")[0]  # (2 + 1) mod 3 = 0, in both orders
    assert tab.texts("#question .side:first-child .verdict small") == ["shown first", "shown second"]


def test_a_difference_leads_to_the_answers_of_both(tab, address):
    tab.page.goto(f"{address}#tables")
    row = tab.page.locator("#sheet-tables figure", has_text="MT-Bench, data: compared with Student")
    row.locator("tr[data-method=SFT] a").last.click()
    tab.page.locator("#questions button").first.click()
    assert tab.texts("#question .side header b") == ["SFT", "Student"] * 2


def test_a_script_in_an_answer_shows_as_text(tab, address):
    tab.page.goto(f"{address}#bench=alpaca-eval&q=1&a=SFT&b=ADPA")
    assert tab.texts("#question .said")[0] == f"SFT says {page_run.SCRIPT}"
    assert tab.page.locator("#question script, #question img").count() == 0
    assert tab.page.title() == "toy · bench"


def test_outcomes_categories_and_words_narrow_the_questions(tab, address):
    """SFT has ((2 + q) mod 3) / 2 against ADPA: a win for q = 0 and 3, which are the questions 1 and 4."""
    tab.page.goto(f"{address}#bench=alpaca-eval&a=SFT&b=ADPA")
    ids = "#questions .about"
    assert tab.texts("#tally") == ["2 SFT wins · 2 ADPA wins · 2 ties"]
    tab.page.select_option("#outcome", "win")
    assert tab.texts(ids) == ["1 · math", "4 · writing"]
    tab.page.select_option("#category", "writing")
    assert tab.texts(ids) == ["4 · writing"]
    tab.page.select_option("#outcome", "")
    tab.page.select_option("#category", "")
    tab.page.fill("#search", "ONERROR")
    playwright.expect(tab.page.locator("#questions li")).to_have_count(1)
    assert tab.texts(ids) == ["1 · math"]
    assert "s=ONERROR" in tab.page.url


@pytest.mark.parametrize("linked", [True, False])
def test_what_marks_the_second_of_a_column_is_under_its_number_alone(tab, tmp_path: Path, linked: bool):
    """Not under the space, the interval and the footnotes that stand beside it, and under no other number:
    what leads to answers is not underlined.
    """
    means = {"Student": 3.0, "SFT": 3.3, "DPO": 3.8, "ADPA": 4.5}
    rows = Rows(records=scores(means, suite="toy", pair="pair"))
    said = [replace(t, judge="") for t in page_run.texts(tuple(means))] if linked else []
    (tmp_path / "report.html").write_text(page.render(rows, said, []))
    tab.page.goto((tmp_path / "report.html").as_uri())
    cell = tab.page.locator('[data-table="main"] td.second')
    drawn = cell.evaluate("""cell => [cell, ...cell.querySelectorAll("*")]
        .filter(e => getComputedStyle(e).textDecorationLine === "underline")
        .map(e => [e.tagName, e.textContent])""")
    assert drawn == [["A" if linked else "SPAN", "3.85"]]
    lined = """all => all.filter(e => getComputedStyle(e).textDecorationLine !== "none").length"""
    assert tab.page.locator("main table *").evaluate_all(lined) == 1
    signs = tab.texts(".legend > span")
    assert [s for s in signs if "underlined" in s] == ["underlined: the second, told from the third"]
    assert any("leads to the answers" in s for s in signs) == linked


def test_an_outcome_is_over_the_verdicts_that_the_tables_count(browser, tmp_path: Path):
    """SFT lacks an order of question 1, which is half-judged; ADPA a turn of question 2: turn 1 counts."""
    said = [
        replace(t, value=None, status="unparsed")
        if (t.method, t.question, t.turn, t.order) in {("SFT", "1", 1, "ab"), ("ADPA", "2", 2, "")}
        else t
        for t in page_run.texts()
    ]
    path = tmp_path / "report.html"
    path.write_text(page.render(page_run.rows(), said))
    tab = Tab(browser)
    for benchmark, question, outcome in (("alpaca-eval", 1, "no verdict"), ("mt-bench", 2, "B +1")):
        tab.page.goto(f"{path.as_uri()}#bench={benchmark}&q={question}&a=SFT&b=ADPA")
        assert tab.texts("#question .bar > b") == [outcome]
    tab.page.close()
    assert tab.complaints == []


def test_a_question_that_an_address_names_is_shown_where_its_filters_leave_it_out(tab, address):
    tab.page.goto(f"{address}#bench=alpaca-eval&q=2&a=SFT&b=ADPA&show=win")
    assert tab.texts("#question h3") == ["Question 2"]
    assert tab.texts("#questions .about") == ["1 · math", "4 · writing"]
    tab.page.keyboard.press("ArrowRight")
    assert tab.texts("#question h3") == ["Question 1"]


def test_keys_move_between_questions_and_to_the_search(tab, address):
    tab.page.goto(f"{address}#bench=mt-bench&q=1&a=SFT&b=ADPA")
    tab.page.keyboard.press("ArrowRight")
    tab.page.keyboard.press("ArrowRight")
    assert tab.texts("#question h3") == ["Question 3"]
    tab.page.keyboard.press("ArrowLeft")
    assert tab.texts("#question h3") == ["Question 2"] and "q=2" in tab.page.url
    tab.page.keyboard.press("/")
    assert tab.page.evaluate("document.activeElement.id") == "search"
    tab.page.keyboard.press("ArrowRight")  # moves the caret, not the question
    assert tab.texts("#question h3") == ["Question 2"]
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("ArrowRight")
    assert tab.texts("#question h3") == ["Question 3"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_sheet_scrolls_sideways(browser, address, size, scheme):
    tab = Tab(browser, size, scheme)
    for sheet in ("results", "training", "tables", "plan", "answers"):
        tab.page.goto("about:blank")
        tab.page.goto(f"{address}#{sheet}")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= size[0], sheet
    assert tab.complaints == []
    tab.page.close()


def test_text_stands_out_from_its_ground_in_light_and_dark(browser, address):
    """WCAG AA: a contrast of 4.5 between the page's inks and its paper, of 3 for lines of curves."""
    contrast = """names => {
        const light = (name) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(--${name})`;
            const parts = getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).map((v) => v / 255);
            probe.remove();
            const [r, g, b] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        return names.map(([a, b]) => {
            const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
            return (x + 0.05) / (y + 0.05);
        });
    }"""
    inks = ("ink", "muted", "accent", "teacher", "student", "win", "loss")
    pairs = [(ink, ground) for ink in inks for ground in ("paper", "raised")]
    lines = [(f"c{n}", "paper") for n in range(COLOURS)]
    for scheme in ("light", "dark"):
        tab = Tab(browser, scheme=scheme)
        tab.page.goto(address)
        found = dict(zip(pairs, tab.page.evaluate(contrast, pairs), strict=True))
        assert min(found.values()) >= 4.5, (scheme, {k: v for k, v in found.items() if v < 4.5})
        assert min(tab.page.evaluate(contrast, lines)) >= 3, scheme
        tab.page.close()


@pytest.mark.slow
def test_fourteen_methods_and_a_thousand_questions_open_in_two_seconds(browser, tmp_path: Path):
    """28,000 judgments of answers of some 150 words, with the judge's words."""
    methods = ["Teacher", "Student", *(f"M{n}" for n in range(11)), "ADPA"]
    path = tmp_path / "report.html"
    said = page_run.texts(methods, 1000, words=150)
    path.write_text(page.render(page_run.rows(methods, 1000), said, page_run.made()))
    tab = Tab(browser)
    tab.page.goto("about:blank")
    for at, wait in (
        ("results", "#sheet-results tbody tr"),
        ("bench=alpaca-eval&q=900&a=M3&b=M4", "#question .said"),
    ):
        began = time.perf_counter()
        tab.page.goto("about:blank")
        tab.page.goto(f"{path.as_uri()}#{at}", wait_until="commit")
        tab.page.wait_for_selector(wait)
        tab.page.wait_for_load_state("load")
        took = time.perf_counter() - began
        print(f"{path.stat().st_size / 2**20:.0f} MiB, {at}: {took:.2f} s")
        assert took < 2
    tab.page.close()
