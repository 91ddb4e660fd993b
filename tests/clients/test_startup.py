"""Starting the daemon from the client, with programs of the test's own in the daemon's place."""

import fcntl
import os
import socket
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from moot import startup
from moot.startup import LOG_BYTES
from moot_testkit.clients.control import PATIENCE
from moot_testkit.clients.starting import StartingShell


# -- Started by need ---------------------------------------------------------------------------------------------
def test_a_command_starts_the_daemon_if_none_runs(town: StartingShell) -> None:
    town.serves()
    for _ in range(2):
        done = town.moot("list")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"list\n", b"")
    (line,) = town.started.read_text().splitlines()
    pid, arguments = line.split(" ", 1)
    assert arguments == "-P -m mootd run"
    assert os.getsid(int(pid)) == int(pid)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")


def test_what_the_daemon_writes_is_kept_for_this_user_alone(town: StartingShell) -> None:
    town.becomes("echo out; echo err >&2; exit 1")
    town.moot("list")
    town.moot("list")
    log = town.state / "daemon.log"
    assert log.read_text() == "out\nerr\n" * 2
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_log_that_has_grown_long_makes_room_for_a_new_one_and_is_kept_beside_it(town: StartingShell) -> None:
    town.serves()
    town.state.mkdir(parents=True)
    log, before = town.state / "daemon.log", town.state / "daemon.log.1"
    log.write_bytes(b"earlier words\n")
    os.truncate(log, LOG_BYTES + 1)
    before.write_text("much earlier words")
    assert town.moot("list").returncode == 0
    assert before.stat().st_size == LOG_BYTES + 1
    assert log.stat().st_size < LOG_BYTES


def test_clients_that_find_no_daemon_at_the_same_time_start_one(town: StartingShell) -> None:
    town.serves()
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(town.moot("list").returncode)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert codes == [0] * 5
    assert len(town.processes()) == 1


def test_a_daemon_that_fails_to_start_is_told_with_its_last_words(town: StartingShell) -> None:
    town.becomes("echo old; exit 1")
    town.moot("list")
    town.becomes("echo first; printf 'data is damaged \\033[31m\\n\\n'; exit 3")
    done = town.moot("list")
    assert done.returncode == 69
    assert (
        done.stderr
        == f"moot: the daemon ended with code 3: data is damaged [31m\n  see {town.state}/daemon.log\n".encode()
    )
    assert msgspec.json.decode(town.moot("list", "--json").stdout)["error"]["code"] == "unreachable"


def test_a_daemon_that_fails_with_advice_is_told_with_the_reason_before_it(town: StartingShell) -> None:
    town.becomes("echo 'mootd: the store is in use'; echo '  stop the other one'; exit 1")
    done = town.moot("list")
    log = town.state / "daemon.log"
    told = f"moot: the daemon ended with code 1: the store is in use\n  stop the other one; see {log}\n"
    assert done.stderr.decode() == told


def test_the_reason_is_told_that_the_daemon_gave_whatever_another_one_writes_into_the_log_after_it(
    town: StartingShell,
) -> None:
    another = """echo '{"level":"info","event":"exchange.done"}'"""
    log = town.state / "daemon.log"
    for advice, hint in (("; echo '  stop the other one'", "stop the other one; "), ("", "")):
        town.becomes(f"{another}; echo 'mootd: the store is in use'{advice}; {another}; exit 75")
        told = f"moot: the daemon ended with code 75: the store is in use\n  {hint}see {log}\n"
        assert town.moot("list").stderr.decode() == told


def test_a_daemon_that_fails_without_a_word_is_not_told_with_somebody_elses(town: StartingShell) -> None:
    town.becomes("echo old; exit 1")
    town.moot("list")
    town.becomes("exit 3")
    assert b"ended with code 3\n" in town.moot("list").stderr


def test_a_daemon_that_never_serves_is_given_up(town: StartingShell) -> None:
    town.becomes("exec sleep 1000")
    done = town.moot("list", before="moot.startup.START_SECONDS = 0.05")
    assert done.returncode == 69
    assert b"does not serve after" in done.stderr


# -- Started by somebody else, or ended --------------------------------------------------------------------------


def until_the_second_is_gone(town: StartingShell) -> str:
    """A script that goes on once nothing is left of the second process, as when its client has seen that it ended."""
    second = f'second=$(sed -n "2s/ .*//p" {town.started}); [ "$second" ] && ! kill -0 "$second" 2>/dev/null'
    return f"until {second}; do sleep 0.02; done; sleep 0.3"


@pytest.mark.parametrize("ended", ["kill -9 $$", "exit 0"])
def test_a_daemon_that_somebody_ends_while_it_starts_is_started_again(town: StartingShell, ended: str) -> None:
    town.serves(first=f"[ $n -eq 1 ] && {ended}")
    done = town.moot("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"list\n", b"")
    assert len(town.processes()) == 2


def test_a_daemon_that_is_always_killed_is_started_twice_and_told_in_words(town: StartingShell) -> None:
    town.becomes("kill -9 $$")
    done = town.moot("list")
    told = "moot: the daemon was killed (SIGKILL) while it was starting, and so was a second one\n"
    assert (done.returncode, done.stderr.decode()) == (69, f"{told}  see {town.state}/daemon.log\n")
    assert len(town.processes()) == 2


def test_a_daemon_that_ends_by_itself_is_not_started_again(town: StartingShell) -> None:
    town.becomes("kill -ABRT $$")
    assert b"the daemon was killed (SIGABRT) while it was starting\n" in town.moot("list").stderr
    assert len(town.processes()) == 1
    assert "was killed (signal 40)" in startup._ending(-40, is_second=False)


def test_a_daemon_that_a_fault_ends_while_it_starts_is_told_with_the_fault_and_where_it_was(
    town: StartingShell,
) -> None:
    lines = (
        "Fatal Python error: Bus error",
        "  File '/x/mootd/store/lmdb_store.py', line 86 in get",
        "Extensions: lmdb",
    )
    town.becomes("".join(f'echo "{line}"\n' for line in lines) + "kill -BUS $$")
    told = town.moot("list").stderr.decode().splitlines()
    assert told[0] == "moot: the daemon was killed (SIGBUS) while it was starting: Bus error in its store"
    assert told[1].startswith("  its store may be damaged: try `moot fsck`")
    assert told[1].endswith(f"; see {town.state}/daemon.log")


def test_a_daemon_that_goes_before_its_first_word_is_asked_again_by_the_same_command(town: StartingShell) -> None:
    path = town.folder / "moot" / "moot.sock"
    path.parent.mkdir(0o700)
    town.serves()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def end() -> None:
            connection, _ = listener.accept()
            path.unlink()
            connection.close()

        thread = threading.Thread(target=end)
        thread.start()
        done = town.moot("list")
        thread.join(PATIENCE)
    assert (done.returncode, done.stdout) == (0, b"list\n")


def test_a_daemon_that_comes_too_late_leaves_the_command_to_the_one_that_was_there_before(town: StartingShell) -> None:
    town.serves(first=f"[ $n -gt 1 ] && exit 1; {until_the_second_is_gone(town)}")
    with town.starting("daemon", "run"):
        done = town.moot("list")
    assert (done.returncode, done.stdout, len(town.processes())) == (0, b"list\n", 2)


def test_a_daemon_that_had_an_ending_one_in_its_way_is_started_again(town: StartingShell) -> None:
    town.serves(first=f"if [ $n -eq 1 ]; then {until_the_second_is_gone(town)}; exit 0; fi; [ $n -eq 2 ] && exit 1")
    with town.starting("daemon", "run"):
        done = town.moot("list")
    assert (done.returncode, done.stdout, len(town.processes())) == (0, b"list\n", 3)


def test_a_client_that_starts_the_daemon_and_never_ends_is_not_waited_for_without_end(town: StartingShell) -> None:
    town.serves()
    town.state.mkdir(parents=True)
    with (town.state / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = town.moot("list", before="moot.startup.TURN_SECONDS = 0.05")
    assert done.returncode == 69
    assert b"another command has been starting the daemon for 0.05 seconds\n" in done.stderr
    assert f"fuser {town.state}/start.lock".encode() in done.stderr
    assert town.processes() == []


def test_a_state_folder_that_cannot_be_made_is_told(town: StartingShell) -> None:
    (town.folder / ".local").write_text("in the way")
    town.serves()
    done = town.moot("list")
    assert done.returncode == 69
    assert b"cannot start the daemon" in done.stderr
    assert b".local" in done.stderr
    assert b"MOOT_SPOOL" not in done.stderr


AS_ANOTHER = "import os; os.geteuid = lambda: {user}"


@pytest.mark.parametrize("name", [".local/state/moot", ".local/share/moot"])
def test_root_is_refused_another_users_folders_before_anything_is_made_in_them(town: StartingShell, name: str) -> None:
    """As under `sudo`, which leaves HOME as it is: the folder's owner could not open what root makes there."""
    town.serves()
    theirs = town.folder / name
    theirs.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(theirs, 1001, -1)
    done = town.moot("list", before=AS_ANOTHER.format(user=0))
    owner = theirs.stat().st_uid
    assert done.stderr.decode().splitlines() == [
        f"moot: {theirs} belongs to user {owner}, not to user 0",
        "  run it as that user; or, with root's own home: `sudo -H`",
    ]
    assert done.returncode == 4
    assert [path.name for path in town.folder.rglob("*") if path.name in ("start.lock", "daemon.log")] == []
    assert town.processes() == []


def test_the_data_folder_that_a_variable_names_is_looked_at_in_place_of_the_usual_one(town: StartingShell) -> None:
    (town.folder / "data" / "moot").mkdir(parents=True)
    town.becomes("exit 3")
    named = f"os.environ['XDG_DATA_HOME'] = {str(town.folder / 'data')!r}"
    done = town.moot("list", before=f"{AS_ANOTHER.format(user=os.geteuid() + 1)}; {named}")
    assert (done.returncode, f"{town.folder}/data/moot belongs to user" in done.stderr.decode()) == (4, True)


def test_whose_the_home_is_does_not_matter(town: StartingShell) -> None:
    """Root in a container often has another user's."""
    town.becomes("echo broken; exit 3")
    done = town.moot("list", before=AS_ANOTHER.format(user=os.geteuid() + 1))
    assert b"ended with code 3: broken" in done.stderr


@pytest.mark.parametrize("name", ["start.lock", "daemon.log"])
def test_a_file_that_another_user_has_left_is_told_with_how_to_get_it_back(
    town: StartingShell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = town.folder / "moot" / name
    path.parent.mkdir()
    path.touch()
    own = path.stat().st_uid + 1
    monkeypatch.setattr("moot.conversation.os.geteuid", lambda: own)
    failure = startup._cannot_write(PermissionError(13, "Permission denied", str(path)))
    assert (failure.code, failure.message) == ("unreachable", f"cannot start the daemon: {path}: Permission denied")
    assert failure.hint.startswith(f"{path} belongs to user {own - 1}, not to user {own}: ")


def test_every_folder_that_is_made_for_it_is_this_users_alone_whatever_the_umask(town: StartingShell) -> None:
    town.becomes("exit 3")
    town.moot("list", before="import os; os.umask(0)")
    made = [town.state, *town.state.parents[:2]]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o700] * 3


@pytest.mark.parametrize(
    ("free", "told"),
    [
        ((0, 9, 9), "3: the disk is full\n  make space on the disk of {state}; see "),
        ((9, 9, 0), "3: the disk can take no more files\n  remove some from the disk of {state}; see "),
        ((9, 0, 0), "3\n  see "),
    ],
)
def test_a_daemon_that_ends_without_a_word_on_a_full_disk_is_told_with_that(
    town: StartingShell, free: tuple[int, int, int], told: str
) -> None:
    """Free are blocks, of so many files so many; some file systems count no files."""
    blocks, files, names = free
    disk = (4096, 4096, 9, blocks, blocks, files, names, names, 0, 255)
    town.becomes("exit 3")
    done = town.moot("list", before=f"import os; os.statvfs = lambda path: os.statvfs_result({disk})")
    assert told.format(state=town.state) in done.stderr.decode()


def test_where_the_state_folder_cannot_be_written_and_the_project_has_a_spool_the_other_way_is_told(
    town: StartingShell,
) -> None:
    (town.folder / ".local").write_text("in the way")
    (town.work / ".moot" / "spool").mkdir(parents=True)
    (town.work / ".moot" / "workspace").write_text("w1\n")
    (town.work / ".moot" / "spool" / "token").touch()
    town.serves()
    done = town.moot("list")
    assert done.returncode == 69
    assert b"set MOOT_SPOOL=1: the project has a spool" in done.stderr


PROGRAM = """
import sys
sys.executable = sys.argv[1]
from moot import Client, MootError
from moot_protocol.requests.machine import Ping
try:
    print(Client().call(Ping())["pid"])
except MootError as error:
    print(error.code, error.message, error.hint)
"""


def test_the_python_client_starts_the_daemon_as_commands_do_and_tells_why_it_does_not_come(town: StartingShell) -> None:
    town.becomes("echo broken; exit 3")
    failed = town.run_code(PROGRAM, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    log = town.state / "daemon.log"
    assert failed.stdout.decode() == f"unreachable the daemon ended with code 3: broken see {log}\n"
    town.serves()
    started = town.run_code(PROGRAM, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    assert int(started.stdout) == town.processes()[-1]


def test_no_daemon_is_started_for_a_socket_that_a_program_names(town: StartingShell) -> None:
    town.serves()
    named = PROGRAM.replace("Client()", f"Client(socket={str(town.folder / 'other')!r})")
    failed = town.run_code(named, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    assert failed.stdout.decode().startswith(f"unreachable no daemon answers at {town.folder / 'other'} ")
    assert town.processes() == []
