"""Arguments of ``ray.init`` that the caller keeps, and what they ask for.

Ray writes into what it is given: local folders of a ``runtime_env`` become the URIs of packages in
*this* cluster, ``excludes`` is taken out, a setup hook becomes a key of the cluster's store
(docs/ray-internals.md, "ray.init arguments"). So each ``ray.init`` works on a copy of its own.
"""

from __future__ import annotations

import copy
import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Fields of a runtime_env that Ray uploads or builds before a Ray Client is connected.
_TAKE_LONG = (
    *("working_dir", "py_modules", "java_jars"),
    *("pip", "uv", "conda", "container", "image_uri"),
)
# Ray's own bound for building one, unless the runtime_env says another. -1 is none.
_SETUP_TIMEOUT_S = 600.0
_NO_TIMEOUT_S = 24 * 3600.0
# They do not describe a connection.
_NO_WISH = frozenset({"ignore_reinit_error"})
# Computed by Ray from the rest of a JobConfig.
_DERIVED = frozenset({"_cached_pb"})
# As many different wishes are told for one connection; more than a service has.
_KNOWN = 64


def copied(value: Any) -> Any:
    """A copy of ``value`` that Ray may write into.

    Containers, ``RuntimeEnv`` and ``JobConfig`` are made anew; all else in them (callables,
    modules, credentials) is the caller's own, which Ray only reads.
    """
    return _copied(value, {})


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    if id(value) in memo:
        return memo[id(value)]
    kind: Any = type(value)
    new: Any
    if isinstance(value, dict):
        try:
            new = _copied_dict(value, memo)
        except Exception:  # one that nobody can write into, Ray included
            memo[id(value)] = new = value
    elif kind is list:
        memo[id(value)] = new = []
        new.extend(_copied(item, memo) for item in value)
    elif kind in (tuple, set):
        new = kind(_copied(item, memo) for item in value)
    elif _is_job_config(value):
        memo[id(value)] = new = kind.__new__(kind)
        _copy_attributes(value, new, memo)
    else:
        new = value
    return new


def _copied_dict(value: dict[Any, Any], memo: dict[int, Any]) -> Any:
    kind: Any = type(value)
    is_rays = kind.__module__.startswith("ray.")
    memo[id(value)] = new = kind.__new__(kind) if is_rays else copy.copy(value)
    # A RuntimeEnv checks what is put into it: the values were checked already.
    put = dict.__setitem__ if is_rays else kind.__setitem__
    for key, item in value.items():
        put(new, key, _copied(item, memo))
    _copy_attributes(value, new, memo)
    return new


def _copy_attributes(value: Any, new: Any, memo: dict[int, Any]) -> None:
    attributes = getattr(value, "__dict__", {})
    getattr(new, "__dict__", {}).update(
        {name: _copied(attribute, memo) for name, attribute in attributes.items()}
    )


def _is_job_config(value: Any) -> bool:
    module = sys.modules.get("ray.job_config")
    return isinstance(value, getattr(module, "JobConfig", ()))


def setup(init_kwargs: dict[str, Any]) -> tuple[str, float] | None:
    """What ``ray.init`` uploads or builds, and Ray's own bound for that, in seconds.

    Args:
        init_kwargs: the caller's arguments of ``ray.init``.

    Returns:
        The fields of the ``runtime_env``, in words, and the bound; None where there are none.
    """
    fields: list[str] = []
    bound = 0.0
    for environment in _environments(init_kwargs):
        found = [field for field in _TAKE_LONG if environment.get(field)]
        fields += [field for field in found if field not in fields]
        config = environment.get("config")
        seconds = config.get("setup_timeout_seconds") if isinstance(config, dict) else None
        if not isinstance(seconds, int | float):
            seconds = _SETUP_TIMEOUT_S
        bound = max(bound, seconds if seconds > 0 else _NO_TIMEOUT_S)
    return (", ".join(fields), bound) if fields else None


def _environments(init_kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    given = init_kwargs.get("runtime_env")
    in_job = getattr(init_kwargs.get("job_config"), "runtime_env", None)
    for environment in (given, in_job):
        if isinstance(environment, dict):
            yield environment


def unmet(
    made_with: dict[str, Any] | None, asked: dict[str, Any], told: list[dict[str, Any]]
) -> str | None:
    """What a call asks for that the live connection was not made with.

    Args:
        made_with: the arguments of the ``ray.init`` that made the connection.
        asked: those of the call.
        told: the wishes that were answered before; this one is added.

    Returns:
        The arguments, in words and without their values, which may be secret. None when there are
        none, or the same wish was told before.
    """
    differing = [
        _in_words(name, (made_with or {}).get(name), wish)
        for name, wish in asked.items()
        if name not in _NO_WISH and not _is_same((made_with or {}).get(name), wish)
    ]
    if not differing or len(told) >= _KNOWN or any(_is_same(wish, asked) for wish in told):
        return None
    told.append(copied(asked))
    return ", ".join(differing)


def _in_words(name: str, have: Any, wish: Any) -> str:
    if name != "runtime_env" or not isinstance(wish, dict):
        return name
    have = have if isinstance(have, dict) else {}
    fields = [str(field) for field in wish if not _is_same(have.get(field), wish[field])]
    fields += [f"no {field}" for field in have if field not in wish]
    return f"{name} ({', '.join(fields)})"


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if _is_job_config(one) and _is_job_config(other):
        one, other = ({k: v for k, v in vars(o).items() if k not in _DERIVED} for o in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    try:
        return bool(one == other)
    except Exception:  # an object that cannot be compared, such as an array
        return False
