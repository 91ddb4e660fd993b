"""Ids: issue ids and how they are shortened, and the text forms of keys and hashes.

An issue id is `<prefix>-<12 lowercase Crockford base32 characters>` from 60 random bits, never from content or
counters: two machines offline must not collide. Imported ids are kept as they are.
"""

import base64
import binascii
import re
from typing import Final

from moot_protocol.errors import RefusedError
from moot_protocol.limits import ENTITY_BYTES, ID_PREFIX_CHARS

CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
ID_CHARS: Final = 12
WISP: Final = "wisp-"
"""Stands between the project's part and the random one in the ids that Beads gives its wisps."""
ID_ENTROPY_BYTES: Final = 8
"""Bytes of entropy an issue id is made from; 60 of their bits are used."""

_PREFIX: Final = re.compile(rf"[a-z0-9](?:[a-z0-9._-]{{0,{ID_PREFIX_CHARS - 2}}}[a-z0-9])?", re.IGNORECASE | re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def base32(entropy: bytes, chars: int) -> str:
    """The lowest `5 * chars` bits of `entropy` as lowercase Crockford base32."""
    number = int.from_bytes(entropy, "big")
    return "".join([CROCKFORD[(number >> shift) & 31] for shift in range(5 * (chars - 1), -1, -5)])


def issue_id(prefix: str, entropy: bytes) -> str:
    """A new issue id from a project's prefix and 8 random bytes."""
    return f"{prefix}-{base32(entropy, ID_CHARS)}"


def chars_shown(issue: str, chars: int) -> int:
    """How many leading characters of an id are shown where at least `chars` of them are wanted.

    The id of a child, `bd-a1b2.12`, is cut before the end of its parent's or not at all: `bd-a1b2` would be taken
    for that, `bd-a1b2.1` for another child's, and `bd-a1b2.` looks unfinished.
    """
    dot = issue.find(".", issue.rfind("-") + 1)
    return len(issue) if 0 <= dot <= chars else min(chars, len(issue))


def check_prefix(prefix: str) -> str:
    """Return a project's prefix if it can stand in ids.

    Raises:
        RefusedError: it is empty, too long, or has characters that a shell or a URL would trip over.
    """
    if not _PREFIX.fullmatch(prefix):
        raise RefusedError(
            f"{prefix!r} can't be an issue prefix",
            hint=f"use 1 to {ID_PREFIX_CHARS} letters, digits, dots, hyphens or underscores, "
            "a letter or digit at both ends",
        )
    return prefix


def entity_problem(entity: str) -> str | None:
    """What is wrong with an entity's id, or None. Control characters would break keys and terminals.

    Deliberately not by Unicode categories: those change with the Unicode version, and this rule decides acceptance.
    """
    if entity.isascii() and entity.isprintable() and 0 < len(entity) <= ENTITY_BYTES:
        return None  # as nearly all are
    if not entity:
        return "an empty id"
    if _CONTROL.search(entity):
        return "an id with control characters, or with what is no character at all"
    if len(entity.encode()) > ENTITY_BYTES:
        return f"an id of more than {ENTITY_BYTES} bytes"
    return None


def line_problem(name: str) -> str | None:
    """What keeps a name from being one line that any terminal shows, or None."""
    return "line breaks or other control characters" if _CONTROL.search(name) else None


KEY_BEGINNING_CHARS: Final = 4
"""Least characters of a key that stand for it."""
KEY_CHARS: Final = 43
"""Characters of a key's text."""
_URLSAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST: Final = frozenset("AEIMQUYcgkosw048")
"""What the last of 43 characters may be: it stands for 4 bits of a key and two zeros."""
_STANDARD: Final = bytes(
    b"+/"[b"-_".index(char)] if char in b"-_" else char if char in _URLSAFE else 0 for char in range(256)
)
"""Character → what it is in base64 as others write it; 0, which is refused, for what stands in no key's text."""


def key_text(key: bytes) -> str:
    """A 32-byte key or hash as 43 characters of unpadded base64url: fits the limit of 64 bytes a field's key has."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def key_word(key: str) -> str:
    """A key's text, or how it begins, as the last word of a command: after `--` where it would be taken for flags."""
    return f"-- {key}" if key.startswith("-") else key


def key_begins(key: bytes, typed: str) -> bool:
    """Whether somebody who typed the beginning of a key's text may mean that key."""
    return len(typed) >= KEY_BEGINNING_CHARS and key_text(key).startswith(typed)


def key_from_text(text: str) -> bytes | None:
    """The 32 bytes behind `key_text`, or None where the text is nothing of the kind."""
    if len(text) != KEY_CHARS or text[-1] not in _LAST:
        return None
    try:
        return binascii.a2b_base64(text.encode("ascii").translate(_STANDARD) + b"=", strict_mode=True)
    except ValueError:
        return None
