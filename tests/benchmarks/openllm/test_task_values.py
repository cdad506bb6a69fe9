"""What lm-eval looks at only while a task runs, in the words of its YAML."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.openllm import task_values

YAML = Path("t.yaml")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"repeats": 0}, "repeats: given 0; greater than 0"),
        ({"description": 3}, "description: given 3; a valid string"),
        ({"num_fewshot": -1}, "num_fewshot: given -1; greater than or equal to 0"),
        (
            {"generation_kwargs": {"max_gen_toks": "x"}},
            'generation_kwargs.max_gen_toks: given "x"; a valid',
        ),
        (
            {"metric_list": [{"aggregation": "nope"}]},
            'metric_list.0.aggregation: given "nope"; one of bits',
        ),
        (
            {"filter_list": [{"filter": [{"regex_pattern": "(("}]}]},
            'filter_list.0.filter.0.regex_pattern: given "(("; no regular expression: missing )',
        ),
    ],
)
def test_a_value_that_would_end_the_task_is_one_line(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as fault:
        task_values.check(YAML, "facts", config)
    assert str(fault.value).startswith(f"t.yaml: facts: {told}")
