"""The command line: parse, call one function of edgecv.api, print what it returns."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import click

from edgecv import __version__
from edgecv.cli.boards import devices, doctor, pack
from edgecv.cli.convert import calibration, convert, inspect
from edgecv.cli.measure import bench, evaluate, tune, verify
from edgecv.cli.report import report
from edgecv.cli.run import run, service
from edgecv.errors import EdgecvError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgecv")
@click.option("--debug", is_flag=True, envvar="EDGECV_DEBUG", help="Show tracebacks and library messages.")
def cli(debug: bool) -> None:
    """Vision models on small computers: convert, run, bench."""
    if debug:
        from edgecv import quiet

        quiet.loud = True


for command in (
    *(convert, inspect, calibration),
    *(run, service, doctor),
    *(bench, tune, evaluate, verify, report),
    *(devices, pack),
):
    cli.add_command(command)


def main() -> None:
    """Entry point: 0 when done, 2 for a wrong call, 1 for a failure, 130 when interrupted early."""
    for number, name in enumerate(("stdout", "stderr"), start=1):
        if getattr(sys, name) is None:  # closed by the caller, as by `>&-`
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            setattr(sys, name, os.fdopen(number, "w"))
    # As Ctrl-C does: half-written folders are removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("EDGECV_DEBUG"))
    try:
        status = cli.main(standalone_mode=False, prog_name="edgecv")
    except EdgecvError as error:
        status = _failed(error, error.exit_code, debug)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.ClickException as error:
        status = _failed(UsageError(_in_one_line(error)), error.exit_code, debug)
    except (KeyboardInterrupt, click.Abort):
        click.echo("edgecv: interrupted", err=True)
        status = 130
    except ModuleNotFoundError as error:
        if debug or str(error.name).partition(".")[0] == "edgecv":
            raise
        status = _failed(
            EdgecvError(f"{error.name} is not installed: `edgecv doctor` says what is"), 1, debug
        )
    except (OSError, MemoryError) as error:
        status = _failed(error, 1, debug)
    sys.exit(status if isinstance(status, int) else 0)


def _in_one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message.rstrip('.')}; see `{context.command_path} --help`" if context else message


def _failed(error: Exception, status: int, debug: bool) -> int:
    with contextlib.suppress(OSError):  # stderr itself may be what failed
        if debug:
            import traceback

            traceback.print_exception(error)
        click.echo(f"edgecv: error: {str(error) or type(error).__name__}", err=True)
    return status
