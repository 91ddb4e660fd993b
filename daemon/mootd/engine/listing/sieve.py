"""A first look at a packed record: whether it may hold what is looked for, before anything of it is decoded.

Invariant: a sieve never says no of a record that would match. A text that is looked for stands in the record as it
would be found: as UTF-8, letters of either case. What folds to ASCII letters without being any is let through.
"""

import re
from collections.abc import Callable
from typing import Final

from moot_protocol.issues.issue import DEFAULT_TYPE
from moot_protocol.requests.listing import Filter

Sieve = Callable[[bytes], object]
"""Called with a packed record; false where it can't match."""


_ODD: Final = re.compile("|".join("ßİŉſǰẖẗẘẙẚẞ\u212aﬀﬁﬂﬃﬄﬅﬆ").encode())
"""All characters that casefold to something with an ASCII letter in it and are none themselves."""


def sieve_of(wanted: Filter) -> Sieve | None:
    """What a filter's types and title have in common with packed records; None where that tells nothing."""
    sieves = [sieve for sieve in (_types(wanted), _title(wanted)) if sieve is not None]
    if len(sieves) < 2:
        return sieves[0] if sieves else None
    return lambda packed: all(sieve(packed) for sieve in sieves)


def _types(wanted: Filter) -> Sieve | None:
    if not wanted.types or DEFAULT_TYPE in wanted.types:
        return None  # of that type is also what names none
    parts = [name.encode("utf-8", "surrogatepass") for name in wanted.types]
    return lambda packed: any(part in packed for part in parts)


def _title(wanted: Filter) -> Sieve | None:
    """An id that `title_or_id` means holds what was typed, too."""
    text = (wanted.title_or_id or wanted.title_contains).casefold()
    if not text or not text.isascii():
        return None
    part, is_odd = text.encode(), _ODD.search
    return lambda packed: part in packed.lower() or is_odd(packed)
