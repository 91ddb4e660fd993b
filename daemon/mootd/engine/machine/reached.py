"""When a remote was last reached, for whoever asks after a restart. Bookkeeping of this machine.

Invariant: what is kept is a moment at which it was reached, and not always the last one: that is known while the
daemon runs, and is kept now and then and when it ends.
"""

from typing import Final

from mootd.engine.machine.remotes import check_is_there
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

_MS_BYTES: Final = 8


def note_reached(unit: Unit, remote: int, at_ms: int) -> None:
    """Keep that a remote was reached at a moment, by the wall clock.

    Raises:
        RefusedError: `not_found`: it was removed.
    """
    check_is_there(unit.transaction, remote)
    unit.transaction.put(Table.META, layout.reached_key(remote), at_ms.to_bytes(_MS_BYTES, "big"))


def reached_ms(reader: Reader, remote: int) -> int:
    """When a remote was reached, as far as that was kept; 0 for never."""
    return int.from_bytes(reader.get(Table.META, layout.reached_key(remote)) or b"", "big")
