"""Where the repository and the small suites of the tests are."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
TINY = str(TESTS / "tiny.yaml")
GOLDEN = TESTS / "golden"
