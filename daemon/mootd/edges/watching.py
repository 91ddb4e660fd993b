"""Noticing that a mirrored file changes: the system tells (through `watchfiles`), or it is looked at every second.

A network file system doesn't tell of what other machines do, so there, and where the system refuses to tell, files
are looked at. The folder is watched and not the file, since most programs put a new file in its place.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mootd.files import Watch

STEP_MS: Final = 100
"""How long nothing may happen before what happened is told."""
LOOK_S: Final = 1.0
"""How often a file is looked at that nobody tells of."""
JOIN_S: Final = 5.0
NETWORKS: Final = frozenset(
    {
        "9p", "afs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
        "vmhgfs",
    }
)  # fmt: skip
"""File systems on which others may write without this machine being told."""


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that a path lies on; empty where that isn't known.

    Args:
        path: an absolute path without links.
        mounts: the content of /proc/self/mountinfo.
    """
    best, found = "", ""
    for line in mounts.splitlines():
        own, _, rest = line.partition(" - ")
        words = own.split(" ")
        if len(words) < 5 or not rest:
            continue
        point = words[4].encode().decode("unicode_escape").rstrip("/")
        if (path == point or path.startswith(f"{point}/")) and len(point) >= len(best):
            best, found = point, rest.partition(" ")[0]
    return found


def is_on_network(path: str) -> bool:
    """Whether others may write to a path without this machine being told."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return file_system(str(Path(path).resolve()), mounts) in NETWORKS


class SystemWatcher:
    """Watches files of this machine, each with a thread."""

    def watch(self, folder: str, file: str, changed: Callable[[], None], *, poll: bool) -> Watch:
        """Watch a file."""
        path = Path(folder, file)
        return _FileWatch(path, changed, polls=poll or is_on_network(str(path.parent)))


class _FileWatch:
    def __init__(self, path: Path, changed: Callable[[], None], *, polls: bool) -> None:
        self._path = path
        self._changed = changed
        self._polls = polls
        self._stop = threading.Event()
        self._folder = (0, 0)
        self._thread = threading.Thread()
        self._start()

    @property
    def polls(self) -> bool:
        """Whether it is looked at now and then."""
        return self._polls

    def refresh(self) -> None:
        """Begin again if the folder is another one, or the thread has ended."""
        if not self._polls and (self._folder != _identity(self._path.parent) or not self._thread.is_alive()):
            self.close()
            self._start()
            self._changed()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)

    def _start(self) -> None:
        self._stop = threading.Event()
        self._folder = _identity(self._path.parent)
        work = self._look if self._polls else self._listen
        self._thread = threading.Thread(target=work, args=(self._stop,), name="mirror-watch", daemon=True)
        self._thread.start()

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            self._changed()

    def _listen(self, stop: threading.Event) -> None:
        import watchfiles  # noqa: PLC0415 - with what it stands on it takes long to load, and many have no mirror

        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # else a line for every change
        name = self._path.name
        try:
            for _ in watchfiles.watch(
                self._path.parent,
                watch_filter=lambda _, path: os.path.basename(path) == name,  # noqa: PTH119 - called for every file
                step=STEP_MS,
                debounce=4 * STEP_MS,
                rust_timeout=0,
                stop_event=stop,
                raise_interrupt=False,
                recursive=False,
                ignore_permission_denied=True,
            ):
                self._changed()
        except (OSError, RuntimeError):
            # The system tells of no more files, or the folder is gone: `refresh` tries again, and until then we look.
            self._look(stop)


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
