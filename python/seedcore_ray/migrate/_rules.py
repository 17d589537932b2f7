"""The rules: each has a code for ever, a sentence, its reason, and what to write instead."""

from __future__ import annotations

from typing import NamedTuple

PAGE = "docs/migrate.md"


class Rule(NamedTuple):
    """A kind of finding."""

    code: str
    name: str
    summary: str
    why: str
    instead: str
    fix: str
    """What ``--fix`` does about it."""

    @property
    def url(self) -> str:
        """Its section of the documentation, in the repository."""
        return f"{PAGE}#{self.code.lower()}"


_NO_FIX = "never rewritten"

RULES = {
    rule.code: rule
    for rule in (
        Rule(
            "RAY100",
            "unresolved-ray",
            "What `ray` means here cannot be told.",
            "The name is a parameter, is assigned, or comes from a module that may be a wrapper, "
            "so this call may or may not be Ray's.",
            "Look at it; if it is Ray's, import `ray` under a name of its own.",
            _NO_FIX,
        ),
        Rule(
            "RAY101",
            "init-with-address",
            "`ray.init` names a cluster.",
            'It waits from 20 seconds to minutes for a cluster that is not there, says "timeout" '
            "for every cause, raises when called twice, and nobody watches the connection after.",
            "`seedcore_ray.connect(...)`: one connection for all callers, an error that names the "
            "cause within milliseconds, and a monitor.",
            "safe where address and namespace are given and cannot be None; else unsafe",
        ),
        Rule(
            "RAY102",
            "init-without-address",
            "`ray.init` names no cluster.",
            "Ray joins what RAY_ADDRESS says or a cluster of this machine, and otherwise starts "
            "a new one in this process: a service that has lost its setting works alone, unseen.",
            "`seedcore_ray.connect()`: RAY_ADDRESS, else the Ray of this machine, else an error. "
            "In tests: the `ray_head` fixture.",
            "unsafe; never in tests",
        ),
        Rule(
            "RAY103",
            "is-initialized-guard",
            "`ray.is_initialized()` decides whether to connect.",
            "Two threads can both see False, and it stays True for a cluster that is dead.",
            "No guard: `seedcore_ray.connect(...)` returns at once while the connection holds.",
            "with the call in it, where that call is all that it guards",
        ),
        Rule(
            "RAY104",
            "init-result-used",
            "What `ray.init` returns is used.",
            "`with ray.init(...)` ends with `ray.shutdown()`, also when it only joined somebody "
            "else's connection; `seedcore_ray.connect` returns None.",
            "`seedcore_ray.connect(...)`, then `seedcore_ray.connection()` or "
            "`get_connection_info()` for what the context told.",
            _NO_FIX,
        ),
        Rule(
            "RAY105",
            "retry-or-fallback",
            "A loop, a retry or a second connect surrounds `ray.init`.",
            "Each try takes Ray's whole wait, a cause that time cannot cure is tried as long as "
            "one that passes, and a fallback that starts a cluster hides the loss of the real one.",
            "One `seedcore_ray.connect(connect_timeout_s=...)`: it retries what may pass. In front "
            "of a pod: `seedcore-ray wait`. Other clusters: SEEDCORE_RAY_STANDBY_ADDRESSES.",
            _NO_FIX,
        ),
        Rule(
            "RAY106",
            "own-cluster",
            "`ray.init` starts a cluster of its own.",
            "`seedcore_ray` joins clusters and starts none; Ray refuses these arguments when it "
            "joins one, and has no `local_mode` from 2.55 on.",
            "`ray start` outside of the service; in tests the `ray_head` fixture.",
            _NO_FIX,
        ),
        Rule(
            "RAY107",
            "allow-multiple",
            "`allow_multiple` makes a connection that holds only inside `with`.",
            "Outside, `ray.is_initialized()` is False, and a stray `.remote()` starts a cluster.",
            "One connection, `seedcore_ray.connect(...)`; for several at once "
            "`seedcore_ray.ConnectionPool`.",
            _NO_FIX,
        ),
        Rule(
            "RAY109",
            "unreadable-arguments",
            "The arguments of `ray.init` cannot be read here.",
            "They come from `*args`, `**kwargs` or another place, and may hold an address, a "
            "namespace, or what starts a cluster.",
            "`seedcore_ray.connect(...)` with `address` as `ray_address`, `namespace` as "
            "`ray_namespace`, and without `ignore_reinit_error`.",
            _NO_FIX,
        ),
        Rule(
            "RAY201",
            "connect-at-import",
            "Importing this module connects.",
            "So do tests, linters' plugins and `--help`, a dead cluster fails the import, and a "
            "fork of the process can use Ray no more.",
            "Connect at the first use or in the service's start-up; `seedcore_ray.lazy(...)` for a "
            "value that needs Ray.",
            _NO_FIX,
        ),
        Rule(
            "RAY202",
            "blocks-event-loop",
            "`ray.init` blocks the event loop.",
            "No request and no health probe is answered while it waits.",
            "`await seedcore_ray.connect_async(...)`; in FastAPI `ray_lifespan()`.",
            "unsafe: other tasks run while it waits",
        ),
        Rule(
            "RAY401",
            "home-made-helper",
            "A home-made helper connects.",
            "It is what `seedcore_ray` does, without its bounds, its causes and its monitor.",
            "Have its callers call `seedcore_ray.connect(...)`, and remove it.",
            _NO_FIX,
        ),
        Rule(
            "RAY402",
            "shadowed-module",
            "This module is served by `seedcore-ray` instead.",
            "The import hook takes its place, so nothing in it runs; its calls are not counted.",
            "Remove it once `seedcore-ray which` shows that the drop-in is served everywhere.",
            _NO_FIX,
        ),
        Rule(
            "RAY502",
            "patched-ray",
            "A test patches a function of Ray that `seedcore_ray` does not call through that name.",
            "After the rewrite the patch has no effect, or the assertion on it fails.",
            "Patch `seedcore_ray.connect` where it is used, or use the `fake_ray` fixture.",
            _NO_FIX,
        ),
        Rule(
            "RAY900",
            "cannot-parse",
            "The file cannot be parsed.",
            "The command reads it with the Python that it runs on.",
            "Run it with the service's own Python; for Python 2, migrate that first.",
            _NO_FIX,
        ),
        Rule(
            "RAY901",
            "unused-suppression",
            "A suppression suppresses nothing.",
            "What it was written for is gone, and it would hide what comes next.",
            "Remove the comment.",
            _NO_FIX,
        ),
    )
}


def matching(prefix: str) -> set[str]:
    """The codes that begin with a prefix."""
    return {code for code in RULES if code.startswith(prefix.upper())}
