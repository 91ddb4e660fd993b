"""Erasures: a name means one event of one branch and has one form; few may say so; all of it stands in skeletons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import (
    ERASABLE,
    TITLE_ERASED,
    WORDS,
    Erased,
    author_in,
    erasures,
    key_of,
    may_erase,
    name_in,
    names_in,
)
from moot_protocol.limits import KEYS_PER_EVENT
from moot_protocol.log.event import Change, Dot, Draft, Event, PlainDraft, Skeleton, Write, build_event, decode_skeleton
from moot_protocol.merge.kinds import ADMIN_KINDS, CHARTER_KINDS, ERASE, ISSUE, KINDS, Role, field_of
from moot_testkit.bytes.feeds import seed

AUTHOR, TOWN, ELSEWHERE = seed("an author"), seed("a town"), seed("another town")
LEAF = bytes.fromhex("00c0ffee00c0ffee")

names = st.builds(Erased, st.integers(1, 2**64 - 1), st.binary(min_size=8, max_size=8))


def skeleton_of(*keys: str, removes: bool = False) -> Skeleton:
    over = (Dot(AUTHOR, 1, LEAF),) if removes else ()
    draft = Draft(ERASE, key_text(AUTHOR), "alice", tuple(Write(key, None, over, removes) for key in sorted(keys)))
    return decode_skeleton(built(draft).skeleton_bytes, 1)


def built(draft: Draft | PlainDraft) -> Event:
    return build_event(7, draft, 1, bytes(16), {AUTHOR: 0})


# -- Names ---------------------------------------------------------------------------------------------------------
def test_an_event_is_named_by_its_number_and_the_first_8_bytes_of_its_leaf() -> None:
    assert key_of(Erased(12, LEAF)) == "12.00c0ffee00c0ffee"
    assert name_in("12.00c0ffee00c0ffee") == Erased(12, LEAF)


@given(names)
def test_every_event_has_a_name_that_is_read_back(name: Erased) -> None:
    assert name_in(key_of(name)) == name


@given(names, names)
def test_two_events_have_two_names(one: Erased, other: Erased) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{0,21}\.?[0-9a-fA-F]{14,18}", fullmatch=True))
def test_any_other_key_names_nothing(key: str) -> None:
    """Else one event had several names, and two machines could differ in what they make of one."""
    name = name_in(key)
    assert name is None or key_of(name) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "1",
        "1.",
        ".00c0ffee00c0ffee",
        "0.00c0ffee00c0ffee",
        "01.00c0ffee00c0ffee",
        "+1.00c0ffee00c0ffee",
        "-1.00c0ffee00c0ffee",
        " 1.00c0ffee00c0ffee",
        "1_0.00c0ffee00c0ffee",
        "1.5.00c0ffee00c0ff",
        "1.00c0ffee00c0ffe",
        "1.00c0ffee00c0ffeee",
        "1.00C0FFEE00C0FFEE",
        "1.00c0ffee 0c0ffee",
        "1.00c0ffee00c0ffeg",
        "1..0c0ffee00c0ffee",
        "1.00c0ffee00c0ffee\n",
        "1.00c0ffee00c0ffee.",
        "1,00c0ffee00c0ffee",
        f"{2**64}.00c0ffee00c0ffee",
        f"{10**20}.00c0ffee00c0ffee",
        f"{'9' * 5000}.00c0ffee00c0ffee",
        "١.00c0ffee00c0ffee",
        "1.00c0ffee00c0ffe\N{FULLWIDTH DIGIT ONE}",
        "²." + LEAF.hex(),
        "title",
    ],
)  # fmt: skip
def test_what_is_written_otherwise_names_nothing(key: str) -> None:
    assert name_in(key) is None


def test_the_highest_number_that_an_event_may_have_can_be_named() -> None:
    assert name_in(f"{2**64 - 1}.{LEAF.hex()}") == Erased(2**64 - 1, LEAF)


# -- What an event names -------------------------------------------------------------------------------------------
def test_an_event_names_all_that_its_keys_name_and_passes_over_the_rest() -> None:
    said = skeleton_of("2.00c0ffee00c0ffee", "10.00c0ffee00c0ffee", "title", "02.00c0ffee00c0ffee")
    assert names_in(said) == {Erased(2, LEAF), Erased(10, LEAF)}


def test_removing_a_name_names_nothing() -> None:
    assert names_in(skeleton_of("2.00c0ffee00c0ffee", removes=True)) == set()
    change = Change("2.00c0ffee00c0ffee", ((0, 1, LEAF),), False)
    assert names_in(Skeleton(1, 1, "alice", ERASE, key_text(AUTHOR), (change,))) == {Erased(2, LEAF)}, (
        "what it supersedes is another matter"
    )


@given(st.sets(names, max_size=3 * KEYS_PER_EVENT), st.text("abc", max_size=3))
def test_erasures_name_each_event_once_and_nothing_else(wanted: set[Erased], actor: str) -> None:
    drafts = erasures(AUTHOR, [*wanted, *wanted], actor)
    found = [list(names_in(skeleton_of(*draft.values))) for draft in drafts]
    assert sorted(name for some in found for name in some) == sorted(wanted)
    for draft in drafts:
        assert (draft.kind, author_in(draft.entity), draft.actor) == (ERASE, AUTHOR, actor)
        assert {*draft.values.values()} <= {None}, "its values say nothing: they can be withheld or erased as any"


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [1]), (KEYS_PER_EVENT, [KEYS_PER_EVENT]), (KEYS_PER_EVENT + 1, [KEYS_PER_EVENT, 1])],
)
def test_they_are_as_few_events_as_limits_allow(count: int, sizes: list[int]) -> None:
    drafts = erasures(AUTHOR, [Erased(n, LEAF) for n in range(1, count + 1)] * 3, "alice")
    assert [len(draft.values) for draft in drafts] == sizes
    assert all(built(draft) for draft in drafts)


def test_the_longest_names_fit_as_many_into_one_event() -> None:
    (draft,) = erasures(AUTHOR, [Erased(2**64 - 1 - n, b"\xff" * 8) for n in range(KEYS_PER_EVENT)], "a" * 64)
    assert len(names_in(built(draft).skeleton)) == KEYS_PER_EVENT


# -- Whose ---------------------------------------------------------------------------------------------------------
def test_the_entity_is_the_author_whose_events_are_erased() -> None:
    assert author_in(key_text(AUTHOR)) == AUTHOR


@given(st.text(max_size=50) | st.binary(max_size=40).map(lambda data: data.hex()))
def test_an_entity_that_is_no_author_is_nobodys(entity: str) -> None:
    author = author_in(entity)
    assert author is None or key_text(author) == entity


# -- Who may -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "town", "may"),
    [
        (Role.ADMIN, TOWN, True),
        (Role.ADMIN, ELSEWHERE, True),
        (Role.WRITER, TOWN, True),
        (Role.WRITER, ELSEWHERE, False),
        (Role.READER, TOWN, False),
        (Role.READER, ELSEWHERE, False),
    ],
)
def test_an_admin_may_erase_whatever_a_replica_wrote_and_a_writer_what_its_own_town_wrote(
    role: Role, town: bytes, may: bool
) -> None:
    assert may_erase(role, town, TOWN) is may


def test_a_table_of_every_role() -> None:
    assert {role for role in Role if may_erase(role, TOWN, TOWN)} == {Role.ADMIN, Role.WRITER}
    assert {role for role in Role if may_erase(role, ELSEWHERE, TOWN)} == {Role.ADMIN}
    assert {role for role in Role if may_erase(role, TOWN, TOWN, is_for_admins=True)} == {Role.ADMIN}


# -- The kind, and which fields ------------------------------------------------------------------------------------
def test_erasures_are_of_a_kind_that_replicas_write_whatever_their_keys_and_roles() -> None:
    assert ERASE in KINDS
    assert ERASE not in CHARTER_KINDS | ADMIN_KINDS
    assert field_of(ERASE, "2.00c0ffee00c0ffee").writer is Role.WRITER


def test_all_that_can_be_erased_of_an_issue_is_a_field_that_people_write() -> None:
    assert WORDS < ERASABLE
    assert ERASABLE - {"delete_reason"} < KINDS[ISSUE].keys(), "which is a part of `deleted`"
    assert not ERASABLE & {"status", "priority", "issue_type", "deleted", "assignee", "leases", "edges", "project"}


def test_the_title_that_takes_the_place_of_an_erased_one_is_a_title() -> None:
    assert len(TITLE_ERASED.strip()) == len(TITLE_ERASED) > 0
