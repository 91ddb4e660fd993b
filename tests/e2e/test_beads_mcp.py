"""A program written for Beads, which nobody here wrote, works with `moot` linked as `bd`: every tool of beads-mcp.

It is driven as agents drive it: by an MCP client over standard input and output.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from moot_testkit.machines.machine import Machine, machine

INSTALL = Path(__file__).parents[1] / "support" / "beads-mcp.sh"
SERVER = Path(sys.prefix) / "beads-mcp" / "bin" / "beads-mcp"
PREFIX = "mx"


class Agent:
    """An agent's side of the server."""

    def __init__(self, portal: BlockingPortal, session: ClientSession, machine: Machine) -> None:
        self._portal = portal
        self._session = session
        self.machine = machine

    def tools(self) -> set[str]:
        """The names of all tools."""
        return {tool.name for tool in self._portal.call(self._session.list_tools).tools}

    def call(self, tool: str, **arguments: Any) -> Any:
        """What a tool answers; it must not fail."""
        failed, answer = self.tried(tool, **arguments)
        assert not failed, answer
        return answer

    def tried(self, tool: str, **arguments: Any) -> tuple[bool, Any]:
        """Whether a tool failed, and what it said."""
        result = self._portal.call(self._session.call_tool, tool, arguments)
        text = "".join(getattr(part, "text", "") for part in result.content)
        if result.isError:
            return True, text
        structured = result.structuredContent
        if structured is None:
            return False, json.loads(text) if text[:1] in "[{" else text
        return False, structured.get("result", structured) if set(structured) == {"result"} else structured

    def resource(self, uri: Any) -> str:
        """The text of a resource."""
        return "".join(
            getattr(part, "text", "") for part in self._portal.call(self._session.read_resource, uri).contents
        )

    def create(self, title: str, **fields: Any) -> str:
        """Create an issue and return its id."""
        made = self.call("create", title=title, **fields)
        assert made["action"] == "created"
        return str(made["id"])

    def show(self, issue: str, **arguments: Any) -> Any:
        """An issue in full."""
        return self.call("show", issue_id=issue, **arguments)


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    if not SERVER.exists():
        subprocess.run(["sh", str(INSTALL), sys.prefix], check=True, timeout=240)
    with machine() as town:
        town.linked("bd")
        environment = town.environment | {"PATH": f"{town.home}:{town.environment['PATH']}", "BEADS_ACTOR": "robin"}
        del environment["MOOT_ACTOR"]
        server = StdioServerParameters(command=str(SERVER), env=environment, cwd=str(town.folder))

        @asynccontextmanager
        async def connected() -> Any:
            with (town.home / "server.log").open("w") as log:
                async with (
                    stdio_client(server, errlog=log) as (reading, writing),
                    ClientSession(reading, writing) as it,
                ):
                    await it.initialize()
                    yield it

        with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected()) as session:
            made = Agent(portal, session, town)
            assert str(town.folder) in made.call("context", workspace_root=str(town.folder))
            assert PREFIX in made.call("context", action="init", prefix=PREFIX)
            yield made


def test_every_tool_is_called_in_this_file(agent: Agent) -> None:
    called = set(re.findall(r'(?:call|tried)\("(\w+)"', Path(__file__).read_text()))
    assert agent.tools() == called & agent.tools()


def test_it_tells_where_it_works_and_what_it_can_do(agent: Agent) -> None:
    assert str(agent.machine.folder) in agent.call("context")
    assert set(agent.call("discover_tools")["tools"]) == agent.tools()
    assert agent.call("get_tool_info", tool_name="ready")["name"] == "ready"
    assert "bd ready" in agent.resource("beads://quickstart")


def test_an_issue_has_every_field_it_was_created_with(agent: Agent) -> None:
    fields = {"description": "d", "design": "e", "external_ref": "gh-9", "priority": 1, "issue_type": "feature"}
    issue = agent.create("Walls", **fields, acceptance="f", assignee="bo", labels=["stone", "north"])
    shown = agent.show(issue)
    assert {name: shown[name] for name in fields} == fields
    assert (shown["acceptance_criteria"], shown["assignee"]) == ("f", "bo")
    assert set(shown["labels"]) == {"stone", "north"}
    assert agent.show(issue, brief=True) == {"id": issue, "title": "Walls", "status": "open", "priority": 1}
    assert agent.create("Of its own name", id=f"{PREFIX}-own") == f"{PREFIX}-own"


def test_a_dependency_is_seen_from_both_ends_and_blocks(agent: Agent) -> None:
    walls = agent.create("Lower walls")
    roof = agent.call("create", title="Roof", deps=[walls], brief=False)["id"]
    assert [each["id"] for each in agent.show(roof)["dependencies"]] == [walls]
    assert [each["dependency_type"] for each in agent.show(walls, brief_deps=True)["dependents"]] == ["blocks"]
    blocked = {each["id"]: each for each in agent.call("blocked")}
    assert (blocked[roof]["blocked_by"], blocked[roof]["blocked_by_count"]) == ([walls], 1)
    assert roof not in {each["id"] for each in agent.call("ready", limit=100)}
    assert "Error" not in agent.call("dep", issue_id=walls, depends_on_id=roof, dep_type="related")
    refused = agent.call("dep", issue_id=walls, depends_on_id=roof)
    assert "cycle" in refused


def test_lists_hold_what_their_filters_say(agent: Agent) -> None:
    issue = agent.create("A narrow window", priority=0, issue_type="bug", labels=["glass", "east"], assignee="kim")
    for tool, more in (("ready", {"sort_policy": "oldest"}), ("list", {"query": "NARROW", "status": "open"})):
        filters = {"priority": 0, "issue_type": "bug", "labels": ["glass"], "labels_any": ["east", "west"]}
        found = agent.call(tool, assignee="kim", limit=5, **filters, **more)
        assert [each["id"] for each in found] == [issue]
        assert issue not in {each["id"] for each in agent.call(tool, unassigned=True, brief=True)}
    agent.create("What waits for the window", deps=[issue])
    assert agent.call("list", query="narrow")[0]["dependent_count"] == 1
    found = agent.call("list", query="narrow", fields=["id", "created_at", "labels"])
    assert set(found[0]["labels"]) == {"glass", "east"}


def test_an_issue_is_claimed_by_one_only(agent: Agent) -> None:
    issue = agent.create("Contended")
    claimed = agent.call("claim", issue_id=issue, brief=False)
    assert (claimed["assignee"], claimed["status"]) == ("robin", "in_progress")
    agent.machine.ok("update", issue, "-a", "eve")
    failed, words = agent.tried("claim", issue_id=issue)
    assert failed
    assert "already claimed by eve" in words


def test_an_issue_is_updated_closed_and_reopened(agent: Agent) -> None:
    issue = agent.create("To be changed", deps=[agent.create("Before")])
    fields = {"title": "Changed", "description": "d", "design": "e", "notes": "n", "acceptance_criteria": "a"}
    changed = agent.call("update", issue_id=issue, priority=3, status="in_progress", brief=False, **fields)
    assert {name: changed[name] for name in fields} == fields
    assert (changed["priority"], changed["status"]) == (3, "in_progress")
    failed, words = agent.tried("close", issue_id=issue)
    assert failed
    assert "block" in words
    agent.call("close", issue_id=agent.show(issue)["dependencies"][0]["id"])
    closed = agent.call("close", issue_id=issue, reason="done", brief=False)
    assert (closed[0]["status"], bool(closed[0]["closed_at"])) == ("closed", True)
    opened = agent.call("reopen", issue_ids=[issue], reason="not yet", brief=False)
    assert (opened[0]["status"], opened[0]["closed_at"]) == ("open", None)
    assert agent.call("update", issue_id=issue, status="closed")["action"] == "closed"


def test_comments_and_notes_are_kept(agent: Agent) -> None:
    issue = agent.create("Talked about")
    agent.call("comment", issue_id=issue, text="seen -- on 3.12")
    (said,) = agent.call("comments", issue_id=issue)
    assert (said["author"], said["text"], said["issue_id"]) == ("robin", "seen -- on 3.12", issue)
    agent.call("note", issue_id=issue, text="one")
    agent.call("note", issue_id=issue, text="two")
    assert agent.show(issue, fields=["notes"]) == {"notes": "one\ntwo"}


def test_what_is_not_there_is_told_in_the_words_that_are_looked_for(agent: Agent) -> None:
    failed, words = agent.tried("show", issue_id=f"{PREFIX}-nowhere")
    assert failed
    assert "not found" in words


def test_statistics_add_up(agent: Agent) -> None:
    agent.create("Counted")
    summary = agent.call("stats")["summary"]
    assert summary["total_issues"] >= summary["open_issues"] + summary["closed_issues"] > 0


def test_every_administrative_action_answers(agent: Agent) -> None:
    town = agent.machine
    line = {"id": f"{PREFIX}-cut", "title": "Cut off", "status": "open", "priority": 2, "issue_type": "task"}
    edge = {"issue_id": f"{PREFIX}-cut", "depends_on_id": f"{PREFIX}-gone", "type": "blocks"}
    stamp = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    town.ok("import", "-", stdin=json.dumps(line | stamp | {"dependencies": [edge | stamp]}))
    found = agent.call("admin", action="repair")
    assert found["orphans"] == [
        {"issue_id": f"{PREFIX}-cut", "depends_on_id": f"{PREFIX}-gone", "dependency_type": "blocks"}
    ]
    assert agent.call("admin", action="validate")["overall_ok"] is False
    assert agent.call("admin", action="repair", fix=True)["fixed"] == 1
    assert agent.call("admin", action="repair")["orphans_found"] == 0
    left = agent.create("Test issue 12")
    assert [each["id"] for each in agent.call("admin", action="pollution")["issues"]] == [left]
    assert agent.call("admin", action="pollution", clean=True)["deleted_count"] == 1
    assert agent.call("admin", action="validate", fix_all=True)["overall_ok"] is True
    assert agent.call("admin", action="schema")["schema"]["detected_prefix"] == PREFIX
    assert agent.call("admin", action="migration")["registered_migrations"] == []
    assert str(town.folder) in agent.call("admin", action="debug")
