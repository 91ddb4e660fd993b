"""What a command is: a name, its arguments, and a function from context to exit code."""

import re
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, NamedTuple

from moot.console.api import Api
from moot.console.terminal import Terminal
from moot_protocol.ids import KEY_BEGINNING_CHARS, KEY_CHARS

_DASHED: Final = re.compile(r"-[\w-]+", re.ASCII)
"""What a key looks like that begins with a dash, as one in 64 does; or the beginning of it."""


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


# -- Keys --------------------------------------------------------------------------------------------------------
def key_typed(text: str) -> str:
    """The type of an argument that is a key, or may be one."""
    return text


def key_argument(parser: ArgumentParser, name: str, *, metavar: str, told: str) -> None:
    """Adds an argument that is a key, or may be one.

    Args:
        parser: the command's.
        name: the argument's.
        metavar: what it is called in help.
        told: what help says of it.
    """
    parser.add_argument(name, type=key_typed, metavar=metavar, help=f"{told}; after -- if that begins with -")


def of_key(argument: str, actions: Iterable[Action]) -> str:
    """Ends a message about flags where a key may have been meant; empty where it can't have been.

    Args:
        argument: what was typed.
        actions: the arguments that the command takes; where none is a key, only a whole one is taken for a key.
    """
    takes_keys = any(action.type is key_typed for action in actions)
    is_of_key = (KEY_BEGINNING_CHARS if takes_keys else KEY_CHARS) <= len(argument) <= KEY_CHARS
    return "; a key that begins with a dash goes after --" if is_of_key and _DASHED.fullmatch(argument) else ""
