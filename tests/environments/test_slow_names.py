"""A resolver that takes longer than a look: its answer costs the time once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && !strcmp(name, "slow.localhost")) {
        write(2, "asked\n", 6);
        sleep(3);
        name = "127.0.0.1";
    }
    return real(name, service, hints, found);
}
"""


@pytest.fixture
def slow_resolver(tmp_path: Path) -> str:
    """A library that makes the look-up of one name take 3 s."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(_SLOW)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        check=True,
        capture_output=True,
    )
    return str(library)


def test_it_costs_its_time_once(ray_head: RayHead, slow_resolver: str) -> None:
    told = play(
        """
        from seedcore_ray import _core
        address = sys.argv[1]
        look, took = timed(_core.look, address)
        report(first=[look["error"], took])
        looks = []
        end = time.monotonic() + 20
        while not looks or (looks[-1]["error"] and time.monotonic() < end):
            looks.append(_core.look(address))
        report(later=looks[-1]["error"], until_known=took + sum(l["took_s"] for l in looks))
        look, took = timed(_core.look, address)
        report(kept=[look["error"], took])
        """,
        f"ray://slow.localhost:{ray_head.client_port}",
        LD_PRELOAD=slow_resolver,
    )
    error, took = told["first"]
    assert "the name was not resolved" in error["message"] and 1.5 < took < 2.9
    assert told["later"] is None and told["until_known"] < 5.5
    error, took = told["kept"]
    assert error is None and took < 1.0


@pytest.mark.soak
def test_a_connect_gets_past_it(ray_head: RayHead, slow_resolver: str) -> None:
    told = play(
        """
        ok, took = timed(ensure_ray_initialized, sys.argv[1], connect_timeout_s=10)
        report(ok=ok, took=took, error=error(), available=is_ray_available())
        """,
        f"ray://slow.localhost:{ray_head.client_port}",
        LD_PRELOAD=slow_resolver,
    )
    assert told["ok"] and told["available"], told["error"]
