"""Ways to end a process, whatever it is at, and what each end must look like."""

from __future__ import annotations

import signal

from tests.support import ProgramResult

SLOW_LOGS = """
import logging
class Slow(logging.StreamHandler):
    def emit(self, record):
        time.sleep(0.003)
        super().emit(record)
logging.basicConfig(level=logging.DEBUG, handlers=[Slow()])
logging.getLogger("seedcore_ray").propagate = True
logging.getLogger("asyncio").setLevel(logging.WARNING)
"""
"""Debug logging on, and a slow handler: that is what an exit runs into."""

END = """
if how == "sys.exit":
    sys.exit(3)
elif how == "exception":
    raise RuntimeError("meant")
elif how == "os._exit":
    sys.stderr.flush()
    os._exit(4)
elif how == "SIGTERM":
    os.kill(os.getpid(), 15)
    time.sleep(5)  # it does not come to the end of this
"""
"""Ends the program as ``how`` says."""

CODES = {
    "return": 0,
    "sys.exit": 3,
    "exception": 1,
    "os._exit": 4,
    "SIGTERM": -signal.SIGTERM,
}
"""What each of them exits with."""

# After a connect on the main thread SIGTERM exits as it does after ray.init: by its number.
CONNECTED_CODES = {**CODES, "SIGTERM": int(signal.SIGTERM)}

_BAD = (
    *("Fatal Python error", "panicked", "Segmentation", "core dumped", "raised", "FATAL"),
    *("Exception ignored", "unraisable", "terminate called", "Event loop is closed"),
    *("could not acquire lock", "RuntimeWarning"),
)


def check(ended: ProgramResult, how: str, code: int, what: object) -> None:
    """It ended with that exit code, and nothing cried out."""
    told = f"{what}\n{ended.told()}"
    assert ended.rc == code, told
    assert ended.stderr.count("Traceback") == (how == "exception"), told
    for bad in _BAD:
        assert bad not in ended.stderr, told
