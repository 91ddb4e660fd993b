"""Records: event by event they come to hold what is live, whatever the order in which the events come."""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any, SupportsIndex
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.log.event import Dot, Draft, Event, Write, build_event
from moot_protocol.merge.digest import Digest, place_prefix, place_suffix, term, terms
from moot_protocol.merge.fold import Placed, fold
from moot_protocol.merge.kinds import ISSUE, Role
from moot_protocol.merge.register import MISSING
from mootd.engine.views import record
from mootd.engine.views.record import (
    Group,
    Merge,
    Record,
    decode_record,
    encode_record,
    groups_of,
    live_of,
    pairs_of,
)

AUTHORS = (b"", b"a" * 32, b"b" * 32)
"""By feed number, from 1."""
KEYS = ("title", "labels", "description", "unheard_of")


class Log:
    """Events of two feeds, made in an order in which each sees what it names."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event, tuple[bytes, ...]]] = []
        """(feed, event, author table)"""

    def write(self, feed: int, *writes: Write, kind: str = ISSUE) -> Event:
        n = 1 + sum(each == feed for each, _, _ in self.events)
        authors = {AUTHORS[feed]: 0}
        salt = bytes([feed, n]) * 8
        event = build_event(n, Draft(kind, "mt-1", "alice", writes), len(self.events) + 1, salt, authors)
        self.events.append((feed, event, tuple(authors)))
        return event

    def dot(self, position: int) -> Dot:
        feed, event, _ = self.events[position]
        return Dot(AUTHORS[feed], event.n, event.leaf[:8])


class Replay:
    """A record that events of a log are applied to, kept and read anew after each unless it `stays_open`."""

    def __init__(self, kind: str = ISSUE, *, stays_open: bool = False) -> None:
        self._stays_open = stays_open
        self.record = Record(1, kind, "mt-1")
        self.digest = Digest()
        self._prefix = place_prefix(kind, "mt-1")
        self._come: set[tuple[int, int, bytes]] = set()
        self.merge = Merge(self._has_come, self._added, self._removed)

    def _has_come(self, record: Record, key: str, feed: int, n: int, leaf8: bytes) -> bool:
        assert record.entity == "mt-1"
        assert key in KEYS
        return (feed, n, leaf8) in self._come

    def _added(self, keys: Sequence[str], feed: int, n: int, leaf: bytes) -> None:
        self.digest.add(terms(self._prefix, keys, place_suffix(AUTHORS[feed], n, leaf)))

    def _removed(self, key: str, feed: int, n: int, leaf: bytes) -> None:
        self.digest.remove(term(self._prefix, key, place_suffix(AUTHORS[feed], n, leaf)))

    def apply(
        self, feed: int, event: Event, authors: Sequence[bytes], role: Role | None = Role.WRITER, *, whole: bool = True
    ) -> None:
        feeds = [AUTHORS.index(author) for author in authors]
        values = event.values() if whole else None
        self.merge.apply(self.record, event, values, feeds, len(self._come) + 1, role)
        self._come.add((feed, event.n, event.leaf[:8]))
        if not self._stays_open:
            self.record = decode_record(encode_record(self.record))

    def live(self) -> dict[str, list[tuple[bytes, int]]]:
        found = live_of(self.record, lambda feed: AUTHORS[feed])
        return {key: sorted((each.author, each.n) for each in siblings) for key, siblings in found.items()}


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log = Log()
    for position in range(draw(st.integers(1, 8))):
        writes = []
        for key in sorted(draw(st.sets(st.sampled_from(KEYS), min_size=1, max_size=3))):
            named = draw(st.lists(st.integers(0, position - 1), max_size=3, unique=True)) if position else []
            over = tuple(log.dot(each) for each in named)
            if draw(st.integers(0, 5)) == 0:
                over += (Dot(AUTHORS[draw(st.sampled_from([1, 2]))], draw(st.integers(1, 9)), b"another!"),)
            writes.append(Write(key, draw(st.sampled_from(["x", "y", ""])), over, draw(st.integers(0, 3)) == 0))
        log.write(draw(st.sampled_from([1, 2])), *writes)
    return log


def interleaved(draw: st.DrawFn, log: Log) -> list[tuple[int, Event, tuple[bytes, ...]]]:
    """The events in another order that keeps each feed's."""
    feeds = {feed: [each for each in log.events if each[0] == feed] for feed in (1, 2)}
    order = draw(st.permutations([feed for feed, _, _ in log.events]))
    return [feeds[feed].pop(0) for feed in order]


@pytest.mark.parametrize("few", [0, 4])
@pytest.mark.parametrize(("few_groups", "stays_open"), [(32, False), (0, True), (2, True)])
@given(st.data())
def test_a_record_holds_what_is_live_by_definition_whatever_came_first(
    few_groups: int, stays_open: bool, few: int, data: st.DataObject
) -> None:
    """However many writes are looked for one by one, among however many, and whether the others' names are kept."""
    log = data.draw(logs())
    replay = Replay(stays_open=stays_open)
    with patch.object(record, "_FEW", few), patch.object(record, "_FEW_GROUPS", few_groups):
        for feed, event, authors in data.draw(st.composite(interleaved)(log)):
            replay.apply(feed, event, authors)
    state = fold(Placed(AUTHORS[feed], event, authors) for feed, event, authors in log.events)
    expected = {
        key: sorted((each.sibling.author, each.sibling.n) for each in live)
        for key, live in state.get((ISSUE, "mt-1"), {}).items()
    }
    assert replay.live() == expected
    digest = Digest()
    for key, live in state.get((ISSUE, "mt-1"), {}).items():
        for sibling, leaf in live:
            digest.add(term(place_prefix(ISSUE, "mt-1"), key, place_suffix(sibling.author, sibling.n, leaf)))
    assert replay.digest.value == digest.value, "what was told of becoming and ceasing to be live"
    hlcs = [event.skeleton.hlc for _, event, _ in log.events]
    assert (replay.record.created, replay.record.updated) == (min(hlcs), max(hlcs))
    assert replay.record.head == len(log.events)


def applied(log: Log, **parts: Any) -> Replay:
    replay = Replay()
    for feed, event, authors in log.events:
        replay.apply(feed, event, authors, **parts)
    return replay


def test_values_of_inline_fields_stand_in_the_record_and_others_are_read_from_their_event() -> None:
    log = Log()
    log.write(1, Write("title", "T"), Write("description", "long"))
    record = applied(log).record
    assert {key: value for _, key, value in pairs_of(record)} == {"description": MISSING, "title": "T"}
    live = live_of(record, lambda feed: AUTHORS[feed], lambda group: ({"description": f"{group.n} long"}, "alice"))
    assert [(each.value, each.actor) for each in live["description"]] == [("1 long", "alice")]


def test_an_event_without_its_values_is_live_with_its_values_missing() -> None:
    log = Log()
    log.write(1, Write("title", "T"))
    log.write(2, Write("title", "U", (log.dot(0),)))
    replay = applied(log, whole=False)
    assert [(group.feed, value) for group, _, value in pairs_of(replay.record)] == [(2, MISSING)]


def test_a_removal_that_comes_first_is_remembered_and_forgotten_when_its_write_has_come() -> None:
    log = Log()
    log.write(1, Write("labels", "red"))
    log.write(2, Write("labels", None, (log.dot(0),), removes=True))
    replay = Replay()
    replay.apply(*log.events[1])
    assert [(key, feed, n) for key, feed, n, _ in replay.record.pending] == [("labels", 1, 1)]
    replay.apply(*log.events[0])
    assert replay.record.pending == set()
    assert replay.live() == {}


def test_a_removal_that_is_told_twice_before_its_write_has_come_is_remembered_once() -> None:
    log = Log()
    log.write(1, Write("labels", "red"))
    for _ in range(2):
        log.write(2, Write("labels", None, (log.dot(0),), removes=True))
    replay = Replay()
    for each in log.events[1:]:
        replay.apply(*each)
    assert len(replay.record.pending) == 1


class Groups(list[Group]):
    """Groups of which each look at one is counted."""

    looks = 0

    def __iter__(self) -> Iterator[Group]:
        return map(self._seen, super().__iter__())

    def __reversed__(self) -> Iterator[Group]:
        return map(self._seen, super().__reversed__())

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return super().__getitem__(at)

    def __delitem__(self, at: SupportsIndex | slice) -> None:
        assert not isinstance(at, slice)
        super().__delitem__(at)

    def _seen(self, group: Group) -> Group:
        self.looks += 1
        return group


class Pending(set[tuple[str, int, int, bytes]]):
    """Names of writes that haven't come, none of which may be looked at for the sake of another."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError


def looks(count: int, *, removals_first: bool, over: Callable[[Log, int], tuple[Dot, ...]]) -> int:
    """How many looks at a record's groups it takes to add so many labels and to remove each by an event of its own."""
    log = Log()
    for number in range(count):
        log.write(1, Write("labels", f"label {number}"))
    for number in range(count):
        log.write(2, Write("labels", None, over(log, number), removes=True))
    replay = Replay(stays_open=True)
    replay.record.groups = groups = Groups()
    replay.record.pending = Pending()
    for each in log.events[count:] + log.events[:count] if removals_first else log.events:
        replay.apply(*each)
        assert replay.record.groups is groups
    assert (len(groups), len(replay.record.pending)) == (0, 0)
    return groups.looks


def one(log: Log, number: int) -> tuple[Dot, ...]:
    return (log.dot(number),)


def one_beside_what_is_gone(log: Log, number: int) -> tuple[Dot, ...]:
    return tuple(log.dot(max(number - back, 0)) for back in range(6))


@pytest.mark.parametrize("removals_first", [False, True])
@pytest.mark.parametrize("over", [one, one_beside_what_is_gone])
def test_removing_one_by_one_costs_the_same_for_each_however_many_there_are(
    removals_first: bool, over: Callable[[Log, int], tuple[Dot, ...]]
) -> None:
    few, many = (looks(count, removals_first=removals_first, over=over) for count in (60, 240))
    assert many <= 6 * few, "a search among n in order takes log n"


def test_nothing_is_kept_of_a_record_that_was_forgotten() -> None:
    log = Log()
    for number in range(30):
        log.write(1, Write("labels", f"label {number}"))
    for number in range(2):
        log.write(2, Write("labels", None, (log.dot(number),), removes=True))
    with patch.object(record, "_FEW_GROUPS", 0):
        replay = Replay(stays_open=True)
        for each in log.events[:-1]:
            replay.apply(*each)
        replay.record.groups = groups = Groups(replay.record.groups)
        replay.merge.forget()
        replay.apply(*log.events[-1])
    assert groups.looks > 28, "those left are looked at anew"
    assert len(groups) == 28


def test_no_event_stays_of_which_nothing_is_live_in_whatever_order_writes_are_removed() -> None:
    for named in permutations(range(3)):
        log = Log()
        log.write(1, Write("labels", "red"))
        log.write(1, Write("labels", "blue"), Write("title", "T"))
        log.write(1, Write("labels", "green"))
        log.write(2, Write("labels", None, tuple(map(log.dot, named)), removes=True))
        assert [(group.n, group.pairs) for group in applied(log).record.groups] == [(2, [["title", "T"]])]


def test_a_write_named_by_another_leaf_is_not_superseded() -> None:
    log = Log()
    log.write(1, Write("title", "T"))
    log.write(2, Write("title", "U", (Dot(AUTHORS[1], 1, b"another!"),)))
    assert applied(log).live() == {"title": [(AUTHORS[1], 1), (AUTHORS[2], 1)]}


def test_the_writes_of_one_key_are_found_by_their_events() -> None:
    log = Log()
    log.write(1, Write("labels", "red"), Write("title", "T"))
    log.write(2, Write("labels", "blue"))
    record = applied(log).record
    assert [group.feed for group in groups_of(record, "labels")] == [1, 2]
    assert [group.feed for group in groups_of(record, "title")] == [1]


@pytest.mark.parametrize(
    ("kind", "role", "counts"),
    [
        (ISSUE, Role.WRITER, True),
        (ISSUE, Role.ADMIN, True),
        (ISSUE, Role.READER, False),
        (ISSUE, None, False),
        ("role", Role.ADMIN, True),
        ("role", Role.WRITER, False),
    ],
)
def test_a_change_counts_only_where_its_authors_role_allows_it(kind: str, role: Role | None, counts: bool) -> None:
    log = Log()
    log.write(1, Write("document", "D"), kind=kind)
    replay = Replay(kind)
    replay.apply(*log.events[0], role=role)
    assert bool(replay.record.groups) is counts
    assert bool(replay.digest.value) is counts
    assert replay.record.head == 1, "history has it all the same"


def test_what_may_not_be_written_supersedes_nothing() -> None:
    log = Log()
    log.write(1, Write("document", "D"), kind="role")
    log.write(2, Write("document", "E", (log.dot(0),)), kind="role")
    replay = Replay("role")
    replay.apply(*log.events[0], role=Role.ADMIN)
    replay.apply(*log.events[1], role=Role.WRITER)
    assert replay.live() == {"document": [(AUTHORS[1], 1)]}


def test_records_that_wait_for_the_same_have_the_same_bytes_in_whatever_order_they_came_to() -> None:
    names = [("labels", 1, n, bytes([n]) * 8) for n in range(100)]
    one = Record(1, ISSUE, "mt-1", pending=set(names))
    other = Record(1, ISSUE, "mt-1", pending=set())
    for name in reversed(names):
        other.pending.add(name)
    assert encode_record(one) == encode_record(other)
    assert decode_record(encode_record(one)).pending == set(names)
