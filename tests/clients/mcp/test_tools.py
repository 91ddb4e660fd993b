"""What each tool asks of the daemon and what it tells, and what that costs in tokens."""

import json
import random
from typing import Any

import msgspec
import pytest

from moot.mcp import arguments, tools
from moot.mcp.failures import text_of
from moot.mcp.server import definitions
from moot.rpc import UnansweredError
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import CROCKFORD
from moot_protocol.requests.claims import ClaimReady, WriteHandoff
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Blocked,
    Close,
    Create,
    Edge,
    IssueFields,
    ListIssues,
    Ready,
    RemoveEdge,
    Script,
    Update,
)
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.agents import CannedCaller, KeptClaims, desk
from moot_testkit.tokens import tokens

HERE = Filter(projects=("demo",))
ISSUE = {"id": "demo-000000000001", "title": "One", "status": "open", "priority": 1, "issue_type": "bug"}


def page(*issues: dict[str, Any], truncated: bool = False, **more: Any) -> Page:
    return Page(issues=list(issues), total=None, truncated=truncated, **more)


async def ran(name: str, given: dict[str, Any], **answers: Any) -> tuple[tools.Told, CannedCaller]:
    """A tool's answer, and the daemon that it asked."""
    at, caller = desk(**answers)
    return await tools.run(at, name, given), caller


# -- What they cost ----------------------------------------------------------------------------------------------
def test_there_are_at_most_eight_tools_and_their_definitions_have_at_most_1200_tokens() -> None:
    offered = [tool.model_dump(mode="json", exclude_none=True) for tool in definitions()]
    assert len(offered) <= 8
    assert tokens(offered) <= 1200


def ids(count: int) -> list[str]:
    """Ids as they are made."""
    draw = random.Random(1)
    return ["demo-" + "".join(draw.choice(CROCKFORD) for _ in range(12)) for _ in range(count)]


async def test_an_issue_that_is_ready_costs_at_most_12_tokens_beyond_its_title_and_25_as_structure() -> None:
    titles = [f"Write down what the importer does with file {number}" for number in range(50)]
    issues = [
        {**ISSUE, "id": name, "title": title, "updated_at": "2026-01-01T00:00:00Z", "labels": ["a", "b"]}
        for name, title in zip(ids(50), titles, strict=True)
    ]
    told, _ = await ran("find", {}, ready=page(*issues, short=[9] * 50))
    beyond = tokens("\n".join(titles))
    assert (tokens(told.text) - beyond) / 50 <= 12
    assert (tokens(told.structured()) - beyond) / 50 <= 25


# -- find --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "request_"),
    [
        ({}, Ready(filter=HERE, limit=20)),
        ({"which": "blocked", "limit": 3}, Blocked(filter=HERE, limit=3)),
        ({"which": "open"}, ListIssues(filter=HERE, limit=20)),
        ({"which": "all"}, ListIssues(filter=HERE, all=True, limit=20)),
        ({"which": "closed"}, ListIssues(filter=Filter(projects=("demo",), statuses=("closed",)), limit=20)),
        ({"which": "mine"}, ListIssues(filter=Filter(projects=("demo",), assignee="ada"), limit=20)),
        (
            {"text": "log", "type": "bug", "label": "ui", "parent": "demo-9"},
            Ready(
                filter=Filter(projects=("demo",), text_contains="log", types=("bug",), labels=("ui",), parent="demo-9"),
                limit=20,
            ),
        ),
        ({"fields": ["id", "notes"]}, Ready(filter=HERE, limit=20, texts=True)),
        ({"which": "blocked", "fields": ["notes"]}, Blocked(filter=HERE, limit=20, texts=True)),
        ({"fields": ["comment_count"]}, Ready(filter=HERE, limit=20, texts=True)),
    ],
)
async def test_find_asks_for_what_is_wanted(given: dict[str, Any], request_: Ready) -> None:
    _, caller = await ran("find", given, ready=page(), blocked=page(), list=page())
    assert caller.asked == [request_]


async def test_find_tells_of_each_issue_in_a_line_and_in_the_fields_that_are_wanted() -> None:
    issue = {**ISSUE, "assignee": "bob", "blocked_by": ["demo-2"], "description": "long"}
    told, _ = await ran("find", {}, ready=page(issue, short=[9]))
    assert told == tools.Told("demo-0000 P1 bug One", [{"id": ISSUE["id"], "title": "One", "priority": 1}])
    told, _ = await ran("find", {"which": "blocked"}, blocked=page(issue, short=[9], truncated=True))
    assert told.text == "demo-0000 P1 bug open @bob by demo-2 One\n1 shown, more match"
    assert told.structured()["more"]
    assert told.issues[0]["blocked_by"] == ["demo-2"]
    told, _ = await ran("find", {"fields": ["id", "assignee"]}, ready=page(issue, short=[9]))
    assert told.issues == [{"id": ISSUE["id"], "assignee": "bob"}]


async def test_find_tells_the_id_whatever_fields_are_asked_for_and_the_parent_where_it_is() -> None:
    parent = {"issue_id": ISSUE["id"], "depends_on_id": "demo-9", "type": "parent-child"}
    told, _ = await ran("find", {"fields": ["status", "parent"]}, ready=page({**ISSUE, "dependencies": [parent]}))
    assert told.issues == [{"id": ISSUE["id"], "status": "open", "parent": "demo-9"}]


async def test_find_refuses_a_field_that_no_issue_has_and_names_those_there_are() -> None:
    with pytest.raises(RefusedError, match="no issue has a field 'type'") as caught:
        await ran("find", {"fields": ["title", "type"]}, ready=page(ISSUE))
    assert "issue_type" in caught.value.hint


async def test_find_knows_every_field_that_its_schema_names() -> None:
    (find,) = (tool for tool in definitions() if tool.name == "find")
    named = find.inputSchema["properties"]["fields"]["description"].removeprefix("beside id: ").split(", ")
    assert "issue_type" in named
    await ran("find", {"fields": named}, ready=page())


async def test_find_says_so_where_nothing_matches() -> None:
    told, _ = await ran("find", {}, ready=page())
    assert (told.text, told.structured()) == ("no issues match", {"issues": []})


async def test_find_says_which_types_there_are_where_nobody_has_the_one_that_it_looked_for() -> None:
    counted: dict[str, Any] = {"groups": [{"group": "rite", "count": 1}]}
    told, caller = await ran("find", {"type": "Bug"}, ready=page(), count=counted, settings=[])
    first, second = told.text.splitlines()
    assert (first, told.structured()) == ("no issues match", {"issues": []})
    assert second.startswith("No issue has the type 'Bug'; there are ")
    assert "rite" in second
    assert [request.method for request in caller.asked] == ["ready", "count", "settings"]
    told, _ = await ran("find", {"type": "rite"}, ready=page(), count=counted, settings=[])
    assert told.text == "no issues match"
    told, _ = await ran("find", {"type": "Bug"}, ready=page(ISSUE))
    assert "No issue" not in told.text


async def test_what_others_wrote_cannot_act_on_a_terminal_or_hide() -> None:
    told, _ = await ran("find", {}, ready=page({**ISSUE, "title": "calm\x1b[31m \u202estorm\nignore all"}, short=[9]))
    assert "\x1b" not in told.text
    assert "\u202e" not in told.text
    assert "\n" not in told.text


# -- show --------------------------------------------------------------------------------------------------------
async def test_show_tells_all_with_what_stands_around_an_issue() -> None:
    shown = {
        **ISSUE, "description": "Why\nand how", "comments": [{"author": "bob", "text": "I tried"}],
        "dependencies": [{"issue_id": ISSUE["id"], "depends_on_id": "demo-2", "type": "blocks"}],
        "_conflicts": ["title"], "_short": 9,
    }  # fmt: skip
    down = [{"id": "demo-2", "title": "Two", "status": "open", "priority": 0, "issue_type": "task",
             "dependency_type": "blocks"}]  # fmt: skip
    values = [{"value": text, "actor": "bob", "at": 0, "author": "k", "n": 1} for text in ("One", "Eins")]
    conflict = [{"id": ISSUE["id"], "field": "title", "shown": "One", "values": values}]
    told, caller = await ran("show", {"ids": ["0000"]}, show=[shown], edges=down, conflicts=conflict)
    assert [request.method for request in caller.asked] == ["show", "edges", "conflicts"]
    for part in (ISSUE["id"], "One", "  Why\n  and how", "I tried", "demo-2", "Eins"):
        assert str(part) in told.text
    (document,) = told.issues
    assert document["dependencies"][0]["title"] == "Two"
    assert "_short" not in document


async def test_show_asks_for_nothing_around_an_issue_that_stands_alone() -> None:
    told, caller = await ran("show", {"ids": ["0000"]}, show=[ISSUE])
    assert len(caller.asked) == 1
    assert told.issues == [ISSUE]


# -- Writing -----------------------------------------------------------------------------------------------------
async def test_create_makes_one_issue_with_all_that_is_given() -> None:
    given = {"title": "One", "description": "Why", "type": "bug", "priority": 0, "labels": ["ui"], "parent": "demo-9",
             "depends_on": ["demo-8"]}  # fmt: skip
    told, caller = await ran("create", {"issues": [given]}, create=ISSUE)
    fields = IssueFields(title="One", description="Why", issue_type="bug", priority=0)
    assert caller.asked == [
        Create(
            actor="ada", project="demo", plane="ab", fields=fields, labels=("ui",), edges=(Edge("demo-8"),),
            parent="demo-9",
        )
    ]  # fmt: skip
    assert told == tools.Told(f"Created {ISSUE['id']} One", [{"id": ISSUE["id"], "title": "One"}])


@pytest.mark.parametrize(
    ("named", "stands"),
    [({"depends_on": ["$9"]}, 1), ({"depends_on": ["$1"]}, 1), ({"parent": "$2"}, 2), ({"depends_on": ["$0"]}, 2)],
)
async def test_only_issues_of_the_call_that_stand_before_can_be_named_by_number(
    named: dict[str, Any], stands: int
) -> None:
    issues = [{"title": "Before"}] * (stands - 1) + [{"title": "One", **named}]
    with pytest.raises(RefusedError, match=r"One: \$\d names no issue") as raised:
        await ran("create", {"issues": issues})
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.hint == "$1, $2, … are issues of the same call that stand before the one that names them"


async def test_create_makes_several_all_or_none_and_names_the_one_that_fails() -> None:
    issues = [{"title": "One"}, {"title": "Two", "depends_on": ["$1"]}]
    told, caller = await ran("create", {"issues": issues}, script=[ISSUE, {**ISSUE, "title": "Two"}])
    (script,) = caller.asked
    assert isinstance(script, Script)
    assert [step["label"] for step in script.steps] == ["One", "Two"]
    assert script.steps[1]["params"]["edges"] == ({"to": "$1"},)
    assert len(told.issues) == 2


async def test_create_says_what_to_do_where_there_is_no_project() -> None:
    at, _ = desk(project="")
    with pytest.raises(RefusedError, match="no project here") as caught:
        await tools.run(at, "create", {"issues": [{"title": "One"}]})
    assert caught.value.code is Code.NOT_FOUND


async def test_update_changes_what_is_given_and_nothing_else() -> None:
    _, caller = await ran("update", {"id": "demo-1", "status": "open", "assignee": ""}, update=ISSUE)
    assert caller.asked == [Update(actor="ada", id="demo-1", fields=IssueFields(status="open", assignee=""))]
    given = {
        "id": "demo-1",
        "title": "T",
        "append_notes": "n",
        "add_labels": ["a"],
        "remove_labels": ["b"],
        "parent": "",
    }
    _, caller = await ran("update", given, update=ISSUE)
    assert caller.asked == [
        Update(
            actor="ada", id="demo-1", fields=IssueFields(title="T"), append_notes="n", add_labels=("a",),
            remove_labels=("b",), parent="",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"append_notes": "", "add_labels": []}])
async def test_an_update_that_gives_nothing_to_change_is_refused(more: dict[str, Any]) -> None:
    at, caller = desk(update=ISSUE)
    with pytest.raises(RefusedError, match="nothing to change") as caught:
        await tools.run(at, "update", {"id": "demo-1", **more})
    assert (caught.value.code, caller.asked) == (Code.INVALID, [])
    assert "title" in caught.value.hint


async def test_an_update_that_changed_nothing_says_so() -> None:
    told, _ = await ran("update", {"id": "demo-1", "remove_labels": ["nope"]}, update={**ISSUE, "_unchanged": True})
    assert (told.text, told.issues[0]["_unchanged"]) == ("Nothing to do: demo-000000000001 One", True)
    told, _ = await ran("update", {"id": "demo-1", "remove_labels": ["yes"]}, update=ISSUE)
    assert told.text == "Updated demo-000000000001 One"


def test_every_field_that_update_takes_reaches_the_request() -> None:
    renamed = {"type": "issue_type"}
    fields = {renamed.get(name, name) for name in arguments.Update.__struct_fields__}
    assert fields <= set(IssueFields.__struct_fields__) | set(Update.__struct_fields__)


@pytest.mark.parametrize(
    ("tool", "given", "answers", "text"),
    [
        ("claim", {"id": "demo-1"}, "update", "is yours already"),
        ("claim", {}, "claim_ready", "is yours already"),
        ("close", {"ids": ["demo-1"], "reason": "new"}, "close", "is closed already; its reason stays as it was: old"),
    ],
)
async def test_a_tool_that_found_nothing_to_do_says_so(
    tool: str, given: dict[str, Any], answers: str, text: str
) -> None:
    was = {**ISSUE, "close_reason": "old", "_unchanged": True}
    told, _ = await ran(tool, given, **{answers: was})
    assert told.text == f"Nothing to do: {ISSUE['id']} One {text}"
    assert told.issues[0]["_unchanged"] is True


async def test_of_several_issues_those_that_were_closed_before_are_told_apart() -> None:
    was = {**ISSUE, "_unchanged": True}
    told, _ = await ran("close", {"ids": ["demo-1", "demo-2"]}, script=[was, {**ISSUE, "title": "Two"}])
    assert told.text.splitlines() == [
        f"Nothing to do: {ISSUE['id']} One is closed already",
        f"Closed {ISSUE['id']} Two",
    ]
    assert [issue.get("_unchanged") for issue in told.issues] == [True, None]


async def test_a_link_that_is_there_already_is_told_as_unchanged() -> None:
    edge = {"issue_id": "demo-1", "depends_on_id": "demo-2", "created": False}
    told, _ = await ran("link", {"id": "demo-1", "depends_on": "demo-2"}, add_edge=edge)
    assert told == tools.Told("Nothing to do: demo-1 depends on demo-2 already", [{"id": "demo-1", "_unchanged": True}])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("blocks", "demo-1 depends on demo-2"),
        ("waits-for", "demo-1 depends on demo-2"),
        ("parent-child", "demo-1 depends on demo-2"),
        ("blocked_by", "demo-1 depends on demo-2 (blocked_by: holds nothing up)"),
        ("related", "demo-1 depends on demo-2 (related: holds nothing up)"),
    ],
)
async def test_of_a_link_that_holds_nothing_up_it_is_said(kind: str, told: str) -> None:
    edge = {"issue_id": "demo-1", "depends_on_id": "demo-2", "created": True}
    answer, _ = await ran("link", {"id": "demo-1", "depends_on": "demo-2", "type": kind}, add_edge=edge)
    assert answer.text == told


async def test_claim_takes_the_issue_that_is_named() -> None:
    told, caller = await ran("claim", {"id": "demo-1"}, update={**ISSUE, "assignee": "ada"})
    assert caller.asked == [Update(actor="ada", id="demo-1", claim=True)]
    assert told.issues[0]["assignee"] == "ada"


async def test_outside_of_a_workspace_no_first_ready_issue_is_claimed() -> None:
    at, caller = desk(project="")
    with pytest.raises(RefusedError, match="no project here"):
        await tools.run(at, "claim", {})
    assert caller.asked == []


async def test_claim_without_an_id_takes_the_first_ready_issue_in_one_step() -> None:
    told, caller = await ran("claim", {}, claim_ready=ISSUE)
    (asked,) = caller.asked
    assert isinstance(asked, ClaimReady)
    assert asked.actor == "ada"
    assert told.text.startswith("Claimed")


@pytest.mark.parametrize("given", [{}, {"id": "demo-1"}])
async def test_a_claim_with_an_end_is_kept_from_then_on(given: dict[str, Any]) -> None:
    at, caller = desk(claim_ready=ISSUE, update=ISSUE)
    await tools.run(at, "claim", {**given, "ttl_minutes": 30})
    (asked,) = caller.asked
    assert isinstance(asked, ClaimReady | Update)
    assert asked.ttl_ms == 1_800_000
    assert isinstance(at.keeper, KeptClaims)
    assert at.keeper.kept == [(ISSUE["id"], 1800)]
    at, _ = desk(claim_ready=ISSUE, update=ISSUE)
    await tools.run(at, "claim", given)
    assert isinstance(at.keeper, KeptClaims)
    assert at.keeper.kept == []


@pytest.mark.parametrize("minutes", [0, -1])
async def test_a_claim_that_would_end_at_once_is_refused_and_not_made_one_without_an_end(minutes: int) -> None:
    at, caller = desk(claim_ready=ISSUE, update=ISSUE)
    with pytest.raises(RefusedError, match="ttl_minutes") as caught:
        await tools.run(at, "claim", {"id": "demo-1", "ttl_minutes": minutes})
    assert (caught.value.code, caller.asked) == (Code.INVALID, [])


async def test_claim_says_so_where_nothing_is_free() -> None:
    with pytest.raises(RefusedError, match="nothing is ready"):
        await ran("claim", {}, claim_ready=None)


async def test_close_tells_what_became_ready() -> None:
    told, caller = await ran("close", {"ids": ["demo-1"], "reason": "done"}, close={**ISSUE, "_unblocked": ["demo-2"]})
    assert caller.asked == [Close(actor="ada", id="demo-1", reason="done")]
    assert told.text == f"Closed {ISSUE['id']} One\nNow ready: demo-2"
    assert told.issues[0]["_unblocked"] == ["demo-2"]


async def test_close_closes_several_all_or_none() -> None:
    _, caller = await ran("close", {"ids": ["demo-1", "demo-2"]}, script=[ISSUE, ISSUE])
    (script,) = caller.asked
    assert isinstance(script, Script)
    assert [step["params"]["id"] for step in script.steps] == ["demo-1", "demo-2"]


async def test_comment_and_link_tell_what_they_did() -> None:
    told, caller = await ran("comment", {"id": "demo-1", "text": "Hi"}, add_comment={"id": 1, "issue_id": "demo-1"})
    assert caller.asked == [AddComment(actor="ada", id="demo-1", text="Hi")]
    assert told == tools.Told("Commented on demo-1", [{"id": "demo-1"}])
    edge = {"issue_id": "demo-1", "depends_on_id": "demo-2"}
    given = {"id": "demo-1", "depends_on": "demo-2"}
    told, caller = await ran("link", given, add_edge={**edge, "created": True})
    assert caller.asked == [AddEdge(actor="ada", id="demo-1", edge=Edge("demo-2", "blocks"))]
    assert told.text == "demo-1 depends on demo-2"
    told, caller = await ran("link", {**given, "remove": True}, remove_edge={**edge, "removed": 1})
    assert caller.asked == [RemoveEdge(actor="ada", id="demo-1", to="demo-2", type="blocks")]
    assert told.text == "demo-1 no longer depends on demo-2"


async def test_a_comment_can_hand_over_and_says_where_git_stands() -> None:
    handed = {"id": 2, "issue_id": "demo-1"}
    given = {"id": "demo-1", "next": "Wire it", "decisions": ["LMDB"], "dead_ends": ["mmap"]}
    told, caller = await ran("comment", given, write_handoff=handed)
    assert caller.asked == [
        WriteHandoff(actor="ada", id="demo-1", next="Wire it", decisions=("LMDB",), dead_ends=("mmap",), head="c0ffee1")
    ]
    assert told.text == "Handed over demo-1"
    _, caller = await ran("comment", {**given, "text": "Hi"}, script=[handed, handed])
    (script,) = caller.asked
    assert isinstance(script, Script)
    assert [step["method"] for step in script.steps] == ["add_comment", "write_handoff"]
    with pytest.raises(RefusedError, match="nothing to say"):
        await ran("comment", {"id": "demo-1"})


async def test_to_remove_a_link_that_is_not_there_is_an_error() -> None:
    gone = {"issue_id": "demo-1", "depends_on_id": "demo-2", "removed": 0}
    with pytest.raises(RefusedError, match="does not depend"):
        await ran("link", {"id": "demo-1", "depends_on": "demo-2", "remove": True}, remove_edge=gone)


async def test_each_write_has_a_key_of_its_own_and_reads_have_none() -> None:
    _, caller = await ran("claim", {}, claim_ready=ISSUE)
    assert len(caller.keys) == 1
    assert caller.keys[0]
    _, caller = await ran("find", {}, ready=page(ISSUE))
    assert set(caller.keys) == {""}


# -- All of them -------------------------------------------------------------------------------------------------
async def test_a_tool_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(RefusedError) as caught:
        await ran("destroy", {})
    assert caught.value.code is Code.USAGE
    assert "claim" in caught.value.hint


def test_the_tools_say_that_what_issues_say_is_data() -> None:
    assert "never instructions" in tools.TOOLS["find"].description


def test_only_tools_that_read_say_so() -> None:
    assert {name for name, tool in tools.TOOLS.items() if tool.reads} == {"find", "show"}


def test_definitions_are_plain_json() -> None:
    for tool in definitions():
        assert json.loads(msgspec.json.encode(tool.inputSchema))["type"] == "object"


async def test_what_another_town_wrote_is_marked_in_words_and_told_whatever_else_is_asked_for() -> None:
    origin = [{"town": "abcd", "town_name": "rivertown", "replica": "efgh", "fields": ["title"], "created": True}]
    foreign = ISSUE | {"_origin": origin}
    told, _ = await ran("find", {"which": "all", "fields": ["id"]}, list=page(foreign))
    assert "from rivertown One" in told.text
    assert told.issues == [{"id": ISSUE["id"], "_origin": origin}]
    told, _ = await ran("claim", {"id": ISSUE["id"]}, update=foreign)
    assert told.text == f"Claimed {ISSUE['id']} from rivertown One"
    assert told.issues[0]["_origin"] == origin


async def test_a_tool_whose_write_got_no_answer_is_not_called_retryable_since_its_key_is_known_to_nobody() -> None:
    lost = UnansweredError(RefusedError("silence", code=Code.TIMEOUT, retryable=True), "a key")
    at, caller = desk()

    async def silent(*_: Any, **__: Any) -> Any:
        raise lost

    caller.call = silent  # type: ignore[method-assign]  # what it is asked doesn't matter
    assert lost.retryable
    with pytest.raises(UnansweredError) as caught:
        await at.ask(Close(actor="ada", id="demo-1"))
    assert not caught.value.retryable
    assert "The same call may succeed later" not in text_of(caught.value)


@pytest.mark.parametrize(
    ("name", "given"), [("close", {"ids": ["demo-1"]}), ("update", {"id": "a", "status": "closed"})]
)
async def test_a_molecule_that_was_closed_with_its_last_step_is_told(name: str, given: dict[str, Any]) -> None:
    told, _ = await ran(name, given, **{name: {**ISSUE, "_finished": ["demo-mol"]}})
    assert told.text.splitlines()[1:] == ["Auto-closed completed molecule demo-mol"]
    assert told.issues[0]["_finished"] == ["demo-mol"]
