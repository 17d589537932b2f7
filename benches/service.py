"""The example service under load, with two workers, while its head is killed and comes back."""

from __future__ import annotations

import time
from collections import Counter
from itertools import product

from benches.connects import MODES, address_of
from benches.figures import Check, Figure, Row, show
from benches.lab import Lab
from tests.fastapi.service import Answer, Load, Service, head_of_agents

_WITHOUT_RAY = ("/", "/livez")
_REQUESTS = [
    *product(["GET"], _WITHOUT_RAY),
    ("GET", "/agents/planner"),
    ("POST", "/agents/worker/work?seconds=0.05"),
]
_WELL_S, _DOWN_S = 5.0, 30.0
_LONGEST_S = 0.25
# The settings a service has that sets none; ``Service`` is impatient otherwise.
_DEFAULTS = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "60",
    "SEEDCORE_RAY_LOSS_GRACE_S": "15",
    "SEEDCORE_RAY_HEALTH_INTERVAL_S": "5",
}


def rows(lab: Lab) -> list[Row]:
    """In both modes: how long what needs no Ray takes, and what is answered at all.

    A native ``ray.init`` on a head that has just begun holds the GIL for about a second, so there
    the longest has no limit (docs/fastapi.md, "Servers").
    """
    lab.stop_head()
    return [_row(mode) for mode in MODES]


def _row(mode: str) -> Row:
    answers, stays = _outage(mode)
    without = [answer.took_s for answer in answers if answer.path in _WITHOUT_RAY]
    longest = Figure(max(without), "s")
    codes = Counter(answer.status for answer in answers)
    return Row(
        f"example service, head killed for {_DOWN_S:g} s: longest of / and /livez, {mode}",
        longest,
        checks=(
            *([Check.below(longest, _LONGEST_S)] if mode == "client" else []),
            Check("only 200 and 503", set(codes) == {200, 503}),
            Check("no process ends", stays),
        ),
        note=f"{codes[200]} times 200, {codes[503]} times 503; Ray's part at the longest "
        + show(max(answer.took_s for answer in answers), "s"),
    )


def _outage(mode: str) -> tuple[list[Answer], bool]:
    """What was answered since the head was killed, until it is back; whether no worker ended."""
    with head_of_agents() as head:
        env = {"RAY_ADDRESS": address_of(head, mode), **head.env(), **_DEFAULTS}
        app = "examples.fastapi_service.app:app"
        with Service(app, "--no-access-log", "--workers", "2", env=env) as service:
            service.wait_until_ready()
            workers = service.workers()
            with Load(service.url, _REQUESTS) as load:
                time.sleep(_WELL_S)
                killed = time.monotonic()
                head.shut()
                time.sleep(_DOWN_S)
                head.start()
                service.wait_until_ready()
            answers = [answer for answer in load.answers if answer.at + answer.took_s > killed]
            return answers, set(workers) <= set(service.workers())
