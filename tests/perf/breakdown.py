"""What a step's time goes to, by kind of operation: the part of matrix products, and what stands beside."""

from collections.abc import Mapping

ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
KINDS = {  # kind -> torch's operations, without "aten::"
    "products": ("mm", "addmm", "addmm_", "bmm"),
    "attention": (ATTENTION, f"{ATTENTION}_backward"),
    "exponentials": ("exp", "exp_", "amax", "_log_softmax"),
    "optimizer": ("_fused_adamw_", "linalg_vector_norm"),
}
REST = "all else"


def kinds(seconds: Mapping[str, float]) -> dict[str, float]:
    """The share of each kind in the seconds that operations take themselves, and of all that is of none."""
    total = sum(seconds.values())
    shares = {
        kind: sum(seconds.get(f"aten::{n}", 0.0) for n in names) / total for kind, names in KINDS.items()
    }
    return shares | {REST: 1 - sum(shares.values())}
