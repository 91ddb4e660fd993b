"""A text as part of a key: ended by a zero byte, so that none runs into what follows it."""

from hashlib import sha256
from typing import Final

TEXT_KEY_BYTES: Final = 240
"""Longest text that stands in a key whole; LMDB keys end at 511 bytes."""
_END: Final = b"\0"
_IS_HASHED: Final = b"\1"


def text_key(text: str) -> bytes:
    """A text as part of a key, ended by a zero byte. Long ones, or ones with zero bytes, end in a hash of the whole."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > TEXT_KEY_BYTES or _END in data:
        data = data[: TEXT_KEY_BYTES - 40].replace(_END, b"") + _IS_HASHED + sha256(data).hexdigest()[:32].encode()
    return data + _END


def text_in(part: bytes) -> str | None:
    """The text that `text_key` was given; None where a hash may stand for a part of it."""
    return None if _IS_HASHED in part else part[: -len(_END)].decode("utf-8", "surrogatepass")


def through_text(key: bytes, start: int) -> bytes:
    """A key up to the end of the text that begins at a byte of it."""
    return key[: key.index(_END, start) + len(_END)]
