"""The one merge primitive: an observed-remove multi-value map per entity.

For each accepted event `d` and each `(key, over, removes)` in it

    live[key] := (live[key] − over) ∪ {d's value}        unless it removes, or is already superseded

and an `over` that names an event not yet here is remembered until it comes, so that
`live(key) = writes(key) − ⋃ over(key)`: a function of the set of events, whatever their order. Policies
(`policies.py`) only read what is live.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias


class Missing:
    """The value of a write whose values are withheld, erased or malformed."""

    __slots__ = ()

    def __repr__(self) -> str:
        """How it shows in test output."""
        return "MISSING"


MISSING: Final = Missing()


class Sibling(NamedTuple):
    """One live value of a key."""

    value: Any
    """The value, or MISSING."""
    hlc: int
    author: bytes
    """The author's 32-byte key."""
    n: int
    actor: str = ""
    leaf8: bytes = b""
    """The first 8 bytes of its event's leaf, which tell it from an event of the same number on another branch."""

    @property
    def rank(self) -> tuple[int, bytes, int]:
        """The order in which policies choose: (hlc, author, n)."""
        return (self.hlc, self.author, self.n)


Live: TypeAlias = Mapping[str, Sequence[Sibling]]
"""What is live in an entity: key → siblings, in no particular order."""
