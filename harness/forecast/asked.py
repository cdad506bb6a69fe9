"""What `--plan` is asked; apart from what answers, which imports model libraries."""

from typing import NamedTuple


class Ahead(NamedTuple):
    """What `--plan` is asked: which device (None: this machine's), how many, and whether to check records."""

    device: str | None = None
    devices: int = 1
    check: bool = False
