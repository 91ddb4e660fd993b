"""What a transaction learns is taken back whole with the part of it that learnt it."""

from copy import copy
from typing import Any

from moot_testkit.towns.town import make_town
from mootd.engine.learnt import Learnt
from mootd.engine.stored.log import FeedRow


def fields_of(learnt: Learnt) -> dict[str, Any]:
    return {name: getattr(learnt, name) for name in Learnt.__slots__}


def test_everything_is_restored_whatever_was_changed_in_place_or_set_anew() -> None:
    (member,) = make_town(1)
    learnt = Learnt(member.replica)
    learnt.new_keys["replica"] = 2
    before, kept = {name: copy(value) for name, value in fields_of(learnt).items()}, learnt.kept()
    learnt.arrival += 1
    learnt.cuts += 1
    learnt.feeds[1] = FeedRow(1, b"a" * 32)
    learnt.new_feeds[1, b"a" * 32] = 1
    learnt.new_planes.append(member.replica.ledger)
    learnt.changed_planes[1] = member.replica.ledger
    learnt.new_projects[1, "mt"] = 1
    learnt.new_keys["town"] = 3
    learnt.settled.clear()
    learnt.is_disowned = learnt.is_original = learnt.changes_remotes = True
    assert all(value != before[name] for name, value in fields_of(learnt).items())
    learnt.take_back(kept)
    assert fields_of(learnt) == before
