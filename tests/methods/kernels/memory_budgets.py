"""Little room for logits: passes over a head whose pieces end in odd places."""

from methods.kernels.token_statistics import Room


def room(chunk: int, vocab: int, recompute: bool) -> Room:
    """Whole rows in blocks of `chunk` for one model, and elementwise work in tiles of chunk x chunk."""
    return Room(
        keep=0 if recompute else 1 << 40,
        rows=4 * vocab * chunk,
        tile=4 * chunk * chunk,
        few=4 * chunk * chunk,
    )
