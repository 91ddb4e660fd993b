"""`--dry-run` for the commands that have none of their own: they do all they do, and nothing of it is written.

Invariant: a command that is tried sends no request that writes unless it is marked as one on trial, and writes no file.
What changes anything and can't be tried is listed, each with the reason, by the test that holds the grammar to it.
"""

from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from moot.console.api import Api
from moot.console.command import Command, Context
from moot.console.context import say
from moot.console.grammar import Section
from moot.console.terminal import Facts, Terminal
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request

R = TypeVar("R")

TRIED: Final = frozenset(
    {
        "access token create", "access token revoke", "assign", "comment", "defer", "dep", "dep add", "dep relate",
        "dep remove", "dep unrelate", "doc adopt", "doc edit", "doc new", "doc publish", "doctor", "forget",
        "heartbeat", "hooks install", "hooks uninstall", "human dismiss", "human respond", "init", "invite",
        "invite close", "join", "kv clear", "kv set", "label add", "label propagate", "label remove", "lease acquire",
        "lease release", "link", "mail ack", "mail reply", "mail send", "merge-slot acquire", "merge-slot create",
        "merge-slot release", "mirror off", "mirror on", "mirror resume", "mirror sync", "note", "nudge",
        "nudge broadcast", "plane create", "plane isolate", "plane rotate-key", "plane set", "priority", "q", "ready",
        "recover", "remote add", "remote remove", "reopen", "repair-deps", "replica retire", "resolve", "salvage",
        "setup", "share follow", "tag", "town create", "undefer", "undelete", "unshare",
    }
)  # fmt: skip
"""Commands that change something without a word of their own about trials."""


class TrialApi:
    """An Api that has everything that writes checked and answered as if done, and none of it written."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def call(self, request: Request[R]) -> R:
        """Carry out a request that reads; try one that writes."""
        if type(request).writes:
            request = msgspec.structs.replace(request, dry_run=True)
        return self._api.call(request)


class TrialTerminal:
    """A terminal that says which files would be written instead of writing them."""

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal = terminal
        self._quiet = quiet
        self.out = terminal.out
        self.err = terminal.err
        self.stdin = terminal.stdin
        self.read_file = terminal.read_file
        self.file_mode = terminal.file_mode
        self.edit = terminal.edit
        self.names_in = terminal.names_in
        self.git_log = terminal.git_log
        self.ask_tool = terminal.ask_tool
        self.check_alive = terminal.check_alive

    @property
    def facts(self) -> Facts:
        """As the terminal's."""
        return self._terminal.facts

    def write_file(
        self, path: str, chunks: Iterable[bytes], *, mode: int = 0o644, exclusive: bool = False, parents: bool = True
    ) -> None:
        """Say that a file would be written.

        Raises:
            RefusedError: `exists`: it may not be there and is.
        """
        del chunks, mode, parents
        if exclusive and self._is_there(path):
            raise RefusedError(f"{path}: it exists already", code=Code.EXISTS)
        if not self._quiet:
            self.err(f"Would write {neutralise(path)}\n")

    def remove_file(self, path: str) -> None:
        """Say that a file would be removed."""
        if not self._quiet:
            self.err(f"Would remove {neutralise(path)}\n")

    def _is_there(self, path: str) -> bool:
        try:
            self.file_mode(path)
        except RefusedError as error:
            if error.code in {Code.CANCELLED, Code.BAD_VERSION}:
                raise
            return False
        return True


def with_trials(sections: Iterable[Section]) -> list[Section]:
    """The same commands, those of `TRIED` with `--dry-run`."""
    return [
        section._replace(commands=[_with_trial(each) if each.name in TRIED else each for each in section.commands])
        for section in sections
    ]


def _with_trial(command: Command) -> Command:
    def arguments(parser: ArgumentParser) -> None:
        command.arguments(parser)
        try:
            parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
        except ArgumentError:
            return  # it has one of its own by now

    return command._replace(arguments=arguments, run=_tried(command.run))


def _tried(run: Callable[[Context], int]) -> Callable[[Context], int]:
    def command(context: Context) -> int:
        if not context.arguments.dry_run:
            return run(context)
        say(context, "Dry run: nothing is written. It would say:")
        terminal = TrialTerminal(context.terminal, quiet=context.arguments.quiet)
        return run(context._replace(api=TrialApi(context.api), terminal=terminal))

    return command
