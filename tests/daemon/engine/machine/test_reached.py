"""When remotes were reached: each by itself, kept over a restart, and forgotten with the remote."""

from functools import partial

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.towns.carrying import founder
from moot_testkit.towns.town import Member
from mootd.engine.machine.reached import note_reached, reached_ms
from mootd.engine.machine.remotes import add_remote, remove_remote


def added(member: Member, name: str) -> int:
    return member.commit(lambda unit: add_remote(unit, name, "git", "test://it", "auto", {}).number)


def reached(member: Member, remote: int) -> int:
    with member.replica.read() as reader:
        return reached_ms(reader, remote)


def test_it_is_known_of_each_remote_also_after_a_restart() -> None:
    member = founder()
    one, two, three = (added(member, name) for name in ("one", "two", "three"))
    for remote, at_ms in ((one, 5), (two, 2**40), (one, 7)):
        member.commit(partial(note_reached, remote=remote, at_ms=at_ms))
    member.restart()
    assert [reached(member, remote) for remote in (one, two, three)] == [7, 2**40, 0]


def test_nothing_is_kept_of_a_remote_that_was_removed() -> None:
    member = founder()
    remote = added(member, "one")
    member.commit(lambda unit: note_reached(unit, remote, 5))
    member.commit(lambda unit: remove_remote(unit, "one"))
    assert reached(member, remote) == 0
    with pytest.raises(RefusedError) as raised:
        member.commit(lambda unit: note_reached(unit, remote, 6))
    assert raised.value.code is Code.NOT_FOUND
    assert reached(member, remote) == 0
