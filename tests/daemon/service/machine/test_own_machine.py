"""What the daemon knows of itself before anything is read."""

import os
from pathlib import Path

from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SystemEntropy
from mootd.edges.paths import Places
from mootd.service.machine.own_machine import Machine
from mootd.version import VERSION


def make_machine(clock: ManualClock) -> Machine:
    places = Places(Path("/data"), Path("/config/config.toml"), Path("/state"), Path("/run"))
    return Machine(places, clock, SystemEntropy(), lambda: None)


def test_a_ping_tells_who_answers_and_for_how_long_it_has_been_there() -> None:
    clock = ManualClock()
    machine = make_machine(clock)
    clock.advance(7)
    told = machine.ping()
    assert (told["pid"], told["uptime_ms"], told["version"], told["data"]) == (os.getpid(), 7, VERSION, "/data")


def test_a_ping_tells_where_the_settings_are_looked_for() -> None:
    assert make_machine(ManualClock()).ping()["config_file"] == "/config/config.toml"


def test_the_access_rules_lie_beside_the_settings() -> None:
    assert make_machine(ManualClock()).access.path == Path("/config/access.toml")


def test_no_two_sessions_have_one_name() -> None:
    machine = make_machine(ManualClock())
    assert len({machine.new_session() for _ in range(100)}) == 100
