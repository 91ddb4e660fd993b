"""Frames that can't be opened: which of them this machine should be able to open."""

import pytest

from moot_protocol.requests.exchange import AddRemote
from moot_testkit.towns.carrying import invited, joined, newcomer, send
from moot_testkit.towns.town import Api, Member, make_api, make_town
from mootd.engine.machine.remotes import remote_named, set_mode
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.exchange.progress import Progress
from mootd.exchange.unopened import unopened, withheld

STRANGE = b"elsewhre"


def add(member: Member) -> None:
    Api(member).call(AddRemote(actor="ada", kind="git", url="/hub.git"))


def epoch_of(member: Member) -> bytes:
    """An epoch that the charter names."""
    return member.commit(lambda unit: begin_epoch(unit, member.ledger, PlaneKeys(unit.replica.keys, member.ledger.id)))


def lose(member: Member, epoch: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine have no key of an epoch."""
    key_of = PlaneKeys.key_of
    monkeypatch.setattr(PlaneKeys, "key_of", lambda keys, each: None if each == epoch else key_of(keys, each))


def found(member: Member, progress: Progress) -> tuple[dict[bytes, int], dict[str, int]]:
    """(epoch → frames that can't be opened, plane → those that should be)"""
    with member.replica.read() as reader:
        given = member.replica, reader, remote_named(reader, "origin"), progress
        return {each.epoch: each.frames for each in unopened(*given)}, withheld(*given)


def test_only_frames_of_epochs_that_a_charter_names_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    member = make_api().member
    add(member)
    one, other = epoch_of(member), epoch_of(member)
    progress = Progress()
    progress.note_unopened(member.ledger.number, [one, STRANGE, one, other])
    assert found(member, progress) == ({STRANGE: 1}, {})
    lose(member, one, monkeypatch)
    assert found(member, progress) == ({one: 2, STRANGE: 1}, {"ledger": 2})
    lose(member, other, monkeypatch)
    assert found(member, progress) == ({one: 2, STRANGE: 1, other: 1}, {"ledger": 3})


def test_planes_that_are_gone_or_not_exchanged_any_more_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    member = make_api().member
    add(member)
    epoch = epoch_of(member)
    lose(member, epoch, monkeypatch)
    progress = Progress()
    progress.note_unopened(99, [epoch])
    assert found(member, progress) == ({}, {})
    progress.note_unopened(member.ledger.number, [epoch])
    assert found(member, progress) == ({epoch: 1}, {"ledger": 1})
    member.commit(
        lambda unit: set_mode(unit, remote_named(unit.transaction, "origin"), SharedPlane(member.ledger), "off")
    )
    assert found(member, progress) == ({}, {})


def test_who_was_removed_isn_t_meant_to_open_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_town(1)[0], newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    add(two)
    send(one, two, plane.id)
    send(two, one, plane.id)
    progress = Progress()
    progress.note_unopened(plane.number, [STRANGE])
    assert found(two, progress)[0] == {STRANGE: 1}
    one.commit(lambda unit: close_invite(unit, one.ledger, made.key, []))
    send(one, two, plane.id)
    assert found(two, progress) == ({}, {})
