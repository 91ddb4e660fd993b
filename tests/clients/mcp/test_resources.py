"""Resources: which there are, and what they say."""

import pytest

from moot.mcp import resources
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Page
from moot_protocol.requests.memories import Prime
from moot_testkit.clients.agents import desk

ISSUE = {"id": "demo-1", "title": "One", "status": "open", "priority": 1, "issue_type": "bug"}
PAGE = Page(issues=[ISSUE], total=1, truncated=False, short=[6])


async def test_what_to_know_what_is_ready_and_the_issues_that_are_open_are_offered() -> None:
    at, _ = desk(list=PAGE)
    uris = [resource.uri for resource in await resources.offered(at)]
    assert uris == ["moot://prime", "moot://ready", "moot://issue/demo-1"]


async def test_what_to_know_first_is_told_as_prime_tells_it() -> None:
    memories = [{"key": "build", "text": "use make"}]
    nothing = {"claimed": [], "ready": [], "ready_total": 0, "foreign": {"memories": 0, "issues": 0}}
    at, caller = desk(prime={"memories": memories, **nothing})
    assert "use make" in await resources.read(at, "moot://prime")
    assert caller.asked == [Prime(project="demo", plane="ab", actor="ada")]
    nowhere, _ = desk(project="")
    with pytest.raises(RefusedError, match="no project here"):
        await resources.read(nowhere, "moot://prime")


async def test_an_issue_is_read_in_full_and_the_list_as_lines() -> None:
    at, caller = desk(show=[{**ISSUE, "description": "Why"}], ready=PAGE)
    assert "Why" in await resources.read(at, "moot://issue/demo-1")
    assert await resources.read(at, "moot://ready") == "demo-1 P1 bug One"
    assert caller.asked[0].method == "show"


async def test_a_resource_by_the_start_of_an_id_is_the_issue_it_names() -> None:
    at, _ = desk(resolve_ids=["demo-1234"])
    assert await resources.entity_of(at, "moot://issue/1234") == "demo-1234"
    assert await resources.entity_of(at, "moot://ready") == resources.ANY
    assert await resources.entity_of(at, "moot://prime") == resources.ANY


@pytest.mark.parametrize("uri", ["moot://issue/", "moot://other", "file:///etc/passwd", "moot://issue"])
async def test_what_is_no_resource_is_not_found(uri: str) -> None:
    at, caller = desk()
    with pytest.raises(RefusedError) as caught:
        await resources.read(at, uri)
    assert caught.value.code is Code.NOT_FOUND
    assert not caller.asked
