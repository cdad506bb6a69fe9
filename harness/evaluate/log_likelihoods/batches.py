"""Which requests for log-likelihoods are computed together.

requests    (a b c, d)  (a b c, e)  (a b c, f g)  (h, i)        context, continuation
groups      {(a b c, d), (a b c, e)}  {(a b c, f g)}  {(h, i)}  what a model reads is alike
"""

from collections.abc import Sequence

WHOLE = 1 << 30  # bytes of a batch's logits up to which small models gain little by leaving most of them out
Tokens = tuple[list[int], list[int]]  # context, continuation
Likelihood = tuple[
    float, bool
]  # log p(continuation | context) in nats, whether it is what greedy decoding gives


def has_room_for_all(positions: int, vocab: int, dtype: str) -> bool:
    """Whether all logits of a batch may be computed, as HFLM does; it would round sums to 16 bits."""
    return dtype == "float32" and 4 * positions * vocab <= WHOLE


def read(request: Tokens) -> tuple[int, ...]:
    """What a model reads of a request: the last token predicts nothing."""
    return tuple((request[0] + request[1])[:-1])


def likelihood_batches(requests: Sequence[Tokens], size: int) -> list[list[int]]:
    """The positions of the requests in each of HFLM's batches.

    Requests that differ in their last token alone share a row of a batch; rows are sorted by length and then
    by tokens, the longest first.
    """

    def tokens(group: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        context, rest = max((requests[n] for n in group), key=lambda request: len(request[1]))
        return -len(context + rest), tuple(context + rest)

    return _batches(sorted(_groups(requests).values(), key=tokens), size)


def sharing_batches(requests: Sequence[Tokens], size: int) -> list[list[int]]:
    """The positions of the requests in each of batches of `size` rows, sorted by tokens: what begins alike
    stands together, the answers to a question and questions behind the same examples.
    """
    return _batches([group for _, group in sorted(_groups(requests).items())], size)


def _groups(requests: Sequence[Tokens]) -> dict[tuple[int, ...], list[int]]:
    """The positions of the requests by what is read of them."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for n, request in enumerate(requests):
        groups.setdefault(read(request), []).append(n)
    return groups


def _batches(rows: Sequence[list[int]], size: int) -> list[list[int]]:
    batches = [rows[n : n + size] for n in range(0, len(rows), size)]
    return [[n for group in batch for n in group] for batch in batches]
