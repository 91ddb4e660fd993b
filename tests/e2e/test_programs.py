"""Programs at work with the real daemon: the examples of the Python page, and an agent's MCP client over stdio."""

import asyncio
import doctest
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, types
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import AnyUrl

from moot_testkit.control import PATIENCE
from moot_testkit.machine import BIN, Machine, machine

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def town() -> Iterator[Machine]:
    with machine() as made:
        made.ok("init", "--prefix", "demo")
        yield made


def test_every_example_of_the_python_page_does_what_it_says(
    town: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in town.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(town.folder)
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
        (claimed,) = await one.issues("claim")
        assert (claimed["id"], claimed["assignee"]) == (made["id"], "ada/agent-1")
        async with asyncio.timeout(PATIENCE):
            assert await one.changed.get() == str(uri)
        await one.session.unsubscribe_resource(uri)

        lost = await one.call("claim", id=theirs)
        assert lost.isError
        by_the_command_line = town.run("--actor", "ada/agent-1", "update", theirs, "--claim", "--json")
        assert lost.structuredContent == json.loads(by_the_command_line.stdout)

        town.kill(town.start())
        (content,) = (await one.session.read_resource(uri)).contents
        assert isinstance(content, types.TextResourceContents)
        assert "Why" in content.text
        await one.issues("close", ids=[made["id"]], reason="sealed")
    (shown,) = town.json("show", made["id"])
    assert (shown["status"], shown["close_reason"], shown["assignee"]) == ("closed", "sealed", "ada/agent-1")
