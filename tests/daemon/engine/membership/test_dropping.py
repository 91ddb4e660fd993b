"""What an end would drop: nobody ends a forked machine unasked where events would go that are nowhere else."""

import re
from functools import partial

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.trust.charter import certificate_draft
from moot_testkit.bytes.feeds import FeedWriter, seed, signer
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import create, founder, joined, newcomer, plane_of, send
from moot_testkit.towns.federating import (
    DAYS_MS,
    bring,
    copy_of,
    federation,
    feed,
    machine,
    machine_ticket,
    put_back,
    town_key,
    write,
    write_ahead,
)
from moot_testkit.towns.town import Member
from mootd.engine.exchange.receive import Outcome
from mootd.engine.membership.dropping import History, check_losses, histories_dropped, loss_of, replicas_ended
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.removing import retire
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.state import TOWN_KEY
from mootd.store.port import Table


def dropped(member: Member, author: bytes) -> list[History]:
    plane = member.ledger
    return member.commit(lambda unit: histories_dropped(unit, plane, feed(member, plane.id, author)))


def ended(member: Member, plane: bytes, town: Member) -> set[bytes]:
    """The machines that end on a plane with the town of another."""
    return set(member.commit(lambda unit: replicas_ended(unit, plane_of(member, plane), town_key(town))))


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
    assert "status" not in raised.value.hint, "nothing waits"
    assert sees_less.commit(lambda unit: loss_of(unit, sees_less.ledger, two.id, is_chosen=True)) is None


def test_both_what_is_forked_and_what_waits_of_a_machine_is_told() -> None:
    one, two, _ = put_back()
    write_ahead(two, one.ledger.id)
    one.take(two.batches(plane=plane_of(two, one.ledger.id).number)[-1])
    told = refusal(lambda: one.commit(lambda unit: retire(unit, one.ledger, two.id)))
    assert "signed two histories" in told.message
    assert f"of {key_text(two.id)} 1 batch waits on plane ledger" in told.message
    assert told.hint.endswith("end it after that; --drop drops all")


def test_of_many_that_would_drop_something_the_first_are_told_and_how_many_more_there_are() -> None:
    one, two, _ = put_back()
    loss = one.commit(lambda unit: loss_of(unit, one.ledger, two.id))
    assert loss is not None
    told = refusal(lambda: check_losses([loss._replace(is_forked=False, waiting=each) for each in range(2, 13)]))
    assert told.message.count("batches wait") == 8
    assert told.message.endswith("; so it is with 3 more")
    assert "fork" not in told.hint
    told = refusal(lambda: check_losses([loss, None, loss]))
    assert "`moot fork settle --branch NAME REPLICA`" in told.hint
    assert not [each for each in re.findall("`[^`]*`", told.hint) if "--drop" in each], "nothing to paste that drops"
    check_losses([None, None])


def test_with_a_town_end_its_machines_that_count_and_no_other_s() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    assert ended(one, plane, one) == {one.id}
    assert ended(one, plane, two) == {two.id, further.id}


def test_with_a_town_end_those_whom_it_let_in_and_of_whom_all_waits_for_its_time() -> None:
    plane, (one, two) = federation(Role.WRITER)
    tickets = {name: machine_ticket(one, plane) for name in ("open", "closed with it", "closed without it")}
    machines = {name: newcomer(name) for name in tickets}
    for name, each in machines.items():
        each.clock.advance(DAYS_MS)
        joined(each, tickets[name].ticket)
        bring(one, each, plane)
        write(each, plane)
    for name in ("closed with it", "closed without it"):
        kept = [machines[name].id] if name == "closed with it" else []
        one.commit(partial(close_invite, plane=plane_of(one, plane), key=tickets[name].key, keep=kept))
    for each in machines.values():
        bring(each, one, plane)
        assert feed(one, plane, each.id).n == 0
    assert ended(one, plane, one) == {one.id, machines["open"].id, machines["closed with it"].id}
    assert ended(one, plane, two) == {two.id}


def test_with_a_town_end_those_whom_it_certified_itself_and_of_whom_all_waits_for_its_time() -> None:
    plane, (one, two) = federation(Role.WRITER)
    before = two.id
    two.clock.advance(DAYS_MS)
    two.commit(lambda unit: salvage(unit, is_copy=True))
    write(two, plane)
    one.take(*two.batches(plane=plane_of(two, plane).number))
    assert ended(one, plane, two) == {before, two.id}


def test_whom_one_town_certified_for_another_ends_with_neither() -> None:
    plane, (one, two) = federation(Role.WRITER)
    stray = FeedWriter(plane, signer("stray"))
    body = CertificateBody(FORMAT, plane, town_key(two), stray.author, seed("stray hpke"), Role.WRITER)
    certificate = build_certificate(body, one.replica.signer(TOWN_KEY))
    due = from_ms(one.clock.now_ms() + DAYS_MS)
    assert one.take(stray.write(certificate_draft(certificate, stray.author, ""), hlc=due)) == [Outcome.PARKED]
    assert ended(one, plane, one) == {one.id}
    assert ended(one, plane, two) == {two.id}
