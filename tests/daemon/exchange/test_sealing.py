"""What is sealed under which key, what is opened of it, and by whom; nothing of either while a plane is isolated."""

from collections.abc import Callable

import pytest

from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody
from moot_protocol.exchange.messages import build_batches, decode_message
from moot_protocol.exchange.presence import Presence, build_presence
from moot_protocol.limits import FRAME_BYTES
from moot_protocol.log.batch import ZEROS
from moot_protocol.sealing.frame import epoch_id, frame_epoch
from moot_testkit.towns.carrying import REMOTE, founder, joined, log_of, newcomer, plane_of
from moot_testkit.towns.federating import machine, machine_ticket, meet
from moot_testkit.towns.town import Member
from mootd.engine.machine.remotes import add_remote, isolate
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.joining import present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import retire
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.exchange import sealing
from mootd.exchange.sealing import Sealing


def sealing_of(member: Member, plane: bytes, frame_bytes: int = FRAME_BYTES) -> Sealing:
    row = plane_of(member, plane)
    signer = member.replica.signer(REPLICA_KEY)
    return Sealing(member.replica, log_of(member, row), keys_of(member, plane), signer, REMOTE, frame_bytes=frame_bytes)


def keys_of(member: Member, plane: bytes) -> PlaneKeys:
    return PlaneKeys(member.keys, plane)


def two_machines() -> tuple[bytes, Member, Member]:
    """A plane, and two machines of one town that hold all of it."""
    desk = founder()
    plane = desk.ledger.id
    return plane, desk, machine(desk, plane, name="laptop")


def change_key(member: Member, plane: bytes) -> None:
    member.commit(lambda unit: begin_epoch(unit, plane_of(member, plane), keys_of(member, plane)))


def nothing(plane: bytes) -> bytes:
    """A message that brings nothing."""
    return build_batches(plane, (), (), ())


def code_of(attempt: Callable[[], object]) -> Code:
    """What an attempt is refused with."""
    with pytest.raises(MootError) as raised:
        attempt()
    return raised.value.code


# -- Under which key -----------------------------------------------------------------------------------------------
def test_what_one_member_seals_another_opens_a_charters_under_a_key_of_their_own() -> None:
    plane, desk, laptop = two_machines()
    here, there = sealing_of(desk, plane), sealing_of(laptop, plane)
    for is_charter, epoch in (
        (False, present_epoch(desk.replica, plane_of(desk, plane))),
        (True, epoch_id(keys_of(desk, plane).charter_key)),
    ):
        frame = here.seal(nothing(plane), is_charter=is_charter)
        assert frame_epoch(frame) == epoch
        assert there.open(frame) == decode_message(nothing(plane))


def test_no_two_frames_of_one_message_are_alike() -> None:
    plane, desk, _ = two_machines()
    here = sealing_of(desk, plane)
    assert here.seal(nothing(plane)) != here.seal(nothing(plane))


def test_before_the_charter_has_come_a_newcomer_seals_under_its_tickets_key_alone_and_after_it_never_again() -> None:
    plane, desk, _ = two_machines()
    new = newcomer("tablet")
    joined(new, machine_ticket(desk, plane).ticket)
    there = sealing_of(new, plane)
    assert there.sealer() is None
    with pytest.raises(RefusedError, match=f"plane {plane_of(new, plane).name} can't be sealed yet") as raised:
        there.seal(nothing(plane))
    assert (raised.value.code, raised.value.retryable) == (Code.NOT_READY, True)
    asks = there.ticket_sealer()
    assert asks is not None
    assert sealing_of(desk, plane).open(asks(nothing(plane))).plane == plane
    meet(plane, desk, new)
    assert there.ticket_sealer() is None
    assert sealing_of(desk, plane).open(there.seal(nothing(plane))).plane == plane


def test_after_a_new_key_old_frames_are_outdated_and_still_open_and_charters_never_are() -> None:
    plane, desk, laptop = two_machines()
    here, there = sealing_of(desk, plane), sealing_of(laptop, plane)
    old, charter = here.seal(nothing(plane)), here.seal(nothing(plane), is_charter=True)
    assert not here.is_outdated(old, charter)
    change_key(desk, plane)
    new = here.seal(nothing(plane))
    assert here.is_outdated(new, old)
    assert not here.is_outdated(new, charter)
    assert not here.is_outdated()
    assert code_of(lambda: there.open(new)) is Code.UNKNOWN_EPOCH
    meet(plane, desk, laptop)
    assert there.is_outdated(old)
    assert there.open(new) == there.open(old) == here.open(old)


def test_who_is_left_out_opens_what_was_sealed_before_and_nothing_sealed_after() -> None:
    plane, desk, laptop = two_machines()
    here, there = sealing_of(desk, plane), sealing_of(laptop, plane)
    before = here.seal(nothing(plane))
    desk.commit(lambda unit: retire(unit, plane_of(desk, plane), laptop.id))
    after = here.seal(nothing(plane))
    meet(plane, desk, laptop)
    assert there.open(before) == here.open(before)
    assert code_of(lambda: there.open(after)) is Code.UNKNOWN_EPOCH


def test_the_present_epoch_is_read_anew_only_when_a_charter_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, desk, _ = two_machines()
    here, reads = sealing_of(desk, plane), list[int]()

    def counted(replica: Replica, row: PlaneRow) -> bytes | None:
        reads.append(row.number)
        return present_epoch(replica, row)

    monkeypatch.setattr(sealing, "present_epoch", counted)
    for _ in range(3):
        here.is_outdated(here.seal(nothing(plane)))
    assert len(reads) == 1
    change_key(desk, plane)
    here.seal(nothing(plane))
    assert len(reads) == 2


def test_a_frame_that_the_remote_cannot_carry_is_refused_here() -> None:
    plane, desk, _ = two_machines()
    size = len(sealing_of(desk, plane).seal(nothing(plane)))
    assert sealing_of(desk, plane, size).seal(nothing(plane))
    assert code_of(lambda: sealing_of(desk, plane, size - 1).seal(nothing(plane))) is Code.LIMIT


# -- What is opened ------------------------------------------------------------------------------------------------
def test_what_is_of_another_plane_is_not_opened_whoever_sealed_it() -> None:
    plane, desk, laptop = two_machines()
    here, there = sealing_of(desk, plane), sealing_of(laptop, plane)
    presence = Presence(FORMAT, b"p" * 16, desk.id, 1, is_there=True)
    presence_frame = here.seal(build_presence(desk.replica.signer(REPLICA_KEY), presence))
    for refused, message in (
        (lambda: there.open(here.seal(nothing(b"p" * 16))), "a message of another plane"),
        (lambda: there.open_presence(presence_frame), "a presence of another plane"),
    ):
        with pytest.raises(MalformedError, match=message) as raised:
            refused()
        assert raised.value.code is Code.WRONG_PLANE


def test_what_was_changed_on_the_way_or_is_no_message_is_not_opened() -> None:
    plane, desk, _ = two_machines()
    here = sealing_of(desk, plane)
    frame = here.seal(nothing(plane))
    assert code_of(lambda: here.open(frame[:-1] + bytes([frame[-1] ^ 1]))) is Code.BAD_SEAL
    assert code_of(lambda: here.open(here.seal(b"no message"))) is Code.BAD_STRUCTURE
    assert code_of(lambda: here.open_presence(here.seal(nothing(plane)))) is Code.BAD_STRUCTURE


# -- What this replica says of itself ------------------------------------------------------------------------------
def test_a_presence_says_who_listens_on_which_plane_and_each_is_later_than_the_one_before() -> None:
    plane, desk, laptop = two_machines()
    here, there = sealing_of(desk, plane), sealing_of(laptop, plane)
    frames = [here.presence(is_there=is_there) or b"" for is_there in (True, False)]
    coming, leaving = (there.open_presence(frame) for frame in frames)
    assert [(each.plane, each.sender, each.is_there) for each in (coming, leaving)] == [
        (plane, desk.id, True),
        (plane, desk.id, False),
    ]
    assert coming.counter < leaving.counter


def test_a_newcomer_is_heard_to_listen_before_the_charter_has_come_and_not_before_it_has_a_ticket() -> None:
    plane, desk, _ = two_machines()
    new = newcomer("tablet")
    joined(new, machine_ticket(desk, plane).ticket)
    frame = sealing_of(new, plane).presence(is_there=True)
    assert frame is not None
    assert sealing_of(desk, plane).open_presence(frame).sender == new.id
    alone = founder("alone")
    assert sealing_of(alone, alone.ledger.id).presence(is_there=True) is None


def test_a_frontier_tells_everybody_where_this_replica_stands_in_full_or_in_32_bytes() -> None:
    plane, desk, _ = two_machines()
    here, position = sealing_of(desk, plane), log_of(desk, plane_of(desk, plane)).position()
    full, short = (decode_message(here.frontier_message(form)) for form in (Form.ALL, Form.SUMMARY))
    assert isinstance(full, FrontierBody)
    assert isinstance(short, FrontierBody)
    for each in (full, short):
        assert (each.plane, each.sender, each.to, each.digest) == (plane, desk.id, ZEROS, position.digest)
    assert (full.entries, short.entries) == (position.frontier, ())
    assert full.summary == short.summary
    assert full.counter < short.counter


# -- Isolation -----------------------------------------------------------------------------------------------------
def test_while_a_plane_is_isolated_from_the_remote_nothing_is_sealed_and_no_message_opened() -> None:
    plane, desk, laptop = two_machines()
    here = sealing_of(desk, plane)
    frame, sealer = sealing_of(laptop, plane).seal(nothing(plane)), here.sealer()
    assert sealer is not None
    assert here.is_allowed()
    other = desk.commit(lambda unit: add_remote(unit, "other", "git", "/other.git", "auto", {}))
    desk.commit(lambda unit: isolate(unit, SharedPlane(plane_of(desk, plane)), [other]))
    assert not here.is_allowed()
    attempts: list[Callable[[], object]] = [
        here.check_allowed,
        lambda: here.open(frame),
        lambda: sealer(b"kept from before"),
        lambda: here.seal(nothing(plane)),
        lambda: here.seal(nothing(plane), is_charter=True),
        lambda: here.presence(is_there=True),
    ]
    assert [code_of(attempt) for attempt in attempts] == [Code.DENIED] * len(attempts)
