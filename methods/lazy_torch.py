"""torch for method files, imported where a loss is first computed.

A plan reads what methods declare and computes nothing, and torch takes longer to import than a plan to make.
Files of your own may `import torch` as always: plans with them take that much longer.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    from torch import Tensor as Tensor
else:
    Tensor = Any  # of annotations alone

    class _Torch:
        def __getattr__(self, name: str) -> Any:
            import torch

            return getattr(torch, name)

    torch = _Torch()
