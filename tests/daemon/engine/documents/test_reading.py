"""What is shown of a document is the same on every replica, whatever happened in which order."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.documents.document import DOCUMENT, FORMULA, ROLE, TEMPLATE
from moot_protocol.errors import RefusedError
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_testkit.towns.documents import (
    SHARED,
    conflicts,
    copies,
    documents_on,
    formula_text,
    listed,
    new,
    publish,
    role_text,
    settle,
    share,
    show,
    template_text,
    towns_sharing,
)
from moot_testkit.towns.engine import Desk

OF_ONE_TOWN = {"standing", "is_own", "is_home", "town_name"}
"""Whose word a text is, and what towns are called: what differs from town to town."""
TEXTS: dict[str, Callable[[str], str]] = {
    ROLE: role_text,
    FORMULA: lambda title: formula_text("doc", title=title),
    TEMPLATE: template_text,
}


@pytest.fixture
def desks() -> list[Desk]:
    return towns_sharing("ada", "bea")


def told(desk: Desk) -> list[dict[str, Any]]:
    """What a desk shows of every document, but for what each town sees for itself."""
    return [{name: value for name, value in row.items() if name not in OF_ONE_TOWN} for row in listed(desk)]


def write(desk: Desk, kind: str, name: str, value: Any) -> None:
    """Write a document's value as another release or a hostile member might."""
    with desk.replica.transaction() as unit:
        unit.append(desk.replica.plane_named(SHARED).number, Draft(kind, name, "eve", (Write(DOCUMENT, value),)))


# -- Every policy converges --------------------------------------------------------------------------------------
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2), st.sampled_from("abc")),
        st.tuples(st.just("settle"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("share"), st.integers(0, 2), st.integers(0, 2)),
    ),
    max_size=6,
)


@cache
def three_towns() -> list[Desk]:
    """Three towns that have a document of each kind in common."""
    desks = towns_sharing("ada", "bea", "cleo")
    for kind, text in TEXTS.items():
        new(desks[0], kind, "doc", text("start"))
    share(*desks)
    return desks


@given(steps=st.lists(st.tuples(st.sampled_from(list(TEXTS)), STEPS), max_size=2), order=st.permutations(range(3)))
def test_any_order_of_concurrent_edits_shows_the_same_everywhere(
    steps: list[tuple[str, list[tuple[str, int, Any]]]], order: list[int]
) -> None:
    desks = copies(three_towns())
    for kind, of_one_kind in steps:
        for step in of_one_kind:
            take(desks, kind, *step)
    share(*(desks[at] for at in order))
    first, *others = desks
    for other in others:
        assert told(other) == told(first)
        assert disputes(other) == disputes(first)
        assert shared_digest(other) == shared_digest(first)


def take(desks: list[Desk], kind: str, step: str, at: int, what: Any) -> None:
    """Take a step, unless it is refused: there may be nothing to settle, or a conflict to settle first."""
    desk, name = desks[at], f"{kind}/doc"
    desk.clock.advance(1)
    with suppress(RefusedError):
        if step == "publish":
            publish(desk, name, TEXTS[kind](what), bump="patch" if kind == FORMULA else "")
        elif step == "settle":
            settle(desk, name, what)
        else:
            share(desk, desks[what])


def disputes(desk: Desk) -> list[dict[str, Any]]:
    """A desk's conflicts, but for what each town sees for itself."""
    found = conflicts(desk)
    for conflict in found:
        conflict["values"] = [
            {name: part for name, part in value.items() if name not in OF_ONE_TOWN} for value in conflict["values"]
        ]
    return found


def shared_digest(desk: Desk) -> bytes:
    return desk.digest(desk.replica.plane_named(SHARED).number)


# -- Each policy -------------------------------------------------------------------------------------------------
def test_a_role_shows_what_was_agreed_while_it_is_disputed(desks: list[Desk]) -> None:
    ada, bea = desks
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    publish(ada, "reviewer", role_text("Two."))
    publish(bea, "reviewer", role_text("Three."))
    share(*desks)
    for desk in desks:
        document = show(desk, "reviewer")
        assert document["in_conflict"]
        assert document["text"] == role_text("One.")
        assert document["town"] == listed(desk)[0]["town"]
        assert document["actor"] == "alice"


def test_a_role_begun_by_two_shows_nothing_until_it_is_settled(desks: list[Desk]) -> None:
    ada, bea = desks
    new(ada, ROLE, "reviewer", role_text("One."))
    new(bea, ROLE, "reviewer", role_text("Two."))
    share(*desks)
    assert [row["standing"] for row in listed(ada)] == ["disputed"]
    settle(bea, "reviewer", 1)
    share(*desks)
    assert show(ada, "reviewer")["text"] in {role_text("One."), role_text("Two.")}


def test_a_formula_shows_its_highest_version_however_late_a_lower_one_came(desks: list[Desk]) -> None:
    ada, bea = desks
    new(ada, FORMULA, "ship", formula_text())
    share(*desks)
    publish(ada, "ship", formula_text(version="2.0.0"))
    bea.clock.advance(5)
    publish(bea, "ship", formula_text(version="1.5.0"))
    share(*desks)
    for desk in desks:
        assert (show(desk, "ship")["version"], show(desk, "ship")["in_conflict"]) == ("2.0.0", False)


def test_templates_of_one_name_stand_side_by_side_under_names_of_their_own(desks: list[Desk]) -> None:
    ada, bea = desks
    new(ada, TEMPLATE, "bug", template_text("One"))
    bea.clock.advance(5)
    new(bea, TEMPLATE, "bug", template_text("Two"))
    share(*desks)
    first, second = listed(ada)
    assert first["id"] == "template/bug"
    assert second["id"].startswith("template/bug~")
    assert [row["id"] for row in listed(bea)] == [first["id"], second["id"]]
    assert show(ada, second["id"])["text"] == template_text("Two")
    assert not conflicts(ada)


def test_equal_templates_are_one(desks: list[Desk]) -> None:
    for desk in desks:
        new(desk, TEMPLATE, "bug", template_text())
    share(*desks)
    assert [row["id"] for row in listed(desks[0])] == ["template/bug"]


# -- What others may have written --------------------------------------------------------------------------------
def test_an_entity_whose_id_is_no_name_is_no_document(desks: list[Desk]) -> None:
    write(desks[0], TEMPLATE, "bug~a1b2", template_text())
    write(desks[0], TEMPLATE, "Bug", template_text())
    write(desks[0], TEMPLATE, "bug", template_text())
    assert [row["id"] for row in listed(desks[0])] == ["template/bug"]


@pytest.mark.parametrize("kind", [ROLE, FORMULA, TEMPLATE])
@pytest.mark.parametrize("value", [7, None, [], ["x"], [1, 2], {"a": 1}, b"x", ["9.9.9", "no formula"]])
def test_a_value_of_any_shape_is_listed_with_what_is_wrong_with_it(desks: list[Desk], kind: str, value: Any) -> None:
    write(desks[0], kind, "odd", value)
    share(*desks)
    (row,) = listed(desks[1])
    assert row["problem"]
    assert show(desks[1], f"{kind}/odd")["problem"] == row["problem"]


def test_what_a_writer_says_of_a_role_counts_for_nothing() -> None:
    ada, bea = desks = towns_sharing("ada", "bea", roles=(Role.WRITER,))
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    write(bea, ROLE, "reviewer", role_text("Mine."))
    write(bea, ROLE, "other", role_text("Mine."))
    share(*desks)
    for desk in desks:
        assert [(row["id"], row["in_conflict"]) for row in listed(desk)] == [("role/reviewer", False)]
        with desk.replica.read() as reader:
            documents = documents_on(desk, reader)
            document = documents.find(desk.replica.plane_named(SHARED), ROLE, "reviewer")
            assert document is not None
            assert [version.text for version in documents.past(document)] == [role_text("One.")]
