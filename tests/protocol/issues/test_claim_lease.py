"""A lease counts for its holder alone, and what is none is passed over."""

import pytest

from moot_protocol.issues.claim_lease import Lease, lease_held, lease_of, new_lease
from moot_protocol.merge.register import Sibling

NOW_MS = 1_700_000_000_000
ALICE = new_lease("alice", 60_000, NOW_MS)


def test_a_lease_ends_when_its_time_is_over_and_not_before() -> None:
    lease = lease_of([ALICE], "alice")
    assert lease == Lease("alice", 60_000, NOW_MS + 60_000)
    assert not lease.is_over(NOW_MS + 59_999)
    assert lease.is_over(NOW_MS + 60_000)


def test_it_is_due_from_its_half_on() -> None:
    lease = Lease("alice", 60_000, NOW_MS + 60_000)
    assert not lease.is_due(NOW_MS + 29_999)
    assert lease.is_due(NOW_MS + 30_000)


def test_it_is_due_where_it_lasts_longer_than_it_can() -> None:
    lease = Lease("alice", 60_000, NOW_MS + 60_000)
    assert not lease.is_due(NOW_MS - 30_000)
    assert lease.is_due(NOW_MS - 30_001)


def test_of_several_the_one_that_lasts_longest_counts_and_others_leases_never() -> None:
    later, bobs = new_lease("alice", 60_000, NOW_MS + 5), new_lease("bob", 90_000, NOW_MS)
    assert lease_of([later, ALICE, bobs], "alice") == Lease(*later)
    assert lease_of([bobs], "alice") is None


@pytest.mark.parametrize(
    "value",
    ["alice", ["alice", 1], ["alice", "1", 2], ["alice", 1, 2.0], ["alice", 0, 2], ["alice", 1, -1], ["", 1, 2],
     [1, 1, 2], ["alice", True, 2], None],
)  # fmt: skip
def test_what_is_no_lease_is_passed_over(value: object) -> None:
    assert lease_of([value], "alice") is None
    assert lease_of([value], "") is None


def test_it_means_something_only_in_progress() -> None:
    live = {"leases": [Sibling(ALICE, NOW_MS, bytes(32), 1, "alice")]}
    assert lease_held(live, "in_progress", "alice") == Lease(*ALICE)
    assert lease_held(live, "open", "alice") is None
    assert lease_held(live, "in_progress", None) is None
    assert lease_held({}, "in_progress", "alice") is None


def test_documents_tell_it_in_words_for_programs() -> None:
    assert Lease(*ALICE).document == {
        "holder": "alice", "expires_at": "2023-11-14T22:14:20.000Z", "ttl_seconds": 60
    }  # fmt: skip
