"""A machine that the tests of a file share, and in whose project they leave what they made; and one for one alone."""

from collections.abc import Iterator

import pytest

from moot_testkit.machines.machine import PROJECT, Machine, machine


@pytest.fixture(scope="module")
def town() -> Iterator[Machine]:
    """A machine with a town and a project."""
    with machine() as made:
        made.ok("init", "--prefix", PROJECT)
        yield made


@pytest.fixture
def own_town() -> Iterator[Machine]:
    """The same for a test that counts on what is there, whichever tests have run before it."""
    with machine() as made:
        made.ok("init", "--prefix", PROJECT)
        yield made
