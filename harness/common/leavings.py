"""What a step leaves in memory, given back before the next one begins."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def freed() -> Iterator[None]:
    """What was made inside and nobody holds any more is gone at the end, reference cycles too, and what torch
    has cached of a GPU's memory is the machine's again.
    """
    # A model in a cycle waits for the collector, which counts objects and not their gigabytes. Frozen: what
    # was there before, some 400,000 objects of libraries, would take it a second each time.
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if "torch" in sys.modules:  # not every step computes by it, and it takes seconds
            import torch  # which waits where another thread is still at it

            torch.cuda.empty_cache()
