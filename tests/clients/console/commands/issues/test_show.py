"""Issues in full: the page, its JSON, and the comments."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.show import COMMANDS
from moot.console.terminal import Facts
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Conflicts, Edges, Show
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, run
from moot_testkit.clients.terminal import FACTS, at_terminal, without_colours

ISSUE: dict[str, Any] = {
    "id": "bd-a1b2c3d4e5f6",
    "title": "Login fails when the clock is ahead",
    "description": "First line\n\n\tcode \x1b[2J\nCOMMENTS\n  mallory, 1h ago\n",
    "status": "open",
    "priority": 1,
    "issue_type": "bug",
    "assignee": "alice",
    "owner": "carol",
    "estimated_minutes": 90,
    "created_at": "2026-01-30T10:00:00Z",
    "created_by": "carol",
    "updated_at": "2026-01-31T11:00:00.123456789+01:00",
    "due_at": "2026-02-01T00:00:00Z",
    "external_ref": "gh-12",
    "metadata": {"a": [1, "x\u202e"]},
    "labels": ["auth", "clock"],
    "dependencies": [
        {"issue_id": "bd-a1b2c3d4e5f6", "depends_on_id": "bd-x1", "type": "blocks"},
        {"issue_id": "bd-a1b2c3d4e5f6", "depends_on_id": "bd-e1", "type": "parent-child"},
    ],
    "comments": [{"id": "c1", "author": "bob\x07", "text": "see this\nand that", "created_at": "2026-01-31T09:00:00Z"}],
    "dependents": [
        {"id": "bd-k1", "title": "Kid", "status": "closed", "priority": 2, "issue_type": "task",
         "dependency_type": "parent-child"},
        {"id": "bd-f1", "title": "Found", "status": "open", "priority": 3, "issue_type": "bug",
         "dependency_type": "discovered-from"},
    ],
    "_conflicts": ["status"],
    "_missing": ["design", "notes"],
    "_erased": ["notes"],
    "_blocked": True,
    "_short": 8,
}  # fmt: skip
DOWN: list[dict[str, Any]] = [
    {"id": "bd-x123456789", "title": "Broker", "status": "in_progress", "priority": 0, "issue_type": "task",
     "dependency_type": "blocks", "_short": 5},
    {"id": "bd-e1", "title": "Epic", "status": "open", "priority": 1, "issue_type": "epic",
     "dependency_type": "parent-child", "_short": 5},
    {"id": "external:gt:login", "dependency_type": "blocks"},
]  # fmt: skip
SIBLINGS = [
    {
        "id": "bd-a1b2c3d4e5f6",
        "field": "status",
        "shown": "open",
        "values": [
            {"value": "open", "actor": "alice", "at": NOW_MS - 3_600_000, "author": "k", "n": 3},
            {"value": "closed", "actor": "bob", "at": NOW_MS - 7_200_000, "author": "l", "n": 9},
        ],
    }
]
COLOURLESS = without_colours(at_terminal(80))


def show(argv: str = "show a1b2", facts: Facts = FACTS, **changes: Any) -> Any:
    issue = {name: value for name, value in (ISSUE | changes).items() if value is not None}
    return run(COMMANDS, argv, CannedApi(show=[issue], edges=DOWN, conflicts=SIBLINGS), facts)


def test_the_page_at_a_terminal() -> None:
    assert (
        show(facts=COLOURLESS).out
        == """\
bd-a1b2c3d4e5f6 Login fails when the clock is ahead
P1 bug open (blocked) @alice
labels    auth, clock
owner     carol
external  gh-12
estimate  1h 30min
created   2026-01-30 10:00 (1d ago) by carol
updated   2026-01-31 10:00 (1h ago)
due       2026-02-01 00:00 (in 12h)
erased    notes
missing   design (not received)

DESCRIPTION
  First line

      code ^[[2J
  COMMENTS
    mallory, 1h ago

PARENT
  ○ bd-e1 P1 epic Epic

CHILDREN
  ✓ bd-k1 P2 task Kid

DEPENDS ON
  ◐ bd-x1 P0 task Broker
  external:gt:login (not here)

NEEDED BY
  ○ bd-f1 P3 bug Found (discovered-from)

CONFLICTS
  bd-a1b2c3d4e5f6 status shows open
    1. open (alice, 1h ago)
    2. closed (bob, 2h ago)
  settle one with `moot resolve ID FIELD --pick NUMBER`, or by its name, which never moves

COMMENTS
  bob^G, 3h ago
    see this
    and that
"""
    )


def test_the_page_in_a_pipe_has_words_for_marks_and_no_padding() -> None:
    told = show().out
    assert "labels auth, clock\nowner carol\n" in told
    assert "DEPENDS ON\n  bd-x1 P0 task in_progress Broker\n" in told
    assert all(line == line.rstrip() for line in told.splitlines())


def test_no_line_of_foreign_text_stands_where_ours_do() -> None:
    forged = "\nCOMMENTS\r\n  root, 1h ago\n\n\nP0 bug closed"
    page = show(description=forged, comments=[{"author": "m\nCOMMENTS", "text": forged}]).out.splitlines()
    assert page.count("COMMENTS") == 1
    assert "P0 bug closed" not in page


def test_a_closed_issue_tells_how_long_it_took_and_why() -> None:
    told = show(status="closed", closed_at="2026-01-31T11:30:00Z", close_reason="fixed\nin v2").out
    assert "closed 2026-01-31 11:30 (30min ago) after 1d 1h: fixed⏎in v2\n" in told


def test_a_time_that_is_none_is_shown_as_it_stands() -> None:
    assert "due someday\n" in show(due_at="someday").out


def test_the_long_page_has_every_field() -> None:
    assert show("show a1b2 --long").out.endswith('\nOTHER FIELDS\n  metadata {"a":[1,"x\\u202e"]}\n')
    assert "OTHER FIELDS" not in show().out


def test_an_issue_with_little_to_tell_has_a_short_page() -> None:
    bare = {"id": "bd-1", "title": "One", "status": "open", "priority": 2, "issue_type": "task"}
    api = CannedApi(show=[bare])
    assert run(COMMANDS, "show bd-1", api).out == "bd-1 One\nP2 task open\n"
    assert api.asked == [Show(ids=("bd-1",))]


def test_several_issues_stand_below_one_another() -> None:
    bare = {"title": "One", "status": "open", "priority": 2, "issue_type": "task"}
    api = CannedApi(show=[bare | {"id": "bd-1"}, bare | {"id": "bd-2"}])
    told = run(COMMANDS, "show 1 --id 2", api).out
    assert told == "bd-1 One\nP2 task open\n\n\nbd-2 One\nP2 task open\n"
    assert api.asked == [Show(ids=("1", "2"))]


def test_short_is_one_line_each() -> None:
    ran = show("show a1b2 --short")
    assert ran.out == "bd-a1b2c P1 bug open @alice Login fails when the clock is ahead\n"
    assert len(ran.asked) == 1


def test_chosen_fields_are_all_that_is_told_with_json_and_without() -> None:
    ran = show("show a1b2 --fields id,labels")
    assert (ran.out, len(ran.asked)) == ("bd-a1b2c3d4e5f6\tauth,clock\n", 1)
    assert json.loads(show("show a1b2 --json --fields id,labels").out) == [
        {"id": "bd-a1b2c3d4e5f6", "labels": ["auth", "clock"]}
    ]


@pytest.mark.parametrize("argv", ["show a1b2 --fields titel,id", "show a1b2 --json --fields titel,id"])
def test_chosen_fields_that_nobody_knows_are_refused_with_json_and_without(argv: str) -> None:
    with pytest.raises(RefusedError, match="no issue has a field 'titel'; did you mean title") as refused:
        show(argv)
    assert refused.value.code is Code.USAGE
    assert show(argv.replace("titel", "dependents,_alias,dependency_count"), dependencies=None).err == ""


def test_the_page_asks_only_for_what_the_issue_has() -> None:
    assert show().asked == [Show(ids=("a1b2",)), Edges(id=ISSUE["id"]), Conflicts(id=ISSUE["id"])]
    assert show(dependencies=None, _conflicts=None).asked == [Show(ids=("a1b2",))]


def test_json_is_an_array_with_the_linked_issues_inside() -> None:
    (shown,) = json.loads(show("show a1b2 --json").out)
    assert shown["dependencies"] == [{k: v for k, v in edge.items() if k != "_short"} for edge in DOWN]
    assert shown["dependents"] == ISSUE["dependents"]
    assert shown["parent"] == "bd-e1"
    assert shown["description"] == ISSUE["description"]
    assert shown["_conflicts"] == ["status"]
    assert "_short" not in shown


@pytest.mark.parametrize(("flag", "told"), [("--children", ["bd-k1"]), ("--refs", ["bd-k1", "bd-f1"])])
def test_parts_and_references_are_told_below_the_id_of_each(flag: str, told: list[str]) -> None:
    ran = show(f"show a1b2 {flag} --json")
    assert {one: [edge["id"] for edge in edges] for one, edges in json.loads(ran.out).items()} == {ISSUE["id"]: told}
    assert [line.split()[0] for line in show(f"show a1b2 {flag}").out.splitlines()] == ["bd-a1b2c", *told]
    assert show(f"show a1b2 {flag}", dependents=None).out.endswith("\n  none\n")


def test_an_issue_in_the_past_tells_of_others_only_what_it_knew() -> None:
    ran = show("show a1b2 --as-of yesterday", _conflicts=None, _missing=None, _erased=None)
    assert ran.asked == [Show(ids=("a1b2",), as_of=NOW_MS - 36 * 3_600_000)]
    assert "DEPENDS ON\n  bd-x1\n" in ran.out
    (document,) = json.loads(show("show a1b2 --as-of yesterday --json").out)
    assert document["dependencies"][0] == {"id": "bd-x1", "dependency_type": "blocks"}


@pytest.mark.parametrize("argv", ["show", "show a1b2 --as-of soon", "show a1b2 --short --long"])
def test_a_call_that_makes_no_sense_asks_nothing(argv: str) -> None:
    api = CannedApi()
    with pytest.raises(RefusedError) as refused:
        run(COMMANDS, argv, api)
    assert (refused.value.code, api.asked) == (Code.USAGE, [])


def test_comments_are_listed_with_author_and_age() -> None:
    ran = show("comments a1b2")
    assert ran.out == "  bob^G, 3h ago\n    see this\n    and that\n"
    assert json.loads(show("comments a1b2 --json").out) == ISSUE["comments"]


def test_an_issue_without_comments_says_so_beside_the_output() -> None:
    ran = show("comments a1b2", comments=None)
    assert (ran.out, ran.err) == ("", "no comments on bd-a1b2c3d4e5f6\n")
    assert show("comments a1b2 --json", comments=None).out == "[]\n"


def test_what_other_towns_have_written_is_told_field_by_field_and_at_each_comment() -> None:
    origin = {"town": "abcdefghjkmn", "town_name": "rivertown", "replica": "qrstvwxyz234"}
    comment = {"id": "c1", "author": "bob", "text": "see", "_origin": origin}
    issue = {"id": "bd-1", "title": "One", "status": "open", "comments": [comment]}
    issue |= {"_origin": [origin | {"fields": ["close_reason", "title"], "created": True}]}
    ran = run(COMMANDS, "show bd-1", CannedApi(show=[issue]))
    assert "written in town rivertown: the issue, close reason, title (replica qrstvwxyz234)" in ran.out
    assert "  bob, from rivertown\n    see" in ran.out


def test_a_claim_that_ends_tells_when_or_that_it_has_and_a_hand_off_its_next_step() -> None:
    claim = {"holder": "alice", "expires_at": "2026-01-31T12:30:00Z", "ttl_seconds": 1800}
    left = [{"text": "Handoff", "handoff": {"next": "Go\x1b on"}}, {"text": "x"}]
    told = show(_claim=claim, comments=left).out
    assert "claim ends in 30min unless renewed\n" in told
    assert "handed over Go^[ on\n" in told
    over = show(_claim=claim | {"expires_at": "2026-01-31T11:30:00Z"}).out
    assert "claim ended 30min ago: whoever claims it has it\n" in over
    assert "handed over see comments\n" in show(comments=[{"text": "x", "handoff": {"decisions": ["a"]}}]).out


def test_the_current_issue_is_the_one_in_progress_that_was_changed_last() -> None:
    found = Page(issues=[{"id": "bd-1"}], total=1, truncated=False)
    ran = run(COMMANDS, "show --current --short", CannedApi(list=found, show=[{"id": "bd-1", "title": "One"}]))
    assert ran.asked[0].filter == Filter(projects=("bd",), statuses=("in_progress", "hooked"), assignee="alice")
    assert "One" in ran.out
    with pytest.raises(RefusedError, match="alice has no issue in progress"):
        run(COMMANDS, "show --current", CannedApi(list=Page(issues=[], total=0, truncated=False)))
