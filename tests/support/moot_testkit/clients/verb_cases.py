"""What each verb of the Python clients asks of the daemon and makes of its answer: one table for both clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from moot.answers import Comment, Issue, Issues, Memory, Stats
from moot_protocol.requests import claims as claim_requests
from moot_protocol.requests import issues as issue_requests
from moot_protocol.requests import memories as memory_requests
from moot_protocol.requests.base import Request
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.control import Daemon, serving

PLANE = "ab" * 16
DOCUMENT = {"id": "demo-1", "title": "One", "_unblocked": ["demo-2"]}
ISSUE = Issue(id="demo-1", title="One", unblocked=("demo-2",))
PAGE = Page(issues=[{"id": "demo-1"}], total=1, truncated=False)
ISSUES = Issues(issues=(Issue(id="demo-1"),), total=1, truncated=False)
HERE = Filter(projects=("demo",))


class Case(NamedTuple):
    """One call of a verb."""

    verb: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    request: Request[Any]
    answer: Any
    value: Any


def _write(verb: str, request: Request[Any], *arguments: Any, **named: Any) -> Case:
    return Case(verb, arguments, named, request, DOCUMENT, ISSUE)


CASES = [
    _write(
        "create",
        issue_requests.Create(
            actor="ada", project="demo", plane=PLANE, fields=issue_requests.IssueFields(title="One", priority=1),
            labels=("x",), edges=(issue_requests.Edge("demo-0"),), parent="demo-9",
        ),
        "One", priority=1, labels=["x"], depends_on=["demo-0"], parent="demo-9",
    ),
    _write(
        "update",
        issue_requests.Update(
            actor="ada", id="demo-1", fields=issue_requests.IssueFields(title="Two", notes=""), append_notes="n",
            add_labels=("a",), set_labels=(), parent="",
        ),
        "demo-1", title="Two", notes="", append_notes="n", add_labels=["a"], set_labels=[], parent="",
    ),
    _write("claim", issue_requests.Update(actor="ada", id="demo-1", claim=True), "demo-1"),
    _write("claim", issue_requests.Update(actor="ada", id="demo-1", claim=True, ttl_ms=1500), "demo-1", ttl_s=1.5),
    _write("unclaim", claim_requests.Unclaim(actor="ada", id="demo-1"), "demo-1"),
    _write("unclaim", claim_requests.Unclaim(actor="ada", id="demo-1", if_holder="bob"), "demo-1", if_holder="bob"),
    Case("heartbeat", ("demo-1",), {}, claim_requests.Heartbeat(actor="ada", id="demo-1"), [{"renewed": True}], 1),
    Case("heartbeat", (), {}, claim_requests.Heartbeat(actor="ada"), [{"renewed": False}], 0),
    _write("close", issue_requests.Close(actor="ada", id="demo-1", reason="done"), "demo-1", "done"),
    _write("close", issue_requests.Close(actor="ada", id="demo-1", force=True), "demo-1", force=True),
    _write("reopen", issue_requests.Reopen(actor="ada", id="demo-1", reason="no"), "demo-1", "no"),
    _write("delete", issue_requests.Delete(actor="ada", id="demo-1"), "demo-1"),
    _write("undelete", issue_requests.Undelete(actor="ada", id="demo-1"), "demo-1"),
    Case(
        "comment", ("demo-1", "Hi"), {}, issue_requests.AddComment(actor="ada", id="demo-1", text="Hi"),
        {"id": 7, "issue_id": "demo-1", "author": "ada", "text": "Hi", "created_at": "2026-01-01T00:00:00Z"},
        Comment(id=7, issue_id="demo-1", author="ada", text="Hi", created_at="2026-01-01T00:00:00Z"),
    ),
    Case(
        "depend", ("demo-1", "demo-2"), {},
        issue_requests.AddEdge(actor="ada", id="demo-1", edge=issue_requests.Edge("demo-2", "blocks")),
        {"issue_id": "demo-1", "depends_on_id": "demo-2", "type": "blocks", "created": False}, False,
    ),
    Case(
        "undepend", ("demo-1", "demo-2"), {}, issue_requests.RemoveEdge(actor="ada", id="demo-1", to="demo-2"),
        {"issue_id": "demo-1", "depends_on_id": "demo-2", "removed": 2}, 2,
    ),
    Case("show", ("demo-1",), {}, issue_requests.Show(ids=("demo-1",)), [DOCUMENT], ISSUE),
    Case(
        "list", (), {"status": "closed", "sort": "closed", "limit": 5},
        issue_requests.ListIssues(filter=Filter(projects=("demo",), statuses=("closed",)), sort="closed", limit=5),
        PAGE, ISSUES,
    ),
    Case("list", (), {"status": "all"}, issue_requests.ListIssues(filter=HERE, all=True), PAGE, ISSUES),
    Case(
        "search", ("log",), {"limit": 2},
        issue_requests.ListIssues(filter=Filter(projects=("demo",), title_or_id="log"), limit=2), PAGE, ISSUES,
    ),
    Case(
        "ready", (), {"issue_type": "bug", "priority": 0, "all_projects": True},
        issue_requests.Ready(filter=Filter(types=("bug",), priorities=(0,))), PAGE, ISSUES,
    ),
    Case("blocked", (), {"limit": 3}, issue_requests.Blocked(filter=HERE, limit=3), PAGE, ISSUES),
    Case(
        "remember", ("build", "use make"), {},
        memory_requests.Remember(actor="ada", project="demo", plane=PLANE, key="build", text="use make"),
        {"key": "build", "text": "use make", "created": True}, None,
    ),
    Case(
        "forget", ("build",), {}, memory_requests.Forget(actor="ada", project="demo", plane=PLANE, key="build"),
        {"key": "build", "text": "use make"}, None,
    ),
    Case(
        "memories", ("make",), {}, memory_requests.Memories(project="demo", plane=PLANE, search="make"),
        [{"key": "build", "text": "use make", "updated_at": 5, "foreign": True, "conflict": False}],
        (Memory(key="build", text="use make", updated_at=5, foreign=True),),
    ),
    Case("children", ("demo-1",), {}, issue_requests.Children(id="demo-1"), PAGE, ISSUES),
    Case(
        "stats", (), {}, issue_requests.Stats(projects=("demo",)), {"total": 3, "lead_time_hours": 1},
        Stats(total=3, lead_time_hours=1.0),
    ),
]  # fmt: skip
"""Every verb, called from the workspace that `town` gives, as `ada`."""


class Town(NamedTuple):
    """A daemon with a workspace in its project `demo`."""

    daemon: Daemon
    folder: Path
    asked: list[Request[Any]]
    """Every request, but for the workspace's."""

    def answers(self, shape: type[Request[Any]], answer: Any) -> None:
        """Answer requests of a kind with a value, or with what a function makes of them."""

        def handle(request: Request[Any]) -> Any:
            self.asked.append(request)
            return answer(request) if callable(answer) else answer

        self.daemon.answers.quick[shape] = handle


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    """A daemon that knows the workspace of a folder, whose clients find it by themselves."""
    (folder / ".moot").mkdir()
    (folder / ".moot" / "workspace").write_text("w1\n")
    below = folder / "deep" / "below"
    below.mkdir(parents=True)
    with serving() as daemon:
        known = {"project": "demo", "folder": str(folder), "plane": PLANE}
        daemon.answers.quick[issue_requests.WorkspaceInfo] = lambda request: (
            known if request.workspace == "w1" else None
        )
        yield Town(daemon, below, [])


def losing_first(town: Town, shape: type[Request[Any]], answer: Any) -> None:
    """Lose the connection of the first request of a kind before it is answered; answer the second."""
    lost = threading.Event()

    async def handle(request: Request[Any]) -> Any:
        town.asked.append(request)
        if not lost.is_set():
            lost.set()
            for connection in list(town.daemon.server.connections):
                connection.abort()
        return answer

    town.daemon.answers.slow[shape] = handle
