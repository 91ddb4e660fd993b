"""A stream of bytes as lines of JSON: cut into lines however it comes in chunks, and refused if it is one document.

No more than the longest line and a chunk are held at once.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from moot_protocol import limits
from moot_protocol.errors import RefusedError
from moot_protocol.text.json_text import UNREADABLE

LINE_BYTES: Final = 2 * limits.MIB
"""Bytes of the longest line taken in; an issue whose every field is full is far below that."""
_HEAD_BYTES: Final = 64 * limits.KIB
"""Bytes in which two lines are looked for."""
_LINES: Final = 2
"""Whole lines that tell a document from lines."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_opens_document: Final = re.compile(rb"\[\s*(?:\{|$)|\{\s*$").match
"""Whether a line begins an array of objects, or nothing but opens one: no object that stands on a line begins so."""


def split_lines(chunks: Iterable[bytes], most: int = LINE_BYTES) -> Iterator[bytes | None]:
    """The lines of a stream without their ends, however it is cut into chunks; None for one of more than `most` bytes.

    No more than `most` bytes and a chunk are held at once.
    """
    rest = b""
    skipping = False
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest += first
        for other in others:
            yield None if skipping or len(rest) > most else rest
            rest, skipping = other, False
        if len(rest) > most:
            rest, skipping = b"", True
    if skipping or len(rest) > most:
        yield None
    elif rest:
        yield rest


class CountedLines:
    """Lines that are counted as they are taken."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines
        self._count = 0

    def __iter__(self) -> Iterator[bytes | None]:
        """The lines that have not been taken yet."""
        for line in self._lines:
            self._count += 1
            yield line

    def all(self) -> int:
        """How many there are, the rest passed over."""
        return self._count + sum(1 for _ in self._lines)


def no_document(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The chunks of a stream, as they are.

    Args:
        chunks: the stream's.
        name: what to call it in an error.

    Raises:
        RefusedError: `invalid`: it is one JSON document, an array of objects or one that goes over several lines.
    """
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) > _HEAD_BYTES or len(_filled(head)) > _LINES:
            break
    first, second, *_ = *_filled(head), b"", b""
    if _opens_document(first) and not (second and (_is_object(second) or _is_json(first))):
        parts, them = (".[]", "its objects") if first.startswith(b"[") else (".", "each object")
        raise RefusedError(
            f"{name} is one JSON document; import needs one object a line (JSONL)",
            hint=f"`jq -c '{parts}' FILE > lines.jsonl` writes {them} on lines; then `moot import lines.jsonl`",
        )
    yield head
    yield from rest


def _filled(head: bytes) -> list[bytes]:
    """The lines that something stands in, without blanks at their ends."""
    return [line for line in map(bytes.strip, head.removeprefix(_BYTE_ORDER_MARK).split(b"\n")) if line]


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNREADABLE:
        return False
    return True


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and _is_json(line)
