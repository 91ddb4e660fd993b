"""The listening socket: who can reach it, what it replaces and what it never touches."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import SOCKET_PATH_BYTES
from moot_testkit.clients.control import short_folder
from mootd.control.listener import activated, listen, listening


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_the_socket_are_this_users_alone(folder: Path) -> None:
    path = folder / "run" / "moot" / "moot.sock"
    before = os.umask(0)
    try:
        with listening(path):
            assert permissions(path.parent) == 0o700
            assert permissions(path) == 0o600
    finally:
        os.umask(before)


def test_a_folder_open_to_others_is_refused(folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(RefusedError) as caught:
        listen(folder / "moot.sock")
    assert caught.value.code is Code.DENIED


def test_the_socket_file_goes_with_the_listener(folder: Path) -> None:
    path = folder / "moot.sock"
    with listening(path):
        assert path.exists()
    assert not path.exists()


def test_a_file_put_in_the_sockets_place_meanwhile_stays(folder: Path) -> None:
    path = folder / "moot.sock"
    with listening(path):
        path.unlink()
        path.write_text("someone else's")
    assert path.read_text() == "someone else's"


def test_the_socket_of_a_daemon_that_died_is_replaced(folder: Path) -> None:
    path = folder / "moot.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with listening(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_the_socket_of_a_daemon_that_serves_is_not_replaced(folder: Path) -> None:
    path = folder / "moot.sock"
    with listening(path):
        with pytest.raises(RefusedError, match="already") as caught:
            listen(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert caught.value.code is Code.EXISTS


def test_a_daemon_too_busy_to_answer_counts_as_one_that_serves(folder: Path) -> None:
    path = folder / "moot.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX)]
        waiting[0].connect(str(path))  # fills its backlog
        with pytest.raises(RefusedError) as caught:
            listen(path)
        waiting[0].close()
    assert caught.value.code is Code.EXISTS
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_deleted(folder: Path, kind: str) -> None:
    path = folder / "moot.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(folder / "elsewhere")
    with pytest.raises(RefusedError, match="not a socket") as caught:
        listen(path)
    assert caught.value.code is Code.EXISTS
    assert path.lstat()


def test_a_path_too_long_for_a_socket_is_refused_in_words(folder: Path) -> None:
    path = folder / ("x" * SOCKET_PATH_BYTES) / "moot.sock"
    with pytest.raises(RefusedError, match=f"{SOCKET_PATH_BYTES} bytes") as caught:
        listen(path)
    assert caught.value.code is Code.LIMIT
    assert "XDG_RUNTIME_DIR" in caught.value.hint
    assert not path.parent.exists()


def test_the_longest_path_a_socket_can_have_works(folder: Path) -> None:
    path = folder / ("x" * (SOCKET_PATH_BYTES - len(str(folder)) - 3)) / "s"
    assert len(str(path)) == SOCKET_PATH_BYTES
    with listening(path):
        assert path.exists()


ACTIVATION = """
import os, socket, sys
from mootd.control.listener import activated
from moot_protocol.errors import RefusedError
os.dup2(int(sys.argv[3]), 3)
environment = {"LISTEN_PID": str(os.getpid() + int(sys.argv[1])), "LISTEN_FDS": sys.argv[2]}
try:
    listener = activated(environment, os.getpid())
except RefusedError as error:
    print("refused:", error)
else:
    print(listener and listener.getsockname(), listener and os.get_inheritable(listener.fileno()))
"""


def run_activated(descriptor: int, *, other_pid: int = 0, count: str = "1") -> str:
    """What a process says that was given this descriptor as its third."""
    # It is put there in the process: the third of this one may be what its own test runner listens to.
    done = subprocess.run(
        [sys.executable, "-c", ACTIVATION, str(other_pid), count, str(descriptor)],
        pass_fds=(descriptor,),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_listening_socket_passed_by_a_service_manager_is_taken_over(folder: Path) -> None:
    path = folder / "moot.sock"
    with listening(path) as listener:
        assert run_activated(listener.fileno()) == f"{path} False"


def test_descriptors_meant_for_another_process_are_left_alone(folder: Path) -> None:
    with listening(folder / "moot.sock") as listener:
        assert run_activated(listener.fileno(), other_pid=1) == "None None"


def test_without_activation_there_is_no_socket() -> None:
    assert activated({}, os.getpid()) is None


def test_more_than_one_passed_socket_is_refused(folder: Path) -> None:
    with listening(folder / "moot.sock") as listener:
        assert "2 sockets" in run_activated(listener.fileno(), count="2")


def test_what_was_passed_must_be_a_listening_unix_socket(folder: Path) -> None:
    with socket.socket(socket.AF_INET) as other, socket.socket(socket.AF_UNIX) as deaf:
        assert "not a listening Unix" in run_activated(other.fileno())
        assert "not a listening Unix" in run_activated(deaf.fileno())
    with (folder / "file").open("w") as file:
        assert "not a socket" in run_activated(file.fileno())
