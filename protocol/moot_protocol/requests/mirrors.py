"""Requests about mirrors: Beads files of this machine's workspaces that follow a project, and are followed by it.

And about the folders of workspaces, in which mirrors lie. A mirror is named by its folder and the file's path in it.
All of it is this machine's bookkeeping.
"""

from typing import Any

from moot_protocol.requests.base import Request

FILES: tuple[str, ...] = (".beads/issues.jsonl", ".beads/beads.jsonl")
"""Where Beads keeps its issues, the present name first."""


class Mirrors(Request[list[dict[str, Any]]], kw_only=True):
    """The mirrors of this machine, in order of folder and file.

    Each is `{"folder", "file", "project", "plane", "workspace", "state", "problem", "question", "missing", "left_out",
    "left_alone", "left_alone_ids", "behind", "older", "changed_at", "versions", "polls", "waiting", "gone"}`. `state`
    is `in_step`, `asks` (a mass change waits for an answer: `question` is `{"gone", "reverted", "total"}`) or `problem`
    (in words). `missing` counts issues whose lines are gone from the file and which stay, `left_out` lines of its last
    change that could not be taken in whole, `left_alone` those that are of other projects' issues and so brought
    nothing, with some of these issues' ids, `waiting` issues that wait to be written. `behind` tells that the file is
    an earlier version that later changes stay out of, `older` how many lines of its last change were older than what is
    known and so brought nothing, `changed_at` when file and log were last brought into step, milliseconds since 1970.
    `gone`, which no other answer has, tells that the file is gone with its workspace's folder, or with the linked work
    tree that it lay in.
    """

    method = "mirrors"
    folder: str = ""
    """Only those of this folder."""


class MirrorOn(Request[dict[str, Any]], kw_only=True):
    """Adopt a file: take in what it holds, and keep it as a mirror.

    Answers the mirror, with `"created", "updated", "unchanged", "skipped"` and `"problems"` as an import has them, and
    `"adopted": bool`, false where it was a mirror already; `"other_projects": {project: count}` where issues of the
    file belong to others, and stay there. Where a mirror of the workspace is gone with its folder, and the file lies at
    the same place in the workspace, it goes on as that mirror: `"adopted"` is false, `"moved_from"` the other's path,
    and what the file says is taken in after the answer. Raises `not_found` where there is no such file, `denied` for a
    link or a file out of the folder, `conflict` for conflict markers, `limit`.
    """

    method = "mirror_on"
    writes = True
    folder: str
    file: str
    workspace: str
    project: str
    plane: str = ""
    poll: bool = False
    """Look at it every second, instead of being told of changes."""
    dry_run: bool = False
    """Answer as if done, but take nothing in and keep no mirror."""


class _OfMirror(Request[dict[str, Any]], kw_only=True):
    writes = True
    folder: str
    file: str
    dry_run: bool = False
    """Answer what would be done, and do nothing. `MirrorSync` and `MirrorResume` tell then, beside the mirror as it
    would stand, what would be taken in, as an import does, and with `"writes"` whether the file would change."""


class MirrorOff(_OfMirror, kw_only=True):
    """Leave a file alone from now on; it stays as it is. Answers the mirror as it was; or `not_found`."""

    method = "mirror_off"


class MirrorSync(_OfMirror, kw_only=True):
    """Take in and write back now what would be soon. Answers the mirror; or `not_found`."""

    method = "mirror_sync"
    full: bool = False
    """Bring the whole file to what the project holds, also where it is an earlier version."""
    delete_missing: bool = False
    """Delete the issues whose lines are gone from the file."""


class MirrorResume(_OfMirror, kw_only=True):
    """Answer the question about a mass change. Answers the mirror; `not_found`; `conflict` where nothing is asked."""

    method = "mirror_resume"
    accept: bool
    """True: the file is right, issues whose lines are gone are deleted. False: it is written anew."""


class WorkspaceMoved(Request[dict[str, Any]], kw_only=True):
    """Note that a workspace lies in another folder than when it was made, if the daemon sees that it does.

    It does where the folder's `.moot/workspace` names it and the known folder's doesn't any more; so a copy changes
    nothing, and neither does asking again. Mirrors stay where they are: which file is written is said by `MirrorOn`,
    never by what lies in a folder. Its spool goes with it, if its token lies there. Answers `{"moved": bool, "from":
    the folder known before, "mirrors": paths of its mirrors whose folder is gone, "spool": whether its spool has gone
    with it}`; or `not_found`.
    """

    method = "workspace_moved"
    workspace: str
    folder: str
    """The folder that holds `.moot`: an absolute path."""


MIRROR_REQUESTS: tuple[type[Request[Any]], ...] = (
    Mirrors, MirrorOn, MirrorOff, MirrorSync, MirrorResume, WorkspaceMoved,
)  # fmt: skip
"""All of this module."""
