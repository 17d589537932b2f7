"""``doctor`` and ``health`` with plain arguments, read without argparse."""

from seedcore_ray._core import MAX_SECONDS


def options(words: list[str]) -> tuple[str | None, float | None, bool] | None:
    """The options of a plain ``doctor`` or ``health``, as probes write it; None for all else.

    An exec probe runs every few seconds in every pod, and loading argparse takes a third as long
    as all the rest of it.
    """
    timeout_s = None
    match [word for word in words if word != "--json"]:
        case ["doctor" | "health", *rest, "--timeout", text]:
            try:
                timeout_s = seconds(text)
            except ValueError:
                return None
        case ["doctor" | "health", *rest]:
            pass
        case _:
            return None
    if len(rest) > 1 or any(word.startswith("-") or not word for word in rest):
        return None
    return rest[0] if rest else None, timeout_s, "--json" in words


def probe(command: str, address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Run one of the two commands."""
    if command == "doctor":
        from seedcore_ray.cli._doctor import doctor

        return doctor(address, timeout_s, as_json)
    from seedcore_ray.cli._health import health

    return health(address, timeout_s, as_json)


def seconds(text: str) -> float:
    """Parse a duration above 0, of at most a year; ``ValueError`` for anything else."""
    value = float(text)
    if not 0 < value <= MAX_SECONDS:
        raise ValueError
    return value
