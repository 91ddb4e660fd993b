"""What the client finds out about where it runs."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot import facts
from moot.console.terminal import Facts
from moot_protocol.spool.project_folder import WORKSPACE_FILE
from moot_testkit.clients.control import short_folder


def test_the_workspaces_file_has_the_one_name_that_all_else_knows_it_by() -> None:
    assert facts.WORKSPACE_FILE == WORKSPACE_FILE


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home, and no variable that would say anything of the user."""
    for name in (*facts.ENVIRONMENT, "BEADS_DIR", "BEADS_DB", "COLUMNS", "XDG_CONFIG_HOME", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with short_folder() as folder:
        monkeypatch.setenv("HOME", str(folder))
        yield folder.resolve()


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Facts:
    """The facts of a client in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    return Facts._make(facts.facts("moot", list(arguments)))


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def workspace(folder: Path, name: str) -> None:
    (folder / ".moot").mkdir(parents=True)
    (folder / ".moot" / "workspace").write_text(f"{name}\n")


# -- The workspace -----------------------------------------------------------------------------------------------
def test_the_workspace_is_the_nearest_one_upward(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(home / "outer", "w-outer")
    workspace(home / "outer" / "inner", "w-inner")
    assert told(home / "outer" / "inner" / "deep" / "er", monkeypatch).workspace == "w-inner"
    assert told(home / "outer" / "other", monkeypatch).workspace == "w-outer"
    assert told(home / "outer", monkeypatch).workspace == "w-outer"
    assert told(home / "elsewhere", monkeypatch).workspace == ""


def test_a_linked_work_tree_belongs_to_its_repositorys_workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = home / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    git(repository, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
    git(repository, "worktree", "add", "-q", str(home / "trees" / "tree"))
    workspace(repository, "w1")
    assert told(home / "trees" / "tree" / "sub", monkeypatch).workspace == "w1"
    workspace(home / "trees", "w2")
    assert told(home / "trees" / "tree" / "sub", monkeypatch).workspace == "w2"


def test_work_trees_of_a_bare_repository_share_the_workspace_beside_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed, place = home / "seed", home / "place"
    seed.mkdir()
    place.mkdir()
    git(seed, "init", "-q")
    git(seed, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
    git(place, "clone", "-q", "--bare", str(seed), "bare.git")
    for tree in (place / "main", home / "far" / "topic"):
        git(place / "bare.git", "worktree", "add", "-q", str(tree), "-b", tree.name + "-1")
    workspace(place, "w1")
    for folder in (place / "bare.git", place / "main" / "sub", home / "far" / "topic" / "sub"):
        assert told(folder, monkeypatch).workspace == "w1", folder
    git(place / "bare.git", "config", "user.name", "Bare")
    assert told(home / "far" / "topic", monkeypatch).git_user == "Bare"


def test_a_submodule_belongs_to_the_workspace_around_it_unless_it_has_one_and_has_its_own_user(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, whole = home / "part", home / "whole"
    for repository in (part, whole):
        repository.mkdir()
        git(repository, "init", "-q")
        git(repository, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
    git(whole, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(part), "lib/part")
    sub = whole / "lib" / "part"
    workspace(whole, "w-whole")
    assert told(sub / "deep", monkeypatch).workspace == "w-whole"
    git(sub, "config", "user.name", "Part")
    assert told(sub, monkeypatch).git_user == "Part"
    workspace(sub, "w-part")
    assert told(sub / "deep", monkeypatch).workspace == "w-part"
    assert told(whole, monkeypatch).workspace == "w-whole"


@pytest.mark.parametrize("link", ["", "gitdir: nowhere", "gitdir: ", "nonsense", "gitdir: \0"])
def test_a_broken_git_link_means_no_workspace(home: Path, monkeypatch: pytest.MonkeyPatch, link: str) -> None:
    (home / "tree").mkdir()
    (home / "tree" / ".git").write_text(link)
    assert told(home / "tree", monkeypatch).workspace == ""


def test_a_folder_that_is_gone_has_no_name_and_no_workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    shutil.rmtree(gone)
    told = Facts._make(facts.facts("moot", []))
    assert (told.folder, told.workspace) == ("", "")


# -- The user ----------------------------------------------------------------------------------------------------
def test_git_names_the_user_repository_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = home / "repository"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "config").write_text("[user]\nname = Config\n")
    assert told(repository, monkeypatch).git_user == "Config"
    (home / ".gitconfig").write_text("[user]\nname = Home\n")
    assert told(repository, monkeypatch).git_user == "Home"
    git(repository, "init", "-q")
    assert told(repository / "sub", monkeypatch).git_user == "Home"
    git(repository, "config", "user.name", "Repository")
    assert told(repository / "sub", monkeypatch).git_user == "Repository"


def test_a_linked_work_tree_has_its_repositorys_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = home / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    git(repository, "config", "user.name", "Repository")
    git(repository, "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
    git(repository, "worktree", "add", "-q", str(home / "tree"))
    assert told(home / "tree", monkeypatch).git_user == "Repository"


@pytest.mark.parametrize("actor", ["MOOT_ACTOR", "BD_ACTOR", "BEADS_ACTOR"])
def test_git_is_not_asked_where_a_variable_names_the_actor(
    home: Path, monkeypatch: pytest.MonkeyPatch, actor: str
) -> None:
    (home / ".gitconfig").write_text("[user]\nname = Home\n")
    monkeypatch.setenv(actor, "alice")
    found = told(home, monkeypatch)
    assert found.git_user == ""
    assert found.environment == {actor: "alice", "HOME": str(home)}


def test_the_user_is_asked_of_the_password_database_only_where_nothing_else_names_anybody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(home, monkeypatch).environment["USER"] == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pytest.fail("it may lie in a network"))
    monkeypatch.setenv("USER", "alice")
    assert told(home, monkeypatch).environment["USER"] == "alice"
    monkeypatch.delenv("USER")
    (home / ".gitconfig").write_text("[user]\nname = Home\n")
    assert "USER" not in told(home, monkeypatch).environment


@pytest.mark.parametrize(
    "name",
    [
        "Alice",
        "Alice B. Carter",
        "  inner  spaces  ",
        'with "quotes"',
        "back\\slash",
        "semi;colon # and hash",
        "ünïcode 名",
    ],
)
def test_a_name_is_read_as_git_writes_it(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    git(home, "config", "--global", "user.email", "name=not@this.one")
    git(home, "config", "--global", "user.name", name)
    git(home, "config", "--global", "other.name", "not this one")
    assert told(home / "x", monkeypatch).git_user == name.strip()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("[user]\n\tname = Alice ; a comment\n", "Alice"),
        ("[USER]\n  NAME=Alice#x\n", "Alice"),
        ("[user]\nname = First\n[user]\nname = Last\n", "Last"),
        ('[user "x"]\nname = Other\n', ""),
        ("[user]\nusername = Other\n", ""),
        ("[user]\nname\n", ""),
        ("", ""),
        ("[user", ""),
    ],
)
def test_configuration_written_by_hand_is_read_as_git_reads_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, written: str, name: str
) -> None:
    (home / ".gitconfig").write_text(written)
    assert told(home, monkeypatch).git_user == name


# -- The variables of bd ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("variable", "value"),
    [("BEADS_DIR", "{home}/named/.beads"), ("BEADS_DIR", "../named/.beads/"), ("BEADS_DB", "{home}/named/.beads/x.db")],
)
def test_the_project_is_the_one_that_the_variables_of_beads_name_whatever_the_program_is_called(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A shell's `alias bd=moot` calls it as `moot`."""
    workspace(home / "here", "w-here")
    workspace(home / "named", "w-named")
    monkeypatch.setenv(variable, value.format(home=home))
    monkeypatch.chdir(home / "here")
    for program in ("moot", "bd"):
        monkeypatch.setenv(variable, value.format(home=home))
        told = Facts._make(facts.facts(program, []))
        assert (told.workspace, told.environment[variable]) == ("w-named", value.format(home=home))
        monkeypatch.setenv(variable, str(home / "nowhere" / ".beads" / "x.db"))
        assert Facts._make(facts.facts(program, [])).workspace == ""
        monkeypatch.setenv(variable, "")
        assert Facts._make(facts.facts(program, [])).workspace == "w-here"


# -- The terminal ------------------------------------------------------------------------------------------------
def test_only_named_variables_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("USER", "alice")
    assert told(home, monkeypatch).environment == {"NO_COLOR": "1", "HOME": str(home), "USER": "alice"}


@pytest.mark.parametrize(
    ("columns", "width"), [("", 80), ("132", 132), ("0", 80), ("-5", 80), ("x", 80), ("9" * 9, 65535)]
)
def test_the_width_is_that_of_columns_or_80(
    home: Path, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("os.isatty", lambda _: False)
    assert told(home, monkeypatch).width == width


@pytest.mark.timeout(5)
def test_a_pipe_in_a_small_file_s_place_is_empty_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert facts.read_small(str(tmp_path / "pipe")) == ""
