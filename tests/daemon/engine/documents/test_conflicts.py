"""Conflicts of documents: both sides, who, when, and what each choice changes."""

import msgspec
import pytest

from moot_protocol.documents.document import DOCUMENT, FORMULA, ROLE
from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.log.event import Draft, Write
from moot_protocol.requests.documents import ResolveDocument
from moot_testkit.towns.documents import (
    SHARED,
    conflicts,
    formula_text,
    new,
    publish,
    role_text,
    settle,
    share,
    show,
    towns_sharing,
)
from moot_testkit.towns.engine import Desk


@pytest.fixture
def disputed() -> list[Desk]:
    """Two towns that have written a role apart."""
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    publish(ada, "reviewer", role_text("Two."), actor="ann")
    bea.clock.advance(1)
    publish(bea, "reviewer", role_text("Three."), actor="bob")
    share(*desks)
    return desks


def same_version(*titles: str) -> list[Desk]:
    """Two towns that have published one version of a formula with these titles."""
    desks = towns_sharing("ada", "bea")
    new(desks[0], FORMULA, "ship", formula_text())
    share(*desks)
    for desk, title in zip(desks, titles, strict=True):
        publish(desk, "ship", formula_text(version="1.1.0", title=title))
        desk.clock.advance(1)
    share(*desks)
    return desks


def test_both_sides_are_told_with_who_when_and_what_they_change(disputed: list[Desk]) -> None:
    ada, bea = disputed
    (conflict,) = conflicts(bea)
    assert (conflict["id"], conflict["field"], conflict["plane"]) == ("role/reviewer", "document", SHARED)
    assert conflict["shown"] == role_text("One.")
    one, other = conflict["values"]
    assert (one["actor"], one["town"], one["is_own"]) == ("ann", key_text(ada.replica.ledger.town), False)
    assert (other["actor"], other["author"], other["is_own"]) == ("bob", key_text(bea.replica.id), True)
    assert other["at"] == one["at"] + 1
    assert "-One.\n+Two.\n" in one["diff"]
    assert "-One.\n+Three.\n" in other["diff"]


def test_a_conflict_is_found_by_its_document_s_name(disputed: list[Desk]) -> None:
    desk = disputed[0]
    assert conflicts(desk, "reviewer") == conflicts(desk, "role/reviewer") == conflicts(desk)
    assert conflicts(desk, "builder") == []


def test_a_text_is_picked_by_its_name_and_refused_where_it_is_gone(disputed: list[Desk]) -> None:
    names = [value["name"] for value in conflicts(disputed[0])[0]["values"]]
    request = ResolveDocument(actor="ada", name="reviewer", pick=names[1])
    assert disputed[0].refusal(msgspec.structs.replace(request, pick="v00000000")) is Code.CONFLICT
    disputed[0].do(request)
    assert show(disputed[0], "reviewer")["text"] == role_text("Three.")


@pytest.mark.parametrize(("pick", "text"), [(1, "Two."), (2, "Three.")])
def test_picking_one_side_settles_it_everywhere(disputed: list[Desk], pick: int, text: str) -> None:
    settle(disputed[0], "reviewer", pick)
    share(*disputed)
    for desk in disputed:
        assert conflicts(desk) == []
        assert show(desk, "reviewer")["text"] == role_text(text)


def test_a_text_of_its_own_settles_it_too(disputed: list[Desk]) -> None:
    settle(disputed[1], "reviewer", text=role_text("Both."))
    share(*disputed)
    assert [show(desk, "reviewer")["text"] for desk in disputed] == [role_text("Both.")] * 2


@pytest.mark.parametrize(
    ("pick", "text", "code"), [(0, "", Code.INVALID), (3, "", Code.INVALID), (None, "", Code.INVALID)]
)
def test_a_choice_that_is_none_is_refused(disputed: list[Desk], pick: int | None, text: str, code: Code) -> None:
    assert disputed[0].refusal(ResolveDocument(actor="a", name="reviewer", pick=pick, text=text)) is code


def test_what_is_not_in_conflict_can_t_be_settled(disputed: list[Desk]) -> None:
    settle(disputed[0], "reviewer", 1)
    assert disputed[0].refusal(ResolveDocument(actor="a", name="reviewer", pick=1)) is Code.NOT_FOUND


def test_one_version_with_two_texts_is_a_conflict_that_shows_the_later() -> None:
    desks = same_version("Mine", "Yours")
    for desk in desks:
        (conflict,) = conflicts(desk)
        one, other = conflict["values"]
        assert [one["version"], other["version"]] == ["1.1.0", "1.1.0"]
        assert conflict["shown"] == other["value"] == formula_text(version="1.1.0", title="Yours")
        assert '-title = "Yours"\n+title = "Mine"\n' in one["diff"]
        assert other["diff"] == ""


def test_settling_one_version_leaves_a_higher_one_beside_it() -> None:
    desks = same_version("Mine", "Yours")
    plane = desks[0].replica.plane_named(SHARED).number
    with desks[0].replica.transaction() as unit:
        draft = Draft(FORMULA, "ship", "ann", (Write(DOCUMENT, ["2.0.0", formula_text(version="2.0.0")]),))
        unit.append(plane, draft)
    share(*desks)
    (conflict,) = conflicts(desks[1])
    assert [value["version"] for value in conflict["values"]] == ["1.1.0", "1.1.0"]
    assert conflict["shown"] == formula_text(version="2.0.0")
    settle(desks[1], "ship", 2)
    share(*desks)
    for desk in desks:
        assert conflicts(desk) == []
        assert show(desk, "ship")["version"] == "2.0.0"


def test_a_new_text_takes_no_version_that_stands_beside_the_conflict() -> None:
    desks = same_version("Mine", "Yours")
    plane = desks[0].replica.plane_named(SHARED).number
    with desks[0].replica.transaction() as unit:
        draft = Draft(FORMULA, "ship", "ann", (Write(DOCUMENT, ["2.0.0", formula_text(version="2.0.0")]),))
        unit.append(plane, draft)
    other = formula_text(version="2.0.0", title="Else")
    assert desks[0].refusal(ResolveDocument(actor="a", name="ship", text=other)) is Code.CONFLICT
    settle(desks[0], "ship", text=formula_text(version="2.1.0"))
    assert (conflicts(desks[0]), show(desks[0], "ship")["version"]) == ([], "2.1.0")


def test_a_value_that_is_no_document_can_t_be_picked() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    for desk, value in zip(desks, (7, role_text()), strict=True):
        with desk.replica.transaction() as unit:
            unit.append(desk.replica.plane_named(SHARED).number, Draft(ROLE, "odd", "eve", (Write(DOCUMENT, value),)))
        desk.clock.advance(1)
    share(*desks)
    assert [value["value"] for value in conflicts(ada)[0]["values"]] == [None, role_text()]
    assert ada.refusal(ResolveDocument(actor="a", name="odd", pick=1)) is Code.NOT_FOUND
    settle(bea, "odd", 2)
    assert show(bea, "odd")["text"] == role_text()
