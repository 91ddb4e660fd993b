"""Requests about the log that this machine holds, and about the daemon that keeps it; as `issues.py` for the rest."""

from typing import Any

from moot_protocol.requests.base import Request


class Events(Request[dict[str, Any]], kw_only=True):
    """Events in the order in which they arrived here, after arrival number `since`.

    Answers `{"events": [{"arrival", "id", "kind", "entity", "actor", "at", "changes", "author", "n", "own"}], "next":
    arrival, "first": oldest arrival kept}`, and where several claimed one issue `"contested": {"holder", "lost":
    [names]}` as of now; going on with `since=next` misses nothing and repeats nothing. `n` and `own` are those of
    `History`, and no place in this order. With `wait_ms`, an empty answer waits that long for news.
    """

    method = "events"
    since: int | None = 0
    """None: nothing of the past; `next` is then where the present ends."""
    limit: int = 1000
    wait_ms: int = 0
    kind: str = ""


class Prove(Request[list[dict[str, Any]]], kw_only=True):
    """Proofs of an entity's events (all, or those with number `n`): each `{"proof": bytes, "what": summary}`."""

    method = "prove"
    id: str
    n: int | None = None
    author: str = ""
    """The beginning of the key of the machine that `n` is of; empty: every machine that has such an event."""


class ProveEvent(Request[list[dict[str, Any]]], kw_only=True):
    """Proofs of the accepted events with number `n` on every plane, whatever they are about: each as `Prove` has it."""

    method = "prove_event"
    n: int
    author: str
    """The beginning of the key of the machine, or town, that `n` is of; empty: of this machine."""


class Status(Request[dict[str, Any]], kw_only=True):
    """What this replica is and holds.

    Answers `{"version", "protocol", "data": folder, "bytes": on disk, "at_rest": words, "town": {"name", "key"},
    "replica": key, "planes": [{"name", "plane", "state", "digest": hex, "events", "issues", "deleted", "feeds",
    "frontier": [{"author", "n", "head"}]}], "projects": [{"project", "folder", "plane", "issues"}], "conflicts": n,
    "parked": batches, "jobs": [{"job", "done", "total"}], "alarms": [{"code", "severity", "message", "hint"}]}`. A
    plane's `state` is `ready`, `waiting` for its charter, or `excluded` where nothing counts that this machine writes.
    """

    method = "status"


class Rebuild(Request[dict[str, Any]], kw_only=True):
    """Replay the log into fresh views while serving, a stretch at a time.

    Answers `{"done": bool, "cursor", "progress": [events replayed, events in all]}` and, when done,
    `"planes": [{"name", "events", "before": digest, "after": digest}]`. Call again with the cursor until done; what is
    left half way is dropped, and what is served meanwhile are the old views.
    """

    method = "rebuild"
    cursor: str = ""
    """Empty begins."""


class Fsck(Request[dict[str, Any]], kw_only=True):
    """Verify every hash, link and signature, and rows, lists and digests against the log, a stretch at a time.

    Answers `{"done": bool, "cursor", "progress": [batches checked, batches in all], "problems": [{"where", "problem",
    "hint"}] of this stretch}` and, when done, `"batches"` and `"events"`. Call again with the cursor until done.
    """

    method = "fsck"
    cursor: str = ""
    """Empty begins."""


class Backup(Request[dict[str, Any]], kw_only=True):
    """Copy what this machine needs to go on into a folder, and verify the copy, while serving; by the daemon itself.

    It goes on beside, and ends without a trace where nobody asks after it for some seconds. Answers `{"done": bool,
    "cursor", "stage": "copying" or "verifying", "progress": [done, total]}`, in bytes and then in rows; when done also
    `"folder"`, `"bytes"`, `"batches"`, `"events"`, `"files": [path]`, `"planes": [{"name", "plane", "events", "digest":
    hex}]`. Call again with the cursor until done. A trial answers once, without what only the copy can tell.
    """

    method = "backup"
    folder: str
    """An absolute path: of nothing yet, or of an empty folder."""
    dry_run: bool = False
    cursor: str = ""
    """Empty begins."""


class CheckBackup(Request[dict[str, Any]], kw_only=True):
    """Verify such a copy, as `Backup` does.

    Answers as `Backup`, and when done also `"made": milliseconds since 1970` and `"problems": [{"where", "problem",
    "hint"}]`; where there are some, the rest may be missing.
    """

    method = "check_backup"
    folder: str
    cursor: str = ""
    """Empty begins."""


class Doctor(Request[list[dict[str, Any]]], kw_only=True):
    """Checks of this machine: `{"check", "ok", "detail", "hint"}` each."""

    method = "doctor"


class Protect(Request[dict[str, Any]], kw_only=True):
    """Close to others what holds secrets of this machine and is its user's: data, keys, recovery words, spools.

    Answers `{"closed": [paths]}`, of what was open; the access rules are left to their user.
    """

    method = "protect"
    writes = True
    dry_run: bool = False
    """Answer as if done, but change nothing."""


class Ping(Request[dict[str, Any]], kw_only=True):
    """`{"pid", "uptime_ms", "version", "protocol", "data", "config_file"}`; the last two are paths."""

    method = "ping"


class Stop(Request[dict[str, Any]], kw_only=True):
    """Ask the daemon to finish what it has begun and end."""

    method = "stop"


MACHINE_REQUESTS: tuple[type[Request[Any]], ...] = (
    Events, Prove, ProveEvent, Status, Rebuild, Fsck, Backup, CheckBackup, Doctor, Protect, Ping, Stop,
)  # fmt: skip
"""All of this module."""
