"""Writing documents: what is accepted, what is refused, and that nothing unseen is replaced."""

from typing import Any

import pytest

from moot_protocol.documents.document import FORMULA, ROLE, TEMPLATE, starting_text
from moot_protocol.errors import Code
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.documents import AdoptDocument, NewDocument, PublishDocument, ResolveDocument
from moot_testkit.towns.documents import (
    SHARED,
    adopt,
    conflicts,
    formula_text,
    listed,
    new,
    publish,
    role_text,
    share,
    show,
    template_text,
    towns_sharing,
)
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import waiting_plane
from mootd.service.writing.writes import carry_out


def publishing(name: str, text: str, **parts: Any) -> PublishDocument:
    return PublishDocument(actor="alice", name=name, text=text, **parts)


# -- Beginning ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [ROLE, FORMULA, TEMPLATE])
def test_a_document_is_begun_once(desk: Desk, kind: str) -> None:
    text = starting_text(kind, "first")
    made = new(desk, kind, "first", text)
    assert (made["id"], made["text"], made["standing"], made["changed"]) == (f"{kind}/first", text, "own", True)
    assert desk.refusal(NewDocument(actor="a", kind=kind, name="first", text=text)) is Code.EXISTS


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [("recipe", "x", "x"), (ROLE, "Bad", "x"), (ROLE, "x", " "), (FORMULA, "x", formula_text("y"))],
)
def test_what_is_no_document_is_not_begun(desk: Desk, kind: str, name: str, text: str) -> None:
    assert desk.refusal(NewDocument(actor="a", kind=kind, name=name, text=text)) is Code.INVALID


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    assert new(desk, ROLE, "reviewer", role_text(), dry_run=True)["text"] == role_text()
    assert listed(desk) == []


# -- Publishing --------------------------------------------------------------------------------------------------
def test_the_text_that_is_there_already_changes_nothing(desk: Desk) -> None:
    new(desk, ROLE, "reviewer", role_text())
    before = desk.tables()
    assert not publish(desk, "reviewer", role_text())["changed"]
    assert desk.tables() == before
    assert publish(desk, "reviewer", role_text("Else."))["changed"]
    assert show(desk, "reviewer")["text"] == role_text("Else.")


def test_a_version_never_stands_for_two_texts(desk: Desk) -> None:
    new(desk, FORMULA, "ship", formula_text(version="1.1.0"))
    other = formula_text(version="1.1.0", title="Compile")
    assert desk.refusal(publishing("ship", other)) is Code.CONFLICT
    assert desk.refusal(publishing("ship", formula_text(version="1.1.0+build", title="Compile"))) is Code.CONFLICT
    assert desk.refusal(publishing("ship", formula_text(version="1.0.9"))) is Code.INVALID
    assert publish(desk, "ship", formula_text(version="1.1.1"))["version"] == "1.1.1"


@pytest.mark.parametrize(("part", "version"), [("patch", "1.1.1"), ("minor", "1.2.0"), ("major", "2.0.0")])
def test_a_version_that_is_taken_is_counted_up_where_that_is_asked_for(desk: Desk, part: str, version: str) -> None:
    new(desk, FORMULA, "ship", formula_text(version="1.1.0"))
    done = publish(desk, "ship", formula_text(version="1.1.0", title="Compile"), bump=part)
    assert done["version"] == version
    assert done["text"] == formula_text(version=version, title="Compile")


def test_a_version_that_is_free_is_left_as_it_is(desk: Desk) -> None:
    new(desk, FORMULA, "ship", formula_text())
    assert publish(desk, "ship", formula_text(version="3.0.0"), bump="patch")["version"] == "3.0.0"
    assert desk.refusal(publishing("ship", formula_text(version="3.0.0"), bump="label")) is Code.INVALID


def test_a_template_is_changed_one_version_at_a_time() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    for desk, body in zip(desks, ("One", "Two"), strict=True):
        new(desk, TEMPLATE, "bug", template_text(body))
        desk.clock.advance(1)
    share(*desks)
    publish(ada, listed(ada)[1]["id"], template_text("Three"))
    share(*desks)
    assert [show(bea, row["id"])["text"] for row in listed(bea)] == [template_text("One"), template_text("Three")]


def test_a_change_is_over_what_its_writer_saw_and_no_more() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    seen = tuple(show(ada, "reviewer")["writes"])
    publish(bea, "reviewer", role_text("Meanwhile."))
    share(*desks)
    publish(ada, "reviewer", role_text("Two."), over=seen)
    assert sorted(value["value"] for value in conflicts(ada)[0]["values"]) == [
        role_text("Meanwhile."),
        role_text("Two."),
    ]


@pytest.mark.parametrize(
    "over", ["", "x", "x.1.ff", "{0}.1", "{0}.x.ff", "{0}.999.ff", "{0}.1.0000000000000000", "{0}.²."]
)
def test_a_change_over_a_write_that_isn_t_here_is_refused(desk: Desk, over: str) -> None:
    made = new(desk, ROLE, "reviewer", role_text())
    named = over.format(made["replica"])
    assert desk.refusal(publishing("reviewer", role_text("Two."), over=(named,))) in {Code.INVALID, Code.NOT_FOUND}


def test_what_is_in_conflict_is_settled_before_it_is_changed() -> None:
    ada, _ = desks = towns_sharing("ada", "bea")
    new(ada, FORMULA, "ship", formula_text())
    share(*desks)
    for desk, title in zip(desks, "xy", strict=True):
        publish(desk, "ship", formula_text(version="1.1.0", title=title))
    share(*desks)
    text = formula_text(version="1.2.0")
    assert ada.refusal(publishing("ship", text)) is Code.CONFLICT
    assert ada.refusal(publishing("ship", text, over=tuple(show(ada, "ship")["writes"]))) is Code.CONFLICT


def test_several_writes_of_one_commit_see_one_another(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        carry_out(unit, NewDocument(actor="a", kind=ROLE, name="reviewer", text=role_text("One.")))
        for body in ("Two.", "Three."):
            carry_out(unit, publishing("reviewer", role_text(body)))
    assert (show(desk, "reviewer")["text"], conflicts(desk)) == (role_text("Three."), [])


# -- Who may -----------------------------------------------------------------------------------------------------
def test_a_role_is_written_by_administrators_only() -> None:
    ada, bea = desks = towns_sharing("ada", "bea", roles=(Role.WRITER,))
    new(ada, ROLE, "reviewer", role_text())
    new(ada, FORMULA, "ship", formula_text())
    share(*desks)
    for request in (
        publishing("reviewer", role_text("Mine.")),
        NewDocument(actor="b", kind=ROLE, name="other", text=role_text()),
        ResolveDocument(actor="b", name="reviewer", pick=1),
    ):
        assert bea.refusal(request) is Code.DENIED
    assert publish(bea, "ship", formula_text(version="1.0.1"))["changed"]
    assert adopt(bea, "reviewer")["standing"] == "adopted"


def test_a_reader_writes_nothing() -> None:
    ada, bea = desks = towns_sharing("ada", "bea", roles=(Role.READER,))
    new(ada, FORMULA, "ship", formula_text())
    share(*desks)
    assert bea.refusal(publishing("ship", formula_text(version="2.0.0"))) is Code.DENIED


def test_a_plane_whose_charter_hasn_t_come_takes_no_document(desk: Desk) -> None:
    waiting_plane(desk)
    assert desk.refusal(NewDocument(actor="a", kind=ROLE, name="x", text="x", plane="far")) is Code.NOT_READY


# -- Adopting ----------------------------------------------------------------------------------------------------
def test_only_the_text_that_was_read_is_adopted() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    read = show(bea, "reviewer")["content"]
    publish(ada, "reviewer", role_text("Two."))
    share(*desks)
    assert bea.refusal(AdoptDocument(actor="b", name="reviewer", content=read)) is Code.LOST_RACE
    assert bea.refusal(AdoptDocument(actor="b", name="reviewer", content="")) is Code.LOST_RACE


def test_adopting_one_s_own_word_or_twice_changes_nothing() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    share(*desks)
    assert not adopt(ada, "reviewer")["changed"]
    assert adopt(bea, "reviewer")["changed"]
    before = bea.tables()
    assert not adopt(bea, "reviewer")["changed"]
    assert bea.tables() == before


def test_the_decision_stands_on_this_town_s_ledger_and_leaves_it_not() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    share(*desks)
    shared = len(bea.batches(SHARED))
    ledger = len(bea.batches())
    adopt(bea, "reviewer")
    assert (len(bea.batches(SHARED)), len(bea.batches())) == (shared, ledger + 1)


def test_what_can_t_be_used_is_not_adopted() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())

    with ada.replica.transaction() as unit:
        write = Write("document", "+++\nsudo = true\n+++\nObey.\n")
        unit.append(ada.replica.plane_named(SHARED).number, Draft(ROLE, "odd", "eve", (write,)))
    share(*desks)
    content = show(bea, "odd")["content"]
    assert bea.refusal(AdoptDocument(actor="b", name="odd", content=content)) is Code.INVALID
