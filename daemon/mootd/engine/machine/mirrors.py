"""Mirrors' bookkeeping: which files follow which project, the versions of them that were seen or written, what is due.

Invariant: the versions that a mirror's row names are there whole. A version is a list of hashes of lines, and each
line is kept once, so that many versions of a large file take little more than one. None of it is replicated. A version
with a line of an issue of which something was erased since is kept no longer than a mirror stands on it.
"""

from collections.abc import Collection, Container, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from moot_protocol.limits import MIRROR_VERSIONS, MIRROR_VERSIONS_SLACK
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.mirrors.lines import KEY_BYTES, Doubt, content_hash, distance, id_of, joined, line_key
from mootd.engine.machine import mirror_keys
from mootd.engine.stored import layout
from mootd.engine.stored.log import LogReader, damaged, decode_feed
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table


class MirrorRow(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One mirror."""

    folder: str
    """The absolute path of its workspace's folder."""
    file: str
    """The file's path in it."""
    workspace: str
    project: str
    plane: bytes
    """The id of the project's plane."""
    polls: bool = False
    current: int = 0
    """The version that the file was last known to be."""
    arrival: int = 0
    """The first event that may not be in the file yet."""
    newest: int = 0
    """The latest version that the file came to by its own change or by ours, and that comes from no earlier one."""
    newest_arrival: int = 0
    """As `arrival`, for when the file comes back to `newest`."""
    writing: int = 0
    """A version that was about to be written; 0 if none is."""
    writing_arrival: int = 0
    cuts: int = 0
    """How many cuts the replica had made when `arrival` was noted: a cut takes back without an event."""
    missing: tuple[str, ...] = ()
    """Issues whose lines are gone from the file."""
    left_out: int = 0
    """Lines of its last change that could not be taken in whole."""
    problem: str = ""
    doubt: Doubt | None = None
    changed_ms: int = 0
    writing_behind: bool = False
    """Whether `writing` is an earlier version with a part of what is newer."""
    older: int = 0
    """Lines of its last change that are older than what is known of their issues, and brought nothing."""
    is_unwritten: bool = False
    """Whether `problem` is that the file couldn't be written, which is tried again."""
    left_alone: int = 0
    """Lines of its last change that are of other projects' issues, and brought nothing."""
    left_alone_ids: tuple[str, ...] = ()
    """Some of those issues."""

    @property
    def key(self) -> bytes:
        """Its key in META."""
        return mirror_keys.mirror_key(self.folder, self.file)

    @property
    def scope(self) -> bytes:
        """What its project's versions are found by."""
        return mirror_keys.mirror_scope(self.plane, self.project)

    @property
    def is_behind(self) -> bool:
        """Whether the file went back to an earlier version, and lacks since then what is newer."""
        return self.current != self.newest


class Version(msgspec.Struct, array_like=True, frozen=True):
    """A version of a file."""

    hash: bytes
    """SHA-256 of its content."""
    keys: bytes
    """The hashes of its lines in order, one after the other."""

    def line_keys(self) -> list[bytes]:
        """The hashes of its lines."""
        return [self.keys[start : start + KEY_BYTES] for start in range(0, len(self.keys), KEY_BYTES)]


_row: Final = msgspec.msgpack.Decoder(MirrorRow).decode
_version: Final = msgspec.msgpack.Decoder(Version).decode


# -- Rows --------------------------------------------------------------------------------------------------------
def mirrors(reader: Reader) -> list[MirrorRow]:
    """All mirrors, in order of folder and file."""
    rows = reader.scan(Table.META, mirror_keys.MIRRORS, layout.after(mirror_keys.MIRRORS))
    return sorted((_row(value) for _, value in rows), key=lambda row: (row.folder, row.file))


def read_mirror(reader: Reader, folder: str, file: str) -> MirrorRow | None:
    """A mirror's row, or None."""
    packed = reader.get(Table.META, mirror_keys.mirror_key(folder, file))
    return None if packed is None else _row(packed)


def put_mirror(unit: Unit, row: MirrorRow) -> None:
    """Keep a mirror's row."""
    unit.transaction.put(Table.META, row.key, msgspec.msgpack.encode(row))
    _forget_erased(unit, row.scope)


def changed_row(row: MirrorRow, **changes: Any) -> MirrorRow:
    """A row with some of it changed: another problem, or none, is not one of writing, unless that is said, too."""
    kind = {"is_unwritten": False} if "problem" in changes else {}
    changed: MirrorRow = replace(row, **kind | changes)
    return changed


def change_mirror(unit: Unit, row: MirrorRow, **changes: Any) -> MirrorRow:
    """Change some of a row, and return it."""
    changed = changed_row(row, **changes)
    put_mirror(unit, changed)
    return changed


def move_mirror(unit: Unit, row: MirrorRow, folder: str, *, polls: bool) -> MirrorRow:
    """Let a mirror's file lie in another folder; gives its new row. All that is known of it goes along."""
    unit.transaction.delete(Table.META, row.key)
    return change_mirror(unit, row, folder=folder, polls=polls, problem="")


def drop_mirror(unit: Unit, row: MirrorRow) -> None:
    """Forget a mirror, and its project's versions with its last one."""
    unit.transaction.delete(Table.META, row.key)
    if not any(other.scope == row.scope for other in mirrors(unit.transaction)):
        _forget(unit, row.scope, set(_numbers(unit.transaction, row.scope)))
        _forget_erased(unit, row.scope)


# -- Versions ----------------------------------------------------------------------------------------------------
def versions(reader: Reader, scope: bytes) -> Iterator[tuple[int, Version]]:
    """The versions of a project's file with their numbers, oldest first."""
    prefix = mirror_keys.mirror_versions(scope)
    for key, value in reader.scan(Table.META, prefix, layout.after(prefix)):
        yield int.from_bytes(key[len(prefix) :], "big"), _version(value)


def count_versions(reader: Reader, scope: bytes) -> int:
    """How many versions are known."""
    return len(_numbers(reader, scope))


def _numbers(reader: Reader, scope: bytes) -> list[int]:
    prefix = mirror_keys.mirror_versions(scope)
    rows = reader.scan(Table.META, prefix, layout.after(prefix))
    return [int.from_bytes(key[len(prefix) :], "big") for key, _ in rows]


def version_of(reader: Reader, scope: bytes, content: bytes) -> int:
    """The number of the version whose content has a hash; 0 for one that isn't known."""
    return int.from_bytes(reader.get(Table.META, mirror_keys.mirror_hash_key(scope, content)) or b"", "big")


def lines_of(reader: Reader, scope: bytes, number: int) -> list[bytes]:
    """The lines of a version."""
    packed = reader.get(Table.META, _version_key(scope, number))
    if packed is None:
        raise damaged(f"version {number} of a mirrored file is missing")
    found = {
        key: reader.get(Table.META, mirror_keys.mirror_line_key(scope, key))
        for key in set(_version(packed).line_keys())
    }
    if None in found.values():
        raise damaged(f"lines of version {number} of a mirrored file are missing")
    return [found[key] or b"" for key in _version(packed).line_keys()]


def nearest(reader: Reader, scope: bytes, keys: Collection[bytes], current: int) -> int:
    """The version that a state of a file differs from by the fewest lines; of equals the current one, then the latest.

    Args:
        reader: a transaction.
        scope: whose versions.
        keys: the hashes of the state's lines.
        current: the version that the file was last.
    """
    wanted = frozenset(keys)
    found = [
        (distance(wanted, set(version.line_keys())), number != current, -number)
        for number, version in versions(reader, scope)
    ]
    return -min(found)[2] if found else 0


def seen_keys(reader: Reader, scope: bytes, keys: Collection[bytes]) -> set[bytes]:
    """Which of these hashes of lines stood in some version."""
    return {key for key in keys if reader.get(Table.META, mirror_keys.mirror_line_key(scope, key)) is not None}


def add_version(unit: Unit, scope: bytes, lines: Sequence[bytes]) -> int:
    """Keep a state of a project's file as its latest version; its number, which one that is known has already."""
    content = content_hash(joined(lines))
    known = version_of(unit.transaction, scope, content)
    if known:
        return known
    meta = unit.transaction
    last = max(_numbers(meta, scope), default=0)
    keys = [line_key(line) for line in lines]
    for key, line in dict(zip(keys, lines, strict=True)).items():
        at = mirror_keys.mirror_line_key(scope, key)
        if meta.get(Table.META, at) is None:
            meta.put(Table.META, at, line)
    meta.put(Table.META, _version_key(scope, last + 1), msgspec.msgpack.encode(Version(content, b"".join(keys))))
    meta.put(Table.META, mirror_keys.mirror_hash_key(scope, content), (last + 1).to_bytes(8, "big"))
    _prune(unit, scope, last + 1)
    return last + 1


def _version_key(scope: bytes, number: int) -> bytes:
    return mirror_keys.mirror_versions(scope) + number.to_bytes(8, "big")


def _prune(unit: Unit, scope: bytes, latest: int) -> None:
    """Forget the oldest versions, some at a time, but for those that a mirror stands on."""
    numbers = _numbers(unit.transaction, scope)
    if len(numbers) <= MIRROR_VERSIONS + MIRROR_VERSIONS_SLACK:
        return
    _forget(unit, scope, set(numbers[:-MIRROR_VERSIONS]) - {latest} - _needed(unit.transaction, scope))


def _needed(reader: Reader, scope: bytes) -> set[int]:
    """The versions that mirrors stand on."""
    rows = [row for row in mirrors(reader) if row.scope == scope]
    return {number for row in rows for number in (row.current, row.newest, row.writing)}


def _forget(unit: Unit, scope: bytes, numbers: set[int]) -> None:
    meta = unit.transaction
    gone: set[bytes] = set()
    kept: set[bytes] = set()
    for number, version in list(versions(meta, scope)):
        if number not in numbers:
            kept.update(version.line_keys())
            continue
        gone.update(version.line_keys())
        meta.delete(Table.META, _version_key(scope, number))
        meta.delete(Table.META, mirror_keys.mirror_hash_key(scope, version.hash))
    for key in gone - kept:
        meta.delete(Table.META, mirror_keys.mirror_line_key(scope, key))


# -- Erasures ----------------------------------------------------------------------------------------------------
def note_erased(unit: Unit, plane: bytes, issues: Container[str]) -> None:
    """Mark the lines of issues of which something was erased: versions with such a line go once nothing needs them.

    Args:
        unit: the unit.
        plane: the plane's id.
        issues: whose.
    """
    meta = unit.transaction
    for scope in {row.scope for row in mirrors(meta) if row.plane == plane}:
        start = mirror_keys.mirror_line_key(scope)
        for key, line in list(meta.scan(Table.META, start, layout.after(start))):
            if id_of(line) in issues:  # looked up: trying each name on each line takes seconds where both are many
                meta.put(Table.META, mirror_keys.mirror_erased_key(scope, key[len(start) :]), b"")


def _forget_erased(unit: Unit, scope: bytes) -> None:
    """Forget the versions with a marked line on which no mirror stands any more."""
    meta, start = unit.transaction, mirror_keys.mirror_erased_key(scope)
    marked = {key[len(start) :] for key, _ in meta.scan(Table.META, start, layout.after(start))}
    if not marked:
        return
    holding = {number for number, version in versions(meta, scope) if marked.intersection(version.line_keys())}
    _forget(unit, scope, holding - _needed(meta, scope))
    for key in marked:
        if meta.get(Table.META, mirror_keys.mirror_line_key(scope, key)) is None:
            meta.delete(Table.META, mirror_keys.mirror_erased_key(scope, key))


# -- What is due -------------------------------------------------------------------------------------------------
class Due(NamedTuple):
    """What may have changed since the file was last in step."""

    issues: set[str]
    """Of any project: `mirroring.of_project` knows which are the file's."""
    until: int
    """The first event not looked at."""


def due_since(reader: Reader, arrival: int, plane: int) -> Due:
    """The issues of a plane that events speak of, from one on.

    Args:
        reader: a transaction.
        arrival: the first event's number.
        plane: the plane's number.
    """
    log = LogReader(reader)
    names: set[str] = set()
    planes: dict[int, int] = {}
    for key, _ in reader.scan(Table.EVENTS, layout.arrival_key(max(arrival, 1))):
        arrival = int.from_bytes(key, "big")
        stored = log.event(arrival)
        if stored.feed not in planes:
            planes[stored.feed] = _plane_of(reader, stored.feed)
        skeleton = stored.event.skeleton
        if skeleton.kind == ISSUE and planes[stored.feed] == plane:
            names.add(skeleton.entity)
        arrival += 1
    return Due(names, arrival)


def _plane_of(reader: Reader, feed: int) -> int:
    packed = reader.get(Table.META, layout.feed_key(feed))
    if packed is None:
        raise damaged(f"feed {feed} is missing")
    return decode_feed(packed).plane
