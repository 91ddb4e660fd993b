"""Workspaces: which project the folder of a user belongs to. Bookkeeping of this machine, never replicated."""

from typing import Any

import msgspec

from moot_protocol import ids
from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import PROJECT
from moot_protocol.requests.issues import InitProject
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

WORKSPACE_CHARS = 20


class _Workspace(msgspec.Struct, array_like=True, frozen=True):
    project: str
    folder: str
    plane: str = ""
    """The id of the project's plane in hexadecimal."""


_decode = msgspec.msgpack.Decoder(_Workspace).decode


def read_workspace(reader: Reader, workspace: str) -> dict[str, Any] | None:
    """What is known of a workspace: `{"project", "folder", "plane"}`, or None."""
    packed = reader.get(Table.META, layout.WORKSPACES + workspace.encode())
    return None if packed is None else msgspec.structs.asdict(_decode(packed))


def workspaces(reader: Reader) -> list[dict[str, Any]]:
    """All workspaces."""
    rows = reader.scan(Table.META, layout.WORKSPACES, layout.after(layout.WORKSPACES))
    return [msgspec.structs.asdict(_decode(value)) for _, value in rows]


def move_workspace(unit: Unit, workspace: str, before: str, folder: str) -> bool:
    """Note that a workspace lies in another folder; False where it isn't known in the one before (any more)."""
    key = layout.WORKSPACES + workspace.encode()
    packed = unit.transaction.get(Table.META, key)
    known = None if packed is None else _decode(packed)
    if known is None or known.folder != before:
        return False
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(msgspec.structs.replace(known, folder=folder)))
    return True


def init_project(unit: Unit, plane: int, request: InitProject) -> dict[str, Any]:
    """Open a project for a workspace; one that is open already is joined."""
    project = ids.check_prefix(request.prefix)
    workspace = request.workspace or ids.base32(unit.replica.entropy.bytes(16), WORKSPACE_CHARS)
    if not (workspace.isascii() and workspace.isalnum() and len(workspace) <= 2 * WORKSPACE_CHARS):
        raise RefusedError(f"{workspace!r} can't name a workspace")
    known = read_workspace(unit.transaction, workspace)
    if known is not None and known["project"] != project:
        raise RefusedError(
            f"this workspace belongs to project {known['project']} already",
            code=Code.EXISTS,
            hint="leave --prefix out to keep it",
            discreet="this workspace belongs to another project already",
        )
    created = unit.views.find(plane, PROJECT, project) is None
    if created:
        unit.append(plane, Draft(PROJECT, project, request.actor, [Write("title", project)]))
    unit.project_number(plane, project)
    row = msgspec.msgpack.encode(_Workspace(project, request.folder, unit.plane(plane).id.hex()))
    unit.transaction.put(Table.META, layout.WORKSPACES + workspace.encode(), row)
    return {"project": project, "workspace": workspace, "created": created}
