"""Where a data directory lies: a copy is noticed and writes nothing, a move is told, and the same place is neither."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_testkit.towns.carrying import create, founder
from moot_testkit.towns.town import Member
from mootd.engine.machine.home import OF_BACKUP, Found, is_copied, is_noted, is_of_backup, note_home
from mootd.engine.stored import layout
from mootd.ports import Home
from mootd.store.port import Table

HERE = Home(b"machine", b"folder")


def start(member: Member, home: Home) -> Found:
    return member.commit(lambda unit: note_home(unit, home))


@pytest.mark.parametrize(
    ("home", "found"),
    [
        (HERE, Found.SAME),
        (Home(b"machine", b"other"), Found.MOVED),
        (Home(b"other", b"folder"), Found.MOVED),
        (Home(b"other", b"other"), Found.COPIED),
        (Home(b"", b"folder"), Found.SAME),
        (Home(b"", b"other"), Found.MOVED),
    ],
)
def test_what_a_start_says_of_where_it_finds_itself(home: Home, found: Found) -> None:
    member = founder()
    assert start(member, HERE) is Found.SAME
    assert start(member, home) is found
    assert start(member, home) is Found.SAME
    with member.replica.read() as reader:
        assert is_noted(reader, home)
        assert is_noted(reader, HERE) is (home == HERE)
        assert is_copied(reader) is (found is Found.COPIED)


def test_a_copy_writes_nothing_whatever_the_next_start_says() -> None:
    member = founder()
    start(member, HERE)
    start(member, Home(b"other", b"other"))
    start(member, Home(b"other", b"other"))
    with pytest.raises(MootError) as raised:
        create(member)
    assert raised.value.code is Code.DENIED
    assert "moot salvage" in raised.value.hint


def test_a_backup_stays_known_as_one_wherever_it_is_put_back() -> None:
    member = founder()
    start(member, HERE)
    member.commit(lambda unit: unit.transaction.put(Table.META, layout.COPIED, OF_BACKUP))
    for home in (HERE, Home(b"other", b"other")):
        start(member, home)
        with member.replica.read() as reader:
            assert is_copied(reader)
            assert is_of_backup(reader)


def test_another_copy_is_no_backup() -> None:
    member = founder()
    start(member, HERE)
    start(member, Home(b"other", b"other"))
    with member.replica.read() as reader:
        assert not is_of_backup(reader)
