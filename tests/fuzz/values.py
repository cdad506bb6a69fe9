"""What hypothesis draws: values as JSON and YAML have them, and what stands where they are odd."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

ODD_TEXTS = (
    "",
    " ",
    "~",
    "null",
    "world/..",
    "a/../b",
    "\0",
    "\ud83d",
    "\u2028",
    "{{ x }}",
    "=1+1",
    "x" * 400,
    "-1",
    "1e9",
)
ODD_NUMBERS = (0, -1, 1, 2**63, 10**400, 1e-320, float("inf"), float("nan"), -0.0)
WORDS = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=12))
SCALARS = st.one_of(st.none(), st.booleans(), st.sampled_from(ODD_NUMBERS), st.integers(), st.floats(), WORDS)


def nested(scalars: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Scalars, and lists and mappings of them, a few levels deep."""
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=8,
    )


JSON = nested(SCALARS, WORDS)
# Keys of YAML need not be texts, and values may be dates.
YAML = nested(
    SCALARS | st.sampled_from([date(2026, 1, 1), b"bytes"]), WORDS | st.integers() | st.booleans() | st.none()
)
