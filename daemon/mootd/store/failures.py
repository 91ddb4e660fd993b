"""What a store says when it cannot go on: what was wrong, where, what became of the data, and what to do."""

import os
import resource
from pathlib import Path
from typing import Final

from moot_protocol.errors import Code, RefusedError

_WORDS: Final = {
    Code.STORE_FULL: (
        "no space is left for the store in {folder} ({reason}); this write was not kept, everything before it was",
        "make space on that disk (or, if there is plenty, raise the limit on address space), then try again",
    ),
    Code.STORE_READ_ONLY: (
        "the store in {folder} cannot be written ({reason}); nothing in it was changed",
        "make the folder writable for this user, or its file system writable",
    ),
    Code.STORE_DAMAGED: (
        "the store in {folder} is damaged, or not one of Moot's ({reason}); nothing readable in it was changed",
        "check the disk, keep a copy of these files, and restore a backup beside them",
    ),
    Code.NOT_FOUND: ("there is no store in {folder} ({reason})", "name a folder that holds one"),
    Code.LIMIT: ("a key of the store has 1 to 511 bytes", ""),
    Code.BUSY: ("the store in {folder} cannot take more at once ({reason})", "try again in a moment"),
}
"""What to say of each, and what to do."""
_RETRYABLE: Final = frozenset({Code.STORE_FULL, Code.BUSY})
_NEARLY_FULL_BYTES: Final = 1 << 20
"""Free space below which a write cut short is blamed on the disk being full."""


def refused(code: Code, folder: Path | str, reason: str) -> RefusedError:
    """The error with one of the store's codes.

    Args:
        code: `store_full`, `store_read_only`, `store_damaged`, `not_found`, `limit` or `busy`.
        folder: where the store is.
        reason: the words of whoever noticed.
    """
    message, hint = _WORDS[code]
    return RefusedError(
        message.format(folder=folder, reason=reason), code=code, hint=hint, retryable=code in _RETRYABLE
    )


def ran_out_of_space(file: Path) -> bool:
    """Whether an I/O error on a file was a write that ended early for want of space, which LMDB reports alike.

    Such a write took all there was, so afterwards the disk is full or the file as large as it may be.
    """
    space = os.statvfs(file.parent)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    too_large = limit != resource.RLIM_INFINITY and file.stat().st_size >= limit
    return space.f_bavail * space.f_frsize < _NEARLY_FULL_BYTES or too_large
