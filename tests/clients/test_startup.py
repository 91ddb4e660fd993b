"""Starting and stopping the daemon from the client, with programs of the test's own in the daemon's place."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from moot import startup
from moot.conversation import Failure
from moot.startup import LOG_BYTES
from moot_testkit.control import PATIENCE, short_folder, until
from moot_testkit.thin import Shell

SUPPORT = Path(__file__).parents[1] / "support"


class Town(Shell):
    """A shell whose clients start a program of the test's own where they would start the daemon."""

    def __init__(self, folder: Path, work: Path) -> None:
        super().__init__(folder, work)
        self.started = folder / "started"
        self.state = folder / ".local" / "state" / "moot"

    def becomes(self, script: str) -> None:
        """What the interpreter that should run the daemon is; it notes its process and its arguments first."""
        program = self.folder / "python"
        program.write_text(f'#!/bin/sh\necho "$$ $*" >> {self.started}\n{script}\n')
        program.chmod(0o755)

    def serves(self, *arguments: str, first: str = "") -> None:
        """It is a daemon that serves, with the words of a real one; `first` is script that runs before."""
        words = " ".join(("mootd", "run", *arguments))
        self.becomes(f"{first}\nPYTHONPATH={SUPPORT} exec {sys.executable} -m moot_testkit.toy_daemon {words}")

    @contextmanager
    def starting(self, *arguments: str) -> Iterator[None]:
        """Run a client that starts a daemon, in another thread; what was started is killed in the end."""
        with ThreadPoolExecutor(1) as executor:
            executor.submit(self.moot, *arguments)
            until(lambda: bool(self.processes()))
            try:
                yield
            finally:
                self.kill()

    def kill(self) -> None:
        """Kill whatever was started."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            until(partial(has_ended, pid))

    def moot(self, *arguments: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run a client that may start the daemon; `before` is code that it runs first."""
        code = f"""
import sys
sys.executable = {str(self.folder / "python")!r}
import moot.startup, moot.thin
{before}
moot.thin.main(["moot", *sys.argv[1:]])
"""
        return self.run_code(code, *arguments, MOOT_NO_AUTOSTART="")

    def processes(self) -> list[int]:
        """The processes that were started."""
        return [int(line.split()[0]) for line in self.started.read_text().splitlines()] if self.started.exists() else []


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with short_folder() as folder:
        town = Town(folder, tmp_path)
        yield town
        town.kill()


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be collected by whoever is its parent now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):  # it went before we opened, or while we read
        return True


# -- Started by need ---------------------------------------------------------------------------------------------
def test_a_command_starts_the_daemon_if_none_runs(town: Town) -> None:
    town.serves()
    for _ in range(2):
        done = town.moot("list")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"list\n", b"")
    (line,) = town.started.read_text().splitlines()
    pid, arguments = line.split(" ", 1)
    assert arguments == "-P -m mootd run"
    assert os.getsid(int(pid)) == int(pid)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")


def test_what_the_daemon_writes_is_kept_for_this_user_alone(town: Town) -> None:
    town.becomes("echo out; echo err >&2; exit 1")
    town.moot("list")
    town.moot("list")
    log = town.state / "daemon.log"
    assert log.read_text() == "out\nerr\n" * 2
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_log_that_has_grown_long_makes_room_for_a_new_one_and_is_kept_beside_it(town: Town) -> None:
    town.serves()
    town.state.mkdir(parents=True)
    log, before = town.state / "daemon.log", town.state / "daemon.log.1"
    log.write_bytes(b"earlier words\n")
    os.truncate(log, LOG_BYTES + 1)
    before.write_text("much earlier words")
    assert town.moot("list").returncode == 0
    assert before.stat().st_size == LOG_BYTES + 1
    assert log.stat().st_size < LOG_BYTES


def test_clients_that_find_no_daemon_at_the_same_time_start_one(town: Town) -> None:
    town.serves()
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(town.moot("list").returncode)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert codes == [0] * 5
    assert len(town.processes()) == 1


def test_a_daemon_that_fails_to_start_is_told_with_its_last_words(town: Town) -> None:
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


def test_a_daemon_that_fails_with_advice_is_told_with_the_reason_before_it(town: Town) -> None:
    town.becomes("echo 'mootd: the store is in use'; echo '  stop the other one'; exit 1")
    done = town.moot("list")
    log = town.state / "daemon.log"
    told = f"moot: the daemon ended with code 1: the store is in use\n  stop the other one; see {log}\n"
    assert done.stderr.decode() == told


def test_a_daemon_that_fails_without_a_word_is_not_told_with_somebody_elses(town: Town) -> None:
    town.becomes("echo old; exit 1")
    town.moot("list")
    town.becomes("exit 3")
    assert b"ended with code 3\n" in town.moot("list").stderr


def test_a_daemon_that_never_serves_is_given_up(town: Town) -> None:
    town.becomes("exec sleep 1000")
    done = town.moot("list", before="moot.startup.START_SECONDS = 0.05")
    assert done.returncode == 69
    assert b"does not serve after" in done.stderr


# -- Started by somebody else, or ended --------------------------------------------------------------------------
FIRST = '[ "$(wc -l < {started})" -eq 1 ] && '
"""What follows is what the first process does."""


@pytest.mark.parametrize("ended", ["kill -9 $$", "exit 0"])
def test_a_daemon_that_somebody_ends_while_it_starts_is_started_again(town: Town, ended: str) -> None:
    town.serves(first=FIRST.format(started=town.started) + ended)
    done = town.moot("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"list\n", b"")
    assert len(town.processes()) == 2


def test_a_daemon_that_is_always_killed_is_started_twice_and_told_in_words(town: Town) -> None:
    town.becomes("kill -9 $$")
    done = town.moot("list")
    told = "moot: the daemon was killed (SIGKILL) while it was starting, and so was a second one\n"
    assert (done.returncode, done.stderr.decode()) == (69, f"{told}  see {town.state}/daemon.log\n")
    assert len(town.processes()) == 2


def test_a_daemon_that_ends_by_itself_is_not_started_again(town: Town) -> None:
    town.becomes("kill -ABRT $$")
    assert b"the daemon was killed (SIGABRT) while it was starting\n" in town.moot("list").stderr
    assert len(town.processes()) == 1
    assert "was killed (signal 40)" in startup._ending(-40, is_second=False)


def test_a_daemon_that_goes_before_its_first_word_is_asked_again_by_the_same_command(town: Town) -> None:
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


def test_a_daemon_that_comes_too_late_leaves_the_command_to_the_one_that_was_there_before(town: Town) -> None:
    town.serves(first=f'[ "$(wc -l < {town.started})" -gt 1 ] && exit 1; sleep 0.5')
    with town.starting("daemon", "run"):
        done = town.moot("list")
    assert (done.returncode, done.stdout, len(town.processes())) == (0, b"list\n", 2)


def test_a_daemon_that_had_an_ending_one_in_its_way_is_started_again(town: Town) -> None:
    count = f'"$(wc -l < {town.started})"'
    town.serves(first=f"[ {count} -eq 1 ] && sleep 0.5 && exit 0; [ {count} -eq 2 ] && exit 1")
    with town.starting("daemon", "run"):
        done = town.moot("list")
    assert (done.returncode, done.stdout, len(town.processes())) == (0, b"list\n", 3)


def test_a_client_that_starts_the_daemon_and_never_ends_is_not_waited_for_without_end(town: Town) -> None:
    town.serves()
    town.state.mkdir(parents=True)
    with (town.state / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = town.moot("list", before="moot.startup.TURN_SECONDS = 0.05")
    assert done.returncode == 69
    assert b"another command has been starting the daemon for 0.05 seconds\n" in done.stderr
    assert f"fuser {town.state}/start.lock".encode() in done.stderr
    assert town.processes() == []


def test_a_state_folder_that_cannot_be_made_is_told(town: Town) -> None:
    (town.folder / ".local").write_text("in the way")
    town.serves()
    done = town.moot("list")
    assert done.returncode == 69
    assert b"cannot start the daemon" in done.stderr
    assert b".local" in done.stderr


PROGRAM = """
import sys
sys.executable = sys.argv[1]
from moot import Client, MootError
from moot_protocol.machine_requests import Ping
try:
    print(Client().call(Ping())["pid"])
except MootError as error:
    print(error.code, error.message, error.hint)
"""


def test_the_python_client_starts_the_daemon_as_commands_do_and_tells_why_it_does_not_come(town: Town) -> None:
    town.becomes("echo broken; exit 3")
    failed = town.run_code(PROGRAM, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    log = town.state / "daemon.log"
    assert failed.stdout.decode() == f"unreachable the daemon ended with code 3: broken see {log}\n"
    town.serves()
    started = town.run_code(PROGRAM, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    assert int(started.stdout) == town.processes()[-1]


def test_no_daemon_is_started_for_a_socket_that_a_program_names(town: Town) -> None:
    town.serves()
    named = PROGRAM.replace("Client()", f"Client(socket={str(town.folder / 'other')!r})")
    failed = town.run_code(named, str(town.folder / "python"), MOOT_NO_AUTOSTART="")
    assert failed.stdout.decode().startswith(f"unreachable no daemon answers at {town.folder / 'other'} ")
    assert town.processes() == []


# -- The MCP server ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "passed"),
    [(["mcp"], ""), (["--actor", "mcp", "mcp"], " --actor mcp"), (["mcp", "--quick"], " --quick")],
)
def test_mcp_becomes_the_server_and_needs_no_daemon(town: Town, arguments: list[str], passed: str) -> None:
    town.becomes("echo served; exit 7")
    done = town.moot(*arguments)
    assert (done.returncode, done.stdout) == (7, b"served\n")
    assert town.started.read_text().endswith(f"-P -m moot.mcp{passed}\n")


def test_help_on_mcp_has_the_shape_of_all_help_and_needs_no_server(town: Town) -> None:
    done = town.moot("mcp", "--help")
    assert (done.returncode, b"examples:\n  moot mcp\n" in done.stdout) == (0, True)
    assert town.processes() == []


def test_a_server_that_cannot_be_run_is_told(town: Town) -> None:
    done = town.moot("mcp")
    assert done.returncode == 69
    assert b"cannot run the MCP server: No such file" in done.stderr


# -- The daemon commands -----------------------------------------------------------------------------------------
def test_start_starts_it_once_and_tells_its_process(town: Town) -> None:
    town.serves()
    first, second = town.moot("daemon", "start"), town.moot("daemon", "start")
    (pid,) = town.processes()
    assert first.stdout == f"the daemon has started (pid {pid})\n".encode()
    assert second.stdout == f"the daemon already runs (pid {pid})\n".encode()
    told = msgspec.json.decode(town.moot("--json", "daemon", "start").stdout)
    assert told == {"running": True, "started": False, "pid": pid}


def test_start_works_where_commands_must_not_start_it(town: Town) -> None:
    town.serves()
    assert town.moot("daemon", "start", before="import os; os.environ['MOOT_NO_AUTOSTART'] = '1'").returncode == 0


def test_status_without_a_daemon_says_so_and_starts_none(town: Town) -> None:
    town.serves()
    done = town.moot("daemon", "status")
    assert done.returncode == 69
    assert b"no daemon answers" in done.stderr
    assert town.processes() == []


def test_status_of_a_daemon_is_the_daemons_to_tell(town: Town) -> None:
    town.serves()
    town.moot("daemon", "start")
    assert town.moot("daemon", "status", "--json").stdout == b"daemon status --json\n"


def test_stop_without_a_daemon_is_no_failure(town: Town) -> None:
    town.serves()
    done = town.moot("daemon", "stop")
    assert (done.returncode, done.stdout) == (0, b"no daemon runs\n")
    assert msgspec.json.decode(town.moot("daemon", "stop", "--json").stdout) == {"running": False}
    assert town.processes() == []


@pytest.mark.parametrize("starter", [("list",), ("daemon", "run")])
def test_stop_waits_for_a_daemon_that_is_just_starting_whoever_started_it(town: Town, starter: tuple[str, ...]) -> None:
    town.serves(first="sleep 0.3")
    with town.starting(*starter):
        first = town.processes()[0]
        done = town.moot("daemon", "stop")
        assert (done.returncode, done.stdout) == (0, b"daemon stop\n")
        assert has_ended(first)


def test_stop_says_that_none_runs_once_the_one_that_was_starting_has_failed(town: Town) -> None:
    town.becomes("sleep 0.3; exit 1")
    with town.starting("daemon", "run"):
        assert town.moot("daemon", "stop").stdout == b"no daemon runs\n"
        assert has_ended(town.processes()[0])


def test_stop_tells_of_a_daemon_that_is_starting_and_never_serves(town: Town) -> None:
    town.becomes("while :; do sleep 0.05; done")
    with town.starting("daemon", "run"):
        (pid,) = town.processes()
        done = town.moot("daemon", "stop", before="moot.startup.START_SECONDS = 0.05")
        assert done.returncode == 75
        assert f"a daemon runs (pid {pid}), but does not serve at {town.folder}/moot/moot.sock".encode() in done.stderr
        assert f"it may be starting still: try again, or end it: kill {pid}; see".encode() in done.stderr


def test_stop_tells_of_a_client_that_has_been_starting_one_for_long(town: Town) -> None:
    town.state.mkdir(parents=True)
    with (town.state / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = town.moot("daemon", "stop", before="moot.startup.START_SECONDS = 0.05")
    assert done.returncode == 75
    assert b"a daemon is starting, but does not serve" in done.stderr


def test_a_daemon_that_serves_elsewhere_is_no_concern_of_stop(town: Town) -> None:
    town.becomes("while :; do sleep 0.05; done")
    with town.starting("daemon", "run"):
        elsewhere = "import os; os.environ['XDG_RUNTIME_DIR'] += '/other'"
        assert town.moot("daemon", "stop", before=elsewhere).stdout == b"no daemon runs\n"
        named = f"import os; os.environ['MOOT_SOCKET'] = {str(town.folder / 'named')!r}"
        assert town.moot("daemon", "stop", before=named).stdout == b"no daemon runs\n"


def test_stop_returns_when_the_daemon_is_gone_so_that_it_can_be_started_at_once(town: Town) -> None:
    town.serves()
    for count in range(1, 3):
        assert town.moot("daemon", "start").returncode == 0
        done = town.moot("daemon", "stop")
        assert (done.returncode, done.stdout) == (0, b"daemon stop\n")
        assert len(town.processes()) == count
        assert has_ended(town.processes()[-1])


def test_stop_tells_of_a_daemon_that_does_not_end(town: Town) -> None:
    town.serves("lingering")
    town.moot("daemon", "start")
    done = town.moot("daemon", "stop", before="moot.startup.STOP_SECONDS = 0.05")
    assert done.returncode == 75
    assert b"still stopping" in done.stderr


def test_stop_ends_a_daemon_that_fails_at_the_command_by_a_signal_if_it_is_ones_own(town: Town) -> None:
    town.serves("broken")
    town.moot("daemon", "start")
    (pid,) = town.processes()
    others = town.moot("daemon", "stop", before="import os; moot.startup.owner_of = lambda channel: os.geteuid() + 1")
    assert (others.returncode, has_ended(pid)) == (1, False)
    assert b"failed in a way it should not" in others.stderr
    done = town.moot("daemon", "stop")
    assert (done.returncode, has_ended(pid)) == (0, True)
    assert f"pid {pid}".encode() in done.stdout


def test_run_becomes_the_daemon_with_its_arguments(town: Town) -> None:
    town.becomes("echo ran; exit 7")
    done = town.moot("--json", "daemon", "run", "--data", "x")
    assert (done.returncode, done.stdout) == (7, b"ran\n")
    assert town.started.read_text().endswith("-P -m mootd run --data x\n")


def test_a_daemon_that_cannot_be_run_is_told(town: Town) -> None:
    done = town.moot("daemon", "run")
    assert done.returncode == 69
    assert b"cannot run the daemon: No such file" in done.stderr
    done = town.moot("list")
    assert done.returncode == 69
    assert b"cannot start the daemon" in done.stderr


def test_another_users_daemon_is_alive_although_it_must_not_be_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(pid, number)

    monkeypatch.setattr("moot.startup.os.kill", refuse)
    assert startup._is_alive(os.getpid())


def test_a_daemon_is_not_handed_the_token_of_whoever_starts_it(town: Town) -> None:
    town.becomes(f"env > {town.folder}/environment; exit 1")
    town.moot("list", before="import os; os.environ.update(MOOT_TOKEN='mtk_x', MOOT_TOKEN_FILE='/t', MOOT_KEPT='k')")
    told = (town.folder / "environment").read_text()
    assert "MOOT_KEPT=k" in told
    assert "MOOT_TOKEN" not in told


# -- restart, logs, and how earlier releases of bd said it -------------------------------------------------------
def test_restart_ends_the_daemon_and_starts_another_and_names_of_earlier_releases_mean_the_same(town: Town) -> None:
    town.serves()
    assert town.moot("daemon", "--start").stdout.startswith(b"the daemon has started")
    done = town.moot("daemons", "restart", "--json")
    first, second = town.processes()
    assert has_ended(first)
    assert msgspec.json.decode(done.stdout.splitlines()[-1]) == {"running": True, "started": True, "pid": second}
    assert town.moot("daemons", "killall").stdout == b"daemon stop\n"


def test_help_is_the_daemons_to_give_whatever_it_is_about() -> None:
    for words in (["daemon", "stop"], ["daemon", "run"], ["daemon", "logs"]):
        assert startup.daemon_command("bd", [*words, "--help"], words) is None


def test_the_end_of_the_log_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def logs(*flags: str) -> bytes:
        assert startup.daemon_command("bd", ["daemon", "logs", *flags], ["daemon", "logs"]) == 0
        return capfdbinary.readouterr().out

    monkeypatch.setattr(startup, "state_folder", lambda: str(tmp_path))
    for flags in ((), ("-f",), ("-n", "x"), ("--lines=0",)):
        with pytest.raises(Failure):
            logs(*flags)
    (tmp_path / "daemon.log").write_text("one\ntwo\x1b[2J\nthree\n")
    assert logs("-n", "2") == b"two[2J\nthree\n"
    assert msgspec.json.decode(logs("--json", "--lines=1"))["content"] == "three"
