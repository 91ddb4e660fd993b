"""What charters say, read from any set of their events."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.ids import key_text
from moot_protocol.log.event import Dot, Draft, Event, Write
from moot_protocol.merge.fold import Placed
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.epoch import build_epoch, epoch_from_value
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust import charter_reading
from moot_protocol.trust.charter import End, Parsed, epoch_drafts, parse
from moot_protocol.trust.charter_reading import Epochs, Invitation, read_charter, read_epochs
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, seed, signer, stripped
from moot_testkit.naive.held import HeldBatches

AUTHOR = seed("author")


def events_of(*feeds: FeedWriter) -> list[Placed]:
    held = HeldBatches(feeds[0].plane, [batch for feed in feeds for batch in feed.batches])
    return [placed for feed in feeds for placed in held.upto(feed.author, feed.head)]


# -- Ends ------------------------------------------------------------------------------------------------------------
def test_an_end_is_superseded_by_what_names_it_as_its_charter_s_own() -> None:
    town = Town()
    own = dot_of(town.end(AUTHOR, 3, seed("batch")).events[0], town.key.public)
    town.end(AUTHOR, 2, seed("batch"), over=[own._replace(author=seed("another town"))])
    assert sorted(end.n for _, end in read_charter(town.charter.batches).ends) == [2, 3]


def test_an_end_of_oneself_as_of_another_town_is_no_end_of_oneself() -> None:
    town = Town()
    town.end(town.key.public, town.charter.n, town.charter.head, of=seed("another town"))
    assert read_charter(town.charter.batches).own_ends == []


def test_live_ends_are_read_with_whom_they_end() -> None:
    town = Town()
    first = town.end(AUTHOR, 3, seed("batch"))
    town.end(AUTHOR, 2, seed("batch"), over=[dot_of(first.events[0], town.key.public)])
    town.end(town.key.public, 1, seed("batch"))
    other = [5, seed("batch"), seed("another town")]
    town.charter.write(Draft("end", key_text(AUTHOR), "admin", (Write("end", other),)))
    assert sorted(read_charter(town.charter.batches).ends) == sorted(
        [
            (AUTHOR, End(2, seed("batch"), town.key.public)),
            (AUTHOR, End(5, seed("batch"), seed("another town"))),
            (town.key.public, End(1, seed("batch"), town.key.public)),
        ]
    )


# -- Invites ---------------------------------------------------------------------------------------------------------
def test_an_invite_is_open_until_its_first_close() -> None:
    town = Town()
    key = town.invite(role=Role.READER, expires_ms=7)
    opened = read_charter(town.charter.batches).invites
    assert opened[key.public].counting is None
    assert opened[key.public].invite[:3] == (Role.READER, town.key.public, 7)
    town.close(key, AUTHOR)
    town.close(key)
    assert read_charter(town.charter.batches).invites == {
        key.public: Invitation(opened[key.public].invite, frozenset({AUTHOR}))
    }


def test_a_close_of_what_was_never_made_is_no_invite() -> None:
    town = Town()
    town.close(signer("nobody's"))
    assert read_charter(town.charter.batches).invites == {}


def about(key: bytes, *written: Write) -> Draft:
    return Draft("invite", key_text(key), "admin", written)


@given(st.data())
def test_the_first_invite_and_the_first_close_hold_among_all_that_is_written_of_them(data: st.DataObject) -> None:
    town, key = Town(), seed("invite")
    made = [about(key, Write("invite", ["reader", town.key.public, ms, seed("hpke")])) for ms in (1, 2)]
    closed = [about(key, Write("close", [author])) for author in (AUTHOR, seed("another"))]
    both = about(key, Write("close", []), Write("invite", ["writer", town.key.public, 3, seed("hpke")]))
    void = about(key, Write("close", [AUTHOR]), Write("invite", "nonsense"))
    drafts = data.draw(st.lists(st.sampled_from([*made, *closed, both, void]), min_size=1, max_size=9))
    for draft in drafts:
        town.charter.write(draft)
    said = [{write.key: write.value for write in draft.writes} for draft in drafts if draft is not void]
    invites = [each["invite"] for each in said if "invite" in each]
    closes = [frozenset(each["close"]) for each in said if "close" in each]
    batches = town.charter.batches
    at = data.draw(st.integers(0, len(batches)))
    early = read_charter(batches[:at])
    before, whole = early.invitation(key), early.copy()
    for batch in batches[at:]:
        whole.take(batch)
    assert early.invitation(key) == before, "a copy that is read on leaves the original as it was"
    found = whole.invitation(key)
    if not invites:
        assert found is None
    else:
        assert found is not None
        assert [found.invite.role.value, *found.invite[1:]] == invites[0]
        assert found.counting == (closes[0] if closes else None)


def test_a_charter_filled_up_with_one_invite_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    key = town.invite()
    town.charter.write(*[about(key.public, Write("novel", number)) for number in range(40)])
    parsed: list[Event] = []

    def counted(event: Event) -> Parsed | None:
        parsed.append(event)
        return parse(event)

    monkeypatch.setattr(charter_reading, "parse", counted)
    reading = read_charter(town.charter.batches)
    assert len(parsed) <= 41
    parsed.clear()
    assert reading.invitation(key.public) == Invitation(*reading.invites[key.public])
    assert len(parsed) <= 4, "what was written of it is read once, not whenever somebody asks"


# -- Epochs ----------------------------------------------------------------------------------------------------------
KEYS = [seed(f"plane key {number}") for number in range(4)]
IDS = [epoch_id(key) for key in KEYS]
VALUES = [build_epoch(seed("plane")[:16], key, {AUTHOR: seed("point")}) for key in KEYS]


def begin(charter: FeedWriter, number: int, over: Epochs | None = None) -> Epochs:
    """Begin an epoch in place of those that are live."""
    dots: dict[bytes, list[Dot]] = {}
    for epoch in over.live if over else ():
        dots.setdefault(epoch.id, []).append(epoch.dot)
    charter.write(*epoch_drafts(IDS[number], VALUES[number], "admin", dots))
    return read_epochs(events_of(charter))


def ids(epochs: Any) -> list[bytes]:
    return [epoch.id for epoch in epochs]


def test_before_the_first_epoch_there_is_none_to_seal_under() -> None:
    assert read_epochs(events_of(Town().charter)) == Epochs((), ())
    assert Epochs((), ()).newest is None


def test_a_new_epoch_takes_the_old_one_s_place_and_the_old_one_can_still_be_opened() -> None:
    town = Town()
    first = begin(town.charter, 0)
    assert (ids(first.written), ids(first.live)) == ([IDS[0]], [IDS[0]])
    second = begin(town.charter, 1, first)
    assert (ids(second.written), ids(second.live)) == ([IDS[0], IDS[1]], [IDS[1]])
    assert second.newest == second.live[0]
    assert second.written[0].value == epoch_from_value(VALUES[0])


def test_the_newest_is_the_one_written_last_whatever_it_is_called() -> None:
    for order in ((0, 1, 2), (2, 1, 0)):
        town = Town()
        epochs = Epochs((), ())
        for number in order:
            epochs = begin(town.charter, number, epochs)
        assert epochs.newest is not None
        assert epochs.newest.id == IDS[order[-1]]


def test_two_that_were_begun_at_once_are_both_live_and_a_third_is_written_over_both() -> None:
    town, other = Town(), signer("another admin's charter")
    first = begin(town.charter, 0)
    left, right = town.charter, FeedWriter(town.plane, other)
    begin(left, 1, first)
    begin(right, 2, first)
    both = read_epochs(events_of(left, right))
    assert sorted(ids(both.live)) == sorted([IDS[1], IDS[2]])
    assert both.newest == both.live[-1]
    begin(left, 3, both)
    third = read_epochs(events_of(left, right))
    assert ids(third.live) == [IDS[3]]
    assert len(third.written) == 4


def test_a_void_epoch_is_ignored_and_takes_nothing_s_place() -> None:
    town = Town()
    first = begin(town.charter, 0)
    over = [first.live[0].dot]
    town.charter.write(
        Draft("epoch", IDS[1].hex(), "admin", (Write("epoch", [b"", []]),)),
        Draft("epoch", IDS[0].hex(), "admin", (Write("epoch", "nonsense", over),)),
        Draft("epoch", "no epoch", "admin", (Write("epoch", VALUES[2]),)),
    )
    assert read_epochs(events_of(town.charter)) == first


def test_an_epoch_whose_values_are_missing_is_void() -> None:
    town = Town()
    begin(town.charter, 0)
    town.charter.batches[-1] = stripped(town.charter.batches[-1])
    (event,) = town.charter.batches[-1].events
    assert read_epochs([Placed(town.key.public, event, (town.key.public,))]) == Epochs((), ())


def test_an_epoch_written_anew_for_more_recipients_is_the_same_epoch() -> None:
    town = Town()
    first = begin(town.charter, 0)
    again = begin(town.charter, 0, first)
    assert ids(again.live) == [IDS[0]]
    assert len(again.written) == 2


@given(st.data())
def test_order_and_repetition_of_events_do_not_show(data: st.DataObject) -> None:
    town, other = Town(), FeedWriter(Town().plane, signer("another admin's charter"))
    epochs = Epochs((), ())
    for number in data.draw(st.permutations(range(4))):
        charter = data.draw(st.sampled_from([town.charter, other]))
        begin(charter, number, data.draw(st.sampled_from([epochs, None])))
        epochs = read_epochs(events_of(town.charter, *([other] if other.batches else [])))
    events = events_of(town.charter, *([other] if other.batches else []))
    shuffled = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=3))]))
    assert read_epochs(shuffled) == epochs
