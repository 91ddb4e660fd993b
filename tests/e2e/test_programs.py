"""Programs around the real daemon: the Python page's examples, an agent's MCP client, shells that complete, and gh."""

import asyncio
import doctest
import json
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, types
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import AnyUrl

from moot_protocol.requests.gates import CreateGate
from moot_protocol.requests.issues import Show
from moot_testkit.clients.control import PATIENCE
from moot_testkit.machines.gh_program import install
from moot_testkit.machines.machine import BIN, PROJECT, Machine

DOCS = Path(__file__).parents[2] / "docs"


def test_every_example_of_the_python_page_does_what_it_says(
    own_town: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in own_town.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(own_town.folder)
    page = (DOCS / "python.md").read_text().replace("```python\n", "\n").replace("```\n", "\n")
    examples = doctest.DocTestParser().get_doctest(page, {}, "python.md", None, 0)
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert outcome.attempted > 20
    assert outcome.failed == 0, capsys.readouterr().out


class Agent:
    """One agent's session, and the resources that the server said have changed."""

    def __init__(self, session: ClientSession, changed: "asyncio.Queue[str]") -> None:
        self.session = session
        self.changed = changed

    async def call(self, tool: str, **arguments: Any) -> types.CallToolResult:
        return await self.session.call_tool(tool, arguments)

    async def issues(self, tool: str, **arguments: Any) -> list[dict[str, Any]]:
        """The issues that a call, which must succeed, answers with."""
        result = await self.call(tool, **arguments)
        assert not result.isError, result.content
        assert result.structuredContent
        found: list[dict[str, Any]] = result.structuredContent["issues"]
        return found


@asynccontextmanager
async def agent(town: Machine, name: str) -> AsyncIterator[Agent]:
    changed: asyncio.Queue[str] = asyncio.Queue()

    async def take(message: Any) -> None:
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ResourceUpdatedNotification
        ):
            changed.put_nowait(str(message.root.params.uri))

    arguments = ["--actor", name, "mcp"]
    server = StdioServerParameters(command=str(BIN / "moot"), args=arguments, env=town.environment, cwd=town.folder)
    async with stdio_client(server) as (read, write), ClientSession(read, write, message_handler=take) as session:
        await session.initialize()
        yield Agent(session, changed)


async def test_an_agent_finds_claims_and_closes_and_goes_on_after_a_lost_race_and_a_crash(town: Machine) -> None:
    theirs = town.ok("q", "Contended").strip()
    town.ok("update", theirs, "--claim", "--actor", "bob")
    async with agent(town, "ada/agent-1") as one:
        (made,) = await one.issues("create", issues=[{"title": "Seal keys", "description": "Why", "priority": 0}])
        uri = AnyUrl(f"moot://issue/{made['id']}")
        await one.session.subscribe_resource(uri)
        assert (await one.issues("find"))[0] == {"id": made["id"], "title": "Seal keys", "priority": 0}
        (claimed,) = await one.issues("claim", ttl_minutes=30)
        assert (claimed["id"], claimed["assignee"]) == (made["id"], "ada/agent-1")
        async with asyncio.timeout(PATIENCE):
            assert await one.changed.get() == str(uri)
        await one.session.unsubscribe_resource(uri)

        lost = await one.call("claim", id=theirs)
        assert lost.isError
        by_the_command_line = town.run("--actor", "ada/agent-1", "update", theirs, "--claim", "--json")
        told = json.loads(by_the_command_line.stdout)["error"]
        assert lost.structuredContent == {"error": told | {"hint": "find tells what is ready"}}

        await one.issues("comment", id=made["id"], next="Wire it up", decisions=["AES"])
        other = town.ok("q", "Taken away").strip()
        await one.issues("claim", id=other)
        town.ok("update", other, "--assignee", "bob")
        found = await one.call("find", which="mine")
        assert found.structuredContent
        assert found.structuredContent["lost"] == [{"id": other, "holder": "bob"}]
        assert [issue["id"] for issue in found.structuredContent["issues"]] == [made["id"]]

        town.kill(town.start())
        (content,) = (await one.session.read_resource(uri)).contents
        assert isinstance(content, types.TextResourceContents)
        assert "Why" in content.text
        assert "handed over Wire it up" in content.text
        assert "claim ends in" in content.text
        await one.issues("close", ids=[made["id"]], reason="sealed")
    (shown,) = town.json("show", made["id"])
    assert (shown["status"], shown["close_reason"], shown["assignee"]) == ("closed", "sealed", "ada/agent-1")


# -- Shells ----------------------------------------------------------------------------------------------------------
PROMPT = "here> "
TITLE = "Seal the keys"


def program(name: str) -> str:
    """Where a shell is; what it has to show is skipped, with a reason, where it isn't installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here, so completion in it is NOT TESTED: apt install {name}")
    return found


class Terminal:
    """A shell at a terminal of its own.

    Args:
        command: starts it.
        town: whose home and folder it works in.
        more: further variables of its environment.
    """

    def __init__(self, command: list[str], town: Machine, more: dict[str, str]) -> None:
        self._end, theirs = pty.openpty()
        environment = {**town.environment, **more, "TERM": "dumb"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=town.folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.said = ""

    def until(self, text: str) -> None:
        """Read until it has said a text that it had not said before."""
        before, deadline = len(self.said), time.monotonic() + PATIENCE
        while text not in self.said[before:]:
            ready, _, _ = select.select([self._end], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"it never said {text!r} but:\n{self.said}"
            self.said += os.read(self._end, 65536).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._end, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


@contextmanager
def terminal(shell: str, town: Machine, folder: Path) -> Iterator[Terminal]:
    """A shell whose user has put completion into its settings."""
    found = program(shell)
    rc = folder / f".{shell}rc"
    rc.write_text(f"PS1='{PROMPT}'\neval \"$(moot completion {shell})\"\n")
    started = {"bash": [found, "--noprofile", "--rcfile", str(rc), "-i"], "zsh": [found, "-d", "-i"]}[shell]
    opened = Terminal(started, town, {"ZDOTDIR": str(folder)})
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def issue(town: Machine) -> str:
    return town.ok("q", TITLE).strip()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_command_and_an_issue_are_completed_as_they_are_typed(
    shell: str, town: Machine, issue: str, tmp_path: Path
) -> None:
    with terminal(shell, town, tmp_path) as here:
        here.until(PROMPT)
        here.type(f"moot sho\t{issue[:8]}\t\n")
        here.until(TITLE)


def test_fish_offers_commands_with_what_they_do_and_issues_with_their_titles(town: Machine, issue: str) -> None:
    asked = f'moot completion fish | source; complete -C "moot sho"; complete -C "moot close {issue[:8]}"'
    done = subprocess.run(
        [program("fish"), "-N", "-c", asked],
        env=town.environment, cwd=town.folder, capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    offered = dict(line.split("\t", 1) for line in done.stdout.splitlines())
    assert offered["show"]
    assert offered[issue] == TITLE
    assert done.stderr == ""


# -- GitHub ----------------------------------------------------------------------------------------------------------
RUNS: list[dict[str, Any]] = [
    {"databaseId": 1001, "status": "in_progress", "conclusion": "", "name": "ci", "headBranch": "main"},
    {"databaseId": 1002, "status": "completed", "conclusion": "success", "name": "ci", "headBranch": "main"},
    {"databaseId": 1003, "status": "completed", "conclusion": "timed_out", "name": "ci", "headBranch": "main"},
]
PULLS: list[dict[str, Any]] = [
    {"number": 7, "state": "OPEN", "mergedAt": None, "title": "Seven"},
    {"number": 8, "state": "MERGED", "mergedAt": "2026-01-31T12:00:00Z", "title": "Eight"},
    {"number": 9, "state": "CLOSED", "mergedAt": None, "title": "Nine"},
]
EXPECTED = {
    "1001": "pending", "1002": "resolved", "1003": "failed", "1004": "error",
    "7": "pending", "8": "resolved", "9": "failed", "10": "error",
}  # fmt: skip
"""What is waited for → what comes of looking."""


def gates(town: Machine) -> dict[str, str]:
    """A gate for each of what is expected, by its id; the issue `demo-waits` waits for the run that succeeded."""
    made = {}
    with town.client() as client:
        for awaited in EXPECTED:
            kind = "gh:run" if len(awaited) == 4 else "gh:pr"
            blocks = (f"{PROJECT}-waits",) if awaited == "1002" else ()
            gate = CreateGate(actor="ada", project=PROJECT, await_type=kind, await_id=awaited, blocks=blocks)
            made[client.call(gate)["id"]] = awaited
    return made


def test_runs_and_pull_requests_are_asked_of_gh_and_what_ended_well_lets_issues_go_on(
    town: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(town.environment, "PATH", f"{town.home / 'bin'}:{town.environment['PATH']}")
    calls = install(town.home / "bin", {"runs": RUNS, "pulls": PULLS})
    town.ok("create", "Waits", "--id", f"{PROJECT}-waits")
    made = gates(town)
    assert f"{PROJECT}-waits" in {issue["id"] for issue in town.json("blocked")}
    checked = town.json("gate", "check", "--escalate")
    assert {made[gate["id"]]: gate["result"] for gate in checked["gates"]} == EXPECTED
    reasons = {made[gate["id"]]: gate["reason"] for gate in checked["gates"]}
    assert "HTTP 404" in reasons["1004"]
    assert "Could not resolve" in reasons["10"]
    asked = [json.loads(line) for line in calls.read_text().splitlines()]
    assert sorted((words[0], words[2]) for words in asked) == sorted(
        ("run" if len(name) == 4 else "pr", name) for name in EXPECTED
    )
    assert f"{PROJECT}-waits" in {issue["id"] for issue in town.json("ready")}
    with town.client() as client:
        labels = {made[issue["id"]]: issue.get("labels") for issue in client.call(Show(ids=tuple(made)))}
    assert {name for name, each in labels.items() if each} == {"1003", "9"}, "those that failed are before a human"

    install(town.home / "bin", {"logged_in": False})
    checked = town.json("gate", "check")
    assert {gate["result"] for gate in checked["gates"]} == {"error"}, "whatever it was before"
    assert all("gh auth login" in gate["reason"] for gate in checked["gates"])
