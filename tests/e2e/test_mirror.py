"""A mirror with the real daemon, real files and git: branches, two work trees, links; nothing else is touched."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.requests.machine import Events
from moot_testkit.clients.control import PATIENCE
from moot_testkit.machines.machine import Machine, machine
from moot_testkit.towns.mirroring import NEW, content, line, name

THREE = (line(1), line(2), line(3))
CHANGED = (line(1), line(2, "Changed", updated_at=NEW), line(3), line(4))


class Project:
    """A repository with an issue file on two branches, adopted, of which the newer one was seen.

    Each test begins and ends on that one: processes share the tests out, so that the first may run elsewhere.
    """

    def __init__(self, town: Machine) -> None:
        self.town = town
        self.path = town.folder / ".beads" / "issues.jsonl"
        self.path.parent.mkdir()
        self.path.write_bytes(content(*THREE))
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-qm", "three")
        self.git("checkout", "-qb", "newer")
        self.path.write_bytes(content(*CHANGED))
        self.git("commit", "-qam", "changed")
        self.git("checkout", "-q", "main")
        town.ok("init", "--prefix", "demo", "--mirror")
        self.git("checkout", "-q", "newer")
        self.until(lambda: self.state()["versions"] == 2)

    def git(self, *words: str, folder: Path | None = None) -> str:
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
        return subprocess.run(
            ["git", *who, *words], cwd=folder or self.town.folder, env=self.town.environment, check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip

    @property
    def events(self) -> int:
        with self.town.client() as client:
            found: dict[str, Any] = client.call(Events(since=None))
        return int(found["next"])

    def state(self) -> dict[str, Any]:
        mirror: dict[str, Any] = self.town.json("mirror", "status")[0]
        return mirror

    def title(self, number: int) -> str:
        return str(self.town.json("show", name(number))[0]["title"])

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds, looking again with every commit and ten times a second."""
        pause = threading.Event()
        for _ in range(PATIENCE * 10):
            if holds():
                return
            pause.wait(0.1)
        raise AssertionError(f"it never came: {self.state()}\n" + "\n".join(self.town.log()[-5:]))


@pytest.fixture
def project() -> Iterator[Project]:
    with machine() as town:
        yield Project(town)


def is_at(project: Project, *, is_behind: bool) -> bool:
    return project.state()["behind"] is is_behind


def untouched(project: Project) -> dict[str, bytes]:
    """A hash of everything in the repository but the mirrored file."""
    return {
        str(path): sha256(path.read_bytes()).digest()
        for path in project.town.folder.rglob("*")
        if path.is_file() and path != project.path and ".moot" not in path.parts
    }


def test_a_branch_brings_its_changes_and_going_back_and_forth_brings_nothing(project: Project) -> None:
    assert project.title(2) == "Changed"
    before = project.events
    for branch, is_behind in (("main", True), ("newer", False)):
        project.git("checkout", "-q", branch)
        project.until(partial(is_at, project, is_behind=is_behind))
    assert (project.events, project.git("status", "--porcelain")) == (before, "")
    assert project.path.read_bytes() == content(*CHANGED)


def test_own_changes_on_an_older_branch_leave_it_one_and_reach_the_newer_too(project: Project) -> None:
    project.git("checkout", "-q", "main")
    project.until(partial(is_at, project, is_behind=True))
    project.town.ok("update", name(3), "--title", "On main")

    def check(held: tuple[bytes, ...], *, is_behind: bool) -> None:
        project.town.ok("mirror", "sync")
        lines = project.path.read_bytes().splitlines()
        assert (lines[:2], project.state()["behind"]) == (list(held[:2]), is_behind)
        assert b'"title":"On main"' in lines[2]

    check(THREE, is_behind=True)
    project.git("checkout", "-qf", "newer")
    check(CHANGED, is_behind=False)


def test_own_changes_reach_the_file_and_nothing_else_of_the_repository(project: Project) -> None:
    before = untouched(project)
    project.town.ok("update", name(3), "--title", "Mine")
    project.town.ok("mirror", "sync")
    written = project.path.read_bytes().splitlines()
    assert written[:2] == list(CHANGED[:2])
    assert b'"title":"Mine"' in written[2]
    assert untouched(project) == before
    project.git("commit", "-qam", "mine")


def test_a_second_work_tree_is_followed_too(project: Project) -> None:
    tree = project.town.home / "tree"
    project.git("worktree", "add", "-qf", str(tree), "main")
    before = project.events
    assert project.town.run("mirror", "on", folder=tree).returncode == 0
    assert project.events == before  # the state of `main` is known
    project.town.ok("update", name(1), "--title", "In both")
    for folder in (tree, project.town.folder):
        assert project.town.run("mirror", "sync", folder=folder).returncode == 0
        assert b'"title":"In both"' in (folder / ".beads" / "issues.jsonl").read_bytes().splitlines()[0]
    assert project.town.run("mirror", "off", folder=tree).returncode == 0
    assert project.events == before + 1


def test_a_mass_change_warns_and_a_link_in_place_of_the_file_is_refused(project: Project) -> None:
    held = project.path.read_bytes()
    project.path.write_bytes(held.splitlines(keepends=True)[0])
    project.until(lambda: project.state()["state"] == "asks")
    assert "are gone" in project.town.ok("status")
    project.town.ok("mirror", "resume", "--discard")
    assert project.path.read_bytes() == held
    elsewhere = project.town.home / "elsewhere"
    project.path.rename(elsewhere)
    project.path.symlink_to(elsewhere)
    project.until(lambda: "link" in project.state()["problem"])
    project.town.ok("update", name(3), "--title", "Not through a link")
    assert project.town.run("mirror", "sync").returncode != 0
    assert elsewhere.read_bytes() == held


def test_a_file_changes_and_deletes_no_other_projects_issues_and_keeps_their_lines(project: Project) -> None:
    town, folder = project.town, project.town.home / "beside"
    folder.mkdir()
    assert town.run("init", "--prefix", "beside", folder=folder).returncode == 0
    made = town.run("create", "Theirs", "--id", "beside-v", folder=folder)
    assert made.returncode == 0, made.stderr
    shown, before = town.run("show", "beside-v", "--json", folder=folder).stdout, project.events
    for said in (
        line(9, "Through the file", id="beside-v", status="closed", updated_at="2099-01-01T00:00:00Z"),
        line(9, id="beside-v", status="tombstone", deleted_at="2099-01-02T00:00:00Z"),
    ):
        held = content(*CHANGED, said)
        project.path.write_bytes(held)
        project.until(lambda: project.state()["left_alone"] == 1)
        town.ok("mirror", "sync", "--full", "--delete-missing")
        assert "of an issue that another project has, and brought nothing: beside-v" in town.ok("mirror", "status")
        assert (project.path.read_bytes(), project.events) == (held, before)
    assert town.run("show", "beside-v", "--json", folder=folder).stdout == shown
    assert sum("mirror.left_alone" in entry for entry in town.log()) == 2
