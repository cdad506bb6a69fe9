"""What operations make, as opposed to what they change in place or look at in another way."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Made(TorchDispatchMode):
    """While inside, notes how many float32 numbers fit into each piece of memory that an operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage().data_ptr() for x in _dense((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        new = [x for x in _dense(out) if x.untyped_storage().data_ptr() not in given]
        self.sizes += [x.untyped_storage().nbytes() // 4 for x in new]
        return out


def _dense(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor) and not x.is_sparse]
