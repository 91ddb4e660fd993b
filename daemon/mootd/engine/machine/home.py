"""Whether this data directory is still where it was: a copy that writes beside its original forks every feed it has.

Invariant: a directory that was found on another machine and in another folder at once is taken for a copy, and writes
nothing until somebody has said which it is: `moot salvage` gives it a key of its own, `moot salvage --moved` says that
nothing runs from the old place. Where only one of the two differs it is told and goes on: machine ids and folders
change for other reasons too. A cloned machine whose id stayed can't be noticed here; the fork of its feed will be.
"""

from enum import StrEnum
from typing import Final

import msgspec

from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.ports import Home
from mootd.store.port import Reader, Table


class Found(StrEnum):
    """What a start found."""

    SAME = "same"
    MOVED = "moved"
    """One of machine and folder is another than at the last start."""
    COPIED = "copied"
    """Both are."""


OF_BACKUP: Final = b"backup"
"""What marks the log in a backup as a copy, wherever it is put back; another copy's mark says nothing."""

_decode: Final = msgspec.msgpack.Decoder(Home).decode


def note_home(unit: Unit, home: Home) -> Found:
    """Note where the directory lies at a start, and what that says."""
    kept = unit.transaction.get(Table.META, layout.HOME)
    found = Found.SAME if kept is None else _compared(_decode(kept), home)
    unit.transaction.put(Table.META, layout.HOME, msgspec.msgpack.encode(home))
    if found is Found.COPIED and not is_copied(unit.transaction):
        unit.transaction.put(Table.META, layout.COPIED, b"")
    return found


def is_noted(reader: Reader, home: Home) -> bool:
    """Whether just that was noted: nothing need be written then, and a start doesn't wait for the disk."""
    return reader.get(Table.META, layout.HOME) == msgspec.msgpack.encode(home)


def _compared(before: Home, now: Home) -> Found:
    differing = [before.folder != now.folder, bool(before.machine and now.machine and before.machine != now.machine)]
    return (Found.SAME, Found.MOVED, Found.COPIED)[sum(differing)]


def is_copied(reader: Reader) -> bool:
    """Whether the directory was found to be a copy, and nobody has said since what it is."""
    return reader.get(Table.META, layout.COPIED) is not None


def is_of_backup(reader: Reader) -> bool:
    """Whether the copy is one that `moot backup` made."""
    return reader.get(Table.META, layout.COPIED) == OF_BACKUP
