"""Lists drawn again after events: at a terminal in place, elsewhere one below the other, until the client goes."""

from typing import Any

import pytest

from moot.console.commands.lists.lists import COMMANDS
from moot.console.terminal import Facts
from moot.console.watching import CLEAR
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Events
from moot_testkit.clients.canned_api import CannedApi, InTurn, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal, without_colours


class Going(CannedApi):
    """Lets the client go away when all events have been told."""

    terminal: RecordingTerminal

    def call(self, request: Request[Any]) -> Any:
        events = self._answers["events"]
        if isinstance(request, Events) and not events:
            self.terminal.gone = True
            return {"events": [], "next": 9}
        return super().call(request)


def page(*numbers: int) -> Page:
    return Page(issues=[issue(number) for number in numbers], total=len(numbers), truncated=False)


def watched(argv: str, facts: Facts = FACTS) -> tuple[RecordingTerminal, Going]:
    events = InTurn([{"events": [], "next": 5}, {"events": [], "next": 6}, {"events": [{}], "next": 7}])
    pages = InTurn([page(1), page(1, 2)])
    api = Going(events=events, list=pages, ready=pages)
    terminal = api.terminal = RecordingTerminal(facts)
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, argv, api, terminal=terminal)
    assert caught.value.code is Code.CANCELLED
    return terminal, api


@pytest.mark.parametrize("argv", ["list -w", "ready --watch", "watch"])
def test_a_list_is_drawn_again_after_events_only(argv: str) -> None:
    terminal, api = watched(argv)
    line = [row.partition(" ")[0] for row in terminal.written.splitlines()]
    assert line == ["bd-000000000001", "", "bd-000000000001", "bd-000000000002", *([""] if line[-1] == "" else [])]
    waits = [request for request in api.asked if isinstance(request, Events)]
    assert [request.since for request in waits] == [None, 5, 6]
    assert len(api.asked) == 5


def test_at_a_terminal_it_is_drawn_in_place() -> None:
    terminal, _ = watched("list -w", without_colours(at_terminal()))
    first, second, third = terminal.written.split(CLEAR)
    assert first == ""
    assert "Issue 1" in second
    assert "Issue 2" not in second
    assert "Issue 2" in third


def test_what_can_have_no_end_is_refused() -> None:
    for argv in ("list -w --json", "watch --json", "ready -w --claim"):
        with pytest.raises(RefusedError) as caught:
            run(COMMANDS, argv, CannedApi(events={"events": [], "next": 0}, ready=page(1)))
        assert caught.value.code is Code.USAGE
