"""What tests of the engine begin from unless they say otherwise."""

import pytest

from moot_testkit.towns.engine import Desk


@pytest.fixture
def desk() -> Desk:
    """A machine with a town and nothing in it."""
    return Desk().found()
