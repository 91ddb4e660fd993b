"""TOML written from plain values: what is read again is what was written.

Tables and arrays of tables of the top level stand under headings, one field a line; what is inside them is inline.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from moot_protocol.errors import RefusedError
from moot_protocol.text.toml_text import quoted


def to_toml(document: Mapping[str, Any]) -> str:
    """A table as a TOML document. Fields that are None are left out, since TOML has no such value.

    Raises:
        RefusedError: a value is of a type that TOML doesn't have.
    """
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    tables = {name: value for name, value in document.items() if _is_table(value) or _is_array_of_tables(value)}
    yield from _fields({name: value for name, value in document.items() if name not in tables})
    for name, value in tables.items():
        for table in value if isinstance(value, list) else (value,):
            yield ""
            yield f"[[{_key(name)}]]" if isinstance(value, list) else f"[{_key(name)}]"
            yield from _fields(table)


def _fields(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if value is not None:
            yield f"{_key(name)} = {_value(value)}"


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case list() | tuple():
            return f"[{', '.join(_value(each) for each in value if each is not None)}]"
        case Mapping():
            return f"{{ {', '.join(_fields(value))} }}" if value else "{}"
        case _:
            raise RefusedError(f"TOML has no {type(value).__name__}")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else quoted(name)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))
