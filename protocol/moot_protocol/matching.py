"""What parts of a filter mean, whoever holds the issues: the daemon its records, a client the file of a snapshot.

Invariant: both give the same lists, because both ask here; and no pattern is slow, whatever text it meets.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from moot_protocol import json_text
from moot_protocol.listing import Filter


def like(pattern: str) -> Callable[[str], object]:
    """Whether a text is like a pattern, in which `*` stands for anything and `?` for one character.

    What stands between two `*` is taken where it is found first, which is always right, and never looked for again
    (atomic groups): else a pattern of many stars would try every division of a long text.
    """
    first, *rest = ("".join("." if sign == "?" else re.escape(sign) for sign in part) for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL).fullmatch


def id_begins(name: str, typed: str) -> bool:
    """Whether an id begins so, with its prefix or without."""
    return name.startswith(typed) or name.rpartition("-")[2].startswith(typed)


def has_metadata(wanted: Filter, entries: Any) -> bool:
    """Whether an issue's metadata has the entries that a filter names; values are compared as text."""
    if not isinstance(entries, Mapping) or any(name not in entries for name in wanted.has_metadata):
        return False
    return all(name in entries and _as_text(entries[name]) == value for name, value in wanted.metadata.items())


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.to_text(value)
