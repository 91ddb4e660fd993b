"""A daemon that every test of a file shares, and a place to run clients of it from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_testkit.clients.control import Daemon, serving, short_folder
from moot_testkit.clients.starting import StartingShell
from moot_testkit.clients.thin import Shell


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon; tests give it the command or the answers they need."""
    with serving() as daemon:
        yield daemon


@pytest.fixture
def shell(daemon: Daemon, tmp_path: Path) -> Shell:
    """An empty folder, from which clients reach the daemon."""
    return Shell(daemon.path.parent.parent, tmp_path)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Shell]:
    """An empty folder, from which clients reach no daemon."""
    with short_folder() as folder:
        yield Shell(folder, tmp_path)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[StartingShell]:
    """An empty folder, from which clients start what a test puts in the daemon's place."""
    with short_folder() as folder:
        town = StartingShell(folder, tmp_path)
        yield town
        town.kill()
