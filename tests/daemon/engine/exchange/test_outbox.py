"""The outbox: first in, first out, within its cap; what made way comes again; what stands in it is ciphertext."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moot_protocol.exchange.messages import Batches, decode_message
from moot_protocol.limits import OUTBOX_BYTES, OUTBOX_FRAMES
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_testkit.bytes.feeds import FeedWriter, Town, note, seed, wire
from moot_testkit.machines.stores import opened
from moot_testkit.towns.carrying import Sender, commit_of, log_of, opener, sealer, take_message
from moot_testkit.towns.engine import START_MS, Desk
from mootd.config import OutboxConfig
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import NOTHING, Carried
from mootd.engine.exchange.outbox import NEARLY_FULL, Gauge, Outbox, OutboxReader, OutFrame
from mootd.engine.machine.remotes import add_remote
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import open_plane
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.unit import Unit
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Table

AUTHOR = seed("an author")


def frame(number: int, size: int = 1, plane: int = 1, **others: Any) -> OutFrame:
    return OutFrame(plane, "batches", bytes([number]) * size, START_MS + number, **others)


class Queue:
    """One remote's queue, each call in a transaction of its own."""

    def __init__(self, remote: int = 1, store: Any = None, **caps: int) -> None:
        self.store = store or MemoryStore()
        self.remote = remote
        self.caps = caps

    def do(self, work: Any) -> Any:
        with self.store.write() as writer:
            return work(Outbox(writer, self.remote, OutboxConfig(**self.caps)))

    def put(self, *frames: OutFrame) -> None:
        for each in frames:
            self.do(lambda outbox, each=each: outbox.put(each))

    def retire(self, *numbers: int) -> None:
        self.do(lambda outbox: outbox.retire(numbers))

    def kept(self) -> list[tuple[int, OutFrame]]:
        with self.store.read() as reader:
            return list(OutboxReader(reader, self.remote).frames())

    @property
    def numbers(self) -> list[int]:
        """What the frames hold that wait."""
        return [each.frame[0] for _, each in self.kept()]

    @property
    def gauge(self) -> Gauge:
        with self.store.read() as reader:
            return OutboxReader(reader, self.remote).gauge()

    def rewinds(self, known: Carried = NOTHING) -> dict[bytes, Carried]:
        """What is known once the rewinds are carried out, after so much of the author's feed was."""
        with self.store.write() as writer:
            if known != NOTHING:
                carried.put(writer, self.remote, 1, AUTHOR, known)
            carried.apply_rewinds(writer, self.remote, 1)
            return carried.carried(writer, self.remote, 1)


# -- Order and cap -----------------------------------------------------------------------------------------------
def test_of_fifteen_frames_under_a_cap_of_ten_the_last_ten_remain_the_oldest_first() -> None:
    queue = Queue(frames=10)
    queue.put(*(frame(number) for number in range(1, 16)))
    assert queue.numbers == list(range(6, 16))
    assert queue.gauge == Gauge(frames=10, bytes=10, oldest_ms=START_MS + 6, dropped=5)


def test_an_empty_queue_says_so() -> None:
    assert Queue().gauge == Gauge(0, 0, 0, 0)
    assert not Queue().gauge.is_nearly_full


def test_the_cap_holds_in_bytes_too() -> None:
    queue = Queue(bytes=100)
    queue.put(frame(1, 40), frame(2, 40), frame(3, 20))
    assert queue.numbers == [1, 2, 3]
    queue.put(frame(4, 1))
    assert queue.numbers == [2, 3, 4]
    queue.put(frame(5, 80))
    assert queue.numbers == [4, 5]
    assert queue.gauge == Gauge(2, 81, START_MS + 4, 3)


def test_one_frame_always_fits() -> None:
    queue = Queue(bytes=100)
    queue.put(frame(1, 40), frame(2, 300))
    assert queue.numbers == [2]
    queue.put(frame(3, 100))
    assert queue.numbers == [3]


def test_the_caps_are_those_of_the_limits() -> None:
    queue = Queue()
    with queue.store.write() as writer:
        outbox = Outbox(writer, 1)
        for number in range(OUTBOX_FRAMES + 2):
            outbox.put(frame(number % 256))
    assert queue.gauge == Gauge(OUTBOX_FRAMES, OUTBOX_FRAMES, START_MS + 2, 2)
    third = OUTBOX_BYTES // 3 + 1
    queue.do(lambda outbox: outbox.clear())
    queue.put(frame(1, third), frame(2, third), frame(3, third))
    assert queue.numbers == [2, 3]


def test_queues_of_different_remotes_do_not_meet() -> None:
    one = Queue(frames=2)
    other = Queue(2, one.store)
    other.put(frame(9))
    one.put(frame(1), frame(2), frame(3))
    one.retire(2)
    assert (one.numbers, other.numbers) == ([3], [9])
    assert other.gauge == Gauge(1, 1, START_MS + 9, 0)


def test_a_queue_outlives_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    queue = Queue(store=store, frames=3)
    queue.put(*(frame(number, 10, before=((AUTHOR, NOTHING),)) for number in range(1, 6)))
    kept, gauge = queue.kept(), queue.gauge
    store.close()
    store = opened(tmp_path)
    again = Queue(store=store, frames=3)
    assert (again.kept(), again.gauge) == (kept, gauge)
    again.put(frame(6))
    assert again.numbers == [4, 5, 6]
    store.close()


# -- Gauge -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("frames", "size", "is_warned"),
    [
        (NEARLY_FULL * OUTBOX_FRAMES - 1, 0, False),
        (NEARLY_FULL * OUTBOX_FRAMES, 0, True),
        (1, NEARLY_FULL * OUTBOX_BYTES - 1, False),
        (1, NEARLY_FULL * OUTBOX_BYTES, True),
    ],
)
def test_people_are_warned_from_four_fifths_of_either_cap_on(frames: float, size: float, is_warned: bool) -> None:
    assert NEARLY_FULL == 0.8
    assert Gauge(int(frames), int(-(-size // 1)), 0, 0).is_nearly_full is is_warned


@pytest.mark.parametrize("caps", [OutboxConfig(frames=5), OutboxConfig(bytes=5)])
def test_people_are_warned_by_the_caps_that_the_queue_has(caps: OutboxConfig) -> None:
    queue = Queue(frames=caps.frames, bytes=caps.bytes)
    queue.put(frame(1), frame(2), frame(3))
    with queue.store.read() as reader:
        assert not OutboxReader(reader, queue.remote, caps).gauge().is_nearly_full
    queue.put(frame(4))
    with queue.store.read() as reader:
        assert OutboxReader(reader, queue.remote, caps).gauge().is_nearly_full
        assert not OutboxReader(reader, queue.remote).gauge().is_nearly_full


def test_a_queue_that_fills_warns_and_one_that_drains_no_longer_does() -> None:
    queue = Queue()
    with queue.store.write() as writer:
        outbox = Outbox(writer, 1)
        for _ in range(799):
            outbox.put(frame(1))
        assert not outbox.gauge().is_nearly_full
        outbox.put(frame(1))
        assert outbox.gauge().is_nearly_full
        outbox.retire([1])
        assert not outbox.gauge().is_nearly_full


def test_the_oldest_frame_is_the_one_that_waits_longest() -> None:
    queue = Queue()
    queue.put(frame(1), frame(2), frame(3))
    assert queue.gauge.oldest_ms == START_MS + 1
    queue.retire(1, 2)
    assert queue.gauge == Gauge(1, 1, START_MS + 3, 0)
    queue.retire(3)
    assert queue.gauge == Gauge(0, 0, 0, 0)


# -- Retiring ----------------------------------------------------------------------------------------------------
def test_a_frame_retires_once() -> None:
    queue = Queue()
    queue.put(frame(1, 5), frame(2, 7))
    queue.retire(1, 1, 44)
    queue.retire(1)
    assert queue.gauge == Gauge(1, 7, START_MS + 2, 0)


def test_the_number_of_a_frame_is_never_given_to_another() -> None:
    queue = Queue(frames=2)
    queue.put(frame(1), frame(2))
    late = [number for number, _ in queue.kept()]
    queue.do(lambda outbox: outbox.clear())
    queue.put(frame(3), frame(4))
    queue.retire(*late)
    queue.do(lambda outbox: outbox.mark_published(late[0], 5))
    assert queue.numbers == [3, 4]
    assert all(not each.published_ms for _, each in queue.kept())


def test_a_published_frame_stays_until_it_retires() -> None:
    queue = Queue()
    queue.put(frame(1), frame(2))
    queue.do(lambda outbox: outbox.mark_published(1, START_MS + 50))
    queue.do(lambda outbox: outbox.mark_published(77, START_MS + 50))
    assert [(number, each.published_ms) for number, each in queue.kept()] == [(1, START_MS + 50), (2, 0)]
    assert queue.gauge == Gauge(2, 2, START_MS + 1, 0)
    queue.retire(1)
    assert queue.numbers == [2]


# -- What makes way comes again ----------------------------------------------------------------------------------
def test_what_is_dropped_is_rewound_to_before_the_oldest_frame_that_made_way() -> None:
    queue = Queue(frames=2)
    places = [NOTHING, *(Carried(((n, seed(f"batch {n}")),)) for n in range(1, 5))]
    queue.put(*(frame(n, before=((AUTHOR, places[n]),)) for n in range(5)))
    assert queue.gauge.dropped == 3
    assert queue.rewinds(Carried(((5, seed("batch 5")),))) == {AUTHOR: NOTHING}


def test_what_retired_is_not_rewound() -> None:
    queue = Queue(frames=2)
    here = Carried(((1, seed("batch 1")),))
    queue.put(frame(1, before=((AUTHOR, NOTHING),)), frame(2, before=((AUTHOR, here),)))
    queue.retire(1)
    queue.put(frame(3), frame(4))
    assert queue.rewinds(Carried(((2, seed("batch 2")),))) == {AUTHOR: here}


def test_what_was_published_is_not_sent_again_when_it_makes_way() -> None:
    queue = Queue(frames=1)
    queue.put(frame(1, before=((AUTHOR, NOTHING),)))
    queue.do(lambda outbox: outbox.mark_published(1, 5))
    queue.put(frame(2))
    assert queue.gauge.dropped == 1
    assert queue.rewinds() == {}


def test_clearing_takes_one_plane_s_frames_or_all_and_rewinds_them() -> None:
    queue = Queue()
    here = Carried(((1, seed("batch 1")),))
    queue.put(frame(1, before=((AUTHOR, NOTHING),)), frame(2, plane=2), frame(3, before=((AUTHOR, here),)))
    assert queue.do(lambda outbox: outbox.clear(1)) == 2
    assert queue.numbers == [2]
    assert queue.gauge == Gauge(1, 1, START_MS + 2, 0)
    assert queue.rewinds(Carried(((2, seed("batch 2")),))) == {AUTHOR: NOTHING}
    assert queue.do(lambda outbox: outbox.clear()) == 1
    assert queue.gauge == Gauge(0, 0, 0, 0)


def test_clearing_of_events_takes_the_frames_that_may_hold_them_and_those_behind_them_of_the_same_feeds() -> None:
    queue = Queue()
    other, end = seed("another author"), Carried(((9, seed("batch 9")),))
    places = [NOTHING, *(Carried(((n, seed(f"batch {n}")),)) for n in (3, 6))]

    def of(number: int, author: bytes, at: int) -> OutFrame:
        first = 3 * at + 1
        return frame(number, before=((author, places[at]),), spans=((author, first, first + 2),))

    queue.put(of(1, AUTHOR, 0), of(2, AUTHOR, 1), of(3, other, 0), of(4, AUTHOR, 2), frame(5, plane=2))
    with queue.store.write() as writer:
        carried.put(writer, 1, 1, AUTHOR, end)
    for number in (7, 99):
        assert queue.do(lambda outbox, number=number: outbox.clear_of(1, other, {number})) == 0
    assert queue.do(lambda outbox: outbox.clear_of(1, AUTHOR, {5, 77})) == 2
    assert queue.numbers == [1, 3, 5]
    with queue.store.read() as reader:
        assert carried.carried(reader, 1, 1) == {AUTHOR: places[1]}, "at once: nothing waits that comes after"
        assert not carried.has_rewinds(reader, 1, 1)


def test_a_frame_of_an_earlier_release_may_hold_any_event_of_its_authors() -> None:
    queue = Queue()
    queue.put(frame(1, before=((AUTHOR, NOTHING),)), frame(2, before=((seed("another author"), NOTHING),)))
    assert queue.do(lambda outbox: outbox.clear_of(1, AUTHOR, {5})) == 1
    assert queue.numbers == [2]


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["one", "two", "fork", "fill", "clear", "retire", "publish", "rewind"]).map(lambda it: (it, 1)),
        st.tuples(st.sampled_from(["one", "two", "retire", "publish"]), st.integers(1, 6)),
    ),
    max_size=30,
)


class Exchanged:
    """A sender with two authors' feeds, one of which may fork, and a receiver that takes whatever is handed out."""

    def __init__(self, **caps: Any) -> None:
        self.town = Town()
        self.writers: dict[str, FeedWriter] = {name: self.town.replica(name) for name in ("one", "two")}
        self.desk = Desk("sender").watch(self.town)
        self.other = Desk("receiver").watch(self.town)
        self.desk.receive([*self.town.charter.batches, *(each.batches[0] for each in self.writers.values())])
        self.sender = Sender(self.desk, **caps)
        self.handed = 0

    def take(self, frame: bytes) -> None:
        self.handed += 1
        take_message(self.other, decode_message(frame))

    def act(self, action: str, count: int) -> None:
        if action in self.writers:
            self.desk.receive([self.writers[action].write(note(f"{action} {n}")) for n in range(count)])
        elif action == "fork":
            twin = self.writers["one"].fork("twin", 1)
            self.desk.receive([twin.write(note("on another branch")), twin.write(note("and more"))])
        elif action == "fill":
            self.sender.fill()
        elif action == "clear":
            self.sender.in_outbox(lambda outbox: outbox.clear())
        elif action == "rewind":
            if not self.sender.waiting():
                self.sender.rewind()
        else:
            self.hand_out(count, is_kept=action == "publish")

    def hand_out(self, count: int, *, is_kept: bool) -> None:
        for number, each in self.sender.waiting()[:count]:
            self.take(each.frame)
            if is_kept:
                self.sender.publish(number)
            else:
                self.sender.retire([number])

    def settle(self) -> None:
        self.sender.drain(self.take)


NOTED_TWICE = [("two", 1), ("fill", 1), ("publish", 1), ("rewind", 1), ("clear", 1), ("rewind", 1)]
"""A published frame outlives the rewind of those that made way for it, and is cleared after that."""


@example(actions=NOTED_TWICE, most_frames=1, most_bytes=600)
@given(actions=ACTIONS, most_frames=st.integers(1, 4), most_bytes=st.sampled_from([600, 3000, OUTBOX_BYTES]))
def test_whatever_becomes_of_the_queue_the_other_side_has_everything_in_the_end(
    actions: Sequence[tuple[str, int]], most_frames: int, most_bytes: int
) -> None:
    town = Exchanged(room=600, most_frames=most_frames, most_bytes=most_bytes)
    for action, count in actions:
        town.act(action, count)
        gauge = town.sender.in_outbox(lambda outbox: outbox.gauge())
        frames = town.sender.frames()
        assert (gauge.frames, gauge.bytes) == (len(frames), sum(len(each.frame) for _, each in frames))
        assert gauge.frames <= most_frames
        assert gauge.bytes <= most_bytes or gauge.frames == 1
    town.settle()
    assert log_of(town.other).position() == log_of(town.desk).position()
    assert town.sender.lacking() == []


def test_what_made_way_is_queued_again_once_the_queue_is_empty() -> None:
    town = Exchanged(room=600, most_frames=2)
    town.act("one", 30)
    town.act("fill", 1)
    assert town.sender.in_outbox(lambda outbox: outbox.gauge()).dropped > 5
    town.hand_out(2, is_kept=False)
    assert town.sender.lacking() == []
    assert log_of(town.other).position() != log_of(town.desk).position()
    assert town.sender.rewind() > 0
    town.settle()
    assert log_of(town.other).position() == log_of(town.desk).position()


# -- Ciphertext and epochs ---------------------------------------------------------------------------------------
MARKER = "xylophone"


def founded(desk: Desk) -> Desk:
    """A town whose ledger is ready to be exchanged."""
    desk.found()
    desk.do(InitProject(actor="ada", prefix="mt"))
    commit_of(desk)(lambda unit: open_plane(unit, desk.replica.ledger))
    return desk


def test_no_word_of_an_issue_stands_in_the_queue_s_bytes_on_disk(tmp_path: Path) -> None:
    store = opened(tmp_path)
    desk = founded(Desk(store=store))
    for number in range(20):
        desk.do(Create(actor="ada", project="mt", fields=IssueFields(title=f"{MARKER} {number}")))
    messages: list[bytes] = []

    def sealed(message: bytes) -> bytes:
        messages.append(message)
        return seal(message)

    seal = sealer(desk)
    Sender(desk, sealed=sealed).fill()
    store.close()
    store = opened(tmp_path)
    with store.read() as reader:
        queued = [value for _, value in reader.scan(Table.OUTBOX, b"\0")]
        logged = b"".join(value for _, value in reader.scan(Table.EVENTS, b"\0"))
    store.close()
    words = [MARKER.encode(), b"ada", b"title", desk.replica.ledger.id]
    assert all(word in b"".join(messages) for word in words)
    assert MARKER.encode() in logged
    assert len(queued) > 3
    assert not any(word in value for word in words for value in queued)


def test_a_new_epoch_empties_the_queues_of_its_plane_on_every_remote_and_no_other() -> None:
    desk = founded(Desk())
    plane = desk.replica.ledger

    def work(unit: Unit) -> list[list[int]]:
        numbers = [add_remote(unit, name, "git", f"/{name}.git", "auto", {}).number for name in ("one", "two")]
        boxes = [Outbox(unit.transaction, number) for number in numbers]
        for box in boxes:
            for each in (plane.number, plane.number + 1):
                box.put(frame(each, plane=each))
        begin_epoch(unit, plane, PlaneKeys(desk.keys, plane.id))
        return [[each.plane for _, each in box.frames()] for box in boxes]

    assert commit_of(desk)(work) == [[plane.number + 1]] * 2


def test_a_new_epoch_empties_the_queue_and_it_is_filled_again_under_the_new_key() -> None:
    desk = founded(Desk())
    for number in range(5):
        desk.do(Create(actor="ada", project="mt", fields=IssueFields(title=f"{number}")))
    old = Sender(desk, sealed=sealer(desk))
    old.fill()
    opening = opener(desk)
    before = [opening(each.frame) for _, each in old.frames()]
    assert len(before) > 2
    plane = desk.replica.ledger
    keys = PlaneKeys(desk.keys, plane.id)

    def renew(unit: Any) -> bytes:
        return begin_epoch(unit, plane, keys)

    epoch = commit_of(desk)(renew)
    assert old.in_outbox(lambda outbox: outbox.clear(plane.number)) == len(before)
    assert old.frames() == []
    new = Sender(desk, sealed=sealer(desk))
    new.rewind()
    new.fill()
    frames = [each.frame for _, each in new.frames()]
    assert all(epoch in each[:64] for each in frames)
    messages = [decode_message(opening(each)) for each in frames]
    sent = [batch for each in messages if isinstance(each, Batches) for batch in each.batches]
    assert sorted(sent) == sorted(wire(batch) for batch in desk.batches())
