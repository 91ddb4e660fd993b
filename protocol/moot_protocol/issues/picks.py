"""How one value of a conflict is chosen: by its number in the list, or by its name.

Numbers are those of a list at one moment: what comes in later can move them. A name is made from the value, so that it
means the same value on every machine for as long as that is among those in dispute, and nothing else afterwards.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from moot_protocol.codec import encode
from moot_protocol.errors import Code, RefusedError

MARK: Final = "v"
"""What a name begins with: it is never taken for a number."""
NAME_DIGITS: Final = 8


def value_name(value: Any) -> str:
    """The name of a value as conflicts tell it."""
    return MARK + sha256(encode(value)).hexdigest()[:NAME_DIGITS]


def picked(pick: int | str, values: Sequence[Any], where: str) -> int:
    """The place, from 0, of the value that was chosen.

    Args:
        pick: its number, from 1, or its name.
        values: those in dispute, as conflicts tell them, in that order.
        where: what they are values of, for words.

    Raises:
        RefusedError: `invalid`: no such number; `conflict`: no such name, now; `ambiguous`: it is that of several.
    """
    if isinstance(pick, int):
        if not 1 <= pick <= len(values):
            raise RefusedError(f"there is no value {pick}; {where} has {len(values)}")
        return pick - 1
    places = [place for place, value in enumerate(values) if value_name(value) == pick]
    if not places:
        raise RefusedError(
            f"{pick} is none of the values of {where} (any more)",
            code=Code.CONFLICT,
            hint="nothing was settled; see `moot conflicts` for what there is now",
        )
    if len({encode(values[place]) for place in places}) > 1:
        raise RefusedError(
            f"{pick} names several values of {where}", code=Code.AMBIGUOUS, hint="pick one by its number"
        )
    return places[0]
