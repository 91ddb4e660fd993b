from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import encode
from moot_protocol.crypto import is_signed
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.frontier import (
    Difference,
    Entry,
    Form,
    FrontierBody,
    build_frontier_message,
    compare,
    decode_frontier_message,
    summary,
)
from moot_protocol.limits import FRONTIER_ENTRIES, SYNC_MESSAGE_BYTES
from moot_protocol.log.batch import ZEROS
from moot_testkit.bytes.feeds import Town, note, seed, signer
from moot_testkit.bytes.strategies import damaged, hashes
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import settle
from moot_testkit.naive.settling import frontier_of

ME, PLANE = signer("me"), bytes(range(16))
A, B, C = (bytes([letter]) * 32 for letter in b"abc")
ENTRIES = (Entry(A, 3, seed("three")), Entry(B, 0, ZEROS, 1), Entry(C, 9, seed("nine"), 4))

entries = st.builds(Entry, hashes, st.integers(1, 2**40), hashes.filter(any), st.integers(0, 2**40))
frontiers = st.lists(entries, max_size=6, unique_by=lambda entry: entry.author).map(
    lambda found: tuple(sorted(found, key=lambda entry: entry.author))
)


def body(form: Form = Form.ALL, **changes: Any) -> FrontierBody:
    listed = () if form is Form.SUMMARY else ENTRIES
    made = FrontierBody(1, PLANE, ME.public, A, 7, seed("digest"), summary(ENTRIES), form, listed)
    return msgspec.structs.replace(made, **changes)


# -- Frontiers ---------------------------------------------------------------------------------------------------
def test_a_frontier_names_what_is_accepted_and_known_forks() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    other = two.fork("other", 0)
    other.write(note())
    foreign = Town("foreign").replica("three")
    foreign.plane = town.plane
    foreign.batches.clear()
    foreign.write(note())
    held = HeldBatches(
        town.plane, [*town.charter.batches, *one.batches, *two.batches, *other.batches, *foreign.batches]
    )
    found = frontier_of(settle(town.plane, held).accepted)
    assert found == tuple(sorted(found, key=lambda entry: entry.author))
    assert set(found) == {
        Entry(town.key.public, 1, town.charter.head),
        Entry(one.author, 1, one.head),
        Entry(two.author, 0, ZEROS, 1),
    }


def test_of_a_feed_that_forked_more_than_once_a_frontier_names_the_lowest_place() -> None:
    town = Town()
    one = town.replica("one")
    for text in "ab":
        one.write(note(text))
    twins = [one.fork("late", 2), one.fork("early", 1)]
    for twin in twins:
        twin.write(note("c"))
    batches = [batch for feed in (town.charter, one, *twins) for batch in feed.batches]
    for order in (batches, batches[::-1]):
        found = frontier_of(settle(town.plane, HeldBatches(town.plane, order)).accepted)
        assert {entry.forked_at for entry in found if entry.author == one.author} == {2}


@given(frontiers)
def test_a_summary_is_the_hash_of_the_packed_entries(frontier: tuple[Entry, ...]) -> None:
    packed = msgspec.msgpack.encode([[entry.author, entry.n, entry.head, entry.forked_at] for entry in frontier])
    assert summary(frontier) == sha256(packed).digest()


@given(frontiers, frontiers)
def test_comparing_finds_exactly_what_differs(mine: tuple[Entry, ...], theirs: tuple[Entry, ...]) -> None:
    both = mine[::2] + theirs
    theirs = tuple(sorted({entry.author: entry for entry in both}.values(), key=lambda entry: entry.author))
    found = list(compare(mine, theirs))
    assert {one.mine for one in found if one.mine.n} == set(mine) - set(theirs)
    assert {one.theirs for one in found if one.theirs.n} == set(theirs) - set(mine)
    assert list(compare(mine, mine)) == []


def test_who_sends_only_some_entries_says_nothing_of_others() -> None:
    changed = Entry(A, 4, seed("four"))
    assert list(compare(ENTRIES, (changed,), Form.SOME)) == [Difference(ENTRIES[0], changed)]
    assert len(list(compare(ENTRIES, (changed,), Form.ALL))) == 3


def test_an_author_that_one_side_does_not_know_compares_as_nothing() -> None:
    assert list(compare((), ENTRIES[:1])) == [Difference(Entry(A, 0, ZEROS), ENTRIES[0])]
    assert list(compare((), (Entry(A, 0, ZEROS),), Form.SOME)) == []


# -- Messages ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", Form)
def test_a_message_is_read_as_it_was_written(form: Form) -> None:
    assert decode_frontier_message(build_frontier_message(ME, body(form))) == body(form)


def test_its_bytes_are_a_signed_array_in_the_documented_order() -> None:
    version, kind, packed, signature = msgspec.msgpack.decode(build_frontier_message(ME, body()))
    listed = [[entry.author, entry.n, entry.head, entry.forked_at] for entry in ENTRIES]
    assert (version, kind) == (1, 1)
    assert packed == encode([1, PLANE, ME.public, A, 7, seed("digest"), summary(ENTRIES), 1, listed])
    assert is_signed(ME.public, signature, b"moot/frontier/1\0" + packed)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (body(version=2), Code.BAD_VERSION),
        (body(plane=b""), Code.BAD_STRUCTURE),
        (body(to=b""), Code.BAD_STRUCTURE),
        (body(digest=b""), Code.BAD_STRUCTURE),
        (body(counter=0), Code.BAD_STRUCTURE),
        (body(Form.SUMMARY, entries=ENTRIES), Code.BAD_STRUCTURE),
        (body(summary=bytes(32)), Code.BAD_STRUCTURE),
        (body(Form.SOME, to=ZEROS), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=ENTRIES[::-1]), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=ENTRIES[:1] * 2), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=(Entry(b"", 1, A),)), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=(Entry(A, 1, ZEROS),)), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=(Entry(A, 0, A),)), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=(Entry(A, -1, A),)), Code.BAD_STRUCTURE),
        (body(Form.SOME, entries=(Entry(A, 1, A, -1),)), Code.BAD_STRUCTURE),
        (body(entries=(Entry(A, 0, ZEROS),), summary=summary((Entry(A, 0, ZEROS),))), Code.BAD_STRUCTURE),
        (body(sender=signer("other").public), Code.BAD_SIGNATURE),
        (body(sender=bytes(32)), Code.BAD_SIGNATURE),
    ],
)
def test_what_is_no_frontier_message_is_refused_with_a_code(changed: FrontierBody, code: Code) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_frontier_message(build_frontier_message(ME, changed))
    assert caught.value.code is code


def test_a_frontier_of_too_many_bytes_or_authors_is_refused() -> None:
    with pytest.raises(MalformedError) as caught:
        decode_frontier_message(bytes(SYNC_MESSAGE_BYTES + 1))
    assert caught.value.code is Code.TOO_LARGE
    many = tuple(Entry(at.to_bytes(32, "big"), 1, A) for at in range(1, FRONTIER_ENTRIES + 2))
    with pytest.raises(MalformedError, match="more than"):
        decode_frontier_message(build_frontier_message(ME, body(entries=many, summary=summary(many))))


def resigned(change: Callable[[list[Any]], None]) -> bytes:
    parts = msgspec.msgpack.decode(build_frontier_message(ME, body()))
    change(parts)
    return encode(parts)


def test_another_type_or_format_outside_is_refused() -> None:
    with pytest.raises(MalformedError, match="type"):
        decode_frontier_message(resigned(lambda parts: parts.__setitem__(1, 2)))
    with pytest.raises(MalformedError, match="format"):
        decode_frontier_message(resigned(lambda parts: parts.__setitem__(0, 2)))


@given(st.data())
def test_changed_bytes_never_pass_for_the_sender_s(data: st.DataObject) -> None:
    sample = build_frontier_message(ME, body())
    changed = data.draw(damaged(sample, sample) | st.binary(max_size=300))
    if changed != sample:
        with pytest.raises(MalformedError):
            decode_frontier_message(changed)
