"""What commands share: mutations carried out together, texts, confirmations."""

from types import SimpleNamespace
from typing import Any

import pytest

from moot.console.context import TEXT_READ_BYTES, check_actor, write_private
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Count, Script, Update
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.mirrors import WorkspaceMoved
from moot_testkit.clients.console import Outcome, issue, run_console
from moot_testkit.clients.terminal import FACTS, RecordingTerminal


def test_one_mutation_is_sent_as_itself() -> None:
    assert isinstance(run_console("update a1b2 --claim", {"update": issue()}).request, Update)


def test_several_go_as_one_script_whose_steps_are_named_and_leave_out_what_is_the_scripts() -> None:
    ran = run_console("update a1b2 c3d4 -p 0 --dry-run --actor eve", {"script": [issue(1), issue(2)]})
    assert ran.request == Script(
        actor="eve",
        dry_run=True,
        steps=(
            {"method": "update", "params": {"id": "a1b2", "fields": {"priority": 0}}, "label": "a1b2"},
            {"method": "update", "params": {"id": "c3d4", "fields": {"priority": 0}}, "label": "c3d4"},
        ),
    )


def test_an_id_given_twice_is_changed_once() -> None:
    assert isinstance(run_console("update a1b2 a1b2 -p 0", {"update": issue()}).request, Update)


def test_quiet_prints_no_confirmation_but_what_was_asked_for() -> None:
    assert run_console("update a1b2 -p 0 -q", {"update": issue()}).out == ""
    assert run_console("-q q x", {"create": issue(7)}).out == "bd-000000000007\n"
    assert run_console("update a1b2 -p 0 -q --json", {"update": issue()}).document == [issue()]


def test_a_text_is_read_from_a_file_or_from_standard_input() -> None:
    answers = {"update": issue()}
    ran = run_console("update a1b2 --body-file notes.md", answers, files={"notes.md": "Größe\n".encode()})
    assert ran.request.fields.description == "Größe\n"
    ran = run_console("update a1b2 --body-file -", answers, stdin=[b"on", b"e \xc3", b"\xa9"])
    assert ran.request.fields.description == "one é"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"\xff\xfe", Code.INVALID), (b"x" * (TEXT_READ_BYTES + 1), Code.LIMIT)],
    ids=["bytes", "huge"],
)
def test_a_text_that_no_field_could_hold_is_refused(content: bytes, code: Code) -> None:
    ran = run_console("update a1b2 --stdin --json", stdin=[content])
    assert ran.document["error"]["code"] == code
    assert ran.asked == []


def test_a_file_that_cannot_be_read_is_told_as_the_client_told_it() -> None:
    ran = run_console("update a1b2 --body-file nowhere.md")
    assert (ran.code, ran.err) == (3, "Error: nowhere.md: No such file or directory\n")


def test_a_refusal_of_one_step_is_the_refusal_of_all() -> None:
    refused = RefusedError("c3d4: no issue c3d4", code=Code.NOT_FOUND)
    ran = run_console("close a1b2 c3d4 --json", {"script": refused})
    assert (ran.code, ran.document["error"]["message"]) == (3, "c3d4: no issue c3d4")


@pytest.mark.parametrize(
    "argv", [["create", "A title"], ["q", "A", "title"], ["import", "-"], ["import", "-", "--since", "a"]]
)
def test_what_is_made_names_the_plane_of_the_workspaces_project(argv: list[str]) -> None:
    known = {"project": "bd", "folder": "/", "plane": "aa11"}
    answers = {"workspace_info": known, "create": issue(), "import": {}, "import_edits": {}}
    ran = run_console(argv, answers, stdin=[b'{"id": "bd-1", "title": "A"}\n'], files={"a": b""})
    assert (ran.request.project, ran.request.plane) == ("bd", "aa11")


@pytest.mark.parametrize(
    ("workspace", "told"),
    [("", "is not inside a workspace"), ("w9", "is of a workspace that this machine doesn't know")],
)
def test_where_no_project_is_it_is_told_why(workspace: str, told: str) -> None:
    ran = run_console("create x", {"workspace_info": None}, facts=FACTS._replace(workspace=workspace), project="")
    assert (ran.code, told in ran.err) == (3, True)


def test_where_a_sandbox_hides_what_this_machine_knows_the_hint_names_the_spool_that_is_there() -> None:
    files = {f"{FACTS.folder}/.moot/workspace": b"w9\n", f"{FACTS.folder}/.moot/spool/token": b"secret"}
    for argv in ("create x", "list"):
        facts = FACTS._replace(workspace="w9", folder=f"{FACTS.folder}/below")
        ran = run_console(argv, {"workspace_info": None}, facts=facts, project="", files=files)
        assert (ran.code, "MOOT_SPOOL=1" in ran.err) == (3, True)
        ran = run_console(argv, {"workspace_info": None}, facts=facts, project="", files=dict(list(files.items())[:1]))
        assert (ran.code, "MOOT_SPOOL" in ran.err, "run `moot init` there" in ran.err) == (3, False, True)


def test_a_list_is_its_rows_or_its_document_or_a_word_on_standard_error_that_it_is_empty() -> None:
    lease = {
        "name": "nightly", "state": "held", "epoch": 3, "holder": "K" * 43, "actor": "ada", "until_ms": 0,
        "is_here": True, "fenced": 0,
    }  # fmt: skip
    rows = run_console("lease list", {"leases": [lease]})
    assert rows.out.startswith("nightly ")
    assert rows.err == ""
    assert run_console("lease list --json", {"leases": [lease]}).document == [lease]
    nothing = run_console("lease list", {"leases": []})
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no leases\n")
    assert run_console("lease list --json", {"leases": []}).document == []


@pytest.mark.parametrize(
    ("actor", "problem"), [("a" * 3000, "3,000 bytes, and at most 255 fit"), ("a\nb", "line breaks")]
)
def test_a_name_that_no_event_can_hold_is_refused_by_the_flag_that_gives_another(actor: str, problem: str) -> None:
    ran = run_console(["list", "--actor", actor])
    assert (ran.code, ran.asked) == (2, [])
    assert problem in ran.err
    assert "--actor NAME" in ran.err
    check_actor("a" * 255)


# -- A folder that was moved or copied ---------------------------------------------------------------------------
OLD, NEW = "/home/alice/p", "/home/alice/p2"
KNOWN = {"workspace_info": {"project": "bd", "folder": OLD, "plane": "aa"}, "ping": {"data": "/home/alice/.data"}}
MOVED = {"moved": True, "from": OLD, "mirrors": [f"{OLD}/.beads/issues.jsonl"], "spool": True}


def where(*folders: str, here: str = f"{NEW}/src", argv: str = "where", **answers: Any) -> Outcome:
    """Ask where the project is, with the workspace's file in some folders."""
    files = {f"{folder}/.moot/workspace": b"w1\n" for folder in folders}
    return run_console(argv, {**KNOWN, **answers}, facts=FACTS._replace(folder=here), files=files)


def test_a_project_that_was_moved_is_told_where_it_is_and_the_daemon_learns_it() -> None:
    ran = where(NEW, workspace_moved=MOVED)
    assert ran.asked[-1] == WorkspaceMoved(workspace="w1", folder=NEW)
    assert ran.out.splitlines()[0] == f"{NEW}/.moot"
    assert ran.err.splitlines() == [
        f"this project lies in {NEW} now; it was in {OLD}",
        "its spool goes on here",
        f"its mirror {OLD}/.beads/issues.jsonl is not followed here: `moot mirror on` lets it go on",
    ]


def test_where_the_daemon_sees_no_move_or_refuses_the_folder_is_told_and_nothing_else() -> None:
    for answer in (MOVED | {"moved": False}, RefusedError("no", code=Code.DENIED)):
        ran = where(NEW, workspace_moved=answer)
        assert (ran.code, ran.out.splitlines()[0], ran.err) == (0, f"{NEW}/.moot", "")


def test_with_readonly_nothing_is_noted() -> None:
    ran = where(NEW, argv="where --readonly")
    assert (ran.code, ran.out.splitlines()[0], ran.err) == (0, f"{NEW}/.moot", "")
    assert not any(isinstance(each, WorkspaceMoved) for each in ran.asked)


def test_a_copy_is_told_as_itself_and_the_first_stays() -> None:
    ran = where(OLD, NEW)
    assert (ran.out.splitlines()[0], ran.err) == (f"{NEW}/.moot", "")
    assert not any(isinstance(each, WorkspaceMoved) for each in ran.asked)


def test_a_linked_work_tree_is_told_the_projects_folder() -> None:
    assert where(OLD).out.splitlines()[0] == f"{OLD}/.moot"


@pytest.mark.parametrize("argv", ["context", "mirror status", "init", "mirror on f.jsonl"])
def test_other_commands_that_tell_of_folders_note_a_move_too(argv: str) -> None:
    answers = {"mirrors": [], "mirror_on": {"folder": NEW, "file": "f.jsonl", "project": "bd", "adopted": False}}
    pong = {"ping": {"data": "/d", "version": "1"}}
    ran = where(NEW, here=NEW, argv=argv, workspace_moved=MOVED, **answers, **pong)
    assert WorkspaceMoved(workspace="w1", folder=NEW) in ran.asked
    assert f"this project lies in {NEW} now" in ran.err


def test_a_trial_notes_nothing() -> None:
    ran = where(NEW, here=NEW, argv="init --dry-run")
    assert (ran.code, [each for each in ran.asked if isinstance(each, WorkspaceMoved)]) == (0, [])


# -- Outside of any project --------------------------------------------------------------------------------------
OUTSIDE = FACTS._replace(workspace="")
BD_OUTSIDE = OUTSIDE._replace(program="bd")
NOWHERE = "Error: no beads database found: /home/alice/work is not inside a workspace (not found)\n"


@pytest.mark.parametrize(
    "argv",
    [
        "ready", "list", "stats", "blocked", "show a1b2", "close a1b2", "update a1b2 -p 0", "dep add a1b2 c3d4",
        "epic status", "comment a1b2 x", "history a1b2", "stale", "gate list", "todo", "label list-all", "export",
    ],
)  # fmt: skip
def test_called_as_bd_what_is_about_issues_is_refused_where_there_is_no_project(argv: str) -> None:
    ran = run_console(argv, project="", facts=BD_OUTSIDE)
    assert (ran.code, ran.out, ran.asked) == (1, "", [])
    assert ran.err.startswith(NOWHERE)


@pytest.mark.parametrize("argv", ["list --project all", "list --plane team", "plane list", "help"])
def test_called_as_bd_what_names_its_projects_or_needs_none_is_answered_anywhere(argv: str) -> None:
    answers = {"list": Page(issues=[], total=0, truncated=False), "planes": []}
    assert run_console(argv, answers, project="", facts=BD_OUTSIDE).code == 0


OF_BD = {"total": 1, "groups": [{"group": "bd", "count": 1}]}


def test_called_as_moot_a_write_by_id_says_where_the_id_was_looked_for() -> None:
    told = "This folder is no project: ids were looked for in all projects of the town"
    answers = {"update": issue(), "count": OF_BD}
    ran = run_console("update a1b2 -p 0", answers, project="", facts=OUTSIDE)
    assert (ran.out, ran.err) == ("✓ Updated issue: bd-000000000001 — Issue 1\n", f"{told}: of bd\n")
    assert ran.asked[1:] == [Count(filter=Filter(ids=("a1b2",)), by="project")]
    denied = RefusedError("no", code=Code.DENIED)
    ran = run_console("update a1b2 -p 0 --json", answers | {"count": denied}, project="", facts=OUTSIDE)
    assert (ran.document, ran.err) == ([issue()], f"{told}\n")
    assert run_console("update a1b2 -p 0 -q", {"update": issue()}, project="", facts=OUTSIDE).err == ""
    assert run_console("update a1b2 -p 0", {"update": issue()}).err == ""


UNDONE = {"undone": {"n": [4, 4], "at": 1, "actor": "ada"}, "changes": [], "issues": [issue(1), issue(2)]}


@pytest.mark.parametrize(
    ("argv", "answers", "what", "ids"),
    [
        ("graph a1b2", {"graph": {"root": "bd-1", "issues": [issue(1)], "cut": False}}, "ids were", ("a1b2",)),
        ("diff a1b2", {"diff": []}, "ids were", ("a1b2",)),
        ("undo a1b2", {"undo": UNDONE}, "ids were", (issue(1)["id"], issue(2)["id"])),
        ("undo", {"undo": UNDONE}, "the last write was", (issue(1)["id"], issue(2)["id"])),
        ("undo n=4", {"undo": UNDONE}, "the event was", (issue(1)["id"], issue(2)["id"])),
        (
            "mol show a1b2",
            {"show": [issue(1, issue_type="epic")], "list": Page(issues=[], total=0, truncated=False)},
            "ids were",
            ("a1b2",),
        ),
        ("batch -f plan", {"script": [issue(1), issue(2)]}, "ids were", ("a1b2", "c3d4")),
    ],
)  # fmt: skip
def test_commands_that_find_issues_in_other_ways_say_where_they_looked_too(
    argv: str, answers: dict[str, Any], what: str, ids: tuple[str, ...]
) -> None:
    files = {"plan": b"close a1b2 done\ncomment c3d4 x\nupdate a1b2 -p 0\n"}
    ran = run_console(argv, answers | {"count": OF_BD}, project="", facts=OUTSIDE, files=files)
    assert f"This folder is no project: {what} looked for in all projects of the town: of bd\n" in ran.err, ran.err
    assert ran.asked[-1] == Count(filter=Filter(ids=ids), by="project")
    inside = run_console(argv, answers, files=files)
    assert "looked for" not in inside.err


@pytest.mark.parametrize("argv", ["list --id a1b2", "list --id a1b2 --project all", "graph --all", "diff", "mol list"])
def test_it_is_said_once_and_only_where_nothing_tells_where_to_look(argv: str) -> None:
    answers = {
        "list": Page(issues=[], total=0, truncated=False), "diff": [],
        "graph": {"root": "", "issues": [issue(1)], "cut": False},
    }  # fmt: skip
    ran = run_console(argv, answers, project="", facts=OUTSIDE)
    assert ran.err.count("all projects of the town") == (0 if "--project" in argv else 1)


@pytest.mark.parametrize("name", ["BEADS_DIR", "BEADS_DB"])
@pytest.mark.parametrize("argv", ["ready", "q x", "close a1b2", "init --prefix zz"])
def test_a_variable_of_beads_that_leads_to_no_project_is_named_and_no_other_project_taken_for_it(
    argv: str, name: str
) -> None:
    ran = run_console(argv, project="", facts=OUTSIDE._replace(environment={name: "/srv/x/.beads"}))
    assert (ran.code, ran.asked) == (3, [])
    assert ran.err.startswith(f"Error: no project here: {name}=/srv/x/.beads leads to no workspace\n")


def test_outside_a_workspace_that_all_projects_are_meant_is_said_once_a_command() -> None:
    ran = run_console(
        "ready --gated",
        {"list": Page(issues=[], total=0, truncated=False), "gates": []},
        project="",
        facts=OUTSIDE,
    )
    assert ran.err.count("This folder is no project") == 1


@pytest.mark.parametrize("argv", ["mirror on", "init"])
def test_no_other_folders_files_are_taken_for_those_of_a_project_that_a_variable_names(argv: str) -> None:
    facts = FACTS._replace(folder="/home/alice/other", environment={"BEADS_DIR": "/home/alice/work/.beads"})
    known = {"workspace_info": {"folder": "/home/alice/work", "project": "bd", "plane": "00"}}
    ran = run_console(argv, known, facts=facts, files={"/home/alice/other/.beads/issues.jsonl": b"{}"})
    assert ran.code == 5
    assert "BEADS_DIR=/home/alice/work/.beads names the project in /home/alice/work" in ran.err
    assert not any(request.writes for request in ran.asked)


# -- Files that are written --------------------------------------------------------------------------------------
def test_a_new_file_is_for_the_user_alone_and_one_that_is_there_keeps_its_permissions() -> None:
    terminal = RecordingTerminal(FACTS, files={"there": b"old"})
    terminal.modes["there"] = 0o640
    context: Any = SimpleNamespace(terminal=terminal)
    for path in ("new", "there"):
        write_private(context, path, [b"text"], parents=False)
    assert (terminal.files, terminal.modes) == ({"new": b"text", "there": b"text"}, {"new": 0o600, "there": 0o640})


@pytest.mark.parametrize("code", [Code.CANCELLED, Code.BAD_VERSION])
def test_a_client_that_has_gone_or_can_not_tell_a_file_s_permissions_is_asked_to_write_nothing(code: Code) -> None:
    class Gone(RecordingTerminal):
        def file_mode(self, path: str) -> int:
            raise RefusedError("the client has gone away, or is an earlier one", code=code)

    terminal = Gone(FACTS)
    context: Any = SimpleNamespace(terminal=terminal)
    with pytest.raises(RefusedError):
        write_private(context, "new", [b"text"])
    assert terminal.files == {}
