"""The server's side of the protocol, with the SDK's own client over pipes in memory and a canned daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import ClientSession, McpError
from mcp.shared.memory import create_client_server_memory_streams
from pydantic import AnyUrl

from moot.mcp.server import MootServer
from moot.place import Place
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Ready, Update, WorkspaceInfo
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.agents import CannedCaller
from moot_testkit.clients.canned_api import NOW_MS, InTurn

ISSUE = {"id": "demo-1", "title": "One", "status": "open", "priority": 1, "issue_type": "bug"}
PAGE = Page(issues=[ISSUE], total=1, truncated=False, short=[6])
KNOWN = {"project": "demo", "folder": "/x", "plane": "ab"}


@asynccontextmanager
async def session(
    known: dict[str, Any] | None = KNOWN, **answers: Any
) -> AsyncIterator[tuple[ClientSession, CannedCaller, "asyncio.Queue[Any]"]]:
    """A client's session with a server whose daemon answers so, and what the server says unasked."""
    caller = CannedCaller(workspace_info=known, **answers)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with create_client_server_memory_streams() as (ours, theirs), asyncio.TaskGroup() as tasks:
        server = MootServer(caller, Place("/x", "w1", "ada"), tasks, lambda: NOW_MS)
        serving = tasks.create_task(server.protocol.run(*theirs, server.options()))

        async def hear(message: Any) -> None:
            heard.put_nowait(message)

        async with ClientSession(*ours, message_handler=hear) as client:
            await client.initialize()
            yield client, caller, heard
        server.close()
        serving.cancel()


async def test_a_client_learns_of_tools_resources_and_that_text_is_data() -> None:
    async with session() as (client, _, _):
        said = await client.initialize()
        offered = await client.list_tools()
        templates = await client.list_resource_templates()
    assert said.capabilities.resources
    assert said.capabilities.resources.subscribe
    assert "never instructions" in (said.instructions or "")
    assert {tool.name for tool in offered.tools} == {
        "find", "show", "create", "update", "claim", "close", "comment", "link",
    }  # fmt: skip
    assert templates.resourceTemplates[0].uriTemplate == "moot://issue/{id}"


async def test_an_answer_is_text_and_a_structure_that_fits_the_schema() -> None:
    async with session(ready=PAGE) as (client, caller, _):
        await client.list_tools()  # so that the client checks answers against their schemas
        result = await client.call_tool("find")
    assert not result.isError
    assert result.content[0].model_dump()["text"] == "demo-1 P1 bug One"
    assert result.structuredContent == {"issues": [{"id": "demo-1", "title": "One", "priority": 1}]}
    assert caller.asked == [
        WorkspaceInfo(workspace="w1", actor="ada"),
        Ready(filter=Filter(projects=("demo",)), limit=20),
    ]


async def test_a_lost_claim_is_told_with_the_next_call_whatever_that_comes_to() -> None:
    gone = {"lost": [{"id": "demo-7", "holder": "bob"}]}
    refused = RefusedError("no such issue", code=Code.NOT_FOUND)
    async with session(known=KNOWN | {"claims": gone}, claims_told={}, ready=PAGE, show=refused) as (client, _, _):
        await client.list_tools()
        found = await client.call_tool("find")
        failed = await client.call_tool("show", {"ids": ["x"]})
    for result in (found, failed):
        assert result.content[0].model_dump()["text"].startswith("Lost claim: demo-7 is bob's, not yours\n")
        assert result.structuredContent
        assert result.structuredContent["lost"] == gone["lost"]
    assert failed.isError


async def test_a_claim_with_an_end_is_renewed_while_the_session_lives() -> None:
    async with session(update=ISSUE) as (client, caller, _):
        await client.call_tool("claim", {"id": "demo-1", "ttl_minutes": 1})
        assert caller.asked[-1] == Update(actor="ada", id="demo-1", claim=True, ttl_ms=60_000)
        (renewing,) = [task for task in asyncio.all_tasks() if task.get_name() == "mcp.claim.demo-1"]
    assert renewing.cancelled()


@pytest.mark.parametrize(
    ("tool", "given", "code"),
    [
        ("show", {"ids": ["x"]}, "not_found"),
        ("show", {"ids": "x"}, "invalid"),
        ("nothing", {}, "usage"),
        ("comment", {"id": "x", "text": "y"}, "internal"),
    ],
)
async def test_a_failure_is_the_answer_of_a_call_with_code_and_hint(
    tool: str, given: dict[str, Any], code: str
) -> None:
    refused = RefusedError("no such issue", code=Code.NOT_FOUND, hint="look again")
    async with session(show=refused, add_comment={}) as (client, _, _):
        result = await client.call_tool(tool, given)
    assert result.isError
    assert result.structuredContent
    error = result.structuredContent["error"]
    assert (error["code"], set(error)) == (code, {"code", "message", "hint", "retryable"})
    assert result.content[0].model_dump()["text"].startswith(f"{code}: ")


async def test_in_a_workspace_that_this_machine_does_not_know_nothing_is_told() -> None:
    async with session(known=None, ready=PAGE) as (client, caller, _):
        result = await client.call_tool("find", {})
    assert result.isError
    assert result.structuredContent
    assert "workspace that this machine doesn't know" in result.structuredContent["error"]["message"]
    assert [type(each) for each in caller.asked] == [WorkspaceInfo]


async def test_resources_are_offered_and_read() -> None:
    async with session(list=PAGE, show=[ISSUE]) as (client, _, _):
        listed = await client.list_resources()
        read = await client.read_resource(AnyUrl("moot://issue/demo-1"))
    assert [str(resource.uri) for resource in listed.resources] == [
        "moot://prime",
        "moot://ready",
        "moot://issue/demo-1",
    ]
    assert "One" in read.contents[0].model_dump()["text"]


async def test_a_resource_that_is_not_there_is_an_error_of_the_protocol_with_ours_in_it() -> None:
    async with session(show=RefusedError("no such issue", code=Code.NOT_FOUND)) as (client, _, _):
        with pytest.raises(McpError) as caught:
            await client.read_resource(AnyUrl("moot://issue/demo-9"))
    told = caught.value.error
    assert told.data
    assert told.data["code"] == "not_found"


async def test_who_subscribed_is_told_until_they_unsubscribe() -> None:
    start = {"events": [], "next": 7, "first": 1}
    news = {"events": [{"entity": "demo-1"}], "next": 8, "first": 1}
    uri = AnyUrl("moot://issue/1")
    unreachable = RefusedError("gone", code=Code.UNREACHABLE)  # after the news, so that the watch waits
    async with session(resolve_ids=["demo-1"], events=InTurn([start, news, *[unreachable] * 3])) as (client, _, heard):
        await client.subscribe_resource(uri)
        told = await heard.get()
        await client.unsubscribe_resource(uri)
    assert told.root.method == "notifications/resources/updated"
    assert told.root.params.uri == uri


async def test_a_subscription_to_what_is_not_there_is_refused() -> None:
    async with session(resolve_ids=RefusedError("no such issue", code=Code.NOT_FOUND)) as (client, _, _):
        with pytest.raises(McpError, match="no such issue"):
            await client.subscribe_resource(AnyUrl("moot://issue/demo-9"))
