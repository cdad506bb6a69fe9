"""What OpenLLM takes: by hand, from lm-eval's passes, what they share, and the logits that are asked."""

import pytest

from harness.common.cost import Cost, ModelSize
from harness.forecast.forecast import cost_of, device_named
from tests.harness.forecast.test_forecast import planned, sizes_of

ARC = "benchmarks.openllm.tasks=[arc_challenge]"
LLAMA = "meta-llama/Llama-3.2-1B"
PASSES, TOKENS, LEFT, ASKED = 4687, 950, 0.32, 6.5


def estimate(name: str, *overrides: str) -> tuple[Cost, ModelSize]:
    """The estimate of a student's OpenLLM, and the student's size."""
    plan = planned(*overrides, name=name, only=("SFT",))
    sizes = sizes_of(plan, None)
    step = next(s for s in plan.steps if s.kind.name == "openllm" and "teacher" not in s.label)
    return cost_of(step, sizes), sizes.model(step.inputs.model)


def test_what_answers_share_is_computed_once_and_logits_are_of_what_is_asked() -> None:
    cost, model = estimate("adpa-llama", ARC)
    assert cost.flops == pytest.approx(2 * PASSES * (model.body * TOKENS + model.head * ASKED))
    left = 2 * PASSES * (model.body * TOKENS * LEFT + model.head * ASKED)
    assert cost.computed == pytest.approx(left / cost.flops)
    card = device_named("h200")
    computing = card.seconds(cost) - card.seconds(Cost(**{**vars(cost), "flops": 0.0}))
    assert computing == pytest.approx(left / (card.bfloat16 * card.forward))
    assert cost.memory < 16 * TOKENS * model.vocab * 4  # bytes of all logits of a batch


def test_a_small_model_computes_all_logits_of_passes_that_share_nothing() -> None:
    """The pocket student's batch of 64 passes has logits of 2 MB."""
    cost, model = estimate("pocket")
    assert cost.flops == pytest.approx(2 * (model.body + model.head) * 3 * 320 * 24)
    assert cost.computed == 1
    assert cost.memory > 64 * 24 * model.vocab * 4


def test_generations_keep_keys_and_values_and_read_one_row_of_logits_a_token() -> None:
    cost, model = estimate("adpa-llama", "benchmarks.openllm.tasks=[gsm8k]")
    assert cost.flops == pytest.approx(2 * 1319 * (model.body * (1100 + 256) + model.head * (1 + 256)))
    assert cost.computed == 1
    arc, _ = estimate("adpa-llama", ARC)
    assert cost.memory - arc.memory > model.cache(16 * (1100 + 256)) / 2  # of 16 bits
