"""Erasures: which values are gone for good, and who may say so.

    kind `erase` · entity: the key of the author whose events are erased · one key for each event: "<n>.<leaf8>"

`<n>` is the event's number in decimal digits, `<leaf8>` the first 8 bytes of its leaf in hexadecimal ones, so that a
name means one event of one branch. All of it stands in the skeleton: an erasure can't be withheld or erased itself.

Invariant: what is erased is a function of the set of accepted events. An accepted erasure counts whatever names it in
`over`, since what is gone can't come back; and only where its author is a replica of the town that the named event's
author belongs to, or an admin. What only admins may write only admins may erase. Events of charters, and of the batch
that holds a certificate, are never erased: who counts rests on their values.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from moot_protocol.ids import key_from_text, key_text
from moot_protocol.issues.issue import WORDED
from moot_protocol.limits import KEYS_PER_EVENT
from moot_protocol.log.event import LEAF_PREFIX_BYTES, PlainDraft, Skeleton
from moot_protocol.merge.kinds import ERASE, Role

WORDS: Final = WORDED | {"delete_reason"}
"""Fields of an issue that hold what people wrote. Beside them names of people can be erased."""
ERASABLE: Final = WORDS | {"owner", "created_by", "closed_by_session"}
"""Fields of an issue whose values can be erased; all others say how it stands."""
TITLE_ERASED: Final = "(erased)"
"""The title of an issue whose own was erased: it has to have one."""

_NUMBER_DIGITS: Final = len(str(2**64))
_LEAF_DIGITS: Final = 2 * LEAF_PREFIX_BYTES
_DIGITS: Final = frozenset("0123456789")
_HEX: Final = frozenset("0123456789abcdef")


class Erased(NamedTuple):
    """One event of an author by name."""

    n: int
    leaf8: bytes
    """The first 8 bytes of its leaf."""


def erasures(author: bytes, names: Iterable[Erased], actor: str) -> list[PlainDraft]:
    """The events that erase these events of an author, as few as limits allow."""
    keys = sorted({key_of(name) for name in names})
    starts = range(0, len(keys), KEYS_PER_EVENT)
    return [
        PlainDraft(ERASE, key_text(author), actor, dict.fromkeys(keys[start : start + KEYS_PER_EVENT]))
        for start in starts
    ]


def key_of(name: Erased) -> str:
    """The key that names an event."""
    return f"{name.n}.{name.leaf8.hex()}"


def name_in(key: str) -> Erased | None:
    """The event that a key names; None for a key that `key_of` doesn't make."""
    digits, dot, leaf = key.partition(".")
    is_number = 0 < len(digits) <= _NUMBER_DIGITS and _DIGITS.issuperset(digits) and digits[0] != "0"
    if not dot or not is_number or len(leaf) != _LEAF_DIGITS or not _HEX.issuperset(leaf):
        return None
    n = int(digits)
    return Erased(n, bytes.fromhex(leaf)) if n < 2**64 else None


def author_in(entity: str) -> bytes | None:
    """Whose events an entity's erasures name; None for an entity that is nobody's."""
    return key_from_text(entity)


def names_in(skeleton: Skeleton) -> set[Erased]:
    """The events that an event of this kind names."""
    names = (name_in(change.key) for change in skeleton.changes if not change.removes)
    return {name for name in names if name is not None}


def may_erase(role: Role, town: bytes, of_town: bytes, *, is_for_admins: bool = False) -> bool:
    """Whether a replica may erase what a replica wrote.

    Args:
        role: the effective role of who erases.
        town: the town's key that it belongs to.
        of_town: that of who wrote.
        is_for_admins: whether it is what only admins may write.
    """
    return role is Role.ADMIN or (role is Role.WRITER and town == of_town and not is_for_admins)
