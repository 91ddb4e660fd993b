"""export: pages of a stream, whose they are, counts, files."""

import json

import pytest

from moot.console.commands.log import importing
from moot.console.text.safe_text import is_plain
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.memories import Memories
from moot_protocol.requests.transfer import Export
from moot_testkit.clients.console import in_turn, issue, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

KEPT = [{"key": "auth", "text": "JWT\n\x1b", "updated_at": 1, "foreign": False, "conflict": False}]
PAGES = (
    {"lines": ['{"id":"bd-1"}', '{"id":"bd-2"}'], "next": "bd-2"},
    {"lines": ['{"id":"bd-3"}'], "next": ""},
)


def test_export_writes_a_line_an_issue_page_by_page() -> None:
    ran = run_console("export", {"export": in_turn(*PAGES)})
    assert ran.out == '{"id":"bd-1"}\n{"id":"bd-2"}\n{"id":"bd-3"}\n'
    here = Filter(projects=("bd",))
    assert ran.asked == [Export(filter=here), Export(filter=here, after="bd-2")]


def test_at_a_terminal_export_writes_the_same_json_with_nothing_in_it_that_acts_there() -> None:
    odd = "a\x7f\u009b31m\u202e\u200b\U000e0101é🙂"
    held = json.dumps({"id": "bd-1", "title": odd}, ensure_ascii=False)
    pages = {"export": {"lines": [held, '{"id":"bd-2"}'], "next": ""}}
    assert run_console("export", pages).out == f'{held}\n{{"id":"bd-2"}}\n'
    ran = run_console("export", pages, facts=at_terminal())
    shown = ran.out.splitlines()
    assert (len(shown), all(map(is_plain, shown)), "é🙂" in shown[0]) == (2, True, True)
    assert json.loads(shown[0]) == json.loads(held)
    written = run_console("export -o out.jsonl", pages, facts=at_terminal()).terminal.files["out.jsonl"]
    assert written == f'{held}\n{{"id":"bd-2"}}\n'.encode()


def test_export_to_a_file_writes_it_whole_and_says_how_many() -> None:
    ran = run_console("export -o out.jsonl", {"export": in_turn(*PAGES)})
    assert ran.terminal.files["out.jsonl"] == b'{"id":"bd-1"}\n{"id":"bd-2"}\n{"id":"bd-3"}\n'
    assert (ran.out, ran.err) == ("", "Exported 3 issues to out.jsonl\n")
    assert ran.terminal.in_folders_that_are_there == {"out.jsonl"}
    ran = run_console("export -o out.jsonl --json", {"export": in_turn(*PAGES)})
    assert ran.document == {"file": "out.jsonl", "issues": 3, "deleted": 0}


def test_of_what_was_exported_the_deleted_are_told_since_no_list_has_them() -> None:
    first = {"lines": ['{"id":"bd-1","status":"tombstone"}', '{"id":"bd-2","status":"tombstone"}'], "next": "bd-2"}
    metadata, title = '{"id":"bd-3","metadata":{"status":"tombstone"}}', '{"id":"bd-4","title":"\\"tombstone\\""}'
    pages = in_turn(first, {"lines": [metadata, title], "next": ""})
    assert run_console("export -o out.jsonl", {"export": pages}).err == (
        "Exported 4 issues, 2 of them deleted, to out.jsonl\n"
    )


def test_what_is_left_out_of_an_export_is_not_counted_among_the_deleted() -> None:
    lines = ['{"id":"bd-1","status":"tombstone"}', '{"id":"bd-2","owner":"joe","status":"tombstone"}']
    ran = run_console("export -o out.jsonl --exclude-owner joe --json", {"export": {"lines": lines, "next": ""}})
    assert ran.document == {"file": "out.jsonl", "issues": 1, "deleted": 1}


def test_deleted_issues_can_be_left_out() -> None:
    request = run_console("export --no-tombstones", {"export": PAGES[1]}).request
    assert request == Export(filter=Filter(projects=("bd",)), tombstones=False)


# -- Whose it is -------------------------------------------------------------------------------------------------
OUTSIDE = FACTS._replace(workspace="")
PLANES = [
    {"name": "ledger", "plane": "aa11", "projects": ["bd", "diary"]},
    {"name": "team", "plane": "bb22", "projects": ["app"]},
]


def test_all_is_all_of_this_project_with_its_memories_and_names_the_others_that_are_left() -> None:
    ran = run_console("export --all", {"export": PAGES[1], "memories": KEPT, "planes": PLANES})
    assert ran.asked[-2:] == [Export(filter=Filter(projects=("bd",)), after=""), Memories(project="bd")]
    assert importing.memory_of(ran.out.splitlines()[-1].encode()) == ("auth", KEPT[0]["text"])
    assert ran.err == "This is all of bd; `--project all` writes app, diary, too\n"


@pytest.mark.parametrize("argv", ["export", "export --all --project bd", "export --all -q"])
def test_of_other_projects_nothing_is_said_where_nobody_can_have_meant_them(argv: str) -> None:
    assert run_console(argv, {"export": PAGES[1], "memories": [], "planes": PLANES}).err == ""


def test_called_as_bd_all_has_no_more_to_say_than_bd_has() -> None:
    bd = FACTS._replace(program="bd")
    assert run_console("export --all", {"export": PAGES[1], "memories": []}, facts=bd).err == ""


def test_every_project_is_written_only_where_that_is_said_and_the_count_names_them() -> None:
    answers = {"export": PAGES[1], "planes": PLANES}
    ran = run_console("export --project all -o out.jsonl", answers)
    assert ran.asked[0] == Export()
    assert ran.err == "Exported 1 issue of app, bd, diary to out.jsonl\n"
    assert run_console("export --project all -o out.jsonl --json", answers).document["projects"] == [
        "app", "bd", "diary",
    ]  # fmt: skip
    ran = run_console("export --project all --plane bb -o out.jsonl", answers)
    assert ran.err == "Exported 1 issue to out.jsonl\n"


def test_projects_can_be_named() -> None:
    answers = {"export": PAGES[1], "list": Page(issues=[issue()], total=1, truncated=False)}
    ran = run_console("export --project app --project diary -o out.jsonl", answers)
    assert ran.asked[-1] == Export(filter=Filter(projects=("app", "diary")))
    assert ran.err == "Exported 1 issue of app, diary to out.jsonl\n"


def test_a_project_that_is_none_leaves_the_file_as_it_was() -> None:
    answers = {"list": Page(issues=[], total=0, truncated=False), "status": {"projects": [{"project": "app"}]}}
    ran = run_console("export --project typo -o out.jsonl", answers, files={"out.jsonl": b"kept"})
    assert (ran.code, ran.terminal.files["out.jsonl"]) == (3, b"kept")
    assert "No issue is of a project 'typo'; on this machine there are app" in ran.err


def test_no_memories_go_with_projects_whose_they_are_not() -> None:
    ran = run_console("export --project app,diary --all", {"export": PAGES[1]})
    assert ran.asked == [Export(filter=Filter(projects=("app", "diary")))]
    ran = run_console("export --plane team --all", {"export": PAGES[1], "memories": [], "planes": PLANES})
    assert ran.asked[-1] == Memories(project="bd", plane="team")


def test_where_nothing_may_be_known_of_planes_projects_go_unnamed() -> None:
    denied = RefusedError("no", code=Code.DENIED)
    ran = run_console("export --project all -o out.jsonl", {"export": PAGES[1], "planes": denied})
    assert ran.err == "Exported 1 issue to out.jsonl\n"


def test_outside_a_workspace_export_is_of_all_and_says_so() -> None:
    ran = run_console("export --all", {"export": PAGES[1]}, project="", facts=OUTSIDE)
    assert (ran.request, ran.err) == (Export(), "This folder is no project: all projects of the town are meant\n")
    bd = OUTSIDE._replace(program="bd")
    ran = run_console("export --all", project="", facts=bd)
    assert (ran.code, ran.out, ran.asked) == (1, "", [])
    assert ran.err.startswith("Error: no beads database found")


def test_a_failing_export_says_so() -> None:
    busy = RefusedError("rebuilding", code=Code.BUSY)
    assert run_console("export", {"export": in_turn(PAGES[0], busy)}).code == 75


def test_the_export_of_one_plane_can_be_asked_for() -> None:
    request = run_console("export --plane team --project all", {"export": PAGES[1]}).request
    assert request == Export(filter=Filter(plane="team"))


# -- Memories ----------------------------------------------------------------------------------------------------
def test_memories_come_out_where_they_are_asked_for_and_go_in_again() -> None:
    ran = run_console("export --include-memories", {"export": {"lines": [], "next": ""}, "memories": KEPT})
    assert importing.memory_of(ran.out.strip().encode()) == ("auth", KEPT[0]["text"])
    assert run_console("export", {"export": {"lines": [], "next": ""}}).out == ""


@pytest.mark.parametrize("flags", ["", " -o out.jsonl"])
def test_memories_that_are_no_single_projects_are_refused_before_anything_is_written(flags: str) -> None:
    answers = {"export": PAGES[1], "list": Page(issues=[issue()], total=1, truncated=False)}
    ran = run_console(f"export --project app,diary --include-memories{flags}", answers, files={"out.jsonl": b"kept"})
    assert (ran.code, ran.out, ran.asked, ran.terminal.files["out.jsonl"]) == (2, "", [], b"kept")
    assert "memories are written of one project" in ran.err
    ran = run_console(f"export --include-memories{flags}", answers, project="", facts=OUTSIDE)
    assert (ran.code, ran.out, ran.asked) == (2, "", [])
    assert "--project NAME" in ran.err


def test_a_new_file_is_for_the_user_alone_and_one_that_is_there_stays_as_open_as_it_was() -> None:
    ran = run_console("export -o out.jsonl", {"export": PAGES[1]})
    assert ran.terminal.modes["out.jsonl"] == 0o600
    ran = run_console("export -o out.jsonl", {"export": PAGES[1]}, files={"out.jsonl": b"old"})
    assert ran.terminal.modes["out.jsonl"] == 0o644


# -- What is left out --------------------------------------------------------------------------------------------
def test_what_looks_like_a_tests_or_is_somebodys_can_be_left_out_of_an_export() -> None:
    issues = [{"id": "bd-1", "title": "Test issue 1"}, {"id": "bd-2", "title": "Real", "description": "x"}]
    exported = ['{"id":"bd-1","title":"Test issue 1"}', '{"id":"bd-2","title":"Real","owner":"joe"}']
    answers = {
        "export": {"lines": exported, "next": ""}, "list": Page(issues=issues, total=2, truncated=False),
    }  # fmt: skip
    assert run_console("export", answers).out == "\n".join(exported) + "\n"
    assert run_console("export --scrub", answers).out == f"{exported[1]}\n"
    assert run_console("export --exclude-owner joe", answers).out == f"{exported[0]}\n"
    both = run_console("export --scrub --exclude-owner joe -o out.jsonl", answers)
    assert (both.out, both.err) == ("", "Exported 0 issues to out.jsonl\n")
