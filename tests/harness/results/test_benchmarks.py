"""What a run says of its benchmarks, for the reports."""

from harness.results.benchmarks import benchmarks
from reports.records.benchmarks import DEFAULT
from tests import suites
from tests.paths import TINY


def test_the_compatibility_file_is_what_the_registry_says_of_its_own() -> None:
    suite = suites.load(TINY)
    assert benchmarks(suite) == DEFAULT
