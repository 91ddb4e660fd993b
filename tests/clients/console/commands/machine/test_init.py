"""init: town, project and the workspace's two files; the recovery words; what it refuses."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from moot.console.commands.machine.init import default_prefix
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import check_prefix
from moot_protocol.limits import ID_PREFIX_CHARS
from moot_protocol.requests.issues import InitProject, InitTown
from moot_protocol.requests.mirrors import MirrorOn
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

WORDS = " ".join(f"word{n}" for n in range(24))
TOWN = {"created": True, "town": "TTT", "replica": "RRR", "planes": [], "recovery_words": WORDS}
WORDS_FILE = "/home/alice/.config/moot/recovery-words-TTT.txt"
KNOWN_TOWN = TOWN | {"created": False, "recovery_words": ""}
MADE = {"project": "work", "workspace": "w9", "created": True}
BEADS = {"/home/alice/work/.beads/issues.jsonl": b""}
OUTSIDE = FACTS._replace(workspace="", environment={"HOME": "/home/alice"})


PROJECTS = [
    {"project": name, "folder": folder, "plane": "ab", "issues": 218}
    for name, folder in (("work", "/srv/old"), ("work", "/home/alice/work"), ("else", "/srv/else"))
]


def init(
    argv: str = "",
    *,
    town: Any = TOWN,
    made: Any = MADE,
    facts: Any = OUTSIDE,
    project: str = "",
    others: Sequence[str] = (),
) -> Outcome:
    answers = {
        "init_town": town, "init_project": made, "status": {"projects": PROJECTS},
        "planes": [{"projects": ["work", *others]}], "count": {"total": 3},
    }  # fmt: skip
    return run_console(f"init {argv}", answers, facts=facts, project=project)


def test_a_project_that_is_joined_is_told_with_what_is_in_it_and_where_else_it_is() -> None:
    joined = init(town=KNOWN_TOWN, made=MADE | {"created": False}).out.splitlines()
    assert joined[0] == (
        "✓ Opened project work for /home/alice/work: an existing project with 218 issues, also in /srv/old"
    )
    assert joined[2] == "  Another one was meant? Delete .moot here, and run `moot init --prefix NAME`"
    assert "existing" not in init(town=KNOWN_TOWN).out


def test_init_makes_the_town_and_a_project_named_after_the_folder() -> None:
    ran = init()
    assert ran.code == 0
    opened = InitProject(actor="unknown", prefix="work", folder="/home/alice/work")
    assert ran.asked == [InitTown(), replace(opened, dry_run=True), opened]


def test_init_writes_two_files_of_its_own_and_says_so() -> None:
    ran = init(town=KNOWN_TOWN)
    assert ran.terminal.files == {".moot/.gitignore": b"*\n", ".moot/workspace": b"w9\n"}
    assert "Wrote .moot/.gitignore and .moot/workspace" in ran.out


def test_a_project_that_can_t_be_opened_leaves_nothing_in_its_folder() -> None:
    ran = init(town=KNOWN_TOWN, made=RefusedError("this machine has no ledger", code=Code.NOT_FOUND))
    assert (ran.code, ran.terminal.files) == (3, {})


def test_the_recovery_words_are_shown_to_who_sits_at_a_terminal() -> None:
    at_terminal = OUTSIDE._replace(out_is_terminal=True)
    assert "    word0 word1 word2 word3 word4 word5" in init(facts=at_terminal).out.splitlines()
    assert "word0" not in init(facts=at_terminal, town=KNOWN_TOWN).out


@pytest.mark.parametrize("argv", ["", "-q", "--json"])
def test_the_recovery_words_lie_in_a_file_where_a_program_reads_and_also_if_something_fails_later(argv: str) -> None:
    for made in (MADE, RefusedError("the prefix is taken", code=Code.EXISTS)):
        ran = init(argv, made=made)
        assert "word0" not in ran.out + ran.err
        assert WORDS_FILE in ran.err
        assert b"word23" in ran.terminal.files[WORDS_FILE]


def test_the_document_names_the_file_with_the_recovery_words() -> None:
    document = init("--json").document
    assert document == {
        "prefix": "work", "workspace": "w9", "created": True, "town": "TTT", "replica": "RRR",
        "files": [".moot/.gitignore", ".moot/workspace"], "recovery_words_file": WORDS_FILE,
    }  # fmt: skip
    assert "recovery_words_file" not in init("--json", town=KNOWN_TOWN).document


def test_as_bd_it_makes_the_folder_by_which_programs_know_a_project_and_leaves_one_that_is_there() -> None:
    as_bd = OUTSIDE._replace(program="bd")
    assert init(facts=as_bd, town=KNOWN_TOWN).terminal.files[".beads/.gitignore"] == b"*\n!issues.jsonl\n"
    theirs = {".beads/.gitignore": b"theirs\n"}
    answers = {"init_town": KNOWN_TOWN, "init_project": MADE, "planes": []}
    kept = run_console("init", answers, facts=as_bd, project="", files=theirs)
    assert (kept.code, kept.terminal.files[".beads/.gitignore"]) == (0, b"theirs\n")
    assert ".beads/.gitignore" not in init(town=KNOWN_TOWN).terminal.files


def test_as_bd_it_tells_where_that_folder_could_not_be_made() -> None:
    answers = {"init_town": KNOWN_TOWN, "init_project": MADE, "planes": []}
    as_bd = OUTSIDE._replace(program="bd")
    ran = run_console("init", answers, facts=as_bd, project="", files={".beads": b"a file"})
    assert (ran.code, ran.terminal.files[".beads"]) == (0, b"a file")
    assert ran.err.splitlines()[-1] == (
        "No .beads folder was made, by which programs written for Beads know a project: .beads: it is no folder"
    )
    theirs = run_console("init", answers, facts=as_bd, project="", files={".beads/.gitignore": b"theirs\n"})
    assert "No .beads" not in theirs.err


def test_a_prefix_of_ones_own_is_taken() -> None:
    assert init("--prefix bd").asked[-1] == InitProject(actor="unknown", prefix="bd", folder="/home/alice/work")


def test_a_prefix_that_ids_cannot_have_is_refused_before_anything_is_made() -> None:
    ran = init("--prefix a/b")
    assert (ran.code, ran.asked, ran.terminal.files) == (1, [], {})


@pytest.mark.parametrize("folder", ["/", "/home/alice", "/home/alice/"])
def test_home_and_root_are_no_place_for_a_project(folder: str) -> None:
    ran = init(facts=OUTSIDE._replace(folder=folder))
    assert (ran.code, ran.asked, ran.terminal.files) == (4, [], {})


def test_run_again_it_changes_nothing() -> None:
    ran = init(facts=FACTS, project="work")
    assert (ran.code, ran.asked, ran.terminal.files) == (0, [], {})
    assert "work already" in ran.out
    assert init("--prefix work", facts=FACTS, project="work").code == 0


def test_another_prefix_for_the_same_workspace_is_a_conflict() -> None:
    ran = init("--prefix other", facts=FACTS, project="work")
    assert (ran.code, ran.asked) == (5, [])


def test_a_plane_for_a_new_project_can_be_named() -> None:
    assert init("--plane team").asked[-1] == InitProject(
        actor="unknown", prefix="work", folder="/home/alice/work", plane="team"
    )


def test_a_workspace_known_already_is_told_which_plane_its_project_belongs_to() -> None:
    ran = init("--plane team", facts=FACTS, project="bd", made=MADE | {"workspace": "w1"})
    assert ran.asked[1] == InitProject(
        actor="unknown", prefix="bd", workspace="w1", folder="/home/alice/work", plane="team"
    )
    assert ran.terminal.files == {}


def test_a_workspace_that_this_machine_has_forgotten_is_opened_again_under_its_id() -> None:
    ran = init(facts=FACTS, made=MADE | {"workspace": "w1"})
    assert ran.asked[1] == InitProject(actor="unknown", prefix="work", workspace="w1", folder="/home/alice/work")
    assert ran.terminal.files == {}


@pytest.mark.parametrize(
    ("folder", "prefix"),
    [
        ("/w/beads", "beads"),
        ("/w/My Project!", "my-project"),
        ("/w/.dotfiles", "dotfiles"),
        ("/w/ünï", "n"),
        ("/w/日本", "moot"),
        ("/w/" + "a" * 80, "a" * ID_PREFIX_CHARS),
        ("/w/" + "a" * 39 + "-b", "a" * 39),
    ],
)
def test_a_folders_name_becomes_a_prefix_that_ids_can_have(folder: str, prefix: str) -> None:
    assert default_prefix(folder) == prefix
    assert check_prefix(prefix) == prefix


# -- Projects that are here already ------------------------------------------------------------------------------
@pytest.mark.parametrize("argv", ["", "--dry-run", "--json"])
def test_who_makes_a_new_project_beside_another_is_told_how_to_open_that(argv: str) -> None:
    ran = init(argv, town=KNOWN_TOWN, others=["demo"])
    assert ran.code == 0
    assert ran.err == "This project is new. Planes here hold demo (3 issues): `moot init --prefix demo`\n"


def test_of_many_other_projects_some_are_named() -> None:
    others = [f"p{number}" for number in range(7)]
    ran = init(town=KNOWN_TOWN, others=others)
    assert "p4 (3 issues) and 2 more: `moot init --prefix NAME`" in ran.err


def test_nobody_is_told_of_other_projects_who_opens_one_that_is_there_or_makes_a_town() -> None:
    assert init(town=KNOWN_TOWN, made=MADE | {"created": False}, others=["demo"]).err == ""
    assert "demo" not in init(others=["demo"]).err
    assert init(town=KNOWN_TOWN).err == ""


# -- An issue file of Beads --------------------------------------------------------------------------------------
ISSUES = {"/home/alice/work/.beads/issues.jsonl": b"{}"}
PLACE = {"project": "work", "folder": "/home/alice/work", "plane": "ab"}
ADOPTED = {
    "folder": "/home/alice/work", "file": ".beads/issues.jsonl", "project": "work", "adopted": True,
    "created": 1, "updated": 0, "unchanged": 0, "skipped": 0, "problems": [],
}  # fmt: skip
ADOPTION = MirrorOn(folder="/home/alice/work", file=".beads/issues.jsonl", workspace="w9", project="work", plane="ab")


def init_beside(argv: str = "", facts: Any = OUTSIDE, stdin: bytes = b"", files: Any = ISSUES) -> Outcome:
    answers = {"init_town": TOWN, "init_project": MADE, "mirror_on": ADOPTED, "workspace_info": PLACE}
    return run_console(f"init {argv}", answers, facts=facts, stdin=[stdin], files=files, project="")


def adopted(ran: Outcome) -> bool:
    return ADOPTION in ran.asked


@pytest.mark.parametrize(("typed", "wanted"), [(b"y\n", True), (b"Yes\n", True), (b"\n", False), (b"no\n", False)])
def test_at_a_terminal_init_asks_whether_to_adopt_the_issue_file(typed: bytes, wanted: bool) -> None:
    facts = OUTSIDE._replace(in_is_terminal=True, out_is_terminal=True)
    ran = init_beside(facts=facts, stdin=typed)
    assert "[y/N]" in ran.out
    assert adopted(ran) is wanted


def test_without_a_terminal_init_says_what_to_type() -> None:
    ran = init_beside()
    assert not adopted(ran)
    assert "`moot mirror on` imports it and keeps it in step" in ran.out
    assert "`bd mirror on` imports it" in init_beside(facts=OUTSIDE._replace(program="bd")).out


def test_the_flags_answer_beforehand() -> None:
    assert adopted(init_beside("--mirror"))
    silent = init_beside("--no-mirror")
    assert (adopted(silent), "mirror on" in silent.out) == (False, False)
    assert init_beside("--mirror --json").document["mirror"] == ADOPTED
    assert "mirror" not in init_beside("--json").document


def test_adopting_what_is_not_there_is_refused() -> None:
    assert init_beside("--mirror", files={}).code == 3


def test_a_project_that_is_known_can_adopt_its_file_too() -> None:
    facts = OUTSIDE._replace(workspace="w9")
    answers = {"workspace_info": PLACE, "mirror_on": ADOPTED}
    assert adopted(run_console("init --mirror", answers, facts=facts, files=ISSUES))
    document = run_console("init --mirror --json", answers, facts=facts, files=ISSUES).document
    assert (document["created"], document["mirror"]) == (False, ADOPTED)


@pytest.mark.parametrize(("kept", "offered"), [([], True), ([ADOPTED], False)])
def test_a_project_that_is_known_is_offered_a_mirror_only_where_it_has_none(kept: list[Any], offered: bool) -> None:
    facts = OUTSIDE._replace(workspace="w9")
    ran = run_console("init", {"workspace_info": PLACE, "mirrors": kept}, facts=facts, files=ISSUES)
    assert ("moot mirror on" in ran.out) is offered


def test_flags_about_where_beads_keeps_its_data_are_taken_and_nothing_is_taken_away() -> None:
    ran = init("--force --server --server-port 3307 --backend dolt --team --reinit-local", town=KNOWN_TOWN)
    assert (ran.code, ran.asked) == (0, init(town=KNOWN_TOWN).asked)


# -- A dry run ---------------------------------------------------------------------------------------------------
def test_a_dry_run_tells_what_would_be_made_and_opens_a_project_only_where_there_is_a_town() -> None:
    ran = run_console(
        "init --dry-run --mirror --spool", {"init_town": TOWN | {"recovery_words": ""}}, facts=OUTSIDE, project="",
        files=BEADS,
    )  # fmt: skip
    assert ran.request == InitTown(dry_run=True)
    assert ran.out.splitlines()[1:] == [
        "Would make your town, with this machine as its first",
        "Would open project work for /home/alice/work",
        "  Would write .moot/.gitignore and .moot/workspace; they stay out of git",
        "  Would import .beads/issues.jsonl, and keep it and this project in step",
        "  Would open the spool for commands from sandboxes",
    ]
    assert ran.terminal.files == BEADS
    again = init("--dry-run", town=KNOWN_TOWN, made=MADE | {"created": False})
    assert again.asked[1] == InitProject(actor="unknown", prefix="work", folder="/home/alice/work", dry_run=True)
    assert "Would join project work for /home/alice/work: an existing project with 218 issues, also in /sr" in again.out


def test_a_dry_run_fails_where_there_is_no_file_to_follow_and_asks_nothing_at_a_terminal() -> None:
    assert init("--dry-run --mirror", town=KNOWN_TOWN).code == 3
    facts = at_terminal()._replace(folder="/home/alice/work")
    ran = run_console("init --dry-run", {"mirrors": []}, facts=facts, project="work", files=BEADS)
    assert "[y/N]" not in ran.out


def test_a_dry_run_as_bd_names_the_folder_that_bd_makes() -> None:
    facts = OUTSIDE._replace(program="bd")
    assert "Would write .beads/.gitignore" in init("--dry-run", town=KNOWN_TOWN, facts=facts).err


def init_beside_another(known: Any) -> Outcome:
    answers = {
        "init_town": TOWN,
        "init_project": MADE,
        "status": {"projects": PROJECTS},
        "planes": [{"projects": ["work"]}],
    }
    answers |= {"count": {"total": 3}, "workspace_info": known}
    return run_console("init", answers, facts=OUTSIDE, files={".moot/workspace": b"w1\n"})


def test_where_another_command_has_made_the_same_project_meanwhile_it_is_that_one() -> None:
    ran = init_beside_another({"project": "work", "folder": "/home/alice/work"})
    assert (ran.code, ran.terminal.files[".moot/workspace"]) == (0, b"w1\n")


@pytest.mark.parametrize("known", [None, {"project": "else", "folder": "/home/alice/work"}])
def test_where_another_command_has_made_another_project_meanwhile_it_is_told(known: Any) -> None:
    ran = init_beside_another(known)
    assert ran.code == 5
    assert "was made meanwhile" in ran.err
    assert "`moot where`" in ran.err
