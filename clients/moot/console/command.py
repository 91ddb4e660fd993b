"""What a command is: a name, its arguments, and a function from context to exit code."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from moot.console.api import Api
from moot.console.terminal import Terminal


class Context(NamedTuple):
    """What a command runs with."""

    api: Api
    terminal: Terminal
    arguments: Namespace
    actor: str
    project: str
    """The workspace's project; empty where there is none (`need_project` of `context.py` refuses then)."""
    json: bool
    now_ms: int
    """The wall clock when the command began, milliseconds since 1970."""
    monotonic: Callable[[], float] = monotonic
    """Seconds from a clock that only goes forward: for deadlines and for when to show progress."""
    plane: str = ""
    """The id of the plane that the workspace's project belongs to, which what is made new must name."""


class Command(NamedTuple):
    """One command of the console. Subcommands are commands whose names hold a space (`dep add`)."""

    name: str
    help: str
    """One line, for the list of commands."""
    arguments: Callable[[ArgumentParser], None]
    """Adds its arguments; the global ones (--json, --actor, --quiet, -C) are there already."""
    run: Callable[[Context], int]
    """Does it and returns the exit code; errors are raised as MootError and reported by `main`."""
    aliases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    """Shown first in --help."""
    alone: bool = False
    """Whether it needs nothing of the daemon beyond what it asks itself: no project is looked up for it."""
    unaided: bool = False
    """Whether it needs no daemon at all: where none answers, the client runs it (`moot/unaided.py`)."""
    again: str = ""
    """How to ask again where the daemon has gone away meanwhile; given for what waits and changes nothing."""


def no_arguments(parser: ArgumentParser) -> None:
    """Adds nothing beyond the flags of every command."""
    del parser


def issue_argument(parser: ArgumentParser) -> None:
    """Adds `id`, of one issue."""
    parser.add_argument("id", help="the issue")


def plane_argument(parser: ArgumentParser) -> None:
    """Adds `--plane`, which narrows a list to one plane."""
    parser.add_argument("--plane", default="", metavar="PLANE", help="of this plane alone")
