"""Desks whose town has several planes that hold issues."""

from typing import Any

from moot_protocol.crypto import SeedSigner
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.machine.workspaces import init_project
from mootd.engine.membership.charter_writing import adopt_plane, found_plane

TEAM = "team"
"""The name of a desk's second ledger."""
TEAM_PROJECT = "tm"
"""The project that belongs to it."""


def open_plane(desk: Desk, name: str = TEAM, kind: PlaneKind = PlaneKind.LEDGER) -> int:
    """Found another plane of a desk's town; returns its number."""
    with desk.replica.transaction() as unit:
        return found_plane(unit, kind, name, SeedSigner(seed("recovery")).public)


def waiting_plane(desk: Desk) -> int:
    """Join a plane, `far`, whose charter hasn't come yet; returns its number."""
    with desk.replica.transaction() as unit:
        return adopt_plane(unit, seed("far")[:16], PlaneKind.LEDGER, "far", SeedSigner(seed("far town")).public)


def open_project(desk: Desk, plane: int, project: str) -> str:
    """Open a project on a plane, whatever others have: as if it had come from elsewhere; returns its workspace."""
    with desk.replica.transaction() as unit:
        made = init_project(unit, plane, InitProject(actor="alice", prefix=project))
    return str(made["workspace"])


def two_planes() -> Desk:
    """A desk with two ledgers: the first has the project `mt`, the second, `team`, the project `tm`."""
    desk = Desk().found()
    open_project(desk, desk.replica.ledger.number, PROJECT)
    open_project(desk, open_plane(desk), TEAM_PROJECT)
    return desk


def create_on(desk: Desk, plane: str, name: str, project: str = PROJECT, **parts: Any) -> IssueDoc:
    """Create an issue on the plane that is named."""
    fields = IssueFields(title=parts.pop("title", f"Title of {name}"))
    return desk.do(Create(actor="alice", project=project, plane=plane, id=name, fields=fields, **parts))


def plane_holding(desk: Desk, name: str) -> str:
    """The name of the plane that an issue was written to."""
    return desk.replica.planes[desk.records()[name].plane].name


def import_on(desk: Desk, plane: str, *lines: str) -> dict[str, Any]:
    """Take in lines on a plane, whatever ids other planes have: as if they had come from elsewhere."""
    with desk.replica.transaction() as unit:
        importer = Importer(unit, desk.replica.plane_named(plane).number, PROJECT, "alice")
        return importer.take(parse([line.encode() for line in lines], 1, FirstLines()))


def clash(desk: Desk) -> None:
    """Let the second plane have the first one's project too, as joined planes may."""
    open_project(desk, desk.replica.plane_named(TEAM).number, PROJECT)


def make_twins(desk: Desk) -> None:
    """Make an issue `mt-same22` on both planes, as two imports of one file do."""
    clash(desk)
    import_on(desk, "ledger", '{"id": "mt-same22", "title": "One"}')
    import_on(desk, TEAM, '{"id": "mt-same22", "title": "Two"}')
