"""Tokens and TLS that are missing or wrong: how soon a caller knows, and what mutual TLS costs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.connects import MODES, NET, address_of
from benches.failures import Failure, compared
from benches.figures import Check, Row
from benches.lab import Fields, Lab, fields, median_of
from seedcore_ray.testing import RayHead
from tests.support.certs import Authority
from tests.support.secrets import TOKEN

# Each round is a process of its own, and there are eight such rows.
_ROUNDS = 3


def rows(lab: Lab) -> list[Row]:
    """On a plaintext head, one that wants a token, and one that speaks TLS."""
    with tempfile.TemporaryDirectory(prefix="srb-") as directory:
        authority = Authority(Path(directory))
        client = authority.issue("client").env()
        found = compared(
            [
                Failure(
                    f"TLS against a plaintext head, {mode}",
                    address,
                    "tls",
                    env=client,
                    rounds=_ROUNDS,
                )
                for mode, address in _both(lab.head)
            ]
        )
        lab.stop_head()
        with RayHead(token=TOKEN) as head:
            found += _token_rows(head)
        with RayHead(tls=authority.issue("head")) as head:
            found += _tls_rows(head, client)
    return found


def _both(head: RayHead) -> list[tuple[str, str]]:
    return [(mode, address_of(head, mode)) for mode in MODES]


def _token_rows(head: RayHead) -> list[Row]:
    bad = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "not-the-token-of-this-head-0123456789"}
    return compared(
        [
            Failure(f"{what} token, {mode}", address, "auth", env=env, rounds=_ROUNDS)
            for what, env in (("bad", bad), ("missing", {}))
            for mode, address in _both(head)
        ]
    )


def _tls_rows(head: RayHead, client: dict[str, str]) -> list[Row]:
    plaintext = [
        Failure(f"plaintext against a TLS head, {mode}", address, "tls", rounds=_ROUNDS)
        for mode, address in _both(head)
    ]
    samples: list[Fields] = [
        fields(NET, head.gcs_address, env={**head.env(), **client}) for _ in range(5)
    ]
    figure = median_of(samples)
    preflight = Row(
        "over mutual TLS, cold: our call minus ray.init inside it",
        figure,
        checks=(Check.below(figure, 15e-3),),
    )
    return [*compared(plaintext), preflight]
