"""Spans: planes of more authors than a message holds are compared piece by piece, and only what differs is sent."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.exchange.frontier import Entry, Form, Frontier, FrontierBody, compare
from moot_protocol.exchange.messages import Batches, ForkProof, Place, Single, decode_message
from moot_protocol.exchange.spans import HIGHEST, LOWEST, parts_that_differ, spans_of
from moot_protocol.exchange.sync import DigestAlarm, InStep, Position, Send, Session, Store
from moot_protocol.limits import KIB
from moot_protocol.log.batch import ZEROS, Link
from moot_testkit.bytes.feeds import signer
from moot_testkit.machines.git_servers import at_scale

MESSAGE_BYTES = 100 * KIB
PLANE = b"p" * 16


def head(author: bytes, n: int) -> bytes:
    return sha256(author + n.to_bytes(8, "big")).digest() if n else ZEROS


def entry(author: bytes, n: int) -> Entry:
    return Entry(author, n, head(author, n))


def frontier(known: dict[bytes, int]) -> Frontier:
    return tuple(entry(author, known[author]) for author in sorted(known))


KNOWN = [sha256(bytes([number])).digest() for number in range(200)]
CHANGES = st.dictionaries(
    st.integers(0, 199).map(KNOWN.__getitem__) | st.sampled_from([LOWEST, HIGHEST]), st.integers(1, 3), max_size=12
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[bytes, int]:
    """So many authors, some of whom have moved: drawn as what tells one such world from another."""
    known = dict.fromkeys(KNOWN[draw(st.integers(0, 200)) :], 1)
    return known | draw(CHANGES)


@given(worlds(), worlds() | CHANGES, st.integers(4, 40))
def test_the_parts_tell_exactly_what_differs(mine: dict[bytes, int], theirs: dict[bytes, int], most: int) -> None:
    there, here = frontier(theirs), frontier(mine)
    spans = spans_of(there, most)
    assert len(spans) <= most
    parts = list(parts_that_differ(here, spans, most))
    assert all(len(part) <= most for part in parts)
    found = [difference for part in parts for difference in compare(there, part, Form.PART)]
    if there:
        assert [(each.mine, each.theirs) for each in found] == [
            (each.mine, each.theirs) for each in compare(there, here, Form.ALL)
        ]


def test_of_what_is_equal_nothing_is_sent_and_of_one_change_one_span() -> None:
    known = {sha256(bytes([number % 256, number // 256])).digest(): 1 for number in range(3000)}
    mine = frontier(known)
    assert not list(parts_that_differ(mine, spans_of(mine, 1000), 1000))
    changed = dict(known)
    changed[sorted(known)[1234]] = 2
    (part,) = parts_that_differ(mine, spans_of(frontier(changed), 1000), 1000)
    assert len(part) <= 66


# -- Sessions ----------------------------------------------------------------------------------------------------
class Flat:
    """A log of many authors, each of whose batches is a few bytes that mean nothing."""

    def __init__(self, known: dict[bytes, int]) -> None:
        self.known = known
        self._counter = 0
        self._position: Position | None = None

    def position(self) -> Position:
        """As the port's."""
        if self._position is None:
            digest = sha256(repr(sorted(self.known.items())).encode()).digest()
            self._position = Position(frontier(self.known), digest)
        return self._position

    def next_counter(self) -> int:
        """As the port's."""
        self._counter += 1
        return self._counter

    def trail(self, author: bytes) -> Sequence[Place]:
        """As the port's."""
        n = self.known.get(author, 0)
        return [*([Place(author, n, head(author, n))] if n else []), Place(author, 0, ZEROS)]

    def holds(self, author: bytes, batch_id: bytes) -> bool:
        """As the port's."""
        return any(head(author, n) == batch_id for n in range(self.known.get(author, 0), 0, -1))

    def batches_after(self, author: bytes, places: Sequence[Place], max_bytes: int) -> Sequence[bytes] | None:
        """As the port's."""
        return [author + bytes([n]) for n in range(places[0].n + 1, self.known.get(author, 0) + 1)]

    def take(self, batches: Sequence[bytes]) -> None:
        """Hold batches."""
        self._position = None
        for batch in batches:
            self.known[batch[:32]] = max(batch[32], self.known.get(batch[:32], 0))

    def batch(self, author: bytes, batch_id: bytes) -> bytes | None:
        """As the port's."""

    def missing(self, most: int) -> Sequence[Single]:
        """As the port's."""
        return []

    def torn(self, links: Sequence[Link]) -> Sequence[Single]:
        """As the port's."""
        return []

    def fork_proof(self, author: bytes) -> ForkProof | None:
        """As the port's."""


def talk(one: Flat, two: Flat) -> tuple[list[bytes], set[str]]:
    """One round of sessions; every message, and what it ended with."""
    keys = (signer("one"), signer("two"))
    logs = (one, two)
    sessions = [Session(PLANE, keys[at], keys[1 - at].public, logs[at], message_bytes=MESSAGE_BYTES) for at in (0, 1)]
    sent: list[bytes] = []
    ended: set[str] = set()
    waiting = [(0, effect) for effect in sessions[0].start()]
    while waiting:
        at, effect = waiting.pop(0)
        match effect:
            case Send(message):
                sent.append(message)
                waiting += [(1 - at, each) for each in sessions[1 - at].receive(message)]
            case Store(batches):
                logs[at].take(batches)
                waiting += [(at, each) for each in sessions[at].proceed()]
            case InStep() | DigestAlarm():
                ended.add(type(effect).__name__)
    return sent, ended


def many(count: int) -> dict[bytes, int]:
    return {sha256(number.to_bytes(4, "big")).digest(): 1 for number in range(count)}


@pytest.mark.parametrize("count", [1000, at_scale(2500, 5000)])
def test_replicas_of_thousands_of_authors_get_into_step_in_messages_that_a_broker_carries(count: int) -> None:
    one, two = Flat(many(count)), Flat(many(count))
    for at in (3, count // 2, count - 1):
        two.known[sorted(two.known)[at]] = 3
    one.known[sorted(one.known)[7]] = 2
    one.known[HIGHEST], two.known[LOWEST] = 1, 2
    sent, ended = talk(one, two)
    assert one.known == two.known
    assert ended <= {"InStep"}
    assert talk(one, two)[1] == {"InStep"}
    assert max(map(len, sent)) <= MESSAGE_BYTES
    spelled = sum(len(message) for message in sent if not isinstance(decode_message(message), Batches))
    assert count < 2000 or spelled < 60 * KIB, "more was told than differs"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_newcomer_learns_of_thousands_of_authors(is_first: bool) -> None:
    full, new = Flat(many(at_scale(1200, 5000))), Flat(many(1))
    sent, ended = talk(new, full) if is_first else talk(full, new)
    assert new.known == full.known
    assert ended == {"InStep"}
    assert max(map(len, sent)) <= MESSAGE_BYTES
    assert sum(isinstance(decode_message(message), FrontierBody) for message in sent) < at_scale(20, 60)


def test_a_frontier_is_spelled_out_as_before_where_it_fits() -> None:
    one, two = Flat(many(1000)), Flat(many(1001))
    forms = [message.form for each in talk(one, two)[0] if isinstance(message := decode_message(each), FrontierBody)]
    assert forms[:3] == [Form.SUMMARY, Form.ALL, Form.SOME]
