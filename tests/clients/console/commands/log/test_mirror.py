"""mirror: which file is meant, what is asked of the daemon, and what is told of its answer."""

from typing import Any

import pytest

from moot_protocol.requests.mirrors import MirrorOff, MirrorOn, MirrorResume, Mirrors, MirrorSync
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS

HERE, FILE = "/home/alice/work", ".beads/issues.jsonl"
INSIDE = FACTS._replace(folder=f"{HERE}/src/deep")


def mirror(**parts: Any) -> dict[str, Any]:
    """A mirror as the daemon tells it."""
    return {
        "folder": HERE, "file": FILE, "project": "bd", "plane": "00", "workspace": "w1", "state": "in_step",
        "problem": "", "question": None, "missing": 0, "left_out": 0, "left_alone": 0, "left_alone_ids": [],
        "behind": False, "older": 0,
        "changed_at": NOW_MS - 120_000, "versions": 2, "polls": False, "waiting": 0, "gone": False,
    } | parts  # fmt: skip


ADOPTED = mirror(adopted=True, created=2, updated=0, deleted=0, unchanged=0, skipped=0, problems=[])


def run(argv: str, **answers: Any) -> Outcome:
    return run_console(f"mirror {argv}", {"mirrors": [mirror()], **answers})


# -- on ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [".beads/issues.jsonl", ".beads/beads.jsonl"])
def test_on_finds_the_file_of_the_folder_or_of_one_around_it(name: str) -> None:
    files = {f"{HERE}/{name}": b"{}"}
    ran = run_console("mirror on", {"mirror_on": ADOPTED}, files=files, facts=INSIDE)
    assert ran.request == MirrorOn(folder=HERE, file=name, workspace="w1", project="bd")
    assert "is a mirror of bd now: 2 created, 0 updated" in ran.out
    assert "merge=moot" in ran.out


def test_a_file_on_an_older_branch_is_told_as_one_when_it_is_adopted_and_brought_into_step() -> None:
    behind = {"behind": True, "older": 2}
    for argv, answer in (("on FILE", {"mirror_on": ADOPTED | behind}), ("sync", {"mirror_sync": mirror(**behind)})):
        told = run(argv, **answer).out
        assert "  it is an earlier version; later changes stay out of it" in told
        assert "  2 lines in it older than what is known here brought nothing" in told
        assert "is in step" not in told


def test_on_takes_a_file_that_is_named() -> None:
    for given, folder, file in (
        (".beads/issues.jsonl", HERE, ".beads/issues.jsonl"),
        ("data/list.jsonl", f"{HERE}/data", "list.jsonl"),
        (f"{HERE}/list.jsonl", HERE, "list.jsonl"),
    ):
        ran = run_console(["mirror", "on", given, "--poll"], {"mirror_on": ADOPTED})
        assert ran.request == MirrorOn(folder=folder, file=file, workspace="w1", project="bd", poll=True)


def test_on_refuses_a_file_out_of_the_project_and_one_that_is_not_there() -> None:
    assert run_console("mirror on ../other/x.jsonl").code == 4
    ran = run_console("mirror on")
    assert (ran.code, "there is no .beads/issues.jsonl here" in ran.err) == (3, True)
    assert run_console("mirror on", project="").code == 3


def test_problems_of_lines_are_told_and_a_mirror_that_was_one_is_said_to_be() -> None:
    problems = [{"line": number, "id": "bd-1", "problem": "odd\x1b[2J"} for number in range(1, 30)]
    files = {f"{HERE}/{FILE}": b"{}"}
    out = run_console("mirror on", {"mirror_on": {**ADOPTED, "problems": problems}}, files=files).out
    assert "line 20 bd-1" in out
    assert "and 9 more" in out
    assert "\x1b[2J" not in out
    assert "mirror already" in run_console("mirror on", {"mirror_on": mirror(adopted=False)}, files=files).out


def test_a_file_that_goes_on_as_a_mirror_whose_folder_is_gone_is_told_with_that() -> None:
    answer = mirror(adopted=False, moved_from="/home/alice/old/.beads/issues.jsonl\x1b[2J")
    out = run_console("mirror on", {"mirror_on": answer}, files={f"{HERE}/{FILE}": b"{}"}).out
    assert f"{HERE}/{FILE} is a mirror of bd now, in place of /home/alice/old/{FILE}" in out
    assert "\x1b[2J" not in out


def test_issues_of_a_file_that_other_projects_have_are_told_with_these() -> None:
    answers = {"mirror_on": {**ADOPTED, "other_projects": {"demo": 1205, "x\x1b[2J": 1}}}
    out = run_console("mirror on", answers, files={f"{HERE}/{FILE}": b"{}"}).out
    assert "  1,205 of its issues belong to project demo, and stay there\n" in out
    assert "  1 of its issues belongs to project x^[[2J, and stays there" in out


# -- status ------------------------------------------------------------------------------------------------------
def test_status_tells_of_the_workspaces_mirrors_and_with_all_of_every_one() -> None:
    others = [mirror(), mirror(folder="/elsewhere", workspace="w2")]
    ran = run("status", mirrors=others)
    assert ran.request == Mirrors()
    assert ran.out == f"{HERE}/{FILE} (project bd): in step, last changed 2min ago\n"
    assert "/elsewhere" in run("status --all", mirrors=others).out
    assert run("status --json", mirrors=others).document == [mirror()]
    assert "moot mirror on" in run("status", mirrors=[]).err


def test_the_group_itself_is_its_status_and_its_help_tells_how_git_merges_such_files() -> None:
    assert run_console("mirror", {"mirrors": [mirror()]}).out == run("status").out
    told = run_console("mirror --help").out
    assert "merge.moot.driver 'moot merge-file %O %A %B'" in told
    assert ".gitattributes" in told
    assert "mirror resume" in told


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"problem": "line 3 is a conflict marker"}, "not followed, line 3 is a conflict marker"),
        ({"question": {"gone": 7, "reverted": 1, "total": 9}}, "of 9 issues 7 are gone and 1 went back"),
        ({"behind": True}, "issues.jsonl (project bd): an earlier version, last changed"),
        ({"behind": True, "older": 1}, "1 line in it older than what is known here brought nothing"),
        ({"question": {"gone": 1, "reverted": 0, "total": 1}, "problem": "half written"}, "\n  half written"),
        ({"missing": 2}, "2 issues without a line in it any more stay here"),
        ({"missing": 1}, "1 issue without a line in it any more stays here"),
        ({"left_out": 1}, "1 line of its last change could not be taken in whole"),
        (
            {"left_alone": 1, "left_alone_ids": ["demo-\x1b1"]},
            "  1 line of its last change is of an issue that another project has, and brought nothing: demo-^[1\n",
        ),
        (
            {"left_alone": 1207, "left_alone_ids": ["a-1", "a-2"]},
            "other projects have, and brought nothing: a-1, a-2 and",
        ),
        ({"left_alone": 1207, "left_alone_ids": ["a-1", "a-2"]}, "  1,207 lines of its last change are of issues that"),
        ({"left_alone": 1207, "left_alone_ids": ["a-1", "a-2"]}, "a-2 and 1,205 more\n"),
        ({"waiting": 3}, "3 issues to be written"),
        ({"polls": True}, "looked at every second"),
    ],
)
def test_status_tells_what_is_odd(parts: dict[str, Any], words: str) -> None:
    assert words in run("status", mirrors=[mirror(**parts)]).out


# -- off, sync, resume -------------------------------------------------------------------------------------------
def test_off_sync_and_resume_act_on_the_mirror_of_the_folder() -> None:
    place: dict[str, Any] = {"folder": HERE, "file": FILE}
    assert run("off", mirror_off=mirror()).asked[1] == MirrorOff(**place)
    assert run("sync", mirror_sync=mirror()).asked[1] == MirrorSync(**place)
    asked = run("sync --full --delete-missing", mirror_sync=mirror()).asked[1]
    assert asked == MirrorSync(**place, full=True, delete_missing=True)
    assert run("resume --accept", mirror_resume=mirror()).asked[1] == MirrorResume(**place, accept=True)
    assert run("resume --discard", mirror_resume=mirror()).asked[1] == MirrorResume(**place, accept=False)
    assert run("resume").code == 2


def test_a_dry_run_says_what_a_sync_would_do() -> None:
    counted = {"created": 1, "updated": 2, "deleted": 0, "problems": [], "writes": True}
    for argv in ("sync", "resume --discard"):
        told = {f"mirror_{argv.split()[0]}": mirror(**counted)}
        ran = run(f"{argv} --dry-run", **told)
        assert "dry_run=True" in repr(ran.asked[1])
        assert f"{HERE}/{FILE}: 1 created, 2 updated, 0 deleted; it would be written anew\n" in ran.out
        assert run(f"{argv} --dry-run --json", **told).document["dry_run"]
    alone = run("sync --dry-run", mirror_sync=mirror(**counted, left_alone=1, left_alone_ids=["other-v"])).out
    assert "1 line of its last change is of an issue that another project has, and brought nothing: other-v" in alone
    stuck = run("sync --dry-run", mirror_sync=mirror(**counted, state="problem", problem="half written"))
    assert (stuck.code, "half written" in stuck.out) == (5, True)


def test_a_sync_that_can_not_go_on_is_a_conflict() -> None:
    ran = run("sync", mirror_sync=mirror(state="problem", problem="half written"))
    assert (ran.code, "half written" in ran.out) == (5, True)


def test_the_nearest_folder_wins_and_several_files_of_one_have_to_be_named() -> None:
    nested = [mirror(), mirror(folder=f"{HERE}/src")]
    ran = run_console("mirror off", {"mirrors": nested, "mirror_off": mirror()}, facts=INSIDE)
    assert ran.asked[1] == MirrorOff(folder=f"{HERE}/src", file=FILE)
    two = [mirror(), mirror(file="other.jsonl")]
    assert run("off", mirrors=two).code == 3
    named = run("off other.jsonl", mirrors=two, mirror_off=mirror())
    assert named.asked[1] == MirrorOff(folder=HERE, file="other.jsonl")
    assert run("off", mirrors=[]).code == 3


# -- Copies, moved folders and linked work trees -----------------------------------------------------------------
FIRST = "/home/alice/first"


def off(*mirrors: dict[str, Any], marks: tuple[str, ...] = (f"{HERE}/.moot/workspace",), **facts: Any) -> Outcome:
    """Turn the mirror of a folder off, with files that make it and others a project's or a work tree's."""
    answers = {"mirrors": list(mirrors), "mirror_off": mirror()}
    files = dict.fromkeys(marks, b"w1\n")
    return run_console("mirror off", answers, facts=FACTS._replace(**facts), files=files)


def turned_off(ran: Outcome) -> str:
    """The folder whose mirror was turned off; empty where none was."""
    return next((each.folder for each in ran.asked if isinstance(each, MirrorOff)), "")


def test_a_copy_leaves_the_mirror_of_the_first_alone_and_names_it() -> None:
    for verb in ("off", "sync", "resume --discard"):
        files = {f"{HERE}/.moot/workspace": b"w1\n"}
        ran = run_console(f"mirror {verb}", {"mirrors": [mirror(folder=f"{FIRST} 1")]}, files=files)
        assert (ran.code, ran.request) == (3, Mirrors())
        assert f"no mirror here; this project has {FIRST} 1/{FILE}\n" in ran.err
        assert f"`moot mirror {verb} '{FIRST} 1/{FILE}'` means that one" in ran.err
    assert turned_off(off(mirror(folder=FIRST), mirror())) == HERE


def test_without_any_mirror_the_hint_is_how_to_keep_one() -> None:
    ran = off(mirror(folder="/elsewhere", workspace="w2"))
    assert (ran.code, "no mirror here\n" in ran.err, "`moot mirror on` keeps one" in ran.err) == (3, True, True)
    assert "/elsewhere" not in ran.err


def test_a_moved_folder_means_the_mirror_that_is_gone_and_not_that_of_a_copy() -> None:
    assert turned_off(off(mirror(folder=FIRST, gone=True), mirror(folder="/home/alice/a/longer/copy"))) == FIRST
    ran = off(mirror(folder=FIRST, gone=True), mirror(folder="/second", gone=True))
    assert (ran.code, turned_off(ran)) == (3, "")
    assert f"several mirrors here: {FIRST}/{FILE}, /second/{FILE}" in ran.err


def test_a_project_inside_another_ones_folder_leaves_that_ones_mirror_alone() -> None:
    ran = off(mirror(folder="/home/alice", workspace="w2"))
    assert (ran.code, turned_off(ran)) == (3, "")


def test_a_mirror_below_the_projects_folder_is_meant_unless_a_copy_or_a_work_tree_lies_between() -> None:
    below = mirror(folder=f"{HERE}/data/lists", file="list.jsonl")
    workspace = f"{HERE}/.moot/workspace"
    assert turned_off(off(below)) == f"{HERE}/data/lists"
    for mark in (".git", ".moot/workspace"):
        assert turned_off(off(below, marks=(workspace, f"{HERE}/data/{mark}"))) == ""


def test_a_linked_work_tree_has_its_own_mirror_else_shares_the_only_one() -> None:
    assert turned_off(off(mirror(), mirror(folder=FIRST), marks=())) == HERE
    assert turned_off(off(mirror(folder=FIRST), marks=())) == FIRST
    assert turned_off(off(mirror(folder="/home/alice", workspace="w2"), mirror(folder=FIRST), marks=())) == FIRST
    ran = off(mirror(folder=FIRST), mirror(folder="/tree"), marks=())
    assert (turned_off(ran), f"{FIRST}/{FILE}, /tree/{FILE}" in ran.err) == ("", True)


def test_outside_of_any_project_the_nearest_mirror_around_is_meant() -> None:
    assert turned_off(off(mirror(), marks=(), workspace="", folder=f"{HERE}/src")) == HERE
    assert turned_off(off(mirror(folder=FIRST, workspace=""), marks=(), workspace="")) == ""
