"""What each replica runs: told once for each version, by itself alone, where it may write."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from msgspec.structs import replace

from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import REPLICA, Role
from moot_protocol.trust.acceptance import Reason
from moot_testkit.towns.carrying import founder, plane_of
from moot_testkit.towns.federating import bring, federation
from moot_testkit.towns.town import Member
from mootd.engine.editor import Editor
from mootd.engine.unit import Unit
from mootd.engine.versions import tell_version, versions_of
from mootd.service.snapshot import Snapshot

R = TypeVar("R")


def tell(member: Member, plane: bytes, version: str) -> int:
    """Tell a version; how many events that took."""
    before = member.replica.arrival
    tell_version(member.replica, plane_of(member, plane).number, member.commit, version)
    return member.replica.arrival - before


def told(member: Member, plane: bytes) -> dict[bytes, str]:
    with member.replica.read() as reader:
        entities = Snapshot(member.replica, reader, member.clock.now_ms()).entities
        return versions_of(entities, plane_of(member, plane))


@pytest.fixture
def shared() -> tuple[bytes, Member, Member]:
    """A plane, a machine of its founder and one of a guest."""
    plane, (one, two) = federation(Role.WRITER)
    return plane, one, two


def test_a_version_is_told_once_and_again_only_when_it_changes() -> None:
    one = founder("one")
    plane = one.ledger.id
    assert [tell(one, plane, version) for version in ("1.0", "1.0", "1.1", "1.1")] == [1, 0, 1, 0]
    one.restart()
    assert tell(one, plane, "1.1") == 0
    assert told(one, plane) == {one.id: "1.1"}


def test_machines_know_one_another_s_versions(shared: tuple[bytes, Member, Member]) -> None:
    plane, one, two = shared
    tell(two, plane, "1.0")
    bring(two, one, plane)
    tell(one, plane, "2.0")
    assert told(one, plane) == {one.id: "2.0", two.id: "1.0"}


def test_what_another_machine_says_of_one_is_not_shown_and_it_says_its_own_again(
    shared: tuple[bytes, Member, Member],
) -> None:
    plane, one, two = shared
    tell(one, plane, "1.0")
    bring(one, two, plane)

    def lie(unit: Unit) -> None:
        editor = Editor(unit, plane_of(two, plane).number, REPLICA, key_text(one.id), "two")
        editor.set("version", "0.0")
        editor.save()

    two.commit(lie)
    bring(two, one, plane)
    assert told(one, plane) == {}
    one.restart()
    tell(one, plane, "1.0")
    assert told(one, plane) == {one.id: "1.0"}


def test_who_may_only_read_says_nothing() -> None:
    plane, (one, two) = federation(Role.READER)
    assert tell(two, plane, "1.0") == 0
    assert told(one, plane) == {}


def test_a_machine_whose_feed_is_forked_or_ended_does_not_even_try() -> None:
    one = founder("one")
    plane = plane_of(one, one.ledger.id).number
    number = one.replica.feed_numbers[plane, one.id]
    plain = one.replica.feeds[number]
    for row, may_write in ((replace(plain, forked_at=1), 0), (replace(plain, reason=Reason.ENDED), 0), (plain, 1)):
        tries = list[object]()

        def commit(work: Callable[[Unit], R], tries: list[object] = tries) -> R:
            tries.append(work)
            return one.commit(work)

        one.replica.feeds[number] = row
        tell_version(one.replica, plane, commit, "1.0")
        assert len(tries) == may_write


def test_a_machine_that_refuses_to_write_says_it_another_time() -> None:
    one = founder("one")
    now_ms = one.clock.now_ms()
    one.clock.set_wall(now_ms - 3_600_000)
    assert tell(one, one.ledger.id, "1.0") == 0
    one.clock.set_wall(now_ms)
    assert tell(one, one.ledger.id, "1.0") == 1
