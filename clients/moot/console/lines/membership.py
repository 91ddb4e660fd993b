"""Towns and replicas as lines, as several commands show them.

A name is what a town says of itself, so its key stands beside it; whatever others have named goes through `neutralise`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from moot.console.lines.exchange import KEY_SHOWN, table
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style

Document = Mapping[str, Any]

_STATES: Final = {
    "ok": "",
    "forked": "forked: signed two histories",
    "ended": "removed",
    "invite_closed": "its invite was closed without it",
    "no_invite": "its invite isn't known here",
    "other_town": "its town isn't a member",
}
"""What acceptance's words mean to people; others stand as they are."""


def state_words(state: str) -> str:
    """Why no more of a feed counts, for people; empty where all is well."""
    return _STATES.get(state, neutralise(state).replace("_", " "))


def named(town: Document) -> str:
    """A town's name and the beginning of its key."""
    key = neutralise(str(town["town"]))[:KEY_SHOWN]
    name = neutralise(str(town.get("name", "")))
    return f"{name} {key}" if name else key


def no_epoch_told(ends: Iterable[Document]) -> Iterator[str]:
    """What is said where an end on a plane was followed by no new key.

    Args:
        ends: of each plane, `epoch` and `no_epoch` as `RetireReplica` answers them.
    """
    lacking = [end for end in ends if not end["epoch"]]
    reasons = dict.fromkeys(neutralise(str(end.get("no_epoch", ""))) for end in lacking)
    yield from (f"No new key yet: {why}" for why in reasons if why)
    if reasons.keys() == {""}:
        yield "An admin of the plane has to change its key; until one does, nothing new is sent"
    elif reasons:
        yield "Until there is one, nothing new is sent"


def town_rows(style: Style, towns: Iterable[Document], *, with_plane: bool = True) -> list[str]:
    """A line for each town."""
    return table(style, [_town_cells(style, town, with_plane=with_plane) for town in towns])


def _town_cells(style: Style, town: Document, *, with_plane: bool) -> list[str]:
    admitted = neutralise(str(town["admitted_by"]))[:KEY_SHOWN]
    by = f"by {admitted}" if admitted else "founder" if town["depth"] == 1 else ""
    return [
        *([neutralise(str(town["plane"]))] if with_plane else []),
        neutralise(str(town.get("name", ""))) or "-",
        neutralise(str(town["town"]))[: KEY_SHOWN if style.terminal else None],
        neutralise(str(town["role"])) or "-",
        f"depth {town['depth']}",
        by,
        several(town["replicas"], "replica"),
        ", ".join(filter(None, (state_words(str(town["state"])), "this one" if town["is_own"] else ""))),
    ]


def replica_rows(style: Style, replicas: Iterable[Document], now_ms: int, *, with_plane: bool = True) -> list[str]:
    """A line for each replica."""
    return table(style, [_replica_cells(style, each, now_ms, with_plane=with_plane) for each in replicas])


def _replica_cells(style: Style, replica: Document, now_ms: int, *, with_plane: bool) -> list[str]:
    seen = replica["last_seen_ms"]
    version = neutralise(str(replica["version"]))
    last = "this one" if replica["is_here"] else f"seen {when.age(seen, now_ms)}" if seen else "never seen"
    in_step = replica["in_step_ms"]
    step = "" if replica["is_here"] or not in_step else f"in step {when.age(in_step, now_ms)}"
    return [
        *([neutralise(str(replica["plane"]))] if with_plane else []),
        neutralise(str(replica["replica"]))[: KEY_SHOWN if style.terminal else None],
        neutralise(str(replica["town_name"])) or neutralise(str(replica["town"]))[:KEY_SHOWN],
        neutralise(str(replica["role"])) or "-",
        f"n {replica['n']:,}",
        last,
        step,
        ", ".join(filter(None, (state_words(str(replica["state"])), version and f"moot {version}"))),
    ]
