"""A machine's settings and the real daemon: who wants it to start is told what is wrong, and what is right counts."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.requests.exchange import OutboxInfo, Remotes
from moot_testkit.clients.control import until
from moot_testkit.machines.machine import PROJECT, Machine, machine


@pytest.fixture
def own() -> Iterator[Machine]:
    """A machine on which no daemon has run yet."""
    with machine() as made:
        yield made


def configure(town: Machine, text: str) -> Path:
    path = town.home / ".config" / "moot" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pause_ms(town: Machine) -> int:
    """How long the only remote rests after a round."""
    resting: list[dict[str, Any]] = []
    with town.client() as client:

        def rests() -> bool:
            resting[:] = [row for row in client.call(Remotes()) if row["last_ok_ms"] and row["next_try_ms"]]
            return bool(resting)

        until(rests)
    return int(resting[0]["next_try_ms"] - resting[0]["last_ok_ms"])


def test_a_command_that_would_start_the_daemon_says_what_is_wrong_with_the_file_and_works_once_it_is_right(
    own: Machine,
) -> None:
    path = configure(own, "[exchange]\npoll_seconds = 1\n")
    for command in (["init", "--prefix", PROJECT], ["daemon", "start"]):
        done = own.run(*command)
        assert done.returncode == 69
        assert f"{path}: exchange.poll_seconds: it must be a whole number from 5 to 86400, and is 1" in done.stderr
        assert "set that right, or move the file away" in done.stderr
    assert not own.data.exists()
    configure(own, "[exchange]\npoll_seconds = 5\n")
    own.ok("init", "--prefix", PROJECT)
    assert str(path) in own.ok("daemon", "status")
    assert str(path) in own.ok("info")


def test_a_restart_with_a_file_that_is_wrong_leaves_the_daemon_as_it_is(own: Machine) -> None:
    own.ok("init", "--prefix", PROJECT)
    with own.client() as client:
        path = configure(own, "[exchange]\npoll_seconds = 1\n")
        done = own.run("daemon", "restart")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"moot: the daemon would not start: {path}: exchange.poll_seconds: it must be a")
        assert client.call(OutboxInfo()) == []  # on the connection from before
    path.unlink()
    own.ok("daemon", "restart")


def test_the_exchange_goes_by_the_file_and_a_change_counts_after_a_restart(own: Machine) -> None:
    path = configure(own, "[exchange]\npoll_seconds = 50\n[outbox]\nframes = 200\n")
    own.ok("init", "--prefix", PROJECT)
    hub = own.home / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", hub], env=own.environment, check=True)
    own.ok("remote", "add", "git", str(hub))
    assert 45_000 < pause_ms(own) < 55_000
    with own.client() as client:
        assert client.call(OutboxInfo())[0]["most_frames"] == 200
    configure(own, "[exchange]\npoll_seconds = 3600\n")
    checked = own.run("doctor")
    assert checked.returncode == 1
    assert f"{path} changed after the daemon had started" in checked.stdout
    own.ok("daemon", "restart")
    assert pause_ms(own) > 3_000_000
    assert "changed after" not in own.run("doctor").stdout


def test_a_key_that_others_can_read_is_refused_after_a_restart_and_the_doctor_tells_and_mends_it(own: Machine) -> None:
    own.ok("init", "--prefix", PROJECT)
    key = own.data / "keys" / "replica.key"
    key.chmod(0o644)
    own.ok("daemon", "restart")
    assert own.run("q", "Lost").returncode == 4
    checked = own.run("doctor")
    assert checked.returncode == 1
    assert f"✗ keys are private: {key} is open to others (mode 0644)" in checked.stdout
    assert f"chmod 600 {key}" in checked.stdout
    assert f"Closed to others: {key}" in own.ok("doctor", "--fix")
    own.ok("q", "Found")


def test_a_data_folder_that_others_can_enter_is_named_where_the_daemon_refuses_to_start(own: Machine) -> None:
    own.ok("init", "--prefix", PROJECT)
    own.ok("daemon", "stop")
    own.data.chmod(0o755)
    for command in (["doctor"], ["status"], ["q", "Lost"]):
        done = own.run(*command)
        assert done.returncode == 69
        assert f"{own.data} is open to others (mode 0755)" in done.stderr
        assert f"close it: chmod 700 {own.data}" in done.stderr
