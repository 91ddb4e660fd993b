"""JSON values kept as text: exact, canonical and safe to read back.

Integers keep all their digits and floats stay floats (1.0 is not 1). Text in canonical form has its names in order,
so that equal values have equal texts. Refused on both ways: NaN and infinities, lone surrogates (they have no UTF-8),
and nesting beyond `JSON_NESTING`.
"""

import json
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from moot_protocol.limits import JSON_NESTING

_pack: Final = msgspec.msgpack.Encoder().encode
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding others' JSON into a type may end in: it has another form, is no UTF-8, or is nested too deeply."""

_encode: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode
_encode_in_order: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"a number out of range: {digits[:20]}")
    return number


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


_decode: Final[Callable[[str], Any]] = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse).decode


def to_text(value: Any) -> str:
    """A JSON value in canonical form.

    Raises:
        ValueError: it can't be kept; the message says why, as what the value is or has.
    """
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise ValueError("text with half a character (a lone surrogate)") from None
    except ValueError:
        raise ValueError("a number out of range") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > JSON_NESTING:
        _check_depth(value)
    return text


def from_text(text: str) -> Any:
    """The value of a JSON text, canonical or not.

    Raises:
        ValueError: it is no JSON, or a value that `to_text` would refuse.
    """
    try:
        value = _decode(text)
        if "\\u" in text:
            _encode_in_order(value).encode()
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > JSON_NESTING:
        _check_depth(value)
    return value


def to_line(value: Any) -> bytes:
    """A JSON value as one line of UTF-8 without its end, names in the order given.

    Raises:
        ValueError: it holds what JSON or UTF-8 can't.
    """
    return _encode_in_order(value).encode()


_TOO_DEEP: Final = f"nested deeper than {JSON_NESTING} levels"


def _check_depth(value: Any) -> None:
    # By levels and not by recursion: how deep the stack stands already must not show.
    level = [value]
    for _ in range(JSON_NESTING + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        level = [part for item in containers for part in (item.values() if isinstance(item, dict) else item)]
    raise ValueError(_TOO_DEEP)


def to_msgpack(value: Any) -> bytes:
    """A value, JSON's among it, as MessagePack, whose integers end at 64 bits: longer ones become floats, or text."""
    try:
        return _pack(value)
    except OverflowError:
        return _pack(_narrowed(msgspec.to_builtins(value, builtin_types=(bytes,))))


def _narrowed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _narrowed(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_narrowed(each) for each in value]
    if type(value) is not int or -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        return str(value)
