"""What indexes tell of numbers by their keys alone, and what they don't."""

import pytest

from moot_protocol.requests.listing import Filter
from moot_testkit.towns.engine import Desk, imported
from mootd.engine.listing.tallies import Tallies
from mootd.engine.stored import layout


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-a", priority=0)
    imported(made, {"id": "mt-b", "title": "From elsewhere", "status": "x" * 250, "priority": 2})
    made.create("mt-c", pinned=True)
    return made


def test_of_a_status_that_stands_in_its_key_as_a_hash_there_is_no_tally(desk: Desk) -> None:
    with desk.replica.read() as reader:
        tallies = Tallies(desk.issues(reader), sorted(desk.replica.projects.values()))
        assert tallies.statuses(Filter(), closed=True) is None
        assert tallies.statuses(Filter(statuses=("open",)), closed=True) == {"open": 2}
        assert tallies.priorities(Filter(), closed=True) == {0: 1, 2: 2}
        assert tallies.pinned() == 1


def test_keys_tell_of_projects_and_statuses_only(desk: Desk) -> None:
    with desk.replica.read() as reader:
        issues = desk.issues(reader)
        assert Tallies(issues, [1]).can_tell(Filter(projects=("mt",), statuses=("open",)))
        assert not Tallies(issues, [1]).can_tell(Filter(labels=("red",)))
        assert not Tallies(issues, [layout.OTHER_PROJECTS]).can_tell(Filter())
