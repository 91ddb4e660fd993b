"""Single values of MessagePack: the shortest form of each, and what is refused because it is another."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.codec import encode
from moot_testkit.vectors.form import packed

NUMBERS: Final = {
    "fixint": (0, 127, -1, -32),
    "u8": (128, 255), "u16": (256, 65_535), "u32": (65_536, 2**32 - 1), "u64": (2**32, 2**53, 2**64 - 1),
    "i8": (-33, -128), "i16": (-129, -32_768), "i32": (-32_769, -(2**31)), "i64": (-(2**31) - 1, -(2**53), -(2**63)),
    "float64": (0.0, -0.0, 1.0, -2.0, 0.1, 5e-324, 1.7976931348623157e308, 2.0**64),
}  # fmt: skip
SIZED: Final[dict[str, list[Any]]] = {
    "text": ["", "a" * 31, "ü" * 16, "a" * 255, "a" * 256],
    "bytes": [b"", bytes(255), bytes(256)],
    "array": [[], [None] * 15, [None] * 16, [None] * 256],
    "map": [{}, {f"{at:02}": None for at in range(15)}, {f"{at:02}": None for at in range(16)}],
}
KEYS: Final = {
    "a key before one that it begins": ["aa", "a"],
    "upper case before lower case": ["a", "Z"],
    "the empty key first": ["a", ""],
    "keys by their bytes in UTF-8, not by 16-bit units": ["\U00010000", "\uffff"],
    "a digit before a letter before a letter with a diaeresis": ["ä", "b", "1"],
}
TEXTS: Final = {
    "a text with U+0000": "\0",
    "a text with a byte order mark": "\ufeffa",
    "a text that is not in a normal form stays as it is": "u\u0308\u00fc",
    "a text beyond 16-bit units": "\U0001f600",
}
LEVELS: Final = 16
"""How many arrays and maps may stand in one another; the `[salt, …]` of an event is one of them."""

REFUSED: Final = {
    "u8 for 127": "cc7f",
    "u16 for 255": "cd00ff",
    "u32 for 65535": "ce0000ffff",
    "u64 for 1": "cf0000000000000001",
    "i8 for -32": "d0e0",
    "i8 for 5": "d005",
    "i64 for 2**31": "d30000000080000000",
    "float32": "ca3f800000",
    "not a number": "cb7ff8000000000000",
    "infinity": "cb7ff0000000000000",
    "minus infinity in an array": "91cbfff0000000000000",
    "str8 for one character": "d90161",
    "str16 for one character": "da000161",
    "bin16 for one byte": "c5000161",
    "array16 for one element": "dc000101",
    "array32 for one element": "dd0000000101",
    "map16 for one key": "de0001a16101",
    "keys that descend": "82a16201a16101",
    "keys by length instead of bytes": "82a16201a2616101",
    "keys by 16-bit units": "82a4f090808001a3efbfbf02",
    "a key twice": "82a16101a16102",
    "a key that is a number": "810102",
    "a key that is nil": "81c002",
    "a key that is bytes": "81c4016102",
    "a timestamp of 4 bytes": "d6ff00000001",
    "a timestamp of 8 bytes": "d7ff0000000000000001",
    "a timestamp of 12 bytes": "c70cff000000000000000000000001",
    "a timestamp in an array": "91d6ff00000001",
    "an extension type": "d40500",
    "extension type 1, which stands for absent values only": "c72001" + "00" * 32,
    "str32 for one character": "db0000000161",
    "bin32 for one byte": "c60000000161",
    "map32 for one key": "df00000001a16101",
    "a mark that is never used": "c1",
    "text that is no UTF-8": "a1ff",
    "text with a surrogate": "a3eda080",
    "text in an overlong form": "a2c080",
    "something behind the value": "0102",
    "nothing": "",
    "a text that ends too early": "a261",
    "an array of more elements than there are": "ddffffffff",
}


def in_array(inner: Any) -> Any:
    """An array of one element."""
    return [inner]


def in_map(inner: Any) -> Any:
    """A map of one key."""
    return {"a": inner}


NESTED: Final = {"arrays": in_array, "maps": in_map}


def accepted() -> dict[str, Any]:
    """name → value."""
    found: dict[str, Any] = {}
    for form, numbers in NUMBERS.items():
        found |= {f"{form}: {number!r}": number for number in numbers}
    for form, values in SIZED.items():
        found |= {f"{form} of {len(value.encode() if isinstance(value, str) else value)}": value for value in values}
    for name, keys in KEYS.items():
        found[name] = {key: at for at, key in enumerate(keys)}
    for name, nest in NESTED.items():
        found[f"{LEVELS} {name} in one another"] = nested(nest, LEVELS)
    return found | TEXTS | {"nil": None, "false": False, "true": True}


def nested(within: Callable[[Any], Any], levels: int) -> Any:
    """Arrays or maps in one another, the innermost around nil."""
    value = None
    for _ in range(levels):
        value = within(value)
    return value


def vectors() -> dict[str, Any]:
    """Values in their only encoding, with `decoded`; and bytes that are no value."""
    found = {name: packed("to be accepted", encode(value)) for name, value in accepted().items()}
    refused = {name: bytes.fromhex(data) for name, data in REFUSED.items()}
    for name, nest in NESTED.items():
        refused[f"{LEVELS + 1} {name} in one another"] = encode(nested(nest, LEVELS + 1))
    return found | {
        name: {"says": "to be refused", "hex": data.hex(), "holds": False} for name, data in refused.items()
    }
