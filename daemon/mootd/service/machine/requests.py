"""Requests about this machine and this process: ping, status, doctor, fsck, stop."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from moot_protocol import ids
from moot_protocol.checks import checked
from moot_protocol.errors import REPLACED, RefusedError
from moot_protocol.limits import MIB
from moot_protocol.requests.access import CheckAccess, ShowAccess, ValidateAccess
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Doctor, Fsck, Ping, Protect, Status, Stop
from moot_protocol.trust.acceptance import Reason
from moot_protocol.trust.genesis import PlaneKind
from mootd.config import DEFAULTS
from mootd.edges.config_file import read_config_file
from mootd.engine.checking.stretches import check_stretch
from mootd.engine.machine.home import is_copied, is_of_backup
from mootd.engine.machine.mirrors import mirrors
from mootd.engine.machine.workspaces import workspaces
from mootd.engine.membership.admittance import Lack, lack_on
from mootd.engine.membership.towns import home_of, is_disowned, known_name
from mootd.engine.planes import clashing_prefixes
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.service.machine.access import check_access, show_access, validate_access
from mootd.service.machine.clocks import clock_alarms, own_hint, parked
from mootd.service.machine.epoch_alarms import epoch_alarms
from mootd.service.machine.invite_alarms import invite_alarms
from mootd.service.machine.lapses import lapse_alarms
from mootd.service.machine.own_machine import Machine
from mootd.service.machine.spools import spool_alarms, spool_checks, spools
from mootd.store.port import Reader, Table

AT_REST: Final = "the log is plain text on this disk, protected by file modes only; keys too"
_FREE_BYTES: Final = 256 * MIB
_RESTART: Final = "`moot daemon restart` loads what is installed now; nothing is lost by that"
_TRIED_AGAIN: Final = "it is tried again every few seconds; the daemon's log tells more"
_MAKE_ROOM: Final = "free some space; writes are refused without"
_RESTORE: Final = "restore the folder `keys` in the data folder from a backup"
_WITHOUT: Final = {
    TOWN_KEY: "without one, `moot recover` gives the town a new key for its recovery words",
    REPLICA_KEY: "without one, `moot export` what is here, move the data folder away, and join anew: `moot join`",
}
"""Key → what helps where no backup has it."""
_ORIGINAL_S: Final = "it stays with the machine that this one is a copy of"
_ONLY_THEN: Final = (
    "invite and retire on that machine; only if it is gone for good, `moot recover` makes a new key, here"
)
_STILL_READ: Final = (
    "it can still read what is here, what was sealed before it was removed, and who is in, but nothing else that is "
    "written since; "
)
_AGAIN: Final = "`moot salvage` after that writes again what was written here and doesn't count, if anything was"
_REMEDIES: Final[dict[Lack, str]] = {
    Lack.CHARTER: "run `moot sync --wait`; whoever invited this machine has to sync too",
    Lack.TICKET: f"ask for a new ticket (`moot invite` where the town's key is), `moot join` here; {_AGAIN}",
    Lack.TOWN_TICKET: f"ask an admin of the plane for a new ticket (`moot invite --town`), `moot join` here; {_AGAIN}",
    Lack.TOWN_KEY: (
        "to write again: `moot town rotate-key` here, a ticket for the new key (`moot invite --town` on an admin's "
        f"machine), `moot join` here; {_AGAIN}"
    ),
    Lack.TOWN: (
        "to write again: ask its town, once that is let in under a new key, for a new ticket (`moot invite` there), "
        f"`moot join` here; {_AGAIN}"
    ),
    Lack.KEY: "`moot salvage` lets it write again under a new key, and writes again what doesn't count",
}
"""What this machine lacks on a plane → what to do."""
_STATES: Final = {Lack.NOTHING: "ready", Lack.CHARTER: "waiting"}


def _ping(machine: Machine, replica: Replica, request: Ping) -> dict[str, Any]:
    del replica, request
    return machine.ping()


def _stop(machine: Machine, replica: Replica, request: Stop) -> dict[str, Any]:
    del replica, request
    machine.stop()
    return machine.ping()


# -- Status ------------------------------------------------------------------------------------------------------
def _status(machine: Machine, replica: Replica, request: Status) -> dict[str, Any]:
    del request
    shown: dict[str, Any] = {
        **machine.ping(),
        "bytes": replica.store.size(),
        "at_rest": AT_REST,
        "town": None,
        "replica": None,
        "planes": [],
        "projects": [],
        "spools": [],
        "conflicts": 0,
        "parked": 0,
        "jobs": [],
        "alarms": [*_narrowness(machine), *_replacement(machine), *_troubles(machine), *_alarms(replica)],
    }
    if not replica.is_founded:
        return shown
    with replica.read() as reader:
        views = replica.views_of(reader)
        home = home_of(replica.planes.values())
        name = known_name(LogSnapshot(reader), replica.planes.values(), home)
        shown["town"] = {"name": name, "key": ids.key_text(home)}
        shown["replica"] = ids.key_text(replica.id)
        # Counting takes a while in a large store, and projects and planes ask for the same numbers.
        issues = cache(partial(_count, reader, views.index, layout.STATUS))
        shown["planes"] = [_plane(replica, reader, plane, issues) for plane in replica.planes.values()]
        shown["projects"] = [_project(replica, each, issues) for each in workspaces(reader)]
        shown["spools"] = spools(reader)
        shown["alarms"] += lapse_alarms(replica, reader)
        shown["alarms"] += clock_alarms(replica, reader)
        shown["alarms"] += invite_alarms(replica, reader)
        shown["alarms"] += epoch_alarms(replica, reader)
        shown["alarms"] += spool_alarms(shown["spools"], machine.clock.now_ms())
        shown["conflicts"] = sum(1 for _ in reader.scan(views.index, layout.CONFLICT, layout.after(layout.CONFLICT)))
        shown["parked"] = parked(replica, reader)
    return shown


def _count(reader: Reader, index: Table, issues: bytes, project: int) -> int:
    """How many issues of a project, by its local number, stand in one list: STATUS, or DELETED."""
    prefix = layout.project_prefix(issues, project)
    return sum(1 for _ in reader.scan(index, prefix, layout.after(prefix)))


def _project(replica: Replica, workspace: dict[str, Any], issues: Callable[[int], int]) -> dict[str, Any]:
    plane = next((number for number, row in replica.planes.items() if row.id.hex() == workspace["plane"]), 0)
    return workspace | {"issues": issues(replica.projects.get((plane, workspace["project"]), 0))}


def _plane(replica: Replica, reader: Reader, plane: PlaneRow, issues: Callable[[int], int]) -> dict[str, Any]:
    views = replica.views_of(reader)
    digest = reader.get(Table.META, layout.digest_key(views.generation, plane.number)) or bytes(32)
    feeds = [row for row in replica.feeds.values() if row.plane == plane.number and row.n]
    projects = [number for (at, _), number in replica.projects.items() if at == plane.number]
    return {
        "name": plane.name,
        "plane": plane.id.hex(),
        "state": _STATES.get(lack_on(LogSnapshot(reader), replica, plane), "excluded"),
        "digest": digest.hex(),
        "events": sum(row.n for row in feeds),
        "issues": sum(map(issues, projects)),
        "deleted": sum(_count(reader, views.index, layout.DELETED, project) for project in projects),
        "feeds": len(feeds),
        "frontier": [{"author": ids.key_text(row.author), "n": row.n, "head": row.head.hex()} for row in feeds],
    }


def _narrowness(machine: Machine) -> Iterator[dict[str, Any]]:
    """What the doctor finds of the disk: who reads only `status` has to hear of it before writes are refused."""
    has_room, free = _room(machine.places.data)
    if not has_room:
        yield {
            "code": "disk_full",
            "severity": "warning",
            "message": f"the disk that the data lies on is nearly full: {free}",
            "hint": _MAKE_ROOM,
        }


def _replacement(machine: Machine) -> Iterator[dict[str, Any]]:
    """That the daemon isn't what is installed: what it hasn't loaded yet may not fit what it has."""
    if machine.installed.is_replaced():
        yield {"code": "replaced", "severity": "warning", "message": REPLACED, "hint": _RESTART}


def _troubles(machine: Machine) -> Iterator[dict[str, Any]]:
    """What the daemon can't see to just now."""
    for message in machine.troubles.messages():
        yield {"code": "failing", "severity": "alarm", "message": message, "hint": _TRIED_AGAIN}


def _alarms(replica: Replica) -> Iterator[dict[str, Any]]:
    for row in replica.feeds.values():
        if _is_forked(row):
            yield {
                "code": "forked",
                "severity": "alarm",
                "message": f"{ids.key_text(row.author)} signed two different histories from event {row.forked_at} on",
                "hint": "nothing from there on counts until it is settled: `moot fork list` says who can, and how",
            }
    yield from _copies(replica)
    yield from _exclusions(replica)
    yield from _clashes(replica)
    yield from _mirrors(replica)


def _is_forked(row: FeedRow) -> bool:
    return bool(row.forked_at) and not row.ended  # an end says which history counts


def _copies(replica: Replica) -> Iterator[dict[str, Any]]:
    """What the last start found out about where the data directory lies."""
    with replica.read() as reader:
        copied, of_backup = is_copied(reader), is_of_backup(reader)
    if copied:
        what = "was put back from a backup" if of_backup else "was found in another folder on another machine: a copy"
        yield {
            "code": "copied",
            "severity": "alarm",
            "message": f"this data directory {what}; nothing is written until you say which goes on",
            "hint": "`moot salvage` gives this machine its own key; with --moved it goes on under the old one, which "
            "is right only if the other is gone and nobody has anything that it wrote since",
        }
    elif replica.is_moved:
        yield {
            "code": "moved",
            "severity": "warning",
            "message": "this data directory lies elsewhere than at the last start, or on another machine",
            "hint": "if the original still runs somewhere, run `moot salvage --copied` here before anything is "
            "written; if it was moved, `moot salvage --moved` ends this warning",
        }


def _lacks(replica: Replica) -> list[tuple[PlaneRow, Lack]]:
    """Planes on which nothing that this machine writes counts, and what it lacks."""
    with replica.read() as reader:
        source = LogSnapshot(reader)
        found = [(plane, lack_on(source, replica, plane)) for _, plane in sorted(replica.planes.items())]
    return [(plane, lack) for plane, lack in found if lack]


def _exclusions(replica: Replica) -> Iterator[dict[str, Any]]:
    """Planes on which nothing that this machine writes counts: not yet, not any more, or not under its present key."""
    for plane, lack in _lacks(replica):
        own = replica.feeds.get(replica.feed_numbers.get((plane.number, replica.id), 0))
        charter = replica.feeds.get(replica.feed_numbers.get((plane.number, plane.town), 0))
        has_written = own is not None and (own.ended or own.is_aside)
        is_out = lack is not Lack.KEY and charter is not None and charter.ended
        if lack is Lack.CHARTER:
            why = f"plane {plane.name} waits for its charter; nothing can be written on it before"
        elif own is not None and has_written:
            counts = f"events up to {own.n} count" if own.n else "nothing counts"
            why = f"{_excluded(own, plane, is_out=is_out)}: of what this machine wrote, {counts}"
        else:
            why = f"{_unknown(plane, is_out=is_out)}: nothing can be written on it"
        yield {
            "code": "ended" if has_written or is_out else "waiting",
            "severity": "warning",
            "message": why,
            "hint": f"{_STILL_READ if is_out or (own is not None and own.ended) else ''}{_REMEDIES[lack]}",
        }


def _excluded(row: FeedRow, plane: PlaneRow, *, is_out: bool) -> str:
    """Why nothing more counts of what this machine has written."""
    if is_out:
        return f"this machine's town was removed from plane {plane.name}"
    if row.reason == Reason.INVITE_CLOSED:
        return f"the invite that this machine came to plane {plane.name} with was closed without it"
    if row.ended:
        return f"this machine was removed from plane {plane.name}"
    if row.reason == Reason.NO_INVITE:
        return f"the invite that this machine came to plane {plane.name} with doesn't count"
    return f"this machine's town has no part in plane {plane.name}"


def _unknown(plane: PlaneRow, *, is_out: bool) -> str:
    """Why this machine's present key writes nothing."""
    if is_out:
        return f"this machine's town was removed from plane {plane.name}"
    if plane.kind == PlaneKind.OPERATIONAL:
        return f"this machine's key has no part in plane {plane.name}, where records for the audit would stand"
    return f"this machine's key has no part in plane {plane.name}"


def _clashes(replica: Replica) -> Iterator[dict[str, Any]]:
    """Issue prefixes that several planes have: ids don't tell then which plane is meant."""
    with replica.read() as reader:
        clashing = clashing_prefixes(replica, reader)
    for project, planes in clashing.items():
        names = sorted(replica.planes[plane].name for plane in planes)
        yield {
            "code": "prefix_clash",
            "severity": "warning",
            "message": f"the issue prefix {project} is used on planes {' and '.join(names)}",
            "hint": "say --plane, or an id as PLANE:ID, where it matters",
        }


def _mirrors(replica: Replica) -> Iterator[dict[str, Any]]:
    """Files that should follow their project, and don't."""
    with replica.read() as reader:
        rows = mirrors(reader)
    for row in rows:
        path = f"{row.folder}/{row.file}"
        if row.doubt:
            gone, reverted, total = row.doubt.gone, row.doubt.reverted, row.doubt.total
            yield {
                "code": "mirror_asks",
                "severity": "warning",
                "message": f"{path}: of {total} issues {gone} are gone and {reverted} went back to an older state",
                "hint": "nothing is taken in before you say which is right: see `moot mirror resume --help`",
            }
        elif row.problem:
            yield {
                "code": "mirror_problem",
                "severity": "warning",
                "message": f"{path} is not followed: {row.problem}",
                "hint": "it is tried again when the file changes; see `moot mirror status`",
            }


# -- Doctor ------------------------------------------------------------------------------------------------------
def _doctor(machine: Machine, replica: Replica, request: Doctor) -> list[dict[str, Any]]:
    from mootd.service.machine.privacy import privacy_checks  # noqa: PLC0415 - only the doctor looks

    del request
    troubles = machine.troubles.messages()
    checks = [
        *privacy_checks(machine),
        checked("disk has room", *_room(machine.places.data), _MAKE_ROOM),
        checked("config.toml is in force", *_is_in_force(machine)),
        _runs_what_is_installed(machine),
        checked("daemon sees to everything", not troubles, "; ".join(troubles), _TRIED_AGAIN),
        checked("town is founded", replica.is_founded, "", "run `moot init` in your project"),
        checked(
            "clock is not behind the log",
            replica.clock.last >> 16 <= machine.clock.now_ms() + 60_000,
            "",
            own_hint(replica),
        ),
        _is_no_copy(replica),
        checked("no feed is forked", not any(map(_is_forked, replica.feeds.values())), "", "see `moot fork list`"),
    ]
    checks += _plane_checks(replica)
    with replica.read() as reader:
        checks += spool_checks(spools(reader))
        checks.append(_of_alarms("no expired invite is open", invite_alarms(replica, reader)))
        checks.append(_of_alarms("every plane can have a new key", epoch_alarms(replica, reader)))
    keys = _WITHOUT if replica.is_founded else {}
    return checks + [_is_here(replica, name, without) for name, without in keys.items()]


def _of_alarms(name: str, found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Whether nothing is found that `status` raises an alarm about."""
    alarms = list(found)
    hint = alarms[0]["hint"] if alarms else ""
    return checked(name, not alarms, "; ".join(alarm["message"] for alarm in alarms), hint)


def _runs_what_is_installed(machine: Machine) -> dict[str, Any]:
    """Whether the daemon's code is what another one would load."""
    is_replaced = machine.installed.is_replaced()
    return checked("daemon runs what is installed", not is_replaced, REPLACED if is_replaced else "", _RESTART)


def _is_no_copy(replica: Replica) -> dict[str, Any]:
    """Whether the data directory lies where it did, on its own machine, and isn't one that may write nothing."""
    alarm = next(_copies(replica), {"message": "", "hint": ""})
    return checked("data directory is no copy", not alarm["message"], alarm["message"], alarm["hint"])


def _plane_checks(replica: Replica) -> list[dict[str, Any]]:
    """How this machine stands on its planes; nothing where its keys, which tell whose feeds they are, can't be read."""
    try:
        if replica.is_founded and not replica.keys.has(REPLICA_KEY):
            return []
        lacks = _lacks(replica)
    except RefusedError:
        return []  # the keys' own checks tell why
    return [
        checked("every plane has its charter", *_has_charters(lacks), "run `moot sync --wait`"),
        checked("this machine counts on every plane", *_counts(lacks), "see `moot status`"),
    ]


def _is_here(replica: Replica, name: str, without: str) -> dict[str, Any]:
    """Whether a key is there and can be read: one that can't be is told of, whatever the daemon has read before."""
    what = f"{name} key is here"
    try:
        if not replica.keys.has(name):
            return checked(what, False, "", f"{_RESTORE}; {without}")
        replica.keys.signer(name)
        if name == TOWN_KEY and is_disowned(replica, replica.planes.values()):
            return checked(what, False, _ORIGINAL_S, _ONLY_THEN)
    except RefusedError as error:
        return checked(what, False, error.message, error.hint or f"{_RESTORE}; {without}")
    return checked(what, True)


def _room(folder: Path) -> tuple[bool, str]:
    """Whether the disk that a folder lies on has room for what may be written, and how much is free, in words."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    return free > _FREE_BYTES, f"{free // MIB} MiB free"


def _has_charters(lacks: list[tuple[PlaneRow, Lack]]) -> tuple[bool, str]:
    waiting = ", ".join(plane.name for plane, lack in lacks if lack is Lack.CHARTER)
    return not waiting, f"{waiting} can't be written to yet" if waiting else ""


def _counts(lacks: list[tuple[PlaneRow, Lack]]) -> tuple[bool, str]:
    planes = ", ".join(plane.name for plane, lack in lacks if lack is not Lack.CHARTER)
    return not planes, f"not on {planes}" if planes else ""


def _is_in_force(machine: Machine) -> tuple[bool, str, str]:
    """Whether the daemon runs by its settings as they stand now, which it read when it started."""
    path = machine.places.config_file
    try:
        found = read_config_file(path)
    except RefusedError as error:
        return False, error.message, f"{error.hint or 'see to it'}; the daemon won't start again with it as it is"
    if (found or DEFAULTS) != machine.config:
        change = "changed" if found else "went away"
        return False, f"{path} {change} after the daemon had started", "`moot daemon restart` puts it in force"
    return True, str(path) if found else f"there is no {path}: every setting has its default", ""


def _protect(machine: Machine, replica: Replica, request: Protect) -> dict[str, Any]:
    from mootd.service.machine.privacy import protect  # noqa: PLC0415 - as above

    return protect(machine, replica, request)


# -- Fsck --------------------------------------------------------------------------------------------------------
def _fsck(machine: Machine, replica: Replica, request: Fsck) -> dict[str, Any]:
    del machine
    with replica.read() as reader:
        found = check_stretch(replica, reader, request.cursor)
        batches = reader.count(Table.BATCHES)
    return {
        "done": found.done,
        "cursor": found.cursor,
        "progress": [found.checked, found.total],
        "problems": [problem._asdict() for problem in found.problems],
        **({"batches": batches, "events": found.events} if found.done else {}),
    }


MACHINE: Final[dict[type[Request[Any]], Callable[[Machine, Replica, Any], Any]]] = {
    Ping: _ping,
    Stop: _stop,
    Status: _status,
    Doctor: _doctor,
    Protect: _protect,
    Fsck: _fsck,
    ShowAccess: lambda machine, _, request: show_access(machine.access, request),
    CheckAccess: lambda machine, _, request: check_access(machine.access, request),
    ValidateAccess: lambda machine, _, request: validate_access(machine.access, request),
}
"""What each request about the machine is answered with."""
