"""Whose daemon is trusted at a socket that was named: only one whose place nobody else could take."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from moot.peer import distrust, of_another

ROOT, MOOT, STRANGER = 0, 1001, 1002
PATH = "/run/moot/moot.sock"


class Disk:
    """Who owns what, and with which mode; all on one path."""

    def __init__(self) -> None:
        folder = stat.S_IFDIR | 0o755
        self.found = {
            "/": (folder, ROOT),
            "/run": (folder, ROOT),
            "/run/moot": (folder, MOOT),
            PATH: (stat.S_IFSOCK | 0o660, MOOT),
        }

    def lstat(self, path: str) -> SimpleNamespace:
        if path not in self.found:
            raise FileNotFoundError(2, "No such file or directory", path)
        mode, owner = self.found[path]
        return SimpleNamespace(st_mode=mode, st_uid=owner)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("moot.peer.os.lstat", disk.lstat)
    monkeypatch.setattr("moot.peer.os.path.realpath", lambda path: path)
    return disk


def test_the_owner_of_a_socket_where_only_they_and_root_can_write_is_trusted(disk: Disk) -> None:
    assert distrust(PATH, MOOT) == ""
    disk.found["/run/moot"] = (stat.S_IFDIR | 0o750, ROOT)
    assert distrust(PATH, MOOT) == ""


def test_whoever_answers_at_a_socket_of_somebody_else_is_not(disk: Disk) -> None:
    assert "isn't theirs" in distrust(PATH, STRANGER)
    disk.found[PATH] = (stat.S_IFREG | 0o660, MOOT)
    assert "isn't theirs" in distrust(PATH, MOOT)


@pytest.mark.parametrize("folder", ["/", "/run", "/run/moot"])
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_where_others_can_write_anybody_could_have_made_the_socket(disk: Disk, folder: str, mode: int) -> None:
    """Also where a sticky bit keeps what is there: whoever comes first makes the folder."""
    disk.found[folder] = (stat.S_IFDIR | mode, disk.found[folder][1])
    assert distrust(PATH, MOOT).endswith(f"can write to {folder}")


@pytest.mark.parametrize("folder", ["/run", "/run/moot"])
def test_a_strangers_folder_on_the_way_is_not_trusted(disk: Disk, folder: str) -> None:
    disk.found[folder] = (stat.S_IFDIR | 0o755, STRANGER)
    assert distrust(PATH, MOOT).endswith(f"can write to {folder}")


def test_what_cannot_be_looked_at_is_not_trusted(disk: Disk) -> None:
    del disk.found[PATH]
    assert "can't be looked at" in distrust(PATH, MOOT)


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    named = tmp_path / "link" / "moot.sock"
    assert distrust(str(named), os.geteuid()).endswith(f"name {tmp_path.resolve()}/there/moot.sock")


STATE = "/h/.local/state/moot"


@pytest.mark.parametrize(
    ("owner", "own", "path", "hint"),
    [
        (0, 1001, STATE, f"`sudo chown -R 1001 {STATE}` gives it back"),
        (0, 1001, "/run/user/0", "run it as that user, or with HOME and the XDG variables"),
        (1002, 1001, STATE, "run it as that user, or with HOME and the XDG variables"),
        (1001, 0, STATE, "`sudo -H`"),
    ],
)
def test_only_what_root_has_made_of_our_own_folders_is_advised_to_be_given_back(
    monkeypatch: pytest.MonkeyPatch, owner: int, own: int, path: str, hint: str
) -> None:
    monkeypatch.setattr(os, "stat", lambda _path: os.stat_result((0o700, 0, 0, 1, owner, 0, 0, 0, 0, 0)))
    monkeypatch.setattr(os, "geteuid", lambda: own)
    whose, told = of_another(path)
    monkeypatch.undo()
    assert whose == f"{path} belongs to user {owner}, not to user {own}"
    assert hint in told
