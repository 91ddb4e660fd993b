"""Folders that were moved: which one holds a workspace or its spool now, and which mirror a file takes the place of.

Invariant: a folder is left only where the daemon itself sees that it is; one that it can't look into isn't, nor one
whose mirrored file alone is gone (on another branch, say). And no mirror is moved but where somebody asked for one. A
spool goes with its folder: whoever has its token has all that can be had through it, wherever that lies.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator
from hmac import compare_digest
from typing import Final

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.requests.mirrors import MirrorOn
from moot_protocol.spool.files import FOLDER, TOKEN_FILE, decode_token
from moot_protocol.spool.project_folder import WORKSPACE_FILE
from mootd.engine.machine.mirrors import MirrorRow
from mootd.files import MirrorFile

GONE: Final = "the file is gone; what it held stays here; moved with its project? `moot mirror on` there lets it go on"
_GIT: Final = ".git"
Files = Callable[[str, str], MirrorFile]
"""Makes a file of a folder and a path in it."""


def holds(files: Files, folder: str, workspace: str) -> bool:
    """Whether a folder is a workspace's: its file says so."""
    try:
        content = files(folder, WORKSPACE_FILE).read()
    except RefusedError:
        return False
    return content.partition(b"\n")[0].strip() == workspace.encode()


def is_left(files: Files, folder: str, workspace: str) -> bool:
    """Whether a folder is surely a workspace's no more."""
    try:
        content = files(folder, WORKSPACE_FILE).read()
    except RefusedError as error:
        return error.code is Code.NOT_FOUND
    return content.partition(b"\n")[0].strip() != workspace.encode()


def holds_spool(files: Files, folder: str, secret: bytes) -> bool:
    """Whether a folder has the spool that this is the secret of: its token lies there."""
    try:
        token = decode_token(files(folder, f"{FOLDER}/{TOKEN_FILE}").read())
    except (RefusedError, MalformedError):
        return False
    return compare_digest(token.secret, secret)


def is_gone(files: Files, row: MirrorRow) -> bool:
    """Whether a mirror's file is gone, and the workspace's folder with it, or the linked work tree that it lay in."""
    try:
        if files(row.folder, row.file).stamp() is not None:
            return False
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            return False
    return not any(
        not is_left(files, folder, row.workspace) or _is_work_tree(files, folder) for folder in _upward(row.folder)
    )


def _is_work_tree(files: Files, folder: str) -> bool:
    """Whether a folder is a linked work tree's: it has a file of that name, where a repository has a folder."""
    try:
        return files(folder, _GIT).stamp() is not None
    except RefusedError:
        return False


def predecessor(files: Files, rows: Iterable[MirrorRow], request: MirrorOn, plane: bytes) -> MirrorRow | None:
    """The mirror whose file is gone and whose place in its workspace a file has; the last changed of several.

    Args:
        files: makes a file.
        rows: all mirrors.
        request: which file is to be a mirror.
        plane: the id of its project's plane.
    """
    wanted = (request.file, request.workspace, request.project, plane)
    alike = [row for row in rows if (row.file, row.workspace, row.project, row.plane) == wanted]
    if not request.workspace or not alike:
        return None
    root = next((folder for folder in _upward(request.folder) if holds(files, folder, request.workspace)), None)
    if root is None:
        return None
    below = request.folder[len(root) :]
    found = [row for row in alike if row.folder.endswith(below) and is_gone(files, row)]
    return min(found, key=lambda row: (row.folder.count("/"), -row.changed_ms), default=None)


def _upward(folder: str) -> Iterator[str]:
    """A folder and those around it, without the root of all."""
    while folder.rstrip("/"):
        yield folder
        folder = posixpath.dirname(folder)
