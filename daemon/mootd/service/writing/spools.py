"""Opening and closing spools: the row in the store, and the folder in the workspace.

Invariant: a spool that is said to be open has its folder and its token. The files are made inside the unit, before it
commits: where that can't be done nothing is committed, and where the commit fails what is left is a token that opens
nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.spools import CloseSpool, OpenSpool
from moot_protocol.spool.files import BELL_FILE, FOLDER, FORMAT, TOKEN_FILE, Token, encode_token
from moot_protocol.spool.project_folder import WORKSPACE_FILE
from mootd.edges.spool_folder import make_spool, opened_spool
from mootd.engine.machine.workspaces import read_workspace
from mootd.engine.spools import PAIR, close_spool, open_spool, secret_of
from mootd.engine.unit import Unit

_ID_BYTES: Final = 256


def _open(unit: Unit, request: OpenSpool) -> dict[str, Any]:
    known = read_workspace(unit.transaction, request.workspace)
    folder = _folder_of(request.workspace, request.folder, known["folder"] if known else "")
    row, created = open_spool(unit, request.workspace, str(folder))
    if not request.dry_run:
        make_spool(folder)
        keys = unit.replica.keys
        token = Token(FORMAT, row.workspace, row.project, row.plane, secret_of(keys, row), keys.hpke_public(PAIR))
        with opened_spool(folder) as spool:
            spool.put(BELL_FILE, b"")
            spool.put(TOKEN_FILE, encode_token(token))
    return {"project": row.project, "folder": str(folder / FOLDER), "created": created}


def _folder_of(workspace: str, folder: str, known: str) -> Path:
    """The workspace's folder, without links in its path: upward from where the client works, else where it was made.

    Raises:
        RefusedError: `not_found`.
    """
    for candidate in _candidates(folder, known):
        try:
            with (candidate / WORKSPACE_FILE).open("rb") as file:
                found = file.read(_ID_BYTES)
        except OSError:
            continue  # no workspace's folder, or none that the daemon may read
        if found.partition(b"\n")[0].strip() == workspace.encode():
            return candidate.resolve()
    raise RefusedError(
        "the daemon finds no folder of this workspace",
        code=Code.NOT_FOUND,
        hint="go to the folder that holds .moot, outside any sandbox",
    )


def _candidates(folder: str, known: str) -> Iterator[Path]:
    if folder.startswith("/"):
        yield from (Path(folder), *Path(folder).parents)
    if known.startswith("/"):
        yield Path(known)


def _close(unit: Unit, request: CloseSpool) -> dict[str, Any]:
    row = close_spool(unit, request.workspace)
    if row is None:
        return {"project": "", "folder": "", "closed": False}
    folder = Path(row.folder)
    if not request.dry_run and folder.is_dir():
        try:
            with opened_spool(folder) as spool:
                spool.clear()
        except RefusedError as error:
            if error.code is not Code.NOT_FOUND:
                raise
    return {"project": row.project, "folder": str(folder / FOLDER), "closed": True}


SPOOL_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {OpenSpool: _open, CloseSpool: _close}
"""What each request about spools does."""
