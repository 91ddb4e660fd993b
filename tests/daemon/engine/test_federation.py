"""What a remote isn't known to carry, and which planes towns share."""

import pytest

from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.documents import SHARED, share, towns_sharing
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import create_on, open_plane
from mootd.engine import federation
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import Carried
from mootd.engine.machine.remotes import RemoteRow, add_remote
from mootd.engine.stored.log import LogReader, PlaneRow


@pytest.fixture
def desk() -> Desk:
    ada, bea = towns_sharing("ada", "bea")
    create_on(bea, SHARED, "mt-theirs")
    share(ada, bea)
    return ada


def remote_of(desk: Desk) -> RemoteRow:
    with desk.replica.transaction() as unit:
        return add_remote(unit, "hub", "git", "https://git.example/x", "manual", {})


def carry_all(desk: Desk, remote: RemoteRow, plane: PlaneRow) -> None:
    with desk.replica.transaction() as unit:
        for row in desk.replica.feeds.values():
            if row.plane == plane.number:
                carried.put(unit.transaction, remote.number, plane.number, row.author, Carried(((row.n, row.head),)))


def left(desk: Desk, remote: RemoteRow, plane: PlaneRow) -> tuple[int, list[str]]:
    with desk.replica.read() as reader:
        events = list(federation.leaving(desk.replica, reader, remote, plane))
        return federation.ahead(desk.replica, reader, remote, plane), [each.event.skeleton.entity for each in events]


def test_all_of_a_plane_leaves_to_a_remote_that_is_new(desk: Desk) -> None:
    remote, plane = remote_of(desk), desk.replica.plane_named(SHARED)
    count, entities = left(desk, remote, plane)
    total = sum(row.n for row in desk.replica.feeds.values() if row.plane == plane.number)
    assert (count, len(entities), "mt-theirs" in entities) == (total, total, True)


def test_what_a_remote_carries_stays_out(desk: Desk) -> None:
    remote, plane = remote_of(desk), desk.replica.plane_named(SHARED)
    carry_all(desk, remote, plane)
    assert left(desk, remote, plane) == (0, [])
    create_on(desk, SHARED, "mt-ours")
    count, entities = left(desk, remote, plane)
    assert (count, set(entities)) == (len(entities), {"mt-ours"})


def test_where_it_isn_t_clear_what_a_remote_carries_all_is_told(desk: Desk) -> None:
    remote, plane = remote_of(desk), desk.replica.plane_named(SHARED)
    carry_all(desk, remote, plane)
    number = desk.replica.feed_numbers[plane.number, desk.replica.id]
    forked = Carried(((1, b"a" * 32), (2, b"b" * 32)))
    with desk.replica.transaction() as unit:
        carried.put(unit.transaction, remote.number, plane.number, desk.replica.id, forked)
    with desk.replica.read() as reader:
        events = sum(batch.accepted for _, batch in LogReader(reader).batches(number, 1))
    assert left(desk, remote, plane)[0] == events


def test_shared_are_federation_planes_and_whatever_another_town_writes_on(desk: Desk) -> None:
    assert [row.name for row in federation.shared_planes(desk.replica, "")] == [SHARED]
    assert [row.name for row in federation.shared_planes(desk.replica, "ledger")] == ["ledger"]
    open_plane(desk, "alone", PlaneKind.FEDERATION)
    assert [row.name for row in federation.shared_planes(desk.replica, "")] == [SHARED, "alone"]
