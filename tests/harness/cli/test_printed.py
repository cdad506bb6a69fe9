"""What is printed passes through `printed`, or through what escapes each of its cells, or is JSON."""

import ast

from tests.paths import ROOT

PRINTS = ("typer.echo", "print")
ESCAPE = {"printed", "json_text", "as_json", "tables_json", "shown", "to_terminal", "words.to_terminal"}
ESCAPE |= {"terminal.text", "build.verdict_markdown", "build.FORMATS[format]"}
# Tables of numbers, and the name of a method, which a file of one's own gives it.
ELSEWHERE = ("harness/run/tuning", "harness/train/loop.py")
FILES = sorted((ROOT / "harness").rglob("*.py"))


def is_safe(text: ast.expr) -> bool:
    if isinstance(text, ast.IfExp):
        return is_safe(text.body) and is_safe(text.orelse)
    if isinstance(text, ast.JoinedStr):  # of constants of ours
        filled = (part.value for part in text.values if isinstance(part, ast.FormattedValue))
        return all(isinstance(value, ast.Name) and value.id.isupper() for value in filled)
    return isinstance(text, ast.Constant) or (isinstance(text, ast.Call) and ast.unparse(text.func) in ESCAPE)


def test_a_text_of_others_is_printed_without_what_a_terminal_obeys() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTS and node.args
        if not is_safe(node.args[0]) and not str(path.relative_to(ROOT)).startswith(ELSEWHERE)
    ]
    assert not bare, "wrap it in `printed` of harness/common/text.py"
