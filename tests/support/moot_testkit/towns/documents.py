"""Desks of several towns that share a federation plane, and texts of documents."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.documents import (
    AdoptDocument,
    DocumentConflicts,
    Documents,
    NewDocument,
    PublishDocument,
    ResolveDocument,
    ShowDocument,
)
from moot_protocol.trust.charter import Admission, admission_draft
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.engine import START_MS, Desk
from moot_testkit.towns.planes import open_plane
from mootd.edges.clock import ManualClock
from mootd.engine.documents import reading
from mootd.engine.exchange.receive import receive
from mootd.engine.membership.charter_writing import adopt_plane, begin_charter, certify, enter_plane
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored.log import LogReader
from mootd.service.reading.documents import documents_in
from mootd.service.snapshot import Snapshot
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Table

SHARED = "shared"
"""The name of the federation plane."""


def towns_sharing(*names: str, roles: tuple[Role, ...] = ()) -> list[Desk]:
    """A desk for each name, each with a town of its own, on one federation plane that the first founded.

    Args:
        names: what keys follow from.
        roles: the roles of those after the first; admins where left out.
    """
    return copies(_founded(names, roles))


@cache
def _founded(names: tuple[str, ...], roles: tuple[Role, ...]) -> list[Desk]:
    clock = ManualClock(START_MS)
    desks = [Desk(name, clock).found() for name in names]
    host, *guests = desks
    open_plane(host, SHARED, PlaneKind.FEDERATION)
    for name, guest, role in zip(names[1:], guests, [*roles, *[Role.ADMIN] * len(guests)], strict=False):
        enter(guest, host, role, f"{name} town")
    share(*desks)
    return desks


def copies(desks: Sequence[Desk]) -> list[Desk]:
    """Desks that stand where others stand and go on by themselves: founding towns takes longer than most tests."""
    clock = ManualClock(desks[0].clock.now_ms())
    made = []
    for number, desk in enumerate(desks):
        store = MemoryStore()
        with store.write() as writer:
            for table, rows in desk.tables().items():
                writer.put_many(Table[table], sorted(rows.items()))
        copy = Desk(f"copy {number}", clock, store)
        copy.keys = desk.keys
        copy.reopen()
        made.append(copy)
    return made


def enter(guest: Desk, host: Desk, role: Role, name: str, plane: str = SHARED) -> None:
    """Let a desk's town onto a plane of another's: the host admits it, then it opens its charter and its feed.

    Args:
        guest: whose town.
        host: who admits it.
        role: as what.
        name: what it is called, and how it calls a plane that is none of its own.
        plane: the plane.
    """
    row, town = host.replica.plane_named(plane), guest.replica.signer(TOWN_KEY)
    with host.replica.transaction() as unit:
        charter = unit.feed_number(row.number, row.town)
        unit.append(row.number, admission_draft(town.public, Admission(name, role), ""), feed=charter)
    with guest.replica.transaction() as unit:
        number = adopt_plane(unit, row.id, PlaneKind(row.kind), SHARED if plane == SHARED else name, town.public)
        for batch in host.batches(plane):
            receive(unit, batch)
        begin_charter(unit, number, town.public, name)
        enter_plane(unit, number, certify(town, row.id, guest.replica.id, guest.keys, role))


def share(*desks: Desk) -> None:
    """Let every desk receive all that the others have on the shared plane."""
    for desk in desks:
        for other in desks:
            news = _news(desk, other)
            if news:
                desk.receive(news)


def _news(desk: Desk, other: Desk) -> list[Batch]:
    """The batches of the shared plane that another desk has and this one hasn't."""
    here, there = (each.replica.plane_named(SHARED).number for each in (desk, other))
    held = {row.author: row.n for row in desk.replica.feeds.values() if row.plane == here}
    found = []
    with other.replica.read() as reader:
        log = LogReader(reader)
        for number, row in other.replica.feeds.items():
            if row.plane == there and row.n > held.get(row.author, 0):
                after = held.get(row.author, 0) + 1
                found += [decode_batch(log.batch_bytes(each), verify=False) for _, each in log.batches(number, after)]
    return found


# -- What desks do -----------------------------------------------------------------------------------------------
def new(desk: Desk, kind: str, name: str, text: str, **parts: Any) -> dict[str, Any]:
    """Begin a document."""
    return desk.do(NewDocument(actor=parts.pop("actor", "alice"), kind=kind, name=name, text=text, **parts))


def publish(desk: Desk, name: str, text: str, **parts: Any) -> dict[str, Any]:
    """Write a new version of a document."""
    return desk.do(PublishDocument(actor=parts.pop("actor", "alice"), name=name, text=text, **parts))


def adopt(desk: Desk, name: str, **parts: Any) -> dict[str, Any]:
    """Accept what is shown of a document."""
    content = show(desk, name, **parts)["content"]
    return desk.do(AdoptDocument(actor="alice", name=name, content=content, **parts))


def settle(desk: Desk, name: str, pick: int | None = None, text: str = "", **parts: Any) -> dict[str, Any]:
    """Settle a document's conflict."""
    return desk.do(ResolveDocument(actor="alice", name=name, pick=pick, text=text, **parts))


def show(desk: Desk, name: str, **parts: Any) -> dict[str, Any]:
    """A document in full."""
    return desk.ask(ShowDocument(name=name, **parts))


def listed(desk: Desk, **parts: Any) -> list[dict[str, Any]]:
    """Every document of a desk."""
    return desk.ask(Documents(**parts))


def conflicts(desk: Desk, name: str = "") -> list[dict[str, Any]]:
    """The conflicts of a desk's documents."""
    return desk.ask(DocumentConflicts(name=name))


def documents_on(desk: Desk, reader: Any) -> reading.Documents:
    """The documents of a desk as a transaction sees them."""
    return documents_in(Snapshot(desk.replica, reader, desk.clock.now_ms()))


# -- Texts -------------------------------------------------------------------------------------------------------
def role_text(body: str = "You review.", front: str = 'title = "Reviewer"') -> str:
    """A role."""
    return f"+++\n{front}\n+++\n{body}\n"


def formula_text(name: str = "ship", version: str = "1.0.0", title: str = "Build") -> str:
    """A formula of two steps."""
    return (
        f'formula = "{name}"\nversion = "{version}"\ndescription = "How to ship"\n\n'
        f'[[steps]]\nid = "build"\ntitle = "{title}"\n\n'
        '[[steps]]\nid = "publish"\ntitle = "Publish"\nneeds = ["build"]\n'
    )


def template_text(body: str = "Steps to reproduce:", title: str = "Bug") -> str:
    """A template."""
    return f'+++\ntitle = "{title}"\ntype = "bug"\n+++\n{body}\n'
