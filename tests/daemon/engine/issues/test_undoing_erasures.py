"""Undoing an erasure is refused as that, however it is named; what was written beside it can be undone as before."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Erase, Undo
from moot_protocol.requests.issues import History
from moot_protocol.requests.memories import EraseMemory, Remember
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.town import PROJECT

HEARD = "kumquat"


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-1", HEARD, priority=0, labels=("ui",), notes=HEARD)
    desk.create("mt-other")
    desk.clock.advance(1000)
    return desk


def erase(desk: Desk, *fields: str) -> list[int]:
    """Erase fields as alice; the numbers of the events that this wrote about the issue."""
    before = {event["n"] for event in desk.ask(History(id="mt-1", limit=0))}
    desk.do(Erase(actor="alice", id="mt-1", fields=fields))
    written = {event["n"] for event in desk.ask(History(id="mt-1", limit=0))} - before
    desk.clock.advance(1000)
    return sorted(written)


def check_refused(desk: Desk, **named: Any) -> None:
    before = desk.tables()
    with pytest.raises(RefusedError, match="an erasure can't be undone: what it took is gone for good") as caught:
        desk.do(Undo(actor="alice", **named))
    assert (caught.value.code, "`moot history ID`" in caught.value.hint) == (Code.INVALID, True)
    assert desk.tables() == before


@pytest.mark.parametrize("named", [{}, {"id": "mt-1"}], ids=["the last write", "the last one to the issue"])
def test_an_erasure_that_wrote_other_fields_again_is_refused_as_an_erasure(desk: Desk, named: dict[str, Any]) -> None:
    erase(desk, "title")
    check_refused(desk, **named)


def test_an_erasure_is_refused_by_any_of_its_numbers(desk: Desk) -> None:
    written = erase(desk, "title", "notes")
    assert len(written) > 1
    for number in (*written, written[-1] + 1):  # what names the erased events comes right after
        check_refused(desk, n=number)


def test_an_erasure_of_what_was_not_live_is_the_last_write_too(desk: Desk) -> None:
    desk.update("mt-1", notes="")
    desk.clock.advance(1000)
    desk.update("mt-other", title="Later")
    desk.clock.advance(1000)
    assert not erase(desk, "notes")
    check_refused(desk)
    assert desk.show("mt-other")["title"] == "Later"


def test_an_erased_memory_does_not_stand_before_what_was_written_to_issues(desk: Desk) -> None:
    desk.update("mt-1", title="After")
    desk.clock.advance(1000)
    desk.do(Remember(actor="alice", project=PROJECT, key="k", text=HEARD))
    desk.do(EraseMemory(actor="alice", project=PROJECT, key="k"))
    desk.do(Undo(actor="alice"))
    assert desk.show("mt-1")["title"] == HEARD


def test_what_was_written_before_an_erasure_and_after_it_is_undone_by_its_number(desk: Desk) -> None:
    desk.update("mt-1", assignee="bob")
    earlier = desk.ask(History(id="mt-1"))[0]["n"]
    desk.clock.advance(1000)
    erase(desk, "title")
    desk.update("mt-1", priority=3)
    desk.clock.advance(1000)
    desk.do(Undo(actor="alice"))
    desk.do(Undo(actor="alice", n=earlier))
    shown = desk.show("mt-1")
    assert (shown["priority"], "assignee" in shown) == (0, False)


def test_a_write_that_took_away_what_was_erased_since_cannot_be_undone(desk: Desk) -> None:
    desk.update("mt-1", remove_labels=("ui",))
    earlier = desk.ask(History(id="mt-1"))[0]["n"]
    desk.clock.advance(1000)
    erase(desk, "labels")
    with pytest.raises(RefusedError, match="labels of mt-1 can't be put back: what it said was erased"):
        desk.do(Undo(actor="alice", n=earlier))


def test_somebody_elses_erasure_does_not_stand_before_ones_own_write(desk: Desk) -> None:
    desk.update("mt-1", assignee="bob")
    desk.clock.advance(1000)
    desk.do(Erase(actor="eve", id="mt-1", fields=("notes",)))
    desk.do(Undo(actor="alice"))
    assert "assignee" not in desk.show("mt-1")
