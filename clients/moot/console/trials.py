"""`--dry-run` for the commands that have none of their own: they do all they do, and nothing of it is written.

Invariant: a command that is tried sends no mutation that isn't marked as one on trial.
"""

from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from moot.console.api import Api
from moot.console.command import Command, Context
from moot.console.context import say
from moot.console.grammar import Section
from moot_protocol.request_base import Mutation, Request

R = TypeVar("R")

TRIED: Final = frozenset(
    {
        "assign", "comment", "defer", "dep add", "dep relate", "dep remove", "dep unrelate", "label add",
        "label propagate", "label remove", "link", "note", "priority", "q", "reopen", "resolve", "tag", "undefer",
        "undelete",
    }
)  # fmt: skip
"""Commands that change issues without a word about trials."""


class TrialApi:
    """An Api that has every mutation checked and answered as if done, and none written."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def call(self, request: Request[R]) -> R:
        """Carry out a request that reads; try one that writes."""
        if isinstance(request, Mutation):
            tried: Any = msgspec.structs.replace(request, dry_run=True)
            return self._api.call(tried)  # type: ignore[no-any-return]  # it is of the request's own class
        return self._api.call(request)


def with_trials(sections: Iterable[Section]) -> list[Section]:
    """The same commands, those of `TRIED` with `--dry-run`."""
    return [
        Section(section.title, [_with_trial(each) if each.name in TRIED else each for each in section.commands])
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
        return run(context._replace(api=TrialApi(context.api)))

    return command
