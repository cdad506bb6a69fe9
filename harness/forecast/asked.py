"""What an estimate is asked; apart from what answers, which imports model libraries."""

from typing import NamedTuple


class Ahead(NamedTuple):
    """Which device (None: this machine's), for `--plan` how many, and whether to check records."""

    device: str | None = None
    devices: int = 1
    check: bool = False
