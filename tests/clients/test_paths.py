"""The client finds the daemon where the daemon is."""

import os
import pwd
from pathlib import Path

import pytest

from moot import paths
from moot_protocol.limits import SOCKET_PATH_BYTES
from mootd.edges.paths import locate

HOME = "/home/alice"


def test_client_and_daemon_agree_on_the_longest_path_of_a_socket() -> None:
    assert paths.SOCKET_BYTES == SOCKET_PATH_BYTES


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": HOME, "XDG_RUNTIME_DIR": "/run/user/1000"},
        {"HOME": HOME, "XDG_RUNTIME_DIR": "/run/user/1000/"},
        {"HOME": HOME},
        {"HOME": HOME, "XDG_RUNTIME_DIR": ""},
        {"HOME": HOME, "XDG_RUNTIME_DIR": "relative"},
        {"HOME": HOME, "XDG_STATE_HOME": "/var/state"},
        {"HOME": HOME, "XDG_STATE_HOME": "state"},
        {},
    ],
)
def test_client_and_daemon_agree_on_every_place(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    places = locate(variables)
    assert Path(paths.socket_path()) == places.socket
    assert Path(paths.state_folder()) == places.state


def test_without_a_home_the_password_database_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert paths.home() == pwd.getpwuid(os.getuid()).pw_dir


def test_a_socket_that_is_named_goes_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("MOOT_SOCKET", "")
    assert not paths.is_socket_named()
    assert paths.socket_path() == "/run/user/1000/moot/moot.sock"
    monkeypatch.setenv("MOOT_SOCKET", "/run/moot/moot.sock")
    assert paths.is_socket_named()
    assert paths.socket_path() == "/run/moot/moot.sock"


def test_without_a_name_for_the_user_the_password_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", " alice ")
    assert paths.user() == "alice"
    monkeypatch.setenv("USER", " ")
    assert paths.user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2**31)  # a container's user may have no name
    assert paths.user() == ""
