"""``seedcore-ray config`` and ``which``: what is in force, and whose doing it is."""

from __future__ import annotations

import re
from typing import Any

from tests.cli.commands import cli, cli_json
from tests.support.secrets import secret

_TOKEN = secret("t0ken-of-the-config-test", "a token")
_PASSWORD = secret("pa55word-of-the-config-test", "a password")


def test_defaults() -> None:
    settings = by_name(cli_json("config"))
    assert {one["source"] for one in settings.values()} == {"default", "derived"}
    assert settings["address"]["value"] == "auto"
    assert settings["connect_timeout_s"]["value"] == "30"
    assert settings["serve_gateway"]["value"] == "http://127.0.0.1:8000"


def test_each_source() -> None:
    env = {
        "RAY_ADDRESS": "ray://head",
        "SEEDCORE_NS": "prod",
        "RAY_NAMESPACE": "not this one",
        "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "7.5",
        "SEEDCORE_RAY_FALLBACKS": "no",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _TOKEN,
        "SERVE_GATEWAY": f"http://me:{_PASSWORD}@gateway:80",
    }
    document = cli_json("config", env=env)
    assert document["exit_code"] == 0
    told = {name: (one["value"], one["source"]) for name, one in by_name(document).items()}
    assert told["address"] == ("ray://head:10001", "RAY_ADDRESS")
    assert told["namespace"] == ("prod", "SEEDCORE_NS")
    assert told["connect_timeout_s"] == ("7.5", "SEEDCORE_RAY_CONNECT_TIMEOUT_S")
    assert told["fallbacks"] == ("0", "SEEDCORE_RAY_FALLBACKS")
    assert told["token"] == ("sent", "RAY_AUTH_TOKEN")
    assert told["serve_gateway"] == ("http://gateway:80", "SERVE_GATEWAY")
    assert told["kubernetes_namespace"] == ("prod", "SEEDCORE_NS")
    text = cli("config", env=env).ok().stdout
    assert re.search(r"(?m)^connect_timeout_s +7\.5 ", text)
    assert _TOKEN not in text and _PASSWORD not in text


def test_what_cannot_be_used_is_said_without_its_secrets() -> None:
    env = {
        "RAY_ADDRESS": f"ray://me:{_PASSWORD}@head",
        "SEEDCORE_RAY_PROBE_TIMEOUT_S": f"https://me:{_PASSWORD}@somewhere",
        "RAY_USE_TLS": "1",
    }
    document = cli_json("config", env=env)
    assert document["exit_code"] == 1
    wrong = {name: one["note"] for name, one in by_name(document).items() if not one["ok"]}
    assert "ray://head:10001" in wrong["address"]
    assert "SEEDCORE_RAY_PROBE_TIMEOUT_S" in wrong["probe_timeout_s"]
    assert {"tls_ca_cert", "tls_server_cert", "tls_server_key"} < set(wrong)
    done = cli("config", env=env)
    assert done.rc == 1 and "note: RAY_ADDRESS: " in done.stdout
    assert _PASSWORD not in done.stdout + done.stderr


def test_which() -> None:
    document = cli_json("which")
    assert document["import_hook"] == "active" and document["problem"] is None
    assert len(document["modules"]) == 2
    off = cli_json("which", env={"SEEDCORE_RAY_IMPORT_HOOK": "0"})
    assert off["exit_code"] == 1 and "unset it" in off["problem"]


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of a document."""
    return {one["name"]: one for one in document["settings"]}
