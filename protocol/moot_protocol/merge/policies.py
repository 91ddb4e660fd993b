"""Policies: what is shown of a key's live values, and whether they disagree. They only read.

Every reading depends on the set of siblings (and on the key's history, for `text` and `review`), never on their
order, and never raises: values that are withheld, erased or malformed are passed over wherever another is here.
Conflicts are judged on all of them: a value that can't be seen counts as different from every other.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.codec import encode
from moot_protocol.merge.kinds import Policy
from moot_protocol.merge.lineage import Lineage, Name, agreed, nearest_common_ancestor
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.text.merge import merge3
from moot_protocol.text.semver import UNVERSIONED, Precedence, precedence
from moot_protocol.times import instant_ns


class Reading(NamedTuple):
    """What is shown of one key."""

    value: Any
    """The value; None where there is none or it was cleared, MISSING where it isn't here."""
    shown: Sibling | None
    """The write it comes from: for a merged text the later of the two, None where it comes from no live write."""
    conflict: bool


NOTHING: Final = Reading(None, None, False)


def read(policy: Policy, siblings: Sequence[Sibling], lineage: Lineage | None = None) -> Reading:
    """Read a key's live values by a policy.

    Args:
        policy: how.
        siblings: what is live, in any order.
        lineage: the key's superseded writes; without it `text` and `review` can't settle what is concurrent.

    Returns:
        For `union` and `keep_both` the value is a list, for `keyed` a dict, for `total` a number.
    """
    if not siblings:
        return NOTHING if policy not in _COLLECTIONS else _COLLECTIONS[policy](siblings)
    if policy in _COLLECTIONS:
        return _COLLECTIONS[policy](siblings)
    if len(siblings) == 1:
        return _reading(siblings[0])
    if policy in _WITH_HISTORY:
        return _WITH_HISTORY[policy](siblings, lineage)
    return _REGISTERS[policy](siblings)


def rank(sibling: Sibling) -> tuple[int, bytes, int]:
    """The order in which policies choose: (hlc, author, n)."""
    return sibling.rank


def is_empty(value: Any) -> bool:
    """Whether a register with this value counts as cleared."""
    return value is None or value == ""


def differ(siblings: Sequence[Sibling]) -> bool:
    """Whether live values are not all equal. Cleared ones are equal; one that isn't here equals none but its like."""
    first = _mark(siblings[0].value)
    return any(_mark(sibling.value) != first for sibling in siblings)


def elements(siblings: Sequence[Sibling]) -> list[Sibling]:
    """The distinct elements of a set-like key, each as its earliest write, earliest first; those not here left out."""
    if len(siblings) == 1:
        return [] if siblings[0].value is MISSING else list(siblings)
    distinct: dict[Any, Sibling] = {}
    for sibling in sorted(siblings, key=rank):
        if sibling.value is not MISSING:
            distinct.setdefault(_mark(sibling.value), sibling)
    return list(distinct.values())


def keyed(siblings: Sequence[Sibling]) -> dict[str, Reading]:
    """The entries of a keyed key by name, in order of names. An entry is a write of `[name, content]`.

    Two different live contents under one name are a conflict. What is no entry is passed over.
    """
    entries: dict[str, list[Sibling]] = {}
    for sibling in siblings:
        value = sibling.value
        if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
            entries.setdefault(value[0], []).append(sibling._replace(value=value[1]))
    return {name: latest(entries[name]) for name in sorted(entries)}


def latest(siblings: Sequence[Sibling]) -> Reading:
    """The write of the highest (hlc, author, n)."""
    return _reading(max(_present(siblings), key=rank), conflict=differ(siblings))


def earliest(siblings: Sequence[Sibling]) -> Reading:
    """The write of the lowest (hlc, author, n): the first of concurrent claimers keeps what it claimed."""
    return _reading(min(_present(siblings), key=rank))


def maximum(siblings: Sequence[Sibling]) -> Reading:
    """The greatest value: times by instant, numbers by value, anything else below both."""
    return _reading(max(_present(siblings), key=lambda sibling: (*_magnitude(sibling.value), rank(sibling))))


def text(siblings: Sequence[Sibling], lineage: Lineage | None) -> Reading:
    """The merge of two texts if it is clean, else the latest, in conflict."""
    reading = latest(siblings)
    if not reading.conflict or lineage is None or len(siblings) != 2:
        return reading
    ours, theirs = siblings
    ancestor = nearest_common_ancestor(lineage, _name(ours), _name(theirs))
    if ancestor is None:
        return reading
    texts = [_text_of(value) for value in (lineage.value(ancestor), ours.value, theirs.value)]
    merged = None if None in texts else merge3(*(text for text in texts if text is not None))
    return reading if merged is None else Reading(merged or None, reading.shown, False)


def version(siblings: Sequence[Sibling]) -> Reading:
    """The highest semantic version; a value is `[version, content]`.

    In conflict where one version stands with different contents. Values without a semantic version come below all
    others and count as one version.
    """
    present = _present(siblings)
    shown = max(present, key=lambda sibling: (_precedence(sibling.value), rank(sibling)))
    by_version: dict[Any, list[Sibling]] = {}
    for sibling in siblings:
        by_version.setdefault(_precedence(sibling.value), []).append(sibling)
    return _reading(shown, conflict=any(_contents_differ(group) for group in by_version.values()))


def review(siblings: Sequence[Sibling], lineage: Lineage | None) -> Reading:
    """The latest value that all siblings succeed and against which nothing is concurrent: what was last agreed."""
    if not differ(siblings):
        return latest(siblings)
    settled = agreed(lineage, [_name(sibling) for sibling in siblings]) if lineage is not None else None
    if settled is None or lineage is None:
        return Reading(None, None, True)
    value = lineage.value(settled)
    return Reading(None if is_empty(value) else value, None, True)


def total(siblings: Sequence[Sibling]) -> int | float:
    """The sum over authors of the latest number each wrote; what is no number counts as 0."""
    by_author: dict[bytes, Sibling] = {}
    for sibling in sorted(siblings, key=rank):
        by_author[sibling.author] = sibling
    numbers = [by_author[author].value for author in sorted(by_author)]
    amount: int | float = sum(number for number in numbers if type(number) is int)
    # Floats apart and in a fixed order, since their sum depends on it.
    floats = [number for number in numbers if type(number) is float]
    if not floats:
        return amount
    most = math.nextafter(math.inf, 0)
    return min(max(sum(floats, start=float(amount)), -most), most)


def _reading(sibling: Sibling, *, conflict: bool = False) -> Reading:
    value = sibling.value
    return Reading(None if value == "" else value, sibling, conflict)


def _name(sibling: Sibling) -> Name:
    return (sibling.author, sibling.n)


def _present(siblings: Sequence[Sibling]) -> Sequence[Sibling]:
    """The siblings whose values are here; all of them if none is."""
    return [sibling for sibling in siblings if sibling.value is not MISSING] or siblings


def _mark(value: Any) -> Any:
    """Something hashable that is equal for equal values only: in Python 1, 1.0 and True are one, here they aren't."""
    if isinstance(value, str) or value is MISSING:
        return value
    return "" if value is None else encode(value)


def _text_of(value: Any) -> str | None:
    return "" if value is None else value if isinstance(value, str) else None


def _magnitude(value: Any) -> tuple[int, float, bytes]:
    if type(value) is float:
        return (1, value * 1e6, b"")
    ns = instant_ns(value)
    if ns is not None:
        return (1, ns, b"")
    return (-1, 0, b"") if value is MISSING else (0, 0, encode(value))


def _precedence(value: Any) -> Precedence:
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
        return precedence(value[0]) or UNVERSIONED
    return UNVERSIONED


def _contents_differ(group: list[Sibling]) -> bool:
    if _precedence(group[0].value) == UNVERSIONED:
        return differ(group)
    return differ([sibling._replace(value=sibling.value[1]) for sibling in group])


def _read_union(siblings: Sequence[Sibling]) -> Reading:
    return Reading([sibling.value for sibling in elements(siblings)], None, False)


def _read_keyed(siblings: Sequence[Sibling]) -> Reading:
    entries = keyed(siblings)
    shown = {name: entry.value for name, entry in entries.items() if not is_empty(entry.value)}
    return Reading(shown, None, any(entry.conflict for entry in entries.values()))


def _read_total(siblings: Sequence[Sibling]) -> Reading:
    return Reading(total(siblings), None, False)


_REGISTERS: Final[dict[Policy, Callable[[Sequence[Sibling]], Reading]]] = {
    Policy.LATEST: latest,
    Policy.EARLIEST: earliest,
    Policy.MAXIMUM: maximum,
    Policy.VERSION: version,
}
_WITH_HISTORY: Final[dict[Policy, Callable[[Sequence[Sibling], Lineage | None], Reading]]] = {
    Policy.TEXT: text,
    Policy.REVIEW: review,
}
_COLLECTIONS: Final[dict[Policy, Callable[[Sequence[Sibling]], Reading]]] = {
    Policy.UNION: _read_union,
    Policy.KEYED: _read_keyed,
    Policy.KEEP_BOTH: _read_union,
    Policy.TOTAL: _read_total,
}
