"""How golden vectors stand in their files: bytes as hexadecimal digits, beside what they decode to."""

from typing import Any

from msgspec.msgpack import Ext, decode


def shown(value: Any) -> Any:
    """A decoded value as JSON: what JSON has no way to tell apart as an object of one key (see the folder's README)."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Ext):
        return {"ext": value.code, "bytes": bytes(value.data).hex()}
    if isinstance(value, dict):
        return {"map": {key: shown(element) for key, element in value.items()}}
    if isinstance(value, list | tuple):
        return [shown(element) for element in value]
    return _number(value) if type(value) in {int, float} else value


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return {"float": repr(value)} if value.is_integer() else value
    return {"int": str(value)} if abs(value) >= 2**53 else value


def packed(says: str, data: bytes) -> dict[str, Any]:
    """Bytes that are MessagePack, beside what they decode to."""
    return {"says": says, "hex": data.hex(), "decoded": shown(decode(data))}


def plain(says: str, data: bytes) -> dict[str, Any]:
    """Bytes that are a key, hash or signature."""
    return {"says": says, "hex": data.hex()}
