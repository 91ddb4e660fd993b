"""Bookkeeping is never replicated: what a machine notes for itself stands in its store, and is no event."""

from collections.abc import Callable

import pytest

from moot_protocol.requests.issues import AddComment
from moot_testkit.towns.engine import Desk
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import Carried
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.issues.sharing import note_followed
from mootd.engine.machine.access_tokens import note_use
from mootd.engine.machine.home import note_home
from mootd.engine.machine.mirrors import MirrorRow, put_mirror
from mootd.engine.machine.remotes import add_remote
from mootd.engine.machine.uncopied import note_uncopied
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.ports import Home
from mootd.service.writing.writes import once
from mootd.store.port import Table

AUTHOR, PLANE = b"a" * 32, b"p" * 16


def keep_the_answer(unit: Unit) -> None:
    once(unit, AddComment(actor="alice", id="mt-1", text="hello"), "key", lambda _: "answered")


NOTES: dict[str, Callable[[Unit], object]] = {
    "how far shares were followed": lambda unit: note_followed(unit, 7),
    "what can't be copied": lambda unit: note_uncopied(unit.transaction, "share", "mt-1", "too long"),
    "what stands in a mirrored file": lambda unit: put_mirror(
        unit, MirrorRow(folder="/w", file="f", workspace="w1", project="mt", plane=PLANE, arrival=3)
    ),
    "which remotes there are": lambda unit: add_remote(unit, "origin", "git", "/srv/moot.git", "auto", {}),
    "what a remote carries": lambda unit: carried.put(unit.transaction, 1, 1, AUTHOR, Carried(((1, AUTHOR),))),
    "what a remote has lost": lambda unit: carried.rewind(unit.transaction, 1, 1, AUTHOR, Carried(())),
    "a frame that waits": lambda unit: Outbox(unit.transaction, 1).put(OutFrame(1, "batches", b"sealed", unit.now_ms)),
    "where its data lies": lambda unit: note_home(unit, Home(b"machine", b"elsewhere")),
    "that a token was used": lambda unit: note_use(unit, "token"),
    "what was answered under a key": keep_the_answer,
}


@pytest.mark.parametrize("what", NOTES)
def test_what_a_machine_notes_for_itself_is_no_event(what: str) -> None:
    desk = Desk().found()
    desk.create("mt-1")
    before, events = stored(desk), desk.replica.arrival
    with desk.replica.transaction() as unit:
        NOTES[what](unit)
    assert stored(desk) != before, "nothing was noted"
    assert desk.replica.arrival == events


def stored(desk: Desk) -> list[tuple[bytes, bytes]]:
    """What the machine keeps beside its log, but for the clock, which only moves."""
    with desk.replica.read() as reader:
        kept = [*reader.scan(Table.META, b"\0"), *reader.scan(Table.OUTBOX, b"\0")]
    return [row for row in kept if row[0] != layout.CLOCK]
