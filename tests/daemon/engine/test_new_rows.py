"""Rows of new issues: the quick way gives what is made of their records, and is taken where nothing is in doubt."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.event import PlainDraft, build_event
from moot_protocol.kinds import ISSUE, KINDS
from moot_testkit.strategies import values
from mootd.engine.new_rows import NewRows
from mootd.engine.record import Said, record_of_new
from mootd.engine.rows import Row, RowMaker

NOW_MS = 1_700_000_000_000
AUTHOR = b"a" * 32
PLAIN: dict[str, Any] = {
    "project": "mt", "title": "A title", "status": "open", "priority": 2, "issue_type": "bug", "assignee": "ada",
    "created_at": "2025-11-01T21:58:07.295058-08:00", "updated_at": "2025-12-01T21:58:07Z",
}  # fmt: skip
PROJECTS: dict[str, int] = {}
TARGETS: dict[str, int] = {}
MAKER = RowMaker(
    lambda _: AUTHOR,
    lambda _, project: PROJECTS.setdefault(project, len(PROJECTS) + 1),
    lambda *entity: TARGETS.setdefault(entity[2], len(TARGETS) + 2),
)


def said_in(*events: dict[str, Any], hlcs: Sequence[int] = ()) -> list[Said]:
    """What these events say, at these milliseconds after `NOW_MS` (by default one after another)."""
    said: list[Said] = []
    for n, event in enumerate(events, 1):
        hlc = from_ms(NOW_MS + (hlcs[n - 1] if hlcs else n))
        made = build_event(n, PlainDraft(ISSUE, "mt-1", "ada", event), hlc, b"s" * 16, {AUTHOR: 0})
        keys = tuple(sorted(event))
        said.append((made, keys, [event[key] for key in keys], 1, n))
    return said


def quickly(said: list[Said]) -> Row:
    return NewRows(MAKER).make(1, record_of_new(1, said), said)


def slowly(said: list[Said]) -> Row:
    return MAKER.make(1, record_of_new(1, said))


SOME = st.sampled_from(["", "open", "closed", "tombstone", "gate", "2026-01-31T09:00:00Z", "mt", -1, 0, 4, 2**62, True])
VALUES = SOME | values
OTHERS = st.fixed_dictionaries({}, optional=dict.fromkeys(KINDS[ISSUE], VALUES))
ODD = st.sampled_from(sorted(PLAIN)).flatmap(lambda key: VALUES.map(lambda value: {**PLAIN, key: value}))


@given(st.lists(ODD | OTHERS, min_size=1, max_size=6).map(lambda found: [event for event in found if event]))
def test_a_new_row_is_the_one_made_of_the_record_whatever_the_events_say(events: list[dict[str, Any]]) -> None:
    if events:
        said = said_in(*events)
        assert quickly(said) == slowly(said)


@given(st.permutations([0, 1, 2]))
def test_a_new_row_is_the_one_made_of_the_record_in_whatever_order_events_came(hlcs: list[int]) -> None:
    rest = {key: PLAIN[key] for key in PLAIN.keys() - {"title", "updated_at"}}
    said = said_in(rest, {"title": "T"}, {"updated_at": PLAIN["updated_at"]}, hlcs=hlcs)
    assert quickly(said) == slowly(said)


@pytest.mark.parametrize(
    "events",
    [
        [PLAIN],
        [{key: PLAIN[key] for key in ("project", "status", "priority", "issue_type")}],
        [PLAIN, {"description": "long"}],
        [{**PLAIN, "status": "closed", "closed_at": PLAIN["updated_at"]}],
        [{**PLAIN, "issue_type": "gate", "assignee": ""}],
    ],
)
def test_what_nearly_all_new_issues_say_needs_no_policy_and_no_second_look(events: list[dict[str, Any]]) -> None:
    said = said_in(*events)
    expected = slowly(said)
    with mock.patch.object(MAKER, "make", side_effect=AssertionError):
        assert quickly(said) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"labels": "x"}, {"edges": ["mt-2", "blocks", None, None, {}]}, {"defer_until": NOW_MS}, {"pinned": True},
        {"ephemeral": True}, {"deleted": True}, {"alias": "mt-old"}, {"status": "tombstone"}, {"status": ""},
        {"priority": 9}, {"priority": True}, {"project": 1}, {"assignee": None}, {"created_at": -1},
    ],
)  # fmt: skip
def test_what_more_follows_from_is_left_to_who_makes_rows_of_records(other: dict[str, Any]) -> None:
    said = said_in({**PLAIN, **other})
    with mock.patch.object(MAKER, "make", wraps=MAKER.make) as made:
        row = quickly(said)
    made.assert_called_once()
    assert row == slowly(said)


def test_issues_of_many_events_and_of_keys_written_twice_are_left_to_it_too() -> None:
    for labels in (["x", "y"], [*"abcdefghi"]):
        events = [PLAIN, *[{"labels": label} for label in labels]]
        said = said_in(*events)
        assert quickly(said) == slowly(said)
        assert len(quickly(said).keys) == len(quickly(said_in(PLAIN)).keys) + len(events) - 1
