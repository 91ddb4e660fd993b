"""Remotes, planes' modes and invites as lines, as several commands show them.

At a terminal in aligned columns, elsewhere plain words with one space between. Whatever a remote, a peer or a user
has named goes through `neutralise`, and no password that stands in an address is shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console.text import when
from moot.console.text.amounts import several, size
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import aligned
from moot_protocol.time_units import MINUTE_MS

KEY_SHOWN: Final = 12
"""Characters shown of a key that is told apart from few others: two of them that begin alike are not to be met."""
PLANE_SHOWN: Final = 8
"""Characters shown of a plane's id beside its name."""
_ALARMS: Final = {
    "missing": "somebody removed it there; its machine, or else another, brings back what it held; all is here still",
    "went_back": "somebody moved it there; its machine, or else another, brings back what it held; all is here still",
    "foreign": "not a name of Moot's: find out who pushes to refs/moot there; nothing of it is used",
    "secret_in_address": "it stands in clear in this machine's data, and stays there: have its host give out "
    "another, and add the remote anew without one; your own git's credential helper logs in",
    "breaks_off": "where the network is fine, another machine may use a copy of this one's key: if one was copied or "
    "put back from a backup, `moot salvage --copied` there",
    "unreadable": "not what Moot pushes: find out who pushes to refs/moot there; nothing of it is used",
}
"""What an alarm about a remote or a ref there means, and what to do."""
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/]*@")

Document = Mapping[str, Any]


def clash_words(prefixes: Iterable[object]) -> str:
    """What it means that planes have issue prefixes in common."""
    named = ", ".join(neutralise(str(prefix)) for prefix in prefixes)
    return f"planes here have issue prefixes in common: {named}; where an id isn't clear, write PLANE:ID"


def table(style: Style, rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of safe texts as lines; a row that ends early is filled up with empty cells."""
    if not style.terminal:
        return [" ".join(filter(None, row)) for row in rows]
    widest = max(map(len, rows), default=0)
    return aligned([[*row, *[""] * (widest - len(row))] for row in rows], width=style.width)


def facts(style: Style, rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and what is to be said of each: in two columns, or as `name: value`."""
    return table(style, rows) if style.terminal else [f"{name}: {value}" for name, value in rows]


def safe_url(url: str) -> str:
    """An address, safe to print and without the password that may stand in it."""
    return neutralise(_PASSWORD.sub(r"\1:…@", url))


# -- Remotes -----------------------------------------------------------------------------------------------------
def remote_rows(style: Style, remotes: Iterable[Document], now_ms: int) -> list[str]:
    """For each remote a line with its address, then its planes, its error and its alarms on lines of their own."""
    remotes = list(remotes)
    heads = table(style, [_head(remote, now_ms) for remote in remotes])
    return [
        line for head, remote in zip(heads, remotes, strict=True) for line in (head, *_below(style, remote, now_ms))
    ]


def _head(remote: Document, now_ms: int) -> list[str]:
    state, ok, queued = _state(remote), _last_ok(remote, now_ms), _queued(remote)
    return [neutralise(remote["name"]), neutralise(remote["kind"]), state, ok, queued, safe_url(remote["url"])]


def _below(style: Style, remote: Document, now_ms: int) -> Iterator[str]:
    if remote.get("planes"):
        modes = (f"{neutralise(plane['plane'])} {neutralise(plane['mode'])}" for plane in remote["planes"])
        yield f"  planes: {', '.join(modes)}"
    if remote.get("error"):
        yield f"  {style.alarm('error')}: {_error(remote, now_ms)}"
    for alarm in alarm_lines(style, [remote]):
        yield f"  {alarm}"


def remote_words(remote: Document, now_ms: int) -> str:
    """What there is to say of a remote in one line of `status`."""
    parts = [neutralise(remote["kind"]), _state(remote), _last_ok(remote, now_ms), _queued(remote)]
    told = ", ".join(filter(None, parts))
    return f"{told}; {_error(remote, now_ms)}" if remote.get("error") else told


def _state(remote: Document) -> str:
    return neutralise(str(remote.get("state", "")))


def _last_ok(remote: Document, now_ms: int) -> str:
    moment = remote.get("last_ok_ms")
    return f"reached {when.age(moment, now_ms)}" if moment else "never reached"


def _queued(remote: Document) -> str:
    queued = remote.get("queued", 0)
    return f"{queued:,} queued ({size(remote.get('queued_bytes', 0))})" if queued else ""


def _error(remote: Document, now_ms: int) -> str:
    error = neutralise(str(remote["error"]))
    moment = remote.get("next_try_ms")
    if not moment:
        return error
    soon = moment - now_ms < MINUTE_MS
    return f"{error} (next try {'within a minute' if soon else when.age(moment, now_ms)})"


def alarm_lines(style: Style, remotes: Iterable[Document]) -> Iterator[str]:
    """The alarms of remotes: whose, what is wrong with which name there."""
    for remote in remotes:
        for alarm in remote.get("alarms", ()):
            kind = neutralise(str(alarm.get("kind", ""))).replace("_", " ")
            told = ": ".join(filter(None, (neutralise(str(alarm.get("name", ""))), kind)))
            detail = f" ({neutralise(str(alarm['detail']))})" if alarm.get("detail") else ""
            yield f"{style.alarm('alarm')}: remote {neutralise(str(remote['name']))}: {told}{detail}"
            if (meaning := _ALARMS.get(str(alarm.get("kind")))) is not None:
                yield f"  {meaning}"


# -- Planes ------------------------------------------------------------------------------------------------------
def mode_words(remotes: Iterable[Document]) -> str:
    """How a plane is exchanged with each remote: `origin auto, hub manual`."""
    return ", ".join(f"{neutralise(entry['remote'])} {neutralise(entry['mode'])}" for entry in remotes)


def modes_of(plane: Document, remotes: Iterable[Document]) -> list[dict[str, Any]]:
    """The remotes that a plane is exchanged with, out of what `remotes` answers: `[{"remote", "mode"}]`."""
    names = {plane.get("name"), plane.get("plane")}
    return [
        {"remote": remote["name"], "mode": entry["mode"]}
        for remote in remotes
        for entry in remote.get("planes", ())
        if entry["plane"] in names
    ]


# -- Invites -----------------------------------------------------------------------------------------------------
def invite_rows(style: Style, invites: Iterable[Document], now_ms: int) -> list[str]:
    """A line for each invite with its users' whole keys below it, and what to do about those that have expired."""
    invites = list(invites)
    heads = table(style, [_invite_cells(invite, now_ms) for invite in invites])
    told: list[str] = []
    for head, invite in zip(heads, invites, strict=True):
        told.append(head)
        told.extend(f"  {neutralise(str(user))}" for user in invite.get("users", ()))
    expired = sum(invite["state"] == "expired" for invite in invites)
    if expired:
        which = several(expired, "invite")
        told.append(f"{which} expired and still open; `moot invite close INVITE` closes one")
    return told


def _invite_cells(invite: Document, now_ms: int) -> list[str]:
    state = str(invite["state"])
    until = "" if state == "closed" or not invite.get("expires_ms") else when.age(invite["expires_ms"], now_ms)
    users = invite.get("users", ())
    return [
        neutralise(str(invite["invite"]))[:KEY_SHOWN],
        neutralise(str(invite["plane"])),
        neutralise(str(invite["role"])),
        neutralise(state),
        f"expires {until}" if state == "open" and until else until,
        f"used by {several(len(users), 'replica')}" if users else "unused",
    ]
