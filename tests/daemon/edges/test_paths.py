"""Where things lie, and that what lies there is the user's alone."""

import errno
import os
import pwd
from pathlib import Path

import pytest

from moot import paths as client_paths
from moot_protocol.errors import Code, RefusedError
from mootd.edges.paths import locate, open_private_folder, private_folder, refusal

XDG = {
    "HOME": "/home/ada",
    "XDG_DATA_HOME": "/srv/data",
    "XDG_CONFIG_HOME": "/srv/config",
    "XDG_STATE_HOME": "/srv/state",
    "XDG_RUNTIME_DIR": "/run/user/1000",
}


def test_the_xdg_variables_are_followed() -> None:
    places = locate(XDG)
    assert places.data == Path("/srv/data/moot")
    assert places.keys == Path("/srv/data/moot/keys")
    assert places.config_file == Path("/srv/config/moot/config.toml")
    assert places.state == Path("/srv/state/moot")
    assert places.socket == Path("/run/user/1000/moot/moot.sock")


@pytest.mark.parametrize("unset", [{}, dict.fromkeys(XDG, ""), dict.fromkeys(XDG, "relative/path")])
def test_what_is_unset_empty_or_relative_is_replaced_by_the_usual_place(unset: dict[str, str]) -> None:
    places = locate(unset | {"HOME": "/home/ada"})
    assert places.data == Path("/home/ada/.local/share/moot")
    assert places.config_file == Path("/home/ada/.config/moot/config.toml")
    assert places.state == Path("/home/ada/.local/state/moot")


def test_without_a_runtime_folder_the_socket_lies_in_the_state_and_never_in_tmp() -> None:
    assert locate({"HOME": "/home/ada"}).socket == Path("/home/ada/.local/state/moot/run/moot.sock")
    assert locate({"HOME": "/h", "XDG_STATE_HOME": "/s", "TMPDIR": "/tmp"}).socket == Path("/s/moot/run/moot.sock")  # noqa: S108


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "ada"}])
def test_without_a_home_the_password_database_knows_it(home: dict[str, str]) -> None:
    assert locate(home).data == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local/share/moot"


def test_another_data_folder_moves_the_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = locate(XDG, data=Path("/elsewhere"))
    assert (moved.data, moved.keys) == (Path("/elsewhere"), Path("/elsewhere/keys"))
    assert moved._replace(data=locate(XDG).data) == locate(XDG)
    monkeypatch.chdir(tmp_path)
    assert locate(XDG, data=Path("here")).data == tmp_path / "here"


@pytest.mark.parametrize(
    "environment",
    [
        XDG,
        {"HOME": "/home/ada"},
        {"HOME": "/home/ada", "XDG_STATE_HOME": "/srv/state/"},
        {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": ""},
        {},
    ],
)
def test_the_client_looks_for_the_socket_where_the_daemon_opens_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in XDG:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Path(client_paths.socket_path()) == locate(environment).socket
    assert Path(client_paths.state_folder()) == locate(environment).state


# -- Private folders ---------------------------------------------------------------------------------------------


def refused(path: Path, owner: int | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        private_folder(path, owner=owner)
    return caught.value


def test_a_folder_is_made_with_its_parents_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert private_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o7777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]
    private_folder(tmp_path / "a" / "b")


def test_a_folder_that_is_made_is_there_after_a_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    private_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_a_folder_open_to_others_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    error = refused(folder)
    assert (error.code, error.hint) == (Code.DENIED, f"close it: chmod 700 {folder}")
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    assert "belongs to user" in refused(tmp_path / "a", owner=os.geteuid() + 1).message


def test_a_link_or_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name in ("link", "lost", "file", "file/below"):
        assert refused(tmp_path / name).code is Code.DENIED


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        open_private_folder(tmp_path / "nowhere")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("number", "code", "retryable"),
    [
        (errno.ENOSPC, Code.STORE_FULL, True),
        (errno.EDQUOT, Code.STORE_FULL, True),
        (errno.EROFS, Code.STORE_READ_ONLY, False),
        (errno.EACCES, Code.DENIED, False),
    ],
)
def test_what_the_system_says_becomes_a_code(number: int, code: Code, *, retryable: bool) -> None:
    error = refusal(OSError(number, os.strerror(number)), "cannot do it")
    assert (error.code, error.retryable) == (code, retryable)
    assert error.message.startswith("cannot do it: ")
