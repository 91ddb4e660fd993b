"""A town with a formula of two steps, and the console's commands about molecules against its service."""

import json
from collections.abc import Sequence
from typing import Any, cast

from moot.console.command import Command
from moot.console.commands.bundles import bonding, clearing, formulas, molecules
from moot.console.terminal import Facts
from moot_protocol.requests.base import Request
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.issues import Close, Create, Edge, IssueFields, ListIssues, Ready, Update
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.terminal import FACTS, RecordingTerminal
from moot_testkit.towns.town import Api, make_api

TEXT = """
formula = "release"
version = "1.0.0"
description = "What a release takes"
[vars]
version = { required = true }
[[steps]]
id = "build"
title = "Build {{version}}"
[[steps]]
id = "ship"
title = "Ship {{version}}"
needs = ["build"]
"""
COMMANDS: Sequence[Command] = (*formulas.COMMANDS, *molecules.COMMANDS, *bonding.COMMANDS, *clearing.COMMANDS)


class Pourer:
    """A town with the formula `release`, and its console."""

    def __init__(self) -> None:
        self.api: Api = make_api()
        self.asked: list[Any] = []
        self.files: dict[str, bytes] = {}
        """What the client can read."""
        self.pipes: set[str] = set()
        """Where it would wait for ever."""
        self.api.call(NewDocument(actor="ada", kind="formula", name="release", text=TEXT))

    def call(self, request: Request[Any]) -> Any:
        return self.api.call(request)

    def run(self, argv: str | Sequence[str], facts: Facts = FACTS) -> Ran:
        terminal = RecordingTerminal(facts, files=self.files)
        terminal.pipes = self.pipes
        return run(COMMANDS, argv, cast("CannedApi", self), project="demo", terminal=terminal)

    def __call__(self, argv: str | Sequence[str]) -> str:
        return self.run(argv).out

    def json(self, argv: str) -> Any:
        return json.loads(self(f"{argv} --json"))

    def pour(self, how: str = "pour") -> dict[str, Any]:
        poured: dict[str, Any] = self.json(f"mol {how} release --var version=2.0")
        return poured

    def create(self, title: str, parent: str = "", needs: Sequence[str] = (), **fields: Any) -> str:
        edges = tuple(Edge(to=each) for each in needs)
        create = Create(
            actor="ada", project="demo", fields=IssueFields(title=title, **fields), parent=parent, edges=edges
        )
        return str(self.api.call(create)["id"])

    def begin(self, issue: str, actor: str = "ada") -> None:
        self.api.call(Update(actor=actor, id=issue, claim=True))

    def close(self, issue: str) -> None:
        self.api.call(Close(actor="ada", id=issue, reason="Done"))

    def ready(self) -> list[str]:
        return [issue["title"] for issue in self.api.call(Ready()).issues]

    def all(self) -> list[str]:
        return [issue["title"] for issue in self.api.call(ListIssues(all=True)).issues]
