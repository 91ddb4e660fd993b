"""A spool, for the tests of what requests tell and change of it."""

from pathlib import Path

import pytest

from moot_testkit.towns.spooling import SpoolSite


@pytest.fixture
def site(tmp_path: Path) -> SpoolSite:
    """A project with an open spool."""
    return SpoolSite(tmp_path)
