"""Bad days of a cluster of several machines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from chaos import pods
from chaos.nodes import FAR, no_redis
from chaos.scenario import FOUR, Scenario, end_at, look_back
from chaos.site import Site
from chaos.wire import NOT_AT_ALL, WELL, Carrying

# A raylet waits for its GCS for a minute; then its node is started again, and joins the new head.
_NODES_BACK_S = 120.0
# Each packet, in each direction.
_WEAK = Carrying(loss=0.05, delay_s=0.3)


def _partition(site: Site, back_s: float, to_head: Carrying, from_head: Carrying) -> None:
    site.weaken(to_head, from_head)
    site.until(back_s)
    site.all_is_back()
    site.mend()
    site.tell("work")
    look_back(site)
    end_at(site, back_s + 30)


def _weak(site: Site) -> None:
    site.weaken(_WEAK, _WEAK)
    site.until(30)
    site.all_is_back()
    # All the more for being at work.
    site.tell("work")
    look_back(site)
    site.until(60)
    site.mend()
    end_at(site, 75)


def _no_names(site: Site) -> None:
    site.happens("lost", site.names.stop)
    site.until(60)
    site.all_is_back()
    site.tell("work")
    look_back(site)
    end_at(site, 75)


def _no_names_for_new_head(site: Site) -> None:
    site.names.stop()
    site.stop_head()
    site.until(10)
    site.restart_head()
    site.until(45)
    site.all_is_back()
    site.names.start()
    site.tell("work")
    look_back(site, _NODES_BACK_S)
    end_at(site, 75)


def _head_moves(site: Site) -> None:
    site.stop_head()
    site.until(5)
    site.replace_head()
    site.tell("work")
    look_back(site, _NODES_BACK_S)
    end_at(site, 75)


def _gcs_restarts(site: Site, back_s: float) -> None:
    gcs = site.gcs()
    site.happens("lost", gcs.kill)
    site.until(back_s)
    gcs.start()
    site.all_is_back()
    site.tell("work")
    look_back(site)
    end_at(site, 75)


def _without_redis() -> str | None:
    return no_redis() or pods.hindrance()


_day = partial(
    Scenario[Site],
    on=Site,
    services=tuple(replace(service, far=FAR) for service in FOUR),
    table="machines",
    prefix=pods.PREFIX,
    hindrance=pods.hindrance,
)

MACHINES = (
    *(
        _day(
            f"partition-{seconds}",
            f"cut off from the head for {seconds} s",
            partial(_partition, back_s=seconds, to_head=NOT_AT_ALL, from_head=NOT_AT_ALL),
        )
        for seconds in (10, 25, 90)
    ),
    _day(
        "partition-to",
        "what is sent to the head is lost for 25 s",
        partial(_partition, back_s=25, to_head=NOT_AT_ALL, from_head=WELL),
    ),
    _day(
        "partition-from",
        "what the head sends is lost for 25 s",
        partial(_partition, back_s=25, to_head=WELL, from_head=NOT_AT_ALL),
    ),
    _day("weak", "each packet 300 ms late, 5 % lost, for 60 s", _weak),
    _day("names", "name server dead for 60 s", _no_names),
    _day(
        "names-head",
        "head restarted after 10 s, its name known again after 45 s",
        _no_names_for_new_head,
    ),
    _day("head-moves", "head replaced under another IP, same name", _head_moves),
    *(
        _day(
            f"redis-{seconds}",
            f"GCS with Redis, restarted after {seconds} s",
            partial(_gcs_restarts, back_s=seconds),
            on=partial(Site, redis=True),
            hindrance=_without_redis,
        )
        for seconds in (5, 20, 60)
    ),
)
