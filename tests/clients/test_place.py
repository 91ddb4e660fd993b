"""Where a program works and as whom."""

import os
import pwd
from pathlib import Path

import pytest

from moot.place import place_of
from moot_protocol.errors import Code, RefusedError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MOOT_ACTOR", "BD_ACTOR", "BEADS_ACTOR", "USER", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_workspace_is_found_upward_from_the_folder(home: Path) -> None:
    (home / ".moot").mkdir()
    (home / ".moot" / "workspace").write_text("w1\n")
    below = home / "a" / "b"
    below.mkdir(parents=True)
    assert place_of(below).workspace == "w1"
    assert place_of(home.parent).workspace == ""


def test_without_a_folder_it_is_this_processs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert place_of().folder == str(home)


def test_a_folder_that_is_not_there_is_refused(home: Path) -> None:
    (home / "file").write_text("x")
    for wrong in (home / "nowhere", home / "file", "nowhere"):
        with pytest.raises(RefusedError, match="there is no folder /") as refused:
            place_of(wrong)
        assert refused.value.code is Code.NOT_FOUND


def test_the_actor_is_found_as_the_command_line_finds_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_of(home).actor == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2**31)  # a container's user may have no name
    assert place_of(home).actor == "unknown"
    monkeypatch.setenv("USER", "user")
    assert place_of(home).actor == "user"
    (home / ".gitconfig").write_text("[user]\n\tname = Git User\n")
    assert place_of(home).actor == "Git User"
    for name in ("BEADS_ACTOR", "BD_ACTOR", "MOOT_ACTOR"):
        monkeypatch.setenv(name, name)
        assert place_of(home).actor == name
    assert place_of(home, " given ").actor == "given"
