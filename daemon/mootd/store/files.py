"""Files of a store: written out before they are mapped, as long as what is in use of them, and copied whole or not.

Invariant: what `written_whole` writes stands under its name only once it is whole and synced.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mootd.store.folder import sync_folder


def write_out(path: Path, size: int) -> None:
    """Make a file of so many zero bytes, where there is none or a shorter one.

    It has no holes: where the disk is full that shows here, and not when the file is mapped and written to.

    Raises:
        OSError: as the system says.
    """
    if path.exists() and path.stat().st_size >= size:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(size))


def missing_bytes(path: Path, in_use: int) -> int:
    """How many bytes before the end of what is in use a file ends.

    Raises:
        OSError: as the system says.
    """
    return max(0, in_use - path.stat().st_size)


def grow(path: Path, in_use: int) -> None:
    """Let a file that ends early end with what is in use of it, in a hole.

    Raises:
        OSError: as the system says.
    """
    if missing_bytes(path, in_use):
        os.truncate(path, in_use)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[int]:
    """Write a new file: if the block raises, nothing is left of it.

    Yields:
        A descriptor to write to.

    Raises:
        OSError: as the system says.
    """
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
        os.fsync(descriptor)
    except BaseException:
        partial.unlink()
        raise
    finally:
        os.close(descriptor)
    partial.rename(path)
    sync_folder(path.parent)
