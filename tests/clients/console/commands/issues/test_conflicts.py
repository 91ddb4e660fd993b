"""Conflicts: every value that a field or a document has, by whom and when."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.conflicts import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.documents import DocumentConflicts
from moot_protocol.requests.issues import Conflicts, ListIssues
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.memories import Memories, Settings
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, InTurn, run
from moot_testkit.clients.terminal import FACTS


def value(told: Any, actor: str, hours: int) -> dict[str, Any]:
    return {"value": told, "actor": actor, "at": NOW_MS - hours * 3_600_000, "author": "k", "n": 1}


def page(conflicts: Any) -> Page:
    return Page(issues=[{"id": each["id"]} for each in conflicts], total=None, truncated=False)


def answering(conflicts: Any, documents: Any = (), **more: Any) -> CannedApi:
    """A daemon with these conflicts of issues, all of the project, and of documents."""
    answers: dict[str, Any] = {"memories": [], "settings": [], "documents": [{"name": "reviewer"}]}
    if isinstance(conflicts, list):
        answers["list"] = page(conflicts)
    return CannedApi(**{**answers, "conflicts": conflicts, "document_conflicts": list(documents), **more})


CONFLICTS: list[dict[str, Any]] = [
    {"id": "bd-1", "field": "priority", "shown": 0, "values": [value(0, "alice", 1), value(2, "bob", 26)]},
    {
        "id": "bd-2",
        "field": "description",
        "shown": "One\ntwo",
        "values": [value("One\ntwo", "alice", 1), value("", "eve\u202e", 1), value("x" * 300, "bob", 3)],
    },
]


def test_a_value_that_an_undo_put_back_is_told_with_who_wrote_it_and_who_put_it_back() -> None:
    back = value("One", "alice", 1) | {"put_back_by": "bob\u202e"}
    told = [{"id": "bd-1", "field": "title", "shown": "One", "values": [back, value("Two", "bob", 1)]}]
    shown = run(COMMANDS, "conflicts", answering(told)).out.splitlines()
    assert shown[1:3] == ["    1. One (alice, 1h ago, put back by bob<U+202E>)", "    2. Two (bob, 1h ago)"]


def test_the_name_of_a_value_stands_behind_it() -> None:
    told = [
        {"id": "bd-1", "field": "title", "shown": "One", "values": [value("One", "alice", 1) | {"name": "v12ab34cd"}]}
    ]
    assert run(COMMANDS, "conflicts", answering(told)).out.splitlines()[1] == "    1. One (alice, 1h ago) v12ab34cd"


def test_values_are_numbered_as_resolve_picks_them() -> None:
    assert (
        run(COMMANDS, "conflicts", answering(CONFLICTS)).out
        == f"""\
  bd-1 priority shows 0
    1. 0 (alice, 1h ago)
    2. 2 (bob, 1d ago)
  bd-2 description shows One⏎two
    1. One⏎two (alice, 1h ago)
    2. (empty) (eve<U+202E>, 1h ago)
    3. {"x" * 199}… (bob, 3h ago)
  settle one with `moot resolve ID FIELD --pick NUMBER`, or by its name, which never moves
"""
    )


def test_a_deleted_issue_is_marked_and_a_deletion_told_in_words() -> None:
    said = [value(["alice", "wrong", 5], "alice", 2), value(["", "", None], "bob", 2), value(None, "carol", 1)]
    conflicts = [
        {"id": "bd-1", "field": "deleted", "shown": ["alice", "wrong", 5], "values": [*said], "deleted": True},
        {"id": "bd-1", "field": "title", "shown": "B", "values": [value("A", "alice", 1)], "deleted": True},
        {"id": "bd-2", "field": "deleted", "shown": None, "values": [value(7, "eve", 1)]},
    ]
    assert run(COMMANDS, "conflicts", answering(conflicts)).out.splitlines()[:-1] == [
        "  bd-1 (deleted) deleted shows deleted by alice: wrong",
        "    1. deleted by alice: wrong (alice, 2h ago)",
        "    2. deleted (bob, 2h ago)",
        "    3. (not deleted) (carol, 1h ago)",
        "  bd-1 (deleted) title shows B",
        "    1. A (alice, 1h ago)",
        "  bd-2 deleted shows (not deleted)",
        "    1. 7 (eve, 1h ago)",
    ]


def test_the_hint_names_the_program_as_it_was_called() -> None:
    ran = run(COMMANDS, "conflicts", answering(CONFLICTS), FACTS._replace(program="bd"))
    assert ran.out.endswith("settle one with `bd resolve ID FIELD --pick NUMBER`, or by its name, which never moves\n")


def test_conflicts_of_one_issue_can_be_asked_for() -> None:
    api = answering([])
    ran = run(COMMANDS, "conflicts a1b2", api)
    assert api.asked == [Conflicts(id="a1b2")]
    assert (ran.code, ran.out, ran.err) == (0, "", "no conflicts\n")


def test_json_has_every_value_whole() -> None:
    assert json.loads(run(COMMANDS, "conflicts --json", answering(CONFLICTS)).out) == CONFLICTS
    assert run(COMMANDS, "conflicts --json", answering([])).out == "[]\n"


# -- Documents ---------------------------------------------------------------------------------------------------
OF_ROLE = {
    "id": "role/reviewer", "field": "document", "kind": "role", "name": "reviewer", "plane": "shared", "shown": None,
    "values": [value("a", "ann", 1) | {"diff": "+a\n", "version": "", "town": "T" * 43, "town_name": "Adaville"}],
}  # fmt: skip
MISSING = RefusedError("no issue reviewer", code=Code.NOT_FOUND)


def test_documents_stand_below_issues() -> None:
    ran = run(COMMANDS, "conflicts", answering(CONFLICTS, [OF_ROLE]))
    assert DocumentConflicts() in ran.asked
    assert ran.out.partition("--pick NUMBER`, or by its name, which never moves\n")[2].splitlines() == [
        "  role/reviewer document on plane shared shows nothing",
        "    1. (ann, town Adaville TTTTTTTTTTTT, 1h ago)",
        "       +a",
        "  settle one with `moot resolve KIND/NAME document --pick NUMBER`, or by its name, which never moves",
    ]


def test_json_has_documents_after_issues_whose_shape_stays() -> None:
    ran = run(COMMANDS, "conflicts --json", answering(CONFLICTS, [OF_ROLE]))
    assert json.loads(ran.out) == [*CONFLICTS, OF_ROLE]


@pytest.mark.parametrize("typed", ["role/reviewer", "reviewer"])
def test_conflicts_of_one_document_can_be_asked_for(typed: str) -> None:
    ran = run(COMMANDS, f"conflicts {typed}", answering(MISSING, [OF_ROLE]))
    assert ran.asked[-1] == DocumentConflicts(name=typed)
    assert ran.out.startswith("  role/reviewer document")


@pytest.mark.parametrize("typed", ["builder", "bd-0000", "BD-1"])
def test_what_is_neither_an_issue_nor_a_document_is_not_found(typed: str) -> None:
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, f"conflicts {typed}", answering(MISSING))
    assert caught.value is MISSING


def test_an_issue_s_other_failures_are_not_taken_for_a_document() -> None:
    several = RefusedError("several", code=Code.AMBIGUOUS)
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, "conflicts reviewer", answering(several))
    assert caught.value is several


# -- Projects ----------------------------------------------------------------------------------------------------
PLANES = [
    {"name": "home", "plane": "aa11", "projects": ["bd", "web"]},
    {"name": "shared", "plane": "bb22", "projects": ["web"]},
]


def test_a_folder_s_conflicts_are_those_of_its_project_deleted_issues_too() -> None:
    of_others = [{**CONFLICTS[0], "id": "web-1"}, {**CONFLICTS[0], "id": "bd-gone"}]
    api = answering([*of_others, *CONFLICTS], list=InTurn([page(CONFLICTS), page([{"id": "bd-gone"}])]))
    ran = run(COMMANDS, "conflicts --json", api)
    assert [each["id"] for each in json.loads(ran.out)] == ["bd-gone", "bd-1", "bd-2"]
    ids = ("web-1", "bd-gone", "bd-1", "bd-2")
    assert [each for each in ran.asked if isinstance(each, ListIssues)] == [
        ListIssues(filter=Filter(projects=("bd",), ids=ids, deleted=deleted), all=True, limit=0)
        for deleted in (False, True)
    ]


def test_those_of_every_project_are_told_where_all_are_asked_for() -> None:
    api = answering([{**CONFLICTS[0], "id": "web-1"}, *CONFLICTS], planes=PLANES)
    ran = run(COMMANDS, "conflicts --project all --json", api)
    assert [each["id"] for each in json.loads(ran.out)] == ["web-1", "bd-1", "bd-2"]
    places = [("bd", "aa11"), ("web", "aa11"), ("web", "bb22")]
    of_memories = [Memories(project=project, plane=plane, conflicts=True) for project, plane in places]
    assert [each for each in ran.asked if isinstance(each, Memories)] == of_memories
    assert not [each for each in ran.asked if isinstance(each, ListIssues)], "nothing is left out"


def test_a_plane_that_is_named_narrows_issues_memories_and_documents() -> None:
    ran = run(COMMANDS, "conflicts --plane shared", answering(CONFLICTS, planes=PLANES))
    assert next(each.filter for each in ran.asked if isinstance(each, ListIssues)).plane == "shared"
    assert [each for each in ran.asked if isinstance(each, Settings)] == [
        Settings(project="web", plane="bb22", conflicts=True)
    ]
    assert DocumentConflicts(plane="shared") in ran.asked


# -- Memories and settings ---------------------------------------------------------------------------------------
TEXTS = [value("one", "ann", 2), value("two\u202e", "bob", 1)]
MEMORY = {"key": "auth", "text": "two\u202e", "updated_at": 1, "foreign": False, "conflict": True, "values": TEXTS}


def setting(key: str, of: str) -> dict[str, Any]:
    return {"key": key, "value": "", "of": of, "conflict": True, "values": [value("x", "ann", 2), value("", "bob", 1)]}


def test_memories_and_settings_are_told_with_every_value_and_what_settles_each() -> None:
    settings = [setting("kv.a b", "project"), setting("status.custom", "project"), setting("status.custom", "town")]
    ran = run(COMMANDS, "conflicts", answering([], memories=[MEMORY], settings=settings))
    assert ran.asked[-3:-1] == [Memories(project="bd", conflicts=True), Settings(project="bd", conflicts=True)]
    values = ["    - x (ann, 2h ago)", "    - (taken away) (bob, 1h ago)"]
    assert ran.out.splitlines() == [
        "  memory auth of project bd shows two<U+202E>",
        "    - one (ann, 2h ago)",
        "    - two<U+202E> (bob, 1h ago)",
        "    `moot remember TEXT --key auth` settles it",
        "  setting kv.a b of project bd shows (taken away)", *values,
        "    `moot kv set 'a b' VALUE` settles it",
        "  setting status.custom of project bd shows (taken away)", *values,
        "    `moot config set status.custom VALUE` settles it",
        "  setting status.custom of the town shows (taken away)", *values,
        "    `moot config set status.custom VALUE --town` settles it",
    ]  # fmt: skip


def test_json_has_memories_and_settings_last_in_the_shape_of_an_issue_s() -> None:
    api = answering(CONFLICTS, [OF_ROLE], memories=[MEMORY], settings=[setting("custom.x", "town")])
    found = json.loads(run(COMMANDS, "conflicts --json", api).out)
    assert found[:3] == [*CONFLICTS, OF_ROLE]
    of_memory, of_setting = found[3:]
    assert of_memory == {
        "id": "memory/auth", "field": "text", "kind": "memory", "key": "auth", "project": "bd",
        "shown": "two\u202e", "values": TEXTS,
    }  # fmt: skip
    assert (of_setting["id"], of_setting["project"], of_setting["shown"]) == ("setting/custom.x", "", None)


def test_a_setting_of_the_town_is_told_once_though_every_project_has_it() -> None:
    api = answering([], planes=PLANES, settings=[setting("custom.x", "town")])
    assert len(json.loads(run(COMMANDS, "conflicts --project all --json", api).out)) == 1


def test_what_may_not_be_read_is_left_out() -> None:
    denied = RefusedError("memory:read", code=Code.DENIED)
    ran = run(COMMANDS, "conflicts --json", answering(CONFLICTS, memories=denied))
    assert json.loads(ran.out) == CONFLICTS
    gone = RefusedError("busy", code=Code.BUSY)
    with pytest.raises(RefusedError):
        run(COMMANDS, "conflicts --json", answering(CONFLICTS, memories=gone))
