"""nginx before a Ray Client port: what works with bare Ray works, and what does not is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.cli.commands import cli_json
from tests.cli.commands import start as start_cli
from tests.support import Authority, TcpRelay, closed_port, monitored, scenario
from tests.support.gateways import Nginx, Site, answering, documented
from tests.support.peers import HOST
from tests.support.secrets import TOKEN

_BEARER = f"Bearer {TOKEN}"
# nginx that answers in gRPC while its upstream is down, as its makers advise and Envoy does.
_IN_GRPC = """
error_page 502 = /unavailable;
location = /unavailable {
  internal;
  default_type application/grpc;
  add_header grpc-status 14;
  add_header grpc-message "no healthy upstream";
  return 204;
}
"""
_STATUSES = (401, 403, 404, 500, 502, 503, 504)

# The arguments that this way to Ray needs, from the environment: one of them is a secret.
_WAY = """
kwargs = {}
if ca := os.environ.get("CA"):
    import grpc
    with open(ca, "rb") as file:
        kwargs["_credentials"] = grpc.ssl_channel_credentials(file.read())
if bearer := os.environ.get("BEARER"):
    kwargs["_metadata"] = [("authorization", bearer)]
"""
# The put is larger than the body of a request that nginx lets pass by default.
_USE = """
import ray
used = [len(ray.get(ray.put(b"x" * 3_000_000), timeout=60)),
        ray.get(ray.remote(lambda: 42).options(num_cpus=0).remote(), timeout=60)]
"""
_OURS = (
    _WAY
    + """
seedcore_ray.start_monitor(interval_s=0.3)
took = timed(ensure_ray_initialized, sys.argv[1], connect_timeout_s=10, **kwargs)
assert took[0], error()
"""
    + _USE
    + """
end = time.monotonic() + 20
while seedcore_ray.connection().last_probe is None and time.monotonic() < end:
    time.sleep(0.01)
report(used=used, took_s=took[1], state=held()["state"], probe=held()["last_probe"],
       test=test_ray_connection(), info=get_ray_cluster_info()["status"],
       connection=get_connection_info()["status"], log=[r.getMessage() for r in records])
shutdown_ray()
"""
)
_BARE = (
    _WAY
    + """
import ray
began = time.monotonic()
try:
    ray.init(sys.argv[1], **kwargs)
except Exception as raised:
    report(used=None, words=str(raised), took_s=time.monotonic() - began)
    os._exit(0)
took_s = time.monotonic() - began
"""
    + _USE
    + """
report(used=used, took_s=took_s, available=is_ray_available())
"""
)
_VERDICTS = """
report(verdicts={name: [*timed(ensure_ray_initialized, address, connect_timeout_s=0), error()]
                 for name, address in (pair.split("=") for pair in sys.argv[1:])})
"""


def _upstream(head: RayHead) -> str:
    return head.client_address.removeprefix("ray://")


@pytest.fixture(scope="module")
def gateway(
    ray_head: RayHead, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    """One nginx with a site for each way that is right or wrong."""
    right = documented(_upstream(ray_head))
    login = f'if ($http_authorization != "{_BEARER}") {{ return 401; }}'
    sites = {
        "right": right,
        "login": Site(f"{login} {right.directives}"),
        "tls": right.with_tls(authority.issue("gateway")),
        "drops": Site(right.directives.replace("underscores_in_headers on;", "")),
        "http1": Site(right.directives, listen=""),
        "down": documented(f"{HOST}:{closed_port()}"),
        "in_grpc": Site(_IN_GRPC + documented(f"{HOST}:{closed_port()}").directives),
        **{f"status_{status}": answering(status) for status in _STATUSES},
    }
    with Nginx(tmp_path_factory.mktemp("nginx"), **sites) as nginx:
        yield nginx


def _ways(gateway: Nginx, authority: Authority) -> dict[str, tuple[str, dict[str, str]]]:
    """Each way that leads to Ray: its address, and the environment of `_WAY`."""
    return {
        "right": (gateway.address("right"), {}),
        "login": (gateway.address("login"), {"BEARER": _BEARER}),
        "tls": (gateway.address("tls", host="localhost"), {"CA": str(authority.cert)}),
    }


@pytest.mark.parametrize("who", ["ours", pytest.param("bare", marks=pytest.mark.soak)])
def test_ways_that_lead_to_ray(who: str, gateway: Nginx, authority: Authority) -> None:
    """Connected, watched and used, as bare Ray is; the caller's headers are shown nowhere."""
    source = _OURS if who == "ours" else _BARE
    with ExitStack() as stack:
        programs = {
            name: stack.enter_context(scenario.start(source, address, env=env))
            for name, (address, env) in _ways(gateway, authority).items()
        }
        told = {name: one.finish(deadline_s=90).ok().fields for name, one in programs.items()}
    for name, fields in told.items():
        assert fields["used"] == [3_000_000, 42], (name, fields)
        if who == "bare":
            assert fields["available"], "a connection that somebody else has made"
        else:
            assert (fields["state"], fields["probe"]["ok"]) == ("connected", True), fields
            answers = [fields["test"], fields["info"], fields["connection"]]
            assert answers == [True, "available", "connected"], fields
            assert not any(TOKEN in line for line in fields["log"])


def _verdicts(gateway: Nginx) -> Mapping[str, list[Any]]:
    names = ["drops", "http1", "down", "in_grpc", "tls", "login"]
    names += [f"status_{status}" for status in _STATUSES]
    pairs = [f"{name}={gateway.address(name)}" for name in names]
    verdicts: dict[str, list[Any]] = scenario.play(_VERDICTS, *pairs)["verdicts"]
    return verdicts


def test_ways_that_do_not(gateway: Nginx) -> None:
    """The cause is named at once, and only what time may cure is retried."""
    not_ready = ("not_ready", "a gateway (nginx")
    expected = {
        "drops": ("gateway", "drops the header client_id"),
        "http1": ("not_ray", "HTTP/1.1 400 Bad Request, nginx"),
        "down": ("not_ready", "HTTP 502 Bad Gateway: it does not reach Ray"),
        "in_grpc": ("not_ready", "answered Unavailable in the phase grpc: no healthy upstream"),
        "tls": ("tls", "the server speaks TLS"),
        "login": ("auth", "HTTP 401 Unauthorized; it is not Ray"),
        **{f"status_{code}": not_ready for code in _STATUSES},
        "status_401": ("auth", "a gateway (nginx"),
        "status_403": ("auth", "a gateway (nginx"),
        "status_404": ("not_ready", "no route to Ray"),
    }
    verdicts = _verdicts(gateway)
    assert verdicts.keys() == expected.keys()
    for name, (kind, words) in expected.items():
        is_connected, took_s, error = verdicts[name]
        assert not is_connected and took_s < 2, (name, took_s)
        assert (error["kind"], words in error["message"]) == (kind, True), (name, error)
    assert "underscores_in_headers on" in verdicts["drops"][2]["hint"]
    assert "_credentials" in verdicts["tls"][2]["hint"]
    assert "_metadata" in verdicts["login"][2]["hint"]


def test_the_doctor_names_the_same(gateway: Nginx) -> None:
    """As a connect would end, and with its exit code."""
    for site, kind in (("drops", "gateway"), ("status_404", "not_ready"), ("login", "auth")):
        document = cli_json("doctor", gateway.address(site))
        assert document["diagnosis"]["kind"] == kind, document["diagnosis"]


@pytest.mark.soak
def test_ways_on_which_bare_ray_fails_as_well(gateway: Nginx) -> None:
    """In half a minute, and with one message for all of them."""
    names = ["drops", "http1", "down", "tls", "login", "status_404", "status_503"]
    with ExitStack() as stack:
        programs = {
            name: stack.enter_context(scenario.start(_BARE, gateway.address(name)))
            for name in names
        }
        told = {name: one.finish(deadline_s=110).ok().fields for name, one in programs.items()}
    for name, fields in told.items():
        assert fields["used"] is None, (name, fields)


def test_a_route_that_comes_later(ray_head: RayHead, tmp_path: Path) -> None:
    """An init container waits for it."""
    with Nginx(tmp_path, site=answering(404)) as nginx:
        address = nginx.address("site")
        with start_cli("wait", address, "--timeout", "60") as waiting:
            assert "HTTP 404" in waiting.wait_for_error_line("no route to Ray")
            nginx.reload(site=documented(_upstream(ray_head)))
            done = waiting.finish(deadline_s=60)
    assert done.ok().stdout.startswith(f"ok  {address} answers in ")


_RIDES = (
    _WAY
    + """
connected(sys.argv[1], kwargs)
await_state("unhealthy", "lost", "reconnecting")
report(unhealthy=[names()[-1], heard[-1]["kind"]])
await_state("lost", "reconnecting")
mark("lost")
await_true(lambda: "reconnected" in names())
report(names=names(), task=task(), generation=seedcore_ray.generation())
"""
)


@pytest.mark.soak
@pytest.mark.parametrize("way", ["right", "tls"])
def test_the_monitor_through_it(
    way: str, ray_head: RayHead, authority: Authority, tmp_path: Path
) -> None:
    """The gateway loses its upstream, gets it back, and the service rides through."""
    with Nginx(tmp_path, site=Site("")) as nginx:
        env, host = {"SEEDCORE_RAY_LOSS_GRACE_S": "3"}, HOST

        def serve(upstream: str) -> None:
            site = documented(upstream)
            nginx.close()
            nginx.start(site=site.with_tls(authority.issue("way")) if way == "tls" else site)

        if way == "tls":
            host, env["CA"] = "localhost", str(authority.cert)
        serve(_upstream(ray_head))
        with monitored.start(_RIDES, nginx.address("site", host), env=env) as program:
            program.wait_for_mark("up")
            serve(f"{HOST}:{closed_port()}")
            program.wait_for_mark("lost")
            serve(_upstream(ray_head))
            fields = program.finish(deadline_s=90).ok().fields
    assert fields["task"] == 42 and fields["generation"] == 2, fields
    # Refused: the session still answers, and the GCS behind it does not any more.
    assert fields["unhealthy"][1] in ("not_ready", "refused"), fields


_WAITS = (
    _WAY
    + """
connected(sys.argv[1], kwargs)
await_state("unhealthy")
mark("unhealthy")
await_state("connected")
report(names=names(), task=task(), generation=seedcore_ray.generation())
"""
)


@pytest.mark.soak
def test_a_silence_on_the_channel_of_ray(
    ray_head: RayHead, authority: Authority, tmp_path: Path
) -> None:
    """The monitor asks over it, and sees both its silence and the end of that."""
    env = {"CA": str(authority.cert), "SEEDCORE_RAY_LOSS_GRACE_S": "30"}
    env["SEEDCORE_RAY_PROBE_TIMEOUT_S"] = "1"
    with TcpRelay((HOST, ray_head.client_port)) as relay:
        site = documented(relay.address).with_tls(authority.issue("silence"))
        with (
            Nginx(tmp_path, site=site) as nginx,
            monitored.start(_WAITS, nginx.address("site", "localhost"), env=env) as program,
        ):
            program.wait_for_mark("up")
            relay.pause()
            program.wait_for_mark("unhealthy")
            relay.resume()
            fields = program.finish(deadline_s=60).ok().fields
    assert fields["task"] == 42 and fields["generation"] == 1, fields
