"""What reaches Python's logging: all of it, once, under the right name, with no secret in it."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import closed_port, run_program
from tests.support.scenario import play

_SETUP = """
import logging, sys
logging.basicConfig(level=logging.{level}, format="%(levelname)s|%(name)s|%(message)s")
"""
_FAIL = """
from seedcore.utils.ray_utils import ensure_ray_initialized
ensure_ray_initialized(connect_timeout_s=0.6)
"""


def _lines(stderr: str) -> list[tuple[str, ...]]:
    split = [tuple(line.split("|", 2)) for line in stderr.splitlines()]
    return [line for line in split if len(line) == 3 and line[1].startswith("seedcore_ray")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_logging_set_up_before_or_after_our_import(when: str, level: str) -> None:
    setup = _SETUP.format(level=level)
    import_ours = "import seedcore.utils.ray_utils"
    source = "\n".join([setup, import_ours] if when == "before" else [import_ours, setup]) + _FAIL
    address = f"127.0.0.1:{closed_port()}"
    ended = run_program(source, env={"RAY_ADDRESS": address}).ok()
    lines = _lines(ended.stderr)
    by_level = {name: [line for line in lines if line[0] == name] for name in _LEVELS}
    assert len(by_level["ERROR"]) == 1 and address in by_level["ERROR"][0][2]
    assert by_level["ERROR"][0][1] == "seedcore_ray.connect"
    assert len(by_level["WARNING"]) == (0 if level == "ERROR" else 1)
    if by_level["WARNING"]:
        assert by_level["WARNING"][0][1] == "seedcore_ray.connect"
    assert bool(by_level["DEBUG"]) == (level == "DEBUG")
    assert {line[1] for line in by_level["DEBUG"]} <= {"seedcore_ray.probe"}
    order = [line[0] for line in lines if line[0] != "DEBUG"]
    assert order in (["WARNING", "ERROR"], ["ERROR"])


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_connect_says_one_line_and_its_debug_the_steps(ray_head: RayHead, mode: str) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    source = (
        _SETUP.format(level="DEBUG")
        + """
from seedcore.utils.ray_utils import ensure_ray_initialized, shutdown_ray
ensure_ray_initialized()
ensure_ray_initialized()
shutdown_ray()
"""
    )
    ended = run_program(source, env={"RAY_ADDRESS": address, "SEEDCORE_NS": "here"}).ok()
    lines = _lines(ended.stderr)
    infos = [line for line in lines if line[0] == "INFO"]
    assert [line[1] for line in infos] == ["seedcore_ray.connect", "seedcore_ray.connect"]
    for word in (address, mode, "RAY_ADDRESS", "namespace here", "SEEDCORE_NS", "ms"):
        assert word in infos[0][2]
    steps = [line[2].split(":")[0] for line in lines if line[0] == "DEBUG"]
    assert {"dns", "tcp", "grpc"} <= set(steps)
    assert [line for line in lines if line[0] in ("WARNING", "ERROR")] == []
    if mode == "native":  # a client's server says it too, of itself, and may send it here
        assert "SIGTERM handler is not set" not in ended.stderr


def test_no_secret_is_shown_anywhere() -> None:
    secret = "s3cr3t-in-the-address"
    token = "t0ken-that-nobody-may-see"
    source = (
        _SETUP.format(level="DEBUG")
        + """
import pickle, seedcore_ray
from seedcore.utils import ray_connector, ray_utils
for address in sys.argv[1:]:
    ray_utils.ensure_ray_initialized(address, connect_timeout_s=0)
    last = seedcore_ray.last_error()
    print(repr(last), str(last), vars(last), seedcore_ray.connection())
    print(pickle.dumps(last))
try:
    ray_connector.connect()
except ConnectionError as error:
    print(error)
print(ray_utils.refresh_gateway_and_paths(), ray_utils.get_ray_node_ip())
"""
    )
    port = closed_port()
    ended = run_program(
        source,
        f"ray://user:{secret}@127.0.0.1:{port}",
        f"user:{secret}@127.0.0.1:{port}",
        f"http://user:{secret}@127.0.0.1:{port}",
        f"ray://127.0.0.1:{port}?token={secret}",
        f"ray://{secret}@",
        f"127.0.0.1:{port}",
        env={
            "RAY_ADDRESS": f"ray://user:{secret}@127.0.0.1:{port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "SERVE_GATEWAY": f"http://user:{secret}@gateway:80",
            "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "0",
        },
    ).ok()
    everything = ended.stdout + ended.stderr
    assert "invalid_address" in everything and "refused" in everything
    assert secret not in everything
    assert token not in everything


def test_a_bad_setting_is_one_error_line_and_the_default() -> None:
    told = play(
        """
        import ray
        ok, seconds = timed(ensure_ray_initialized, "127.0.0.1:1", connect_timeout_s=0)
        report(errors=logged("ERROR"), ok=ok)
        """,
        SEEDCORE_RAY_PROBE_TIMEOUT_S="soon",
    )
    setting, cause = told["errors"]
    assert "SEEDCORE_RAY_PROBE_TIMEOUT_S" in setting and "soon" in setting and "2" in setting
    assert "refused" in cause


def test_a_broken_log_handler_breaks_nothing(ray_head: RayHead) -> None:
    told = play(
        """
        import logging
        class Broken(logging.Handler):
            def emit(self, record):
                raise RuntimeError("broken handler")
        logging.getLogger("seedcore_ray").addHandler(Broken())
        sys.unraisablehook = lambda unraisable: None
        failed = ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0.4)
        report(failed=failed, ok=ensure_ray_initialized(), said=len(logged("INFO")))
        """,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told == {"failed": False, "ok": True, "said": 1}
