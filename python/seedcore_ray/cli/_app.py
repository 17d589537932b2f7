"""The commands as click reads them: arguments, help, usage errors. Each does its work elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from seedcore_ray.cli import _config, _doctor, _health, _plain, _wait, _which
from seedcore_ray.cli._output import interrupted

_F = TypeVar("_F", bound=Callable[..., Any])


class _Group(click.Group):
    """A group in which Ctrl-C ends as it does outside of click."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            return interrupted()


class _Seconds(click.ParamType[float]):
    """A duration."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds, or a usage error."""
        seconds = _plain.seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} cannot be used: give seconds above 0", param, ctx)
        return seconds


_address = click.argument("address", required=False)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def _timeout(default: float | None, what: str) -> Callable[[_F], _F]:
    return click.option(
        "--timeout", "timeout_s", type=_Seconds(), default=default, metavar="SECONDS", help=what
    )


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seedcore-ray", message="%(package)s %(version)s")
def app() -> None:
    """See what stands between this process and Ray.

    ADDRESS is what ray_address takes: auto, local, host:port or ray://host[:port]. Left out, it is
    RAY_ADDRESS, else auto.

    Exit codes: 0 ok, 1 failed, 2 wrong arguments, from 10 on one for each cause (docs/cli.md).
    """


@app.command()
@_address
@_timeout(None, "Bound of one look. Default: SEEDCORE_RAY_PROBE_TIMEOUT_S, 2.")
@_as_json
def doctor(address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Every hop on the way to Ray, one diagnosis, and the next thing to do."""
    return _doctor.doctor(address, timeout_s, as_json)


@app.command()
@_address
@_timeout(60.0, "For how long. Default: 60.")
@_as_json
def wait(address: str | None, timeout_s: float, as_json: bool) -> int:
    """Wait until Ray answers; for init containers, compose files and CI.

    Ends at once with a cause that time cannot cure, such as a wrong port or a refused token.
    """
    return _wait.wait(address, timeout_s, as_json)


@app.command()
@_address
@_timeout(None, "Bound of the whole look. Default: SEEDCORE_RAY_PROBE_TIMEOUT_S, 2.")
@_as_json
def health(address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """One bounded look; for exec probes."""
    return _health.health(address, timeout_s, as_json)


@app.command()
@_as_json
def which(as_json: bool) -> int:
    """Which files serve the drop-in modules; exit code 1 when one is not ours."""
    return _which.which(as_json)


@app.command()
@_as_json
def config(as_json: bool) -> int:
    """The settings in force, and where each came from; exit code 1 when one cannot be used."""
    return _config.config(as_json)


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments ask for; what it returns is the exit code."""
    try:
        code = app.main(list(arguments), prog_name="seedcore-ray", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return int(code or 0)
