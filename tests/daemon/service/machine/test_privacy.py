"""The doctor on what holds secrets: whatever others can read is told, and closed when it is told to."""

from pathlib import Path
from typing import Any

import pytest

from moot_protocol.access.table import PERMISSIONS
from moot_protocol.crypto import SeedSigner
from moot_protocol.requests.machine import Doctor, Protect
from moot_testkit.towns.spooling import SpoolSite
from moot_testkit.towns.town import Api, make_api
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import FileKeyStore
from mootd.edges.paths import Places
from mootd.engine.membership.charter_writing import found_town
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY
from mootd.service.machine.own_machine import Machine
from mootd.service.machine.requests import MACHINE
from mootd.store.memory_store import MemoryStore

PLANES = "this machine counts on every plane"


class OnDisk:
    """A founded machine whose keys lie on a disk."""

    def __init__(self, folder: Path) -> None:
        data = folder / "data"
        data.mkdir(mode=0o700)
        self.places = Places(data, folder / "config.toml", folder / "state", folder / "run")
        self.store = MemoryStore()
        self.start()
        self.replica.keys.create(REPLICA_KEY)
        with self.replica.transaction() as unit:
            found_town(unit, SeedSigner(bytes(32)).public)

    def start(self) -> None:
        """Begin anew, as another process: what it knew of its keys is gone."""
        clock, entropy = ManualClock(), SeededEntropy(b"on disk")
        self.replica = Replica(self.store, FileKeyStore(self.places.keys, entropy), clock, entropy)
        self.machine = Machine(self.places, clock, entropy, lambda: None)

    def failing(self) -> dict[str, dict[str, Any]]:
        """Checks that fail, by name."""
        checks = MACHINE[Doctor](self.machine, self.replica, Doctor())
        self.names = [check["check"] for check in checks]
        return {check["check"]: check for check in checks if not check["ok"]}

    def protect(self, *, dry_run: bool = False) -> list[str]:
        answer: dict[str, list[str]] = MACHINE[Protect](self.machine, self.replica, Protect(dry_run=dry_run))
        return answer["closed"]


@pytest.fixture
def own(tmp_path: Path) -> OnDisk:
    tmp_path.chmod(0o700)
    return OnDisk(tmp_path)


def failing(api: Api) -> dict[str, str]:
    return {check["check"]: check["detail"] for check in api.call(Doctor()) if not check["ok"]}


@pytest.mark.parametrize("name", ["replica.key", "town.key"])
def test_a_key_that_others_can_read_is_told_before_the_next_start_refuses_it_and_after(own: OnDisk, name: str) -> None:
    key = own.places.keys / name
    assert own.failing() == {}
    key.chmod(0o644)
    for _ in range(2):
        found = own.failing()
        assert set(found) == {"keys are private", f"{key.stem} key is here"}
        assert {check["detail"] for check in found.values()} == {f"{key} is open to others (mode 0644)"}
        assert all(f"chmod 600 {key}" in check["hint"] for check in found.values())
        assert "`moot doctor --fix`" in found["keys are private"]["hint"]
        own.start()
    assert own.protect(dry_run=True) == own.protect() == [str(key)]
    assert own.failing() == {}
    assert PLANES in own.names


def test_keys_in_a_folder_that_others_can_enter_keep_the_doctor_from_nothing_else(own: OnDisk) -> None:
    own.places.keys.chmod(0o755)
    own.start()
    assert set(own.failing()) == {"keys are private", "town key is here", "replica key is here"}
    assert PLANES not in own.names


def test_a_key_that_is_damaged_is_told_as_such(own: OnDisk) -> None:
    (own.places.keys / "town.key").write_bytes(b"\x93")
    assert own.failing()["town key is here"]["detail"].endswith("town.key is no key")


def test_recovery_words_are_looked_at_as_long_as_they_lie_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    api, words = make_api(folder=tmp_path), tmp_path / "recovery-words-abc.txt"
    assert "recovery words are private" not in {check["check"] for check in api.call(Doctor())}
    words.touch(0o600)
    (check,) = (check for check in api.call(Doctor()) if check["check"] == "recovery words are private")
    assert (check["ok"], str(words) in check["detail"]) == (True, True)
    words.chmod(0o640)
    assert failing(api) == {"recovery words are private": f"{words} is open to others (mode 0640)"}
    assert api.call(Protect()) == {"closed": [str(words)]}
    assert failing(api) == {}


def test_access_rules_that_give_none_are_told_and_left_to_their_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    api, path = make_api(folder=tmp_path), tmp_path / "access.toml"
    (check,) = (check for check in api.call(Doctor()) if check["check"] == "access.toml is in force")
    assert check["detail"] == f"there is no {path}: nobody but this user is let in"
    path.write_text('[users.alice]\nrole = "admin"\n')
    path.chmod(0o602)
    (check,) = (check for check in api.call(Doctor()) if check["check"] == "access.toml is in force")
    assert (check["ok"], f"chmod go-w {path}" in check["hint"]) == (False, True)
    assert api.call(Protect()) == {"closed": []}
    assert path.stat().st_mode & 0o777 == 0o602
    path.unlink()
    path.mkdir()
    assert failing(api) == {"access.toml is in force": f"{path} is no file"}


def test_an_open_spool_is_closed_part_by_part(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    site = SpoolSite(tmp_path)
    commands = site.path / "commands"
    for folder in (site.path, commands):
        folder.chmod(0o755)
    assert set(failing(site.api)) == {"spool of demo works"}
    assert site.api.call(Protect()) == {"closed": [str(site.path), str(commands)]}
    assert failing(site.api) == {}


def test_closing_needs_the_right_to_run_the_machine() -> None:
    assert PERMISSIONS["protect"] == PERMISSIONS["stop"]
