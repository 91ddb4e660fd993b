"""Canonical MessagePack: one value has exactly one encoding, and decoding accepts no other.

Shortest forms only, floats as finite float64, maps with text keys in ascending order and no duplicates, no extension
types but those a caller names. Canonicity is checked by encoding what was decoded and comparing bytes, which covers
every one of these rules at the speed of the encoder.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from moot_protocol.errors import Code, MalformedError
from moot_protocol.limits import NESTING

T = TypeVar("T")

encode: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder(order="deterministic").encode
"""The canonical encoding of a value. Maps must have text keys; raises TypeError for what has no encoding."""

_decode_any: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder().decode

FLOAT64: Final = 0xCB
"""The MessagePack byte that starts a float64: values without it hold no float, which spares a walk."""


def decoder(shape: type[T]) -> Callable[[bytes], T]:
    """Make a strict decoder for a msgspec type.

    The returned function raises MalformedError with code `bad_structure` (not of this shape, or not MessagePack at
    all) or `not_canonical` (of this shape but not in its only encoding).
    """
    loose: Callable[[bytes], T] = msgspec.msgpack.Decoder(shape).decode

    def strict(data: bytes) -> T:
        try:
            value = loose(data)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"not a {shape.__name__}: {error}") from error
        if encode(value) != data:
            raise MalformedError(f"a {shape.__name__} that is not in its canonical encoding", code=Code.NOT_CANONICAL)
        return value

    return strict


def decode_value(data: bytes) -> Any:
    """Decode one untyped value strictly.

    Raises:
        MalformedError: not MessagePack, not canonical, an extension type, a NaN or infinity, or nested too deeply.
    """
    try:
        value = _decode_any(data)
        canonical = encode(value) == data
    except (ValueError, RecursionError, TypeError) as error:
        raise MalformedError(f"not a value: {error}") from error
    if not canonical:
        raise MalformedError("a value that is not in its canonical encoding", code=Code.NOT_CANONICAL)
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
    if isinstance(value, list | tuple):
        for element in value:
            check_plain(element, depth - 1)
    elif isinstance(value, dict):
        for key, element in value.items():
            if not isinstance(key, str):
                raise MalformedError("a map key that is not text")
            check_plain(element, depth - 1)
    else:
        raise MalformedError(f"a value of type {type(value).__name__}")
