"""Parts for the tests of the frame: one that is sound, and each way in which one can go wrong."""

import time
from collections.abc import Iterator

from tests.gpu.check import Absent, Check, Line


def sound(check: Check) -> Iterator[Line]:
    yield {"found": 1}


def raises(check: Check) -> Iterator[Line]:
    yield {"found": 2}
    raise RuntimeError("no kernel for this")


def dies(check: Check) -> Iterator[Line]:
    yield {"found": 3}
    raise SystemExit(7)


def absent(check: Check) -> Iterator[Line]:
    raise Absent("not here")
    yield {}


def hangs(check: Check) -> Iterator[Line]:
    yield {"found": 4}
    time.sleep(600)
