"""A control socket that listens, with answers that tests give it."""

from collections.abc import Iterator

import pytest

from moot_testkit.clients.control import Daemon, serving


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    """A daemon for tests that leave nothing behind."""
    with serving() as daemon:
        yield daemon


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon of the test's own."""
    with serving() as daemon:
        yield daemon
