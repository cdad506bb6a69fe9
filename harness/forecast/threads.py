"""How many threads a step computes with on CPUs: a rule of its models alone, since the last bits of a sum
depend on it, and numbers must not depend on how many CPUs a machine has or on what runs beside.
"""

from harness.common.cost import Unknown
from harness.store.step import Part, Sizes, Source, Step

LARGE = 50_000_000  # parameters; the products of smaller models are too small to be worth cutting up
THREADS = 4  # of a step with a large model, or with one of which nobody knows the size


def threads(step: Step, sizes: Sizes) -> int:
    """1, or 4 where a model that the step reads or makes has 50 million parameters or more."""
    return THREADS if any(_is_large(source, sizes) for source in (step, *step.named_inputs.values())) else 1


def _is_large(source: Source, sizes: Sizes) -> bool:
    made_by = source.step if isinstance(source, Part) else source
    if made_by.kind.model is None:
        return False
    try:
        return sizes.model(source).parameters >= LARGE
    except Unknown:
        return True
