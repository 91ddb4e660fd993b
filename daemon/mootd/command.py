"""The command `mootd`: what it is told, and how it ends."""

import argparse
import faulthandler
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from moot_protocol.errors import Code, MootError
from mootd.app import Daemon
from mootd.config import DEFAULTS
from mootd.edges.clock import SystemClock
from mootd.edges.config_file import read_config_file
from mootd.edges.logs import LEVELS, Style, logging_to, printable
from mootd.edges.notify import Notifier
from mootd.edges.paths import locate
from mootd.version import VERSION

EXIT_FAILED = 1
EXIT_DENIED = 4
CHECK = "check"
"""Not a flag of `run`, by which a process is known that serves."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `mootd` and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except MootError as error:
        hint = f"  {printable(error.hint)}\n" if error.hint else ""
        sys.stderr.write(f"mootd: {printable(error.message)}\n{hint}")  # the log may be what failed
        return EXIT_DENIED if error.code is Code.DENIED else EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    if not faulthandler.is_enabled():
        faulthandler.enable(all_threads=False)  # LMDB dies of some damaged pages, and nobody else would say so
    places = locate(os.environ, data=options.data)
    config = read_config_file(places.config_file) or DEFAULTS
    if options.command == CHECK:
        return
    level = options.log_level or config.log.level
    style = Style(options.log_style) if options.log_style else Style.CONSOLE if sys.stderr.isatty() else Style.JSON
    with logging_to(SystemClock(), style=style, level=level, file=options.log_file):
        Daemon(places, config, Notifier.from_environment()).run(dict(os.environ), os.getpid())


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are safe to print, whatever argument they repeat; so are those of its commands."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments, and end the process."""
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mootd", description="Moot's daemon: keeps the log and serves the clients.")
    parser.add_argument("--version", action="version", version=f"mootd {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("run", help="serve in the foreground")
    check = commands.add_parser(CHECK, help="look at the settings as `run` would, and say what is wrong with them")
    for each in (serve, check):
        each.add_argument("--data", type=Path, help="the data folder (default: $XDG_DATA_HOME/moot)")
    serve.add_argument("--log-level", choices=list(LEVELS), help="default: as config.toml says, or info")
    serve.add_argument("--log-style", choices=[style.value for style in Style], help="default: by where stderr leads")
    serve.add_argument("--log-file", type=Path, help="log here instead of stderr; a new file every day, 30 kept")
    return parser
