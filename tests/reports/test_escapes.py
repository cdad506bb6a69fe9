"""Whatever a text says, in no format does any of it act."""

import csv
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from unicodedata import category
from xml.etree import ElementTree

import pytest

from reports import answers_in_terminal, build, escapes
from reports.page import page
from reports.page.figures import vega
from reports.render import to_csv, to_latex, to_markdown, to_terminal
from reports.tables.table import Cell, Column, Row, Table
from reports.verdict import words
from tests.reports.page import page_run

CORPUS = Path(__file__).with_name("texts_that_act.txt")
TEXTS = [json.loads(line) for line in CORPUS.read_text().splitlines() if line and not line.startswith("#")]
HARMLESS = "plain words"
ACT = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories of characters
JOIN = "\u200c\u200d"  # of emoji and Persian
PERSIAN = ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "GPU\u200c\u0647\u0627")
JOINED = ("👩\u200d🔬", "❤\ufe0f", "1\ufe0f\u20e3", *PERSIAN)
END = "\U000e007f"
FLAGS = [  # of England, Scotland and Wales
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in region) + END
    for region in ("gbeng", "gbsct", "gbwls")
]
HIDDEN = "\U000e0061\U000e0062"
each = pytest.mark.parametrize("text", TEXTS, ids=[ascii(t)[:40] for t in TEXTS])


def table(text: str) -> Table:
    """A table that holds a text wherever one may stand."""
    cells = Cell(text, n=3), Cell(0.5, 0.4, 0.6, n=80, notes=(text,))
    return Table(
        text,
        columns=(Column("a", text, "share"), Column("b", "B", "share")),
        rows=(Row(text, text, cells), Row("other", "x", cells)),
        notes=(text,),
    )


def lines(text: str) -> int:
    return text.count("\n")


def acting(shown: str) -> list[str]:
    """What of a shown text a terminal or an editor would obey."""
    shown.encode()
    return [c for c in shown.replace("\n", "") if category(c) in ACT and c not in JOIN]


@each
def test_a_terminal_obeys_none(text: str) -> None:
    assert not acting(to_terminal(table(text)))
    assert not acting(words.to_terminal([text]))
    of_run = page_run.texts(said=text)
    told = answers_in_terminal.shown(of_run, ["SFT"], "alpaca-eval", "1")
    assert not acting(told.replace("\t", "")) and f"SFT says {escapes.visible(text)}" in told


def test_of_a_styled_table_only_our_own_marks_are_escape_codes() -> None:
    for text in TEXTS:
        shown = to_terminal(table(text), styled=True)
        assert not acting(re.sub("\x1b\\[[0-9;]*m", "", shown))
        assert set(re.findall("\x1b\\[([0-9;]*)m", shown)) <= {"0", "1", "4"}


def inline(shown: str) -> str:
    """Markdown without what is escaped, and without the marks of our own."""
    return re.sub(r"\\[!-/:-@\[-`{-~]|</?(sup|u)>", "", shown)


@each
def test_markdown_has_no_markup_of_it(text: str) -> None:
    shown = to_markdown(table(text))
    assert not acting(shown) and lines(shown) == lines(to_markdown(table(HARMLESS)))
    assert not re.search(r"\]\(|\]\[|\]:|<|`|\*|_", inline(shown))
    bars = {line.count("|") for line in inline(shown).splitlines() if line.startswith("|")}
    assert bars == {5}
    told = build.verdict_markdown([text])
    assert not acting(told) and not re.search(r"\]\(|\]\[|\]:|<|`|\*|_", inline(told))
    assert not re.search(r"(?m)^\s*(#+( |$)|>|[-+] |\d+[.)]( |$)|~~~|--+$|=+$)", told)


@each
def test_latex_has_no_command_of_it(text: str) -> None:
    shown = to_latex(table(text))
    assert not acting(shown) and lines(shown) == lines(to_latex(table(HARMLESS)))
    assert "\n\n" not in shown and "^^" not in shown
    commands = set(re.findall(r"\\[A-Za-z]+", shown))
    ours = set(re.findall(r"\\[A-Za-z]+", to_latex(table(HARMLESS))))
    assert commands <= ours | {r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless"} | {
        r"\textgreater"
    }
    bare = re.sub(r"\\[&%$#_{}]", "", shown)
    assert bare.count("{") == bare.count("}") and "%" not in bare and "#" not in bare


@each
def test_no_spreadsheet_computes_it(text: str) -> None:
    """And what is no formula stands as it is: a negative number too."""
    for row in csv.reader(io.StringIO(to_csv(table(text)))):
        for cell in row:
            assert not acting(cell) and not re.match(r"\s*[=+\-@\t\r|%\uff1d\uff0b\uff0d\uff20]", cell)
    assert to_csv(Table("t", (Column("a", "A", "nats"),), (Row("d", "m", (Cell(-1.5),)),))).endswith(
        "d,m,a,-1.5,,,,\n"
    )


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and what is in its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.data: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if ("type", "application/json") in attrs:
            self.data.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.data:
            self.data[-1] += data


def rendered(texts: Sequence[str]) -> Tags:
    """The page of a run that has texts as the names of its methods, and in their answers."""
    methods = *page_run.METHODS, *texts
    shown = page.render(page_run.rows(methods, 2), page_run.texts(methods, 2, said=texts[0]))
    assert not acting(shown.replace("\t", ""))
    return Tags(shown)


@pytest.mark.parametrize(
    "texts", [TEXTS[1::11], pytest.param(TEXTS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_page_has_no_tag_attribute_or_link_of_them(texts: Sequence[str]) -> None:
    found, harmless = rendered(texts), rendered([f"{HARMLESS} {n}" for n in range(len(texts))])
    # Figures draw a long name in another place, with the same tags.
    assert set(found.tags) == set(harmless.tags)
    assert all(re.match(r"#[\w=&%.:,~/+-]*$", link) for link in found.links)
    blocks = [json.loads(block) for block in found.data if block]
    said = {string for block in blocks if isinstance(block, dict) for string in block["strings"]}
    assert {f"{text} says {texts[0]}" for text in texts} <= said


@each
def test_a_figure_can_be_drawn_and_is_xml(text: str) -> None:
    axes = {"x": vega.quantity("value"), "y": vega.names("method", [text]), "description": vega.LABEL}
    values = vega.data([{"method": text, "value": 1.0, "label": text}])
    drawn = str(vega.svg(values | vega.layer(vega.POINT, **axes)))
    assert not acting(drawn)
    ElementTree.fromstring(drawn)


def test_what_is_harmless_stays_as_it_is() -> None:
    for text in ("KTO[release]", "TDPO-2 (n=80)", "50.1 %", "naïve 中文 😀", *JOINED, "a - b", "x. y", "-"):
        assert escapes.row(text) == escapes.visible(text) == escapes.markdown(text) == text
    for text in ("KTO[release]", "-1.5", "12", "+0.3", "-1e-05", *FLAGS):
        assert escapes.csv_cell(text) == text


def test_of_tags_those_of_a_flag_alone_stay() -> None:
    england, *_ = FLAGS
    for text in FLAGS:
        assert escapes.row(text) == escapes.visible(text) == escapes.markdown(text) == text
    assert escapes.row(f"{england}{HIDDEN}") == england + ascii(HIDDEN)[1:-1]
    # Of no flag's length, without its end, of capitals, and of no flag at all.
    for tags in (HIDDEN * 5 + END, HIDDEN, "\U000e0041" * 3 + END, END):
        assert escapes.visible(f"\U0001f3f4{tags}") == "\U0001f3f4" + ascii(tags)[1:-1]
        assert escapes.row(f"a{tags}") == "a" + ascii(tags)[1:-1]
