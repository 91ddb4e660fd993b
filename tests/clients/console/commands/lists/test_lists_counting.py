"""count: how many issues there are, in all and by what they have."""

import json
from typing import Any

from moot.console.commands.lists.lists import COMMANDS
from moot_protocol.requests.issues import Count
from moot_protocol.requests.listing import Filter
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import at_terminal, without_colours

COLOURLESS = without_colours(at_terminal(72))


def asked(argv: str) -> Any:
    """The only request of a command."""
    return run_console(argv, {"count": {"total": 0}}).request


GROUPS = {"total": 12, "groups": [{"group": "open", "count": 10}, {"group": "", "count": 2}]}


def test_counting_is_over_closed_issues_too_unless_a_status_is_named() -> None:
    assert asked("count") == Count(filter=Filter(projects=("bd",)))
    assert asked("count").all
    assert asked("count --by-label").by == "label"


def test_a_count_is_a_number() -> None:
    assert run(COMMANDS, "count", CannedApi(count={"total": 12})).out == "12\n"
    assert run(COMMANDS, "count --json", CannedApi(count={"total": 12})).out == '{"count":12}\n'


def test_groups_are_counted_line_by_line() -> None:
    assert run(COMMANDS, "count --by-status", CannedApi(count=GROUPS)).out == "10 open\n2 (none)\n12 total\n"
    assert run(COMMANDS, "count --by-status", CannedApi(count=GROUPS), COLOURLESS).out.splitlines() == [
        "10  open",
        " 2  (none)",
        "12  total",
    ]
    assert json.loads(run(COMMANDS, "count --by-status --json", CannedApi(count=GROUPS)).out) == GROUPS
