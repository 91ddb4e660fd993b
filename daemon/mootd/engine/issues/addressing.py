"""Which plane a request that writes acts on: the one that holds its issue, or the one that its project belongs to.

Invariant: a project belongs to one plane, and dependencies lead to issues of the same plane. Only planes that were
joined can have a project's name in common; then nothing is guessed, and who asks says which is meant.
"""

from itertools import chain
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import ISSUE, PROJECT
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Create, InitProject
from moot_protocol.requests.transfer import Import, ImportEdits
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.issues.names import Names
from mootd.engine.machine.workspaces import read_workspace
from mootd.engine.planes import issue_plane_meant, issue_planes, labels_of
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.record import Record

_PROJECTS_TOLD: Final = 10
"""Projects that a refusal lists."""


def plane_of(unit: Unit, request: Request[Any]) -> int:
    """The plane that a request acts on.

    Raises:
        RefusedError: `not_ready`, where there is no town; `not_found` or `ambiguous`; `conflict`, where the project
            belongs to another plane than the one named.
    """
    if isinstance(request, InitProject):
        return plane_of_project(unit, request.prefix, request.plane or _of_workspace(unit, request))
    if isinstance(request, Create | Import | ImportEdits):
        number = plane_of_project(unit, request.project, request.plane)
        if isinstance(request, Create):
            _refuse_unopened(unit, number, request.project)
        return number
    planes = issue_planes(unit.replica.planes)
    typed = getattr(request, "id", "")
    if len(planes) < 2 or not typed:
        return planes[0].number if planes else unit.replica.ledger.number
    exact = [row.number for row in planes if exactly(unit, row.number, typed) is not None]
    if len(exact) == 1:
        return exact[0]
    unit.flush()
    return _names(unit, planes).locate(typed).plane


def _names(unit: Unit, planes: list[PlaneRow]) -> Names:
    return Names(unit.transaction, unit.views.views, *(row.number for row in planes))


# -- Projects ----------------------------------------------------------------------------------------------------
def _of_workspace(unit: Unit, request: InitProject) -> str:
    """The plane that a workspace's row names, or empty."""
    known = read_workspace(unit.transaction, request.workspace)
    return known["plane"] if known is not None and known["project"] == request.prefix else ""


def plane_of_project(unit: Unit, project: str, plane: str) -> int:
    """The plane that a project belongs to.

    Raises:
        RefusedError: `ambiguous`, where several have one of its name; `conflict`, where it is not the plane named.
    """
    planes = issue_planes(unit.replica.planes)
    is_only_ledger = [row.kind for row in planes] == [PlaneKind.LEDGER]  # then there is nowhere else to look
    holding = [] if is_only_ledger else [row for row in planes if has_project(unit, row.number, project)]
    if plane:
        meant = issue_plane_meant(unit.replica.planes, plane)
        if holding and meant not in holding:
            labels = labels_of(planes)
            raise RefusedError(
                f"project {project} belongs to plane {labels[holding[0].number]}, not to {labels[meant.number]}",
                code=Code.CONFLICT,
                hint="a project stays on its plane; another one needs another prefix",
                discreet=f"project {project} belongs to another plane",
            )
        return meant.number
    if len(holding) > 1:
        labels = labels_of(planes)
        several = ", ".join(labels[row.number] for row in holding)
        raise RefusedError(
            f"several planes have a project {project}: {several}",
            code=Code.AMBIGUOUS,
            hint="go to its folder, or name the plane with --plane",
            discreet=f"several planes have a project {project}; name the plane with --plane",
        )
    return holding[0].number if holding else unit.replica.ledger.number


def _refuse_unopened(unit: Unit, plane: int, project: str) -> None:
    """Refuse a project that nobody opened, where others are: its name may be mistyped.

    Raises:
        RefusedError: `not_found`; the hint lists what there is.
    """
    if unit.views.find(plane, PROJECT, project) is not None or (plane, project) in unit.replica.projects:
        return
    opened = sorted({name for row in issue_planes(unit.replica.planes) for name in _opened(unit, row.number)})
    if opened:
        some = ", ".join(opened[:_PROJECTS_TOLD]) + ("…" if len(opened) > _PROJECTS_TOLD else "")
        missing = f"there is no project {project}"
        raise RefusedError(
            missing, code=Code.NOT_FOUND, hint=f"there are: {some}; `moot init` opens one", discreet=missing
        )


def _opened(unit: Unit, plane: int) -> list[str]:
    prefix = layout.id_key(plane, PROJECT, "")
    ids = unit.views.views.ids
    return [layout.id_entity(key) for key, _ in unit.transaction.scan(ids, prefix, layout.after(prefix))]


def has_project(unit: Unit, plane: int, project: str) -> bool:
    """Whether a project was opened on a plane."""
    eid = unit.views.find(plane, PROJECT, project)
    record = None if eid is None else unit.views.record(eid)
    return record is not None and bool(record.groups)


# -- Issues ------------------------------------------------------------------------------------------------------
def exactly(unit: Unit, plane: int, typed: str) -> tuple[str, int, Record] | None:
    """The issue of this whole id on a plane, which beats whatever else may be meant: (id, number, record).

    It is found without bringing the views up to date, which would cost each write of a group as much as it costs all
    of them together.
    """
    record = unit.record(plane, ISSUE, typed)
    eid = unit.views.find(plane, ISSUE, typed)
    return None if record is None or eid is None or not record.head else (typed, eid, record)


def refuse_taken(unit: Unit, issue: str) -> None:
    """Refuse an id for a new issue that some plane has: it would mean two issues.

    Raises:
        RefusedError: `exists`.
    """
    unit.flush()
    planes = issue_planes(unit.replica.planes)
    names = _names(unit, planes)
    taken = next(chain(names.exactly(issue), names.aliased(issue)), None)
    if taken is not None:
        where = f" on plane {labels_of(planes)[taken.plane]}" if len(planes) > 1 else ""
        there = f"there is an issue {issue} already"
        raise RefusedError(there + where, code=Code.EXISTS, discreet=there)


def refuse_elsewhere(unit: Unit, plane: int, typed: str) -> None:
    """Say so, where what a dependency is to lead to is an issue of another plane.

    Raises:
        RefusedError: `invalid`.
    """
    planes = issue_planes(unit.replica.planes)
    others = [row for row in planes if row.number != plane]
    try:
        found = _names(unit, others).locate(typed)
    except RefusedError:
        return
    labels = labels_of(planes)
    raise RefusedError(
        f"{found.issue} is on plane {labels[found.plane]}; dependencies of an issue on plane {labels[plane]} lead to"
        " issues of that plane only",
        hint=f"`external:{found.issue}` stands for what lies elsewhere",
        discreet=f"{typed} is on another plane; dependencies of an issue lead to issues of its own plane only",
    )
