"""Remotes and modes: names are unique, numbers are never given twice, and nothing stays of a remote that went."""

from functools import partial
from typing import get_type_hints

import pytest

from moot_protocol.errors import Code
from moot_protocol.limits import REMOTE_NAME_CHARS
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import founder
from moot_testkit.towns.town import Member
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import Carried
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.machine.remotes import (
    RemoteRow,
    add_remote,
    check_allowed,
    isolate,
    isolated_to,
    mode_of,
    remote_named,
    remotes,
    remotes_of,
    remove_remote,
    set_mode,
)
from mootd.engine.stored import layout
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.store.port import Table


def add(member: Member, name: str, mode: str = "auto") -> RemoteRow:
    return member.commit(lambda unit: add_remote(unit, name, "git", f"file:///{name}", mode, {}))


def names(member: Member) -> list[str]:
    with member.replica.read() as reader:
        return [row.name for row in remotes(reader)]


def mode(member: Member, remote: RemoteRow, plane: int) -> str:
    with member.replica.read() as reader:
        return mode_of(reader, remote, plane)


def test_remotes_are_kept_in_the_order_in_which_they_were_added() -> None:
    member = founder()
    for name in ("origin", "backup", "a.third-one"):
        add(member, name)
    member.restart()
    assert names(member) == ["origin", "backup", "a.third-one"]
    with member.replica.read() as reader:
        assert remote_named(reader, "backup") == RemoteRow(2, "backup", "git", "file:///backup", "auto", {})


def test_a_plane_s_remotes_are_those_whose_mode_for_it_is_not_off_and_a_refusal_says_what_to_do() -> None:
    member = founder()
    row = member.ledger
    plane = SharedPlane(row)

    def carriers() -> list[str]:
        with member.replica.read() as reader:
            return [remote.name for remote in remotes_of(reader, row)]

    error = refusal(carriers)
    assert (error.code, error.message) == (Code.NOT_FOUND, "plane ledger has no remote to be exchanged with")
    assert error.hint == "`moot remote add git URL` adds one"
    origin, backup = add(member, "origin"), add(member, "backup", "manual")
    assert carriers() == ["origin", "backup"]
    for remote in (origin, backup):
        member.commit(partial(set_mode, remote=remote, plane=plane, mode="off"))
    error = refusal(carriers)
    assert error.message == "plane ledger has no remote to be exchanged with: origin off, backup off"
    assert error.hint == "`moot plane set ledger --remote origin --mode auto` exchanges it"
    member.commit(lambda unit: isolate(unit, plane, []))
    error = refusal(carriers)
    assert error.message == "plane ledger has no remote to be exchanged with: it is isolated"
    assert error.hint == "`moot plane isolate ledger --to REMOTE` names one, --off ends it"
    operational = next(each for each in member.replica.planes.values() if each.kind == "operational")
    with member.replica.read() as reader:
        assert refusal_code(partial(remotes_of, reader, operational)) is Code.DENIED


def test_a_name_is_given_once() -> None:
    member = founder()
    add(member, "origin")
    assert refusal_code(lambda: add(member, "origin")) is Code.EXISTS
    assert names(member) == ["origin"]


@pytest.mark.parametrize("name", ["", "-", "a b", "a/b", "..", "é", "x" * (REMOTE_NAME_CHARS + 1), "a\n"])
def test_what_is_no_name_names_no_remote(name: str) -> None:
    member = founder()
    assert refusal_code(lambda: add(member, name)) is Code.INVALID
    assert names(member) == []


def test_only_kinds_and_modes_that_there_are_can_be_added() -> None:
    member = founder()
    work = member.commit
    assert refusal_code(lambda: work(lambda unit: add_remote(unit, "a", "ftp", "x", "auto", {}))) is Code.INVALID
    assert refusal_code(lambda: work(lambda unit: add_remote(unit, "a", "git", "x", "always", {}))) is Code.INVALID
    assert work(lambda unit: add_remote(unit, "a", "mqtt", "x", "off", {"user": "ada"})).options == {"user": "ada"}


def test_a_remote_that_is_not_there_is_not_found() -> None:
    member = founder()
    assert refusal_code(lambda: member.commit(lambda unit: remove_remote(unit, "origin"))) is Code.NOT_FOUND
    with member.replica.read() as reader:
        assert refusal_code(lambda: remote_named(reader, "origin")) is Code.NOT_FOUND


def test_the_number_of_a_remote_that_went_is_never_given_again() -> None:
    member = founder()
    add(member, "one")
    add(member, "two")
    member.commit(lambda unit: remove_remote(unit, "two"))
    member.commit(lambda unit: remove_remote(unit, "one"))
    member.restart()
    assert add(member, "one").number == 3


def test_nothing_stays_of_a_remote_that_went_and_all_of_the_others() -> None:
    member = founder()
    rows = [add(member, name) for name in ("one", "two")]
    before = (Carried(), b"\xff" * 32)

    def note(number: int) -> None:
        frame = OutFrame(1, "batches", b"frame", 5, ((before[1], before[0]),))

        def work(unit: Unit) -> None:
            txn = unit.transaction
            set_mode(unit, rows[number - 1], SharedPlane(member.ledger), "manual")
            carried.put(txn, number, 1, before[1], Carried(((3, bytes(32)),)))
            carried.rewind(txn, number, 1, before[1], Carried())
            txn.put(Table.META, layout.read_key(number, bytes(16), bytes(16), 1), b"commit")
            txn.put(Table.META, layout.own_ref_key(number, 1), b"ref")
            Outbox(txn, number).put(frame)

        member.commit(work)

    def kept() -> dict[tuple[Table, bytes], bytes]:
        with member.store.read() as reader:
            tables = (Table.META, Table.OUTBOX)
            return {(table, key): value for table in tables for key, value in reader.scan(table, b"\0")}

    note(1)
    with_one = kept()
    note(2)
    member.commit(lambda unit: Outbox(unit.transaction, 2).clear())
    assert member.commit(lambda unit: remove_remote(unit, "two")) == rows[1]
    without = {(Table.META, layout.remote_key(2))}
    assert kept() == {key: value for key, value in with_one.items() if key not in without}
    # What comes late from whoever served it leaves nothing behind either.
    member.commit(lambda unit: Outbox(unit.transaction, 2).retire([1]))
    assert (Table.META, layout.outbox_gauge_key(2)) not in kept()


def test_a_plane_goes_by_its_own_mode_where_it_has_one_and_by_the_remote_s_else() -> None:
    member = founder()
    one, two = add(member, "one"), add(member, "two", "manual")
    plane = member.ledger
    assert (mode(member, one, plane.number), mode(member, two, plane.number)) == ("auto", "manual")
    member.commit(lambda unit: set_mode(unit, one, SharedPlane(plane), "off"))
    member.restart()
    assert (mode(member, one, plane.number), mode(member, two, plane.number)) == ("off", "manual")
    assert mode(member, one, plane.number + 1) == "auto"
    member.commit(lambda unit: set_mode(unit, one, SharedPlane(plane), "manual"))
    assert mode(member, one, plane.number) == "manual"


def test_a_mode_that_is_none_is_refused() -> None:
    member = founder()
    row = add(member, "one")
    shared = SharedPlane(member.ledger)
    assert refusal_code(lambda: member.commit(lambda unit: set_mode(unit, row, shared, "sometimes"))) is Code.INVALID
    assert mode(member, row, shared.number) == "auto"


def test_only_a_plane_that_may_be_shared_can_be_given_a_mode() -> None:
    member = founder()
    assert get_type_hints(set_mode)["plane"] is SharedPlane
    assert refusal_code(lambda: SharedPlane(member.replica.plane_named("operational"))) is Code.DENIED


def test_an_isolated_plane_is_exchanged_with_the_remotes_that_are_named_and_with_none_that_is_added_later() -> None:
    member = founder()
    plane = SharedPlane(member.ledger)
    one, two = add(member, "one"), add(member, "two")
    member.commit(lambda unit: isolate(unit, plane, [one]))
    later = add(member, "later")
    member.restart()
    assert [mode(member, each, plane.number) for each in (one, two, later)] == ["auto", "off", "off"]
    with member.replica.read() as reader:
        assert (isolated_to(reader, plane.number), isolated_to(reader, 99)) == (frozenset({1}), None)
        check_allowed(reader, one.number, plane.number)
        assert refusal_code(lambda: check_allowed(reader, later.number, plane.number)) is Code.DENIED


def _set(remote: RemoteRow, plane: SharedPlane, wanted: str, unit: Unit) -> None:
    set_mode(unit, remote, plane, wanted)


def test_no_mode_lets_an_isolated_plane_out() -> None:
    member = founder()
    plane = SharedPlane(member.ledger)
    one, two = add(member, "one"), add(member, "two")
    member.commit(lambda unit: set_mode(unit, two, plane, "manual"))
    member.commit(lambda unit: isolate(unit, plane, [one]))
    for wanted in ("auto", "manual"):
        assert refusal_code(partial(member.commit, partial(_set, two, plane, wanted))) is Code.CONFLICT
    member.commit(lambda unit: set_mode(unit, two, plane, "off"))
    member.commit(lambda unit: set_mode(unit, one, plane, "manual"))
    member.commit(lambda unit: isolate(unit, plane, None))
    assert [mode(member, each, plane.number) for each in (one, two)] == ["manual", "off"]


def test_a_remote_that_takes_the_name_of_one_that_went_is_not_the_one_that_was_named() -> None:
    member = founder()
    plane = SharedPlane(member.ledger)
    one = add(member, "one")
    member.commit(lambda unit: isolate(unit, plane, [one]))
    member.commit(lambda unit: remove_remote(unit, "one"))
    assert mode(member, add(member, "one"), plane.number) == "off"
