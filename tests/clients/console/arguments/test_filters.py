"""From arguments to a filter. That each one reaches the daemon is told in commands/lists/test_lists.py."""

from argparse import Namespace

import pytest

from moot.console.arguments.filters import checked_limit, priority_of, projects_of
from moot.console.command import Context
from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.terminal import FACTS, RecordingTerminal


@pytest.mark.parametrize(("text", "priority"), [("0", 0), ("P0", 0), ("p4", 4), (" 2 ", 2)])
def test_a_priority_is_a_number_with_or_without_its_letter(text: str, priority: int) -> None:
    assert priority_of(text) == priority


@pytest.mark.parametrize("text", ["", "P", "5", "-1", "PP1", "1.0", "high", "²", "٣"])
def test_anything_else_is_no_priority(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        priority_of(text)
    assert refused.value.code is Code.USAGE


@pytest.mark.parametrize(
    ("named", "workspace", "read"),
    [
        (None, "bd", ("bd",)),
        (None, "", ()),
        (["gt,hq"], "bd", ("gt", "hq")),
        (["all"], "bd", ()),
        (["gt", "all"], "bd", ()),
    ],
)
def test_projects_are_those_named_else_the_workspaces_else_all(
    named: list[str] | None, workspace: str, read: tuple[str, ...]
) -> None:
    arguments = Namespace(project=named, quiet=False)
    terminal = RecordingTerminal(FACTS._replace(workspace=workspace))
    context = Context(CannedApi(), terminal, arguments, "alice", workspace, json=False, now_ms=NOW_MS)
    assert projects_of(context) == read


@pytest.mark.parametrize(("asked", "limit"), [(0, 0), (7, 7), (2**31 - 1, 2**31 - 1), (2**63 - 1, 0), (10**20, 0)])
def test_a_limit_beyond_any_list_is_none(asked: int, limit: int) -> None:
    assert checked_limit(Namespace(limit=asked)) == limit
