"""Little room for logits: passes over a head whose pieces end in odd places."""

from methods.kernels.output_head import MemoryBudget


def small_budget(chunk: int, vocab: int, recompute: bool) -> MemoryBudget:
    """Whole rows in blocks of `chunk` for one model, and elementwise work in tiles of chunk x chunk."""
    return MemoryBudget(
        keep=0 if recompute else 1 << 40,
        rows=4 * vocab * chunk,
        tile=4 * chunk * chunk,
        chunk=4 * chunk * chunk,
    )
