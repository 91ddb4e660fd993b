"""The program behind `moot mcp`."""

import argparse
import asyncio
import sys
from typing import NoReturn

from moot.console.exits import exit_code
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import MootError

UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits, as where the daemon can't be reached."""
INSTALL = (
    "install it with Moot, in Moot's checkout: pipx install --force '.[mcp]', or with your venv's pip install '.[mcp]'"
)
"""From where Moot itself is installed."""


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are safe to print, whatever argument they repeat."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments, and end the process."""
        super().error(neutralise(message))


def main(arguments: list[str] | None = None) -> int:
    """Serve until standard input ends; return the exit code.

    Args:
        arguments: by default this process's.
    """
    parser = _Parser(
        prog="moot mcp",
        description="Serve this folder's project to an agent, over standard input and output.",
    )
    parser.add_argument("--actor", default="", help="who acts; by default as for every command")
    options = parser.parse_args(arguments)
    try:
        from moot.mcp.server import serve  # noqa: PLC0415 - only here can it be told what is missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        sys.stderr.write(f"moot: the MCP server needs the package `mcp`\n  {INSTALL}\n")
        return UNAVAILABLE
    try:
        asyncio.run(serve(options.actor))
    except MootError as error:
        sys.stderr.write(f"moot: {neutralise(error.message)}\n")
        return exit_code(error)
    except KeyboardInterrupt:
        return 130
    return 0
