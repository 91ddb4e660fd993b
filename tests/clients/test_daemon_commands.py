"""The commands that work while no daemon runs, with programs of the test's own in the daemon's place."""

import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from moot import daemon_commands
from moot.conversation import Failure
from moot_testkit.clients.starting import StartingShell, has_ended


# -- The MCP server ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "passed"),
    [(["mcp"], ""), (["--actor", "mcp", "mcp"], " --actor mcp"), (["mcp", "--quick"], " --quick")],
)
def test_mcp_becomes_the_server_and_needs_no_daemon(town: StartingShell, arguments: list[str], passed: str) -> None:
    town.becomes("echo served; exit 7")
    done = town.moot(*arguments)
    assert (done.returncode, done.stdout) == (7, b"served\n")
    assert town.started.read_text().endswith(f"-P -m moot.mcp{passed}\n")


def test_help_on_mcp_has_the_shape_of_all_help_and_needs_no_server(town: StartingShell) -> None:
    done = town.moot("mcp", "--help")
    assert (done.returncode, b"examples:\n  moot mcp\n" in done.stdout) == (0, True)
    assert town.processes() == []


def test_a_server_that_cannot_be_run_is_told(town: StartingShell) -> None:
    done = town.moot("mcp")
    assert done.returncode == 69
    assert b"cannot run the MCP server: No such file" in done.stderr


# -- The daemon commands -----------------------------------------------------------------------------------------
def test_start_starts_it_once_and_tells_its_process(town: StartingShell) -> None:
    town.serves()
    first, second = town.moot("daemon", "start"), town.moot("daemon", "start")
    (pid,) = town.processes()
    assert first.stdout == f"the daemon has started (pid {pid})\n".encode()
    assert second.stdout == f"the daemon already runs (pid {pid})\n".encode()
    told = msgspec.json.decode(town.moot("--json", "daemon", "start").stdout)
    assert told == {"running": True, "started": False, "pid": pid}


def test_start_works_where_commands_must_not_start_it(town: StartingShell) -> None:
    town.serves()
    assert town.moot("daemon", "start", before="import os; os.environ['MOOT_NO_AUTOSTART'] = '1'").returncode == 0


def test_status_without_a_daemon_says_so_and_starts_none(town: StartingShell) -> None:
    town.serves()
    done = town.moot("daemon", "status")
    assert done.returncode == 69
    assert b"no daemon answers" in done.stderr
    assert town.processes() == []


def test_status_of_a_daemon_is_the_daemons_to_tell(town: StartingShell) -> None:
    town.serves()
    town.moot("daemon", "start")
    assert town.moot("daemon", "status", "--json").stdout == b"daemon status --json\n"


def test_stop_without_a_daemon_is_no_failure(town: StartingShell) -> None:
    town.serves()
    done = town.moot("daemon", "stop")
    assert (done.returncode, done.stdout) == (0, b"no daemon runs\n")
    assert msgspec.json.decode(town.moot("daemon", "stop", "--json").stdout) == {"running": False}
    assert town.processes() == []


@pytest.mark.parametrize("starter", [("list",), ("daemon", "run")])
def test_stop_waits_for_a_daemon_that_is_just_starting_whoever_started_it(
    town: StartingShell, starter: tuple[str, ...]
) -> None:
    town.serves(first="sleep 0.3")
    with town.starting(*starter):
        first = town.processes()[0]
        done = town.moot("daemon", "stop")
        assert (done.returncode, done.stdout) == (0, b"daemon stop\n")
        assert has_ended(first)


def test_stop_says_that_none_runs_once_the_one_that_was_starting_has_failed(town: StartingShell) -> None:
    town.becomes("sleep 0.3; exit 1")
    with town.starting("daemon", "run"):
        assert town.moot("daemon", "stop").stdout == b"no daemon runs\n"
        assert has_ended(town.processes()[0])


def test_stop_tells_of_a_daemon_that_is_starting_and_never_serves(town: StartingShell) -> None:
    town.becomes("while :; do sleep 0.05; done")
    with town.starting("daemon", "run"):
        (pid,) = town.processes()
        done = town.moot("daemon", "stop", before="moot.startup.START_SECONDS = 0.05")
        assert done.returncode == 75
        assert f"a daemon runs (pid {pid}), but does not serve at {town.folder}/moot/moot.sock".encode() in done.stderr
        assert f"it may be starting still: try again, or end it: kill {pid}; see".encode() in done.stderr


def test_stop_tells_of_a_client_that_has_been_starting_one_for_long(town: StartingShell) -> None:
    town.state.mkdir(parents=True)
    with (town.state / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = town.moot("daemon", "stop", before="moot.startup.START_SECONDS = 0.05")
    assert done.returncode == 75
    assert b"a daemon is starting, but does not serve" in done.stderr


def test_a_daemon_that_serves_elsewhere_is_no_concern_of_stop(town: StartingShell) -> None:
    town.becomes("while :; do sleep 0.05; done")
    with town.starting("daemon", "run"):
        elsewhere = "import os; os.environ['XDG_RUNTIME_DIR'] += '/other'"
        assert town.moot("daemon", "stop", before=elsewhere).stdout == b"no daemon runs\n"
        named = f"import os; os.environ['MOOT_SOCKET'] = {str(town.folder / 'named')!r}"
        assert town.moot("daemon", "stop", before=named).stdout == b"no daemon runs\n"


def test_stop_returns_when_the_daemon_is_gone_so_that_it_can_be_started_at_once(town: StartingShell) -> None:
    town.serves()
    for count in range(1, 3):
        assert town.moot("daemon", "start").returncode == 0
        done = town.moot("daemon", "stop")
        assert (done.returncode, done.stdout) == (0, b"daemon stop\n")
        assert len(town.processes()) == count
        assert has_ended(town.processes()[-1])


def test_stop_tells_of_a_daemon_that_does_not_end(town: StartingShell) -> None:
    town.serves("lingering")
    town.moot("daemon", "start")
    done = town.moot("daemon", "stop", before="moot.daemon_commands.STOP_SECONDS = 0.05")
    assert done.returncode == 75
    assert b"still stopping" in done.stderr


def test_stop_ends_a_daemon_that_fails_at_the_command_by_a_signal_if_it_is_ones_own(town: StartingShell) -> None:
    town.serves("broken")
    town.moot("daemon", "start")
    (pid,) = town.processes()
    others = town.moot(
        "daemon", "stop", before="import os; moot.daemon_commands.owner_of = lambda channel: os.geteuid() + 1"
    )
    assert (others.returncode, has_ended(pid)) == (1, False)
    assert b"replaced or removed" in others.stderr
    done = town.moot("daemon", "stop")
    assert (done.returncode, has_ended(pid)) == (0, True)
    assert f"pid {pid}".encode() in done.stdout


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_a_daemon_of_another_protocol_is_ended_by_a_signal(town: StartingShell, command: str) -> None:
    town.serves("foreign")
    town.moot("list")
    (pid,) = town.processes()
    assert town.moot("list").returncode == 1  # neither understands the other
    town.serves()
    done = town.moot("daemon", command)
    assert (done.returncode, has_ended(pid)) == (0, True)
    words = f"the daemon (pid {pid}) is of another release; a signal has told it to end\n"
    assert done.stdout.decode().startswith(words)
    assert [has_ended(each) for each in town.processes()] == [True, *[False] * (command == "restart")]


def test_a_daemon_of_another_protocol_whose_process_is_not_known_is_its_services_to_restart(
    town: StartingShell,
) -> None:
    town.serves("foreign")
    town.moot("list")
    done = town.moot("daemon", "restart", before="moot.daemon_commands.daemon_at = lambda channel: 0")
    assert done.returncode == 1
    assert b"don't understand each other" in done.stderr
    assert b"systemctl --user restart mootd" in done.stderr
    assert not has_ended(town.processes()[0])


def test_run_becomes_the_daemon_with_its_arguments(town: StartingShell) -> None:
    town.becomes("echo ran; exit 7")
    done = town.moot("--json", "daemon", "run", "--data", "x")
    assert (done.returncode, done.stdout) == (7, b"ran\n")
    assert town.started.read_text().endswith("-P -m mootd run --data x\n")


def test_a_daemon_that_cannot_be_run_is_told(town: StartingShell) -> None:
    done = town.moot("daemon", "run")
    assert done.returncode == 69
    assert b"cannot run the daemon: No such file" in done.stderr
    done = town.moot("list")
    assert done.returncode == 69
    assert b"cannot start the daemon" in done.stderr


def test_another_users_daemon_is_alive_although_it_must_not_be_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(pid, number)

    monkeypatch.setattr("moot.daemon_commands.os.kill", refuse)
    assert daemon_commands._is_alive(os.getpid())


@pytest.mark.parametrize(("state", "threads", "is_alive"), [("S", 1, True), ("Z", 2, True), ("Z", 1, False)])
def test_a_daemon_is_gone_once_its_last_thread_is(
    monkeypatch: pytest.MonkeyPatch, state: str, threads: int, *, is_alive: bool
) -> None:
    stat = f"{os.getpid()} (a) name) {state} " + "0 " * 16 + f"{threads} 0 0"
    monkeypatch.setattr(daemon_commands, "read_small", lambda _: stat)
    assert daemon_commands._is_alive(os.getpid()) == is_alive


def test_a_daemon_is_not_handed_the_token_of_whoever_starts_it(town: StartingShell) -> None:
    town.becomes(f"env > {town.folder}/environment; exit 1")
    town.moot("list", before="import os; os.environ.update(MOOT_TOKEN='mtk_x', MOOT_TOKEN_FILE='/t', MOOT_KEPT='k')")
    told = (town.folder / "environment").read_text()
    assert "MOOT_KEPT=k" in told
    assert "MOOT_TOKEN" not in told


# -- restart, logs, and how earlier releases of bd said it -------------------------------------------------------
def test_restart_ends_the_daemon_and_starts_another_and_names_of_earlier_releases_mean_the_same(
    town: StartingShell,
) -> None:
    town.serves()
    assert town.moot("daemon", "--start").stdout.startswith(b"the daemon has started")
    done = town.moot("daemons", "restart", "--json")
    first, second = town.processes()
    assert has_ended(first)
    assert msgspec.json.decode(done.stdout.splitlines()[-1]) == {"running": True, "started": True, "pid": second}
    assert town.moot("daemons", "killall").stdout == b"daemon stop\n"


@pytest.mark.parametrize("starter", [("list",), ("daemon", "run")])
def test_restart_takes_no_daemon_for_its_own_that_was_starting_already_whoever_started_it(
    town: StartingShell, starter: tuple[str, ...]
) -> None:
    town.serves(first="sleep 0.3")
    with town.starting(*starter):
        (first,) = town.processes()
        done = town.moot("daemon", "restart")
        second = town.processes()[-1]
        assert first != second
        assert has_ended(first)
        assert done.stdout.splitlines()[-1] == f"the daemon has started (pid {second})".encode()


@pytest.mark.parametrize(("code", "name", "ended"), [(1, "invalid", 1), (4, "denied", 4)])
def test_restart_stops_nothing_where_the_next_daemon_would_refuse_its_settings(
    town: StartingShell, code: int, name: str, ended: int
) -> None:
    town.serves()
    town.moot("daemon", "start")
    town.finds(f"echo 'mootd: config.toml: line 1: it is none' >&2; echo '  set that right' >&2; exit {code}")
    done = town.moot("daemon", "restart")
    told = "moot: the daemon would not start: config.toml: line 1: it is none\n  set that right; nothing was stopped\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (ended, b"", told)
    assert msgspec.json.decode(town.moot("daemon", "restart", "--json").stdout)["error"]["code"] == name
    (pid,) = town.processes()
    assert not has_ended(pid)


def test_restart_stops_nothing_where_the_next_daemon_can_not_be_asked(town: StartingShell) -> None:
    town.serves()
    town.moot("daemon", "start")
    town.finds("exec sleep 1000")
    done = town.moot("daemon", "restart", before="moot.startup.START_SECONDS = 0.3")
    assert (done.returncode, b"nothing was stopped" in done.stderr) == (75, True)
    (town.folder / "python").unlink()
    assert town.moot("daemon", "restart").returncode == 69
    assert not has_ended(*town.processes())


def test_restart_starts_one_where_the_one_that_was_starting_has_failed(town: StartingShell) -> None:
    town.becomes("sleep 0.3; exit 1")
    with town.starting("daemon", "run"):
        town.serves()
        assert town.moot("daemon", "restart").stdout.startswith(b"the daemon has started")


def test_restart_tells_of_a_daemon_that_is_starting_and_never_serves(town: StartingShell) -> None:
    town.becomes("while :; do sleep 0.05; done")
    with town.starting("daemon", "run"):
        (pid,) = town.processes()
        done = town.moot("daemon", "restart", before="moot.startup.START_SECONDS = 0.05")
        assert done.returncode == 75
        assert f"or end it: kill {pid}; see".encode() in done.stderr


def test_restart_writes_one_document_also_where_a_signal_has_to_end_the_daemon(town: StartingShell) -> None:
    town.serves("broken")
    town.moot("daemon", "start")
    done = town.moot("daemon", "restart", "--json")
    assert msgspec.json.decode(done.stdout) == {"running": True, "started": True, "pid": town.processes()[-1]}
    assert b"a signal has told it to end" in town.moot("daemon", "restart").stdout


def test_help_is_the_daemons_to_give_whatever_it_is_about() -> None:
    for words in (["daemon", "stop"], ["daemon", "run"], ["daemon", "logs"]):
        assert daemon_commands.daemon_command("bd", [*words, "--help"], words) is None


def test_the_end_of_the_log_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def logs(*flags: str) -> bytes:
        assert daemon_commands.daemon_command("bd", ["daemon", "logs", *flags], ["daemon", "logs"]) == 0
        return capfdbinary.readouterr().out

    monkeypatch.setattr("moot.startup.state_folder", lambda: str(tmp_path))
    for flags in ((), ("-f",), ("-n", "x"), ("--lines=0",)):
        with pytest.raises(Failure):
            logs(*flags)
    (tmp_path / "daemon.log").write_text("one\ntwo\x1b[2J\nthree\n")
    assert logs("-n", "2") == b"two[2J\nthree\n"
    assert msgspec.json.decode(logs("--json", "--lines=1"))["content"] == "three"
