"""`doctor`, `health` and `which` where their arguments are plain, without click.

An exec probe runs every few seconds in every pod, and loading click costs more than the probe
itself, or all the hops of a doctor. `which` says what is wrong with an installation, so it has to
work in one where click is missing. Whatever is not plain (`--help`, a mistake, another command) is
left to click, which knows the same commands with the same arguments.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_SECONDS = 365 * 24 * 3600


def run(arguments: "Sequence[str]") -> int | None:
    """Run the command that the arguments spell out; None where click has to read them."""
    match list(arguments):
        case ["which", *rest] if rest in ([], ["--json"]):
            from seedcore_ray.cli import _which

            return _which.which(as_json=bool(rest))
        case ["doctor", *rest] if wish := wish_in(rest):
            from seedcore_ray.cli import _doctor

            return _doctor.doctor(*wish)
        case ["health", *rest] if wish := wish_in(rest):
            from seedcore_ray.cli import _health

            return _health.health(*wish)
    return None


def wish_in(words: list[str]) -> tuple[str | None, float | None, bool] | None:
    """Address, timeout in seconds and `--json`, from what follows a command; None if not plain."""
    address, timeout_s, as_json = None, None, False
    ahead = iter(words)
    for word in ahead:
        option, equals, value = word.partition("=")
        if word == "--json":
            as_json = True
        elif option == "--timeout":
            timeout_s = seconds(value if equals else next(ahead, ""))
            if timeout_s is None:
                return None
        elif word.startswith("-") or not word or address is not None:
            return None
        else:
            address = word
    return address, timeout_s, as_json


def seconds(text: str) -> float | None:
    """Seconds above 0, at most a year as everywhere in this library; None for all else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= _MAX_SECONDS else None
