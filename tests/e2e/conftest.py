"""A machine that the tests of a file share, and in whose project they leave what they made."""

from collections.abc import Iterator

import pytest

from moot_testkit.machine import PROJECT, Machine, machine


@pytest.fixture(scope="module")
def town() -> Iterator[Machine]:
    """A machine with a town and a project."""
    with machine() as made:
        made.ok("init", "--prefix", PROJECT)
        yield made
