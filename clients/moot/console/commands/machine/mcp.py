"""The command `mcp`: it is listed and explained here, and carried out by the client, which becomes the server."""

from typing import Final

from moot.console.command import Command, Context, no_arguments
from moot_protocol.errors import Code, RefusedError


def _mcp(context: Context) -> int:
    del context
    raise RefusedError(
        "the MCP server is a process of its own", code=Code.USAGE, hint="run `moot mcp`, as an agent's settings say it"
    )


COMMANDS: Final = (
    Command(
        "mcp",
        "Serve this folder's project to an agent over standard input and output (MCP)",
        no_arguments,
        _mcp,
        examples=("moot mcp", "moot --actor ada/agent-1 mcp"),
        alone=True,
    ),
)
"""The commands of this module."""
