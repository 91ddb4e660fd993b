"""What an end would drop: nobody ends a forked machine unasked where events would go that are nowhere else."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_testkit.carrying import create, founder, send
from moot_testkit.federating import copy_of, feed, put_back
from moot_testkit.town import Member
from mootd.engine.dropping import History, histories_dropped
from mootd.engine.removing import retire
from mootd.engine.salvaging import salvage
from mootd.store.port import Table


def dropped(member: Member, author: bytes) -> list[History]:
    plane = member.ledger
    return member.commit(lambda unit: histories_dropped(unit, plane, feed(member, plane.id, author)))


def test_a_machine_whose_fork_is_not_settled_is_not_retired_and_both_its_histories_are_named() -> None:
    one, two, _ = put_back()
    with pytest.raises(MootError) as raised:
        one.commit(lambda unit: retire(unit, one.ledger, two.id))
    assert raised.value.code is Code.CONFLICT
    found = dropped(one, two.id)
    assert len(found) == 2
    for history in found:
        assert f"{len(history.events)} of {history.head.hex()[:8]}" in raised.value.message
    assert "moot fork settle" in raised.value.hint
    assert not feed(one, one.ledger.id, two.id).ended


def test_who_says_so_drops_them() -> None:
    one, two, _ = put_back()
    one.commit(lambda unit: retire(unit, one.ledger, two.id, drops=True))
    assert feed(one, one.ledger.id, two.id).ended
    assert dropped(one, two.id) == []


def test_what_was_written_anew_is_not_dropped() -> None:
    one = founder("one")
    clone = copy_of(one)
    clone.keys.create("another")  # else both would make the same keys from here on
    create(one, "mine")
    create(clone, "of the clone")
    before = one.id
    send(clone, one)
    send(one, clone)
    for each in (one, clone):
        each.commit(salvage)
        other = next(history for history in dropped(each, before))
        assert len(dropped(each, before)) == 1
        assert len(other.events) == 1
    send(clone, one)
    assert dropped(one, before) == []
    one.commit(lambda unit: retire(unit, one.ledger, before))


def test_where_of_one_history_only_a_proof_is_here_nobody_can_tell_and_so_it_is_refused() -> None:
    one, two, _ = put_back()
    sees_less = copy_of(one)
    with sees_less.store.write() as writer:
        for key, _ in list(writer.scan(Table.ASIDE, b"\0")):
            writer.delete(Table.ASIDE, key)
    assert dropped(sees_less, two.id) == []
    with pytest.raises(MootError) as raised:
        sees_less.commit(lambda unit: retire(unit, sees_less.ledger, two.id))
    assert "one that hasn't come here" in raised.value.message
