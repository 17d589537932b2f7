"""``start_monitor`` with what it cannot use: refused, said what is allowed, nothing changed."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.monitored import play

_YEAR = "to 31536000 (a year)"
_COUNT = "whole number from 1 to 4294967295"
_NAMES = "auto, always, never"
# The argument, the error, what it says.
_WRONG = (
    ("interval_s=float('nan')", "ValueError", _YEAR),
    ("interval_s=float('inf')", "ValueError", _YEAR),
    ("interval_s=float('-inf')", "ValueError", _YEAR),
    ("interval_s=-1", "ValueError", _YEAR),
    ("interval_s=-0.001", "ValueError", _YEAR),
    ("interval_s=31_536_001", "ValueError", _YEAR),
    ("interval_s=10**400", "ValueError", _YEAR),
    ("interval_s=0", "ValueError", "above 0; stop_monitor() switches"),
    ("interval_s=0.0", "ValueError", "above 0; stop_monitor() switches"),
    ("interval_s=1e-10", "ValueError", "above 0; stop_monitor() switches"),
    ("interval_s='5'", "TypeError", "number of seconds or None, not str"),
    ("interval_s=True", "TypeError", "number of seconds or None, not bool"),
    ("interval_s=[5]", "TypeError", "number of seconds or None, not list"),
    ("misses=0", "ValueError", _COUNT),
    ("misses=-1", "ValueError", _COUNT),
    ("misses=2**32", "ValueError", _COUNT),
    ("misses=10**30", "ValueError", _COUNT),
    ("misses=3.0", "TypeError", "whole number, not float"),
    ("misses=float('nan')", "TypeError", "whole number, not float"),
    ("misses='3'", "TypeError", "whole number, not str"),
    ("misses=True", "TypeError", "whole number, not bool"),
    ("misses=None", "TypeError", "whole number, not NoneType"),
    ("reconnect=1", "TypeError", "True or False, not int"),
    ("reconnect='no'", "TypeError", "True or False, not str"),
    ("reconnect=None", "TypeError", "True or False, not NoneType"),
    ("release='x'", "ValueError", _NAMES),
    ("release=''", "ValueError", _NAMES),
    ("release='Always'", "ValueError", _NAMES),
    ("release='a\\ud800'", "ValueError", _NAMES),
    ("release=True", "TypeError", f"{_NAMES}, not bool"),
    ("deep=1", "TypeError", "True or False, not int"),
    ("deep='yes'", "TypeError", "True or False, not str"),
    ("patience=1", "TypeError", "unexpected keyword argument"),
)

_TRY_ALL = """
from seedcore_ray import start_monitor
def refused(arguments):
    try:
        eval(f"start_monitor({arguments})")
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]
def try_all():
    return [refused(arguments) for arguments in sys.argv[1:]]
def watchers():
    return [thread.ident for thread in threading.enumerate()
            if thread.name == "seedcore-ray-monitor"]
"""


def test_each_is_refused_by_name_and_changes_nothing(ray_head: RayHead) -> None:
    told = play(
        _TRY_ALL
        + """
seedcore_ray.stop_monitor()
said = try_all()
assert ensure_ray_initialized()
report(said=said, again=try_all() == said, none=watchers())
start_monitor(interval_s=3600)
one = watchers()
report(still=try_all() == said, one=[one == watchers(), len(one)], state=state())
""",
        *(wrong for wrong, _, _ in _WRONG),
        RAY_ADDRESS=ray_head.gcs_address,
    )
    for (wrong, kind, words), (raised, message) in zip(_WRONG, told["said"], strict=True):
        assert raised == kind and words in message, (wrong, raised, message)
        assert wrong.partition("=")[0] in message, (wrong, message)
    assert told["again"] and told["still"] and told["state"] == "connected"
    assert told["none"] == [], "it was stopped, and stays so"
    assert told["one"] == [True, 1], "the one that runs goes on as it was asked to"


def test_what_is_allowed_is_taken() -> None:
    told = play(
        _TRY_ALL + "\nreport(said=try_all())\n",
        *("interval_s=None", "interval_s=5", "interval_s=0.001", "interval_s=31536000"),
        *("misses=1", "misses=2**32 - 1", "reconnect=False", "deep=True"),
        *("release='auto'", "release='always'", "release='never'", "release=None"),
        *("interval_s=2.0, misses=5, reconnect=True, release='auto', deep=False",),
        *("interval_s=5.0", "5.0, 3, True, 'auto', False"),
    )
    assert all(answer == ["nothing", ""] for answer in told["said"]), told["said"]
