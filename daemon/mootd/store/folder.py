"""A folder that belongs to one user and, while its store is open, to one process.

The lock is `flock` on a file of our own, held by an open descriptor: the system releases it however the process ends,
so it is never stale, and unlike `fcntl` locks it also keeps a second opening in the same process out.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from moot_protocol.errors import Code, RefusedError

_OWNER: Final = "owner"
"""The file that is locked; holds the process id of who opened the folder last, or blanks once that one closed it."""
_OWNER_BYTES: Final = 16


def make_private(folder: Path) -> None:
    """Make a folder and what leads to it, durably, and close it to other users.

    Raises:
        OSError: as the system says.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: as the system says.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take(folder: Path, *, read_only: bool) -> int:
    """Take a folder for this process; the descriptor returned holds it until `give_back`, or the end of the process.

    Args:
        folder: exists.
        read_only: also take one that cannot be written.

    Raises:
        RefusedError: `store_locked` if it is taken, by this process or another.
        OSError: as the system says.
    """
    path = folder / _OWNER
    if not read_only or os.access(folder, os.W_OK):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    else:
        # Nothing can be made here: without the file of an earlier owner, the folder itself is locked.
        descriptor = os.open(path if path.exists() else folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _note_owner(descriptor, str(os.getpid()))
    except OSError as error:
        let_go(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        owner = _owner(path)
        raise RefusedError(
            f"the store in {folder} is already in use" + (f", last opened by process {owner}" if owner else ""),
            code=Code.STORE_LOCKED,
            hint="use the daemon that runs, or stop it first; one that was started with another XDG_RUNTIME_DIR, as by "
            "cron, serves at another socket",
        ) from error
    return descriptor


def give_back(descriptor: int) -> None:
    """Let others take the folder.

    Raises:
        OSError: as the system says.
    """
    try:
        _note_owner(descriptor, "")
    finally:
        let_go(descriptor)


def let_go(descriptor: int) -> None:
    """Let others take the folder whose opening failed: as `give_back`, with the file left as it is.

    Raises:
        OSError: as the system says.
    """
    try:
        # Closing is not enough: a program that another thread is starting has a copy of the descriptor until its exec.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _note_owner(descriptor: int, owner: str) -> None:
    """Write who has the folder, always in the same bytes: on a full disk only those already there can be written."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_RDWR:
        os.pwrite(descriptor, owner.ljust(_OWNER_BYTES - 1).encode() + b"\n", 0)


def _owner(path: Path) -> str:
    text = path.read_bytes()[:_OWNER_BYTES].strip() if path.exists() else b""
    return text.decode() if text.isdigit() else ""
