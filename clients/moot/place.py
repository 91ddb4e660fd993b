"""Where a program works and as whom: the workspace of a folder and the name of its actor, by the command line's rules.

Nothing is asked of the daemon here; which project a workspace belongs to, it alone knows.
"""

import os
from pathlib import Path
from typing import NamedTuple

from moot.facts import ACTORS, git_user, workspace_of
from moot.paths import user
from moot_protocol.errors import Code, RefusedError


class Place(NamedTuple):
    """Where a client works."""

    folder: str
    workspace: str
    """The opaque id of the workspace that the folder lies in; empty where it lies in none."""
    actor: str
    """Who acts: goes into every event."""


def place_of(folder: str | Path | None = None, actor: str = "") -> Place:
    """The place of a program.

    Args:
        folder: where it works; by default this process's folder. The workspace is found upward from there.
        actor: who acts; else MOOT_ACTOR, BD_ACTOR, BEADS_ACTOR, git's user.name, USER, the name of
            this process's user, in this order.

    Raises:
        RefusedError: `not_found`: there is no such folder.
    """
    path = str(Path(folder or ".").absolute())
    if folder is not None and not Path(path).is_dir():
        raise RefusedError(f"there is no folder {path}", code=Code.NOT_FOUND, hint="name one that is there")
    return Place(path, workspace_of(path), _actor(path, actor))


def _actor(folder: str, given: str) -> str:
    named = next(filter(None, (os.environ.get(name, "").strip() for name in ACTORS)), "")
    return given.strip() or named or git_user(folder).strip() or user() or "unknown"
