"""How many calls run at once: more while they succeed, half as many when the server is overloaded."""

import asyncio
import random
from contextlib import suppress

START = 4
LONGEST_WAIT = 60.0  # seconds between two attempts, unless the server asks for longer


class Pace:
    """A semaphore whose limit grows by one for each round of successes and halves on overload (AIMD).

    No call starts before the time that the server named in Retry-After.
    """

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(min(START, most))
        self.running = 0
        self.not_before = 0.0
        self._halved = 0.0
        self._changed = asyncio.Condition()
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> float:
        """Wait for a place; returns the loop's time at which the call starts."""
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.running < int(self.limit))
                wait = self.wait()
                if wait <= 0 or self._stopped.is_set():
                    self.running += 1
                    return loop.time()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), wait)

    async def __aexit__(self, *_: object) -> None:
        async with self._changed:
            self.running -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody wait for a time that the server named: nothing more will be sent."""
        self._stopped.set()

    def wait(self) -> float:
        """The seconds that are left of what the server asked for."""
        return max(0.0, self.not_before - asyncio.get_running_loop().time())

    def succeeded(self) -> None:
        """One more in each round of `limit` successes."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def overloaded(self, began: float, retry_after: float) -> None:
        """Halve, once for all calls that ran when it was last halved; wait for `retry_after` seconds."""
        now = asyncio.get_running_loop().time()
        self.not_before = max(self.not_before, now + retry_after)
        # Calls that started before the last halving saw the old load: their 429s say nothing new.
        if began >= self._halved:
            self.limit, self._halved = max(1.0, self.limit / 2), now


def backoff(attempt: int, first: float) -> float:
    """Seconds to wait after the attempt of that number, from 1: doubled each time, with jitter."""
    return min(LONGEST_WAIT, first * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.5)
