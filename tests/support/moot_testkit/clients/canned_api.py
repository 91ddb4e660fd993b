"""An `Api` that answers as it is told and remembers what it was asked: for tests of what a command asks and prints."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from moot.console.command import Command, Context
from moot.console.grammar import Grammar, Section
from moot_protocol.errors import MootError
from moot_protocol.requests.base import Request
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

from moot.console.terminal import Facts  # isort: skip

R = TypeVar("R")

NOW_MS = 1_769_860_800_000
"""2026-01-31 12:00 UTC: when tests of the console take place."""


class CannedApi:
    """Answers requests in a fixed way.

    Args:
        answers: method → its answer; a list subclass `InTurn` gives its elements one after the other; an error is
            raised.
    """

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[Any] = []
        """Every request, in order, as the type that a test expects."""
        self.keys: list[str] = []
        """The keys of those that may have one."""

    def call_keyed(self, request: Request[R], key: str) -> R:
        self.keys.append(key)
        return self.call(request)

    def call(self, request: Request[R]) -> R:
        self.asked.append(request)
        if request.method not in self._answers:
            raise AssertionError(f"nobody expected {request}")
        answer = self._answers[request.method]
        if isinstance(answer, InTurn):
            answer = answer.pop(0)
        if isinstance(answer, MootError):
            raise answer
        typed: R = copy.deepcopy(answer)
        return typed


class InTurn(list[Any]):
    """Answers to be given one after the other."""


class Ran:
    """What came of a command."""

    def __init__(self, code: int, terminal: RecordingTerminal, api: CannedApi) -> None:
        self.code = code
        self.out = terminal.written
        self.err = terminal.complaints
        self.asked = api.asked
        self.terminal = terminal


def run(
    commands: Sequence[Command],
    argv: str | Sequence[str],
    api: CannedApi,
    facts: Facts = FACTS,
    *,
    actor: str = "alice",
    project: str = "bd",
    terminal: RecordingTerminal | None = None,
) -> Ran:
    """Run a command of the given ones as the console would, errors raised.

    Args:
        commands: those that `argv` is read with.
        argv: the arguments; a string is split at blanks.
        api: what answers.
        facts: what the client says of itself.
        actor: who acts.
        project: the workspace's project.
        terminal: the client, where it is more than facts.
    """
    words = argv.split() if isinstance(argv, str) else list(argv)
    invocation = Grammar([Section("all", commands)]).read(words)
    assert invocation.command is not None
    terminal = terminal or RecordingTerminal(facts)
    context = Context(
        api=api,
        terminal=terminal,
        arguments=invocation.arguments,
        actor=actor,
        project=project,
        json=invocation.arguments.json,
        now_ms=NOW_MS,
    )
    return Ran(invocation.command.run(context), terminal, api)
