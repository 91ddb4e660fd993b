"""Canonical MessagePack: one value has exactly one encoding, and decoding accepts no other.

Shortest forms only, floats as finite float64 (−0.0 is one, beside 0.0), maps with text keys in ascending order of their
bytes and no duplicates, no extension types but those a caller names, text that is valid UTF-8, nothing behind the
value. In an event's values 16 arrays and maps may stand in one another, the `[salt, …]` array counted. Canonicity is
checked by encoding what was decoded and comparing bytes, which covers every one of these rules at the speed of the
encoder.
"""

import math
import re
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import msgspec

from moot_protocol.errors import Code, MalformedError
from moot_protocol.limits import NESTING

T = TypeVar("T")

encode: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder(order="deterministic").encode
"""The canonical encoding of a value. Maps must have text keys; raises TypeError for what has no encoding."""

SCALARS: Final = frozenset({str, int, bytes, bool, type(None)})
"""Types of values that are plain by themselves."""

decode_unchecked: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder().decode
"""Decode what this process has encoded itself; anything else goes through a strict decoder."""


def decoder(shape: type[T], version: int | None = None) -> Callable[[bytes], T]:
    """Make a strict decoder for a msgspec type.

    Args:
        shape: the type. What it leaves as `Any` the caller has to hand to `check_plain`.
        version: for a struct as an array whose first element is its format's version (1 to 127): the one that is read.

    The returned function raises MalformedError with code `bad_version` (another version, whatever its shape),
    `bad_structure` (not of this shape, or not MessagePack at all) or `not_canonical` (not in its only encoding).
    """
    loose: Callable[[bytes], T] = msgspec.msgpack.Decoder(shape).decode
    name = re.sub("(?<=[a-z])(?=[A-Z])", " ", shape.__name__.strip("_")).lower()

    def strict(data: bytes) -> T:
        try:
            value = loose(data)
            canonical = encode(value) == data
        except (ValueError, RecursionError, TypeError) as error:
            _check_version(data, version, name)
            raise MalformedError(f"not a {name}: {error}") from error
        if not canonical:
            _check_version(data, version, name)
            raise MalformedError(f"a {name} that is not in its canonical encoding", code=Code.NOT_CANONICAL)
        if version is not None and data[1] != version:  # a canonical array of up to 15 elements, the first a number
            raise MalformedError(f"a {name} of another format", code=Code.BAD_VERSION)
        return value

    return strict


def _check_version(data: bytes, version: int | None, name: str) -> None:
    """Refuse what begins as an array whose first element is another version."""
    mark = data[0] if data else 0
    first = 1 if mark & 0xF0 == 0x90 else 3 if mark == 0xDC else 0  # an array of up to 15, or of more, elements
    claimed = data[first] if 0 < first < len(data) else 0x80
    if version is not None and claimed != version and claimed < 0x80:
        raise MalformedError(f"a {name} of format {claimed}", code=Code.BAD_VERSION)


def decode_value(data: bytes) -> Any:
    """Decode one untyped value strictly.

    Raises:
        MalformedError: not MessagePack, not canonical, an extension type, a NaN or infinity, or nested too deeply.
    """
    try:
        value = decode_unchecked(data)
        canonical = encode(value) == data
    except (ValueError, RecursionError, TypeError) as error:
        raise MalformedError(f"not a value: {error}") from error
    if not canonical:
        raise MalformedError("a value that is not in its canonical encoding", code=Code.NOT_CANONICAL)
    # Nearly always a list of scalars, looked through in C.
    if type(value) is not list or not SCALARS.issuperset(map(type, value)):
        check_plain(value)
    return value


def check_plain(value: Any, depth: int = NESTING) -> None:
    """Check that a decoded value is plain data within the nesting limit.

    Raises:
        MalformedError: it holds an extension type, a NaN or infinity, or nests deeper than `depth`.
    """
    if value is None or isinstance(value, str | int | bytes):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MalformedError("a float that is not a number")
        return
    if depth == 0:
        raise MalformedError(f"nested deeper than {NESTING} levels")
    elements = _elements(value)
    if SCALARS.issuperset(map(type, elements)):  # what nearly all events hold, looked through in C
        return
    for element in elements:
        if type(element) not in SCALARS:
            check_plain(element, depth - 1)


def _elements(value: Any) -> Collection[Any]:
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, dict):
        raise MalformedError(f"a value of type {type(value).__name__}")
    if not all(isinstance(key, str) for key in value):
        raise MalformedError("a map key that is not text")
    return value.values()
