"""10,000 judgments through every fault of an endpoint: `python -m tests.reliability.load`.

The proof is that of tests/harness/endpoints/test_client_load.py: each is answered once, as it was asked, and
kept; none is asked more often than its faults wanted.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.harness.endpoints import scripted_server
from tests.harness.endpoints.test_client_load import prove
from tests.reliability import records

JUDGMENTS = 10_000
HOW = "a server on 127.0.0.1: 429, 500, 503, cut, reset, malformed and hanging replies, errors inside 200"


def main() -> int:
    """Exit status 0 where none was lost."""
    os.environ[scripted_server.KEY_ENV] = scripted_server.KEY
    began, faults, rate = time.monotonic(), list[str](), 0.0
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        for server in scripted_server.running(Path(name) / "log.jsonl"):
            try:
                rate = prove(server, Path(name), JUDGMENTS)
            except AssertionError as e:
                faults.append(f"{e}".splitlines()[0] if f"{e}" else "an assertion of `prove` failed")
    happened = "; ".join(faults) or f"each answered once and kept, {rate:,.0f} a second"
    row = records.Row(f"{JUDGMENTS:,} judgments", HOW, happened, f"{len(faults)} judgments")
    found = records.Found("python -m tests.reliability.load", round(time.monotonic() - began), [row], faults)
    records.write(str(records.FOLDER), "load", found)
    print(f"{JUDGMENTS:,} judgments: {happened}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
