"""Planes that may leave this machine, as a type of their own.

Invariant: an operational plane can't become a `SharedPlane`, and nothing is exchanged of anything else.
"""

from typing import Final, final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.stored.log import PlaneRow

SHARED_KINDS: Final = frozenset({PlaneKind.LEDGER, PlaneKind.FEDERATION})


@final
class SharedPlane:
    """A plane that may leave this machine. There is none for an operational plane.

    Raises:
        RefusedError: `denied`: the plane is operational, or of a kind whose sharing rule isn't known here.
    """

    __slots__ = ("_row",)

    def __init__(self, row: PlaneRow) -> None:
        if row.kind not in SHARED_KINDS:
            raise RefusedError(f"plane {row.name} is {row.kind or 'of no kind'}: it stays here", code=Code.DENIED)
        self._row = row

    @property
    def id(self) -> bytes:
        """The plane's 16 bytes."""
        return self._row.id

    @property
    def number(self) -> int:
        """The plane's local number."""
        return self._row.number

    @property
    def town(self) -> bytes:
        """The key of the town whose charter speaks of this plane's members."""
        return self._row.town
