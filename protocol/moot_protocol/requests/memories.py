"""Requests about what a project remembers: memories, settings, and what an agent is told first; as `issues.py`.

`plane` is the plane that the project belongs to, where several have one of its name. Memories and settings stand on
that plane, so that everybody in the project has the same. Times are milliseconds since 1970.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


# -- Memories ----------------------------------------------------------------------------------------------------
class Remember(Mutation[dict[str, Any]], kw_only=True):
    """Keep a text under a key, over what stands there.

    Answers `{"key", "text", "created": bool}`, `key` that which was taken, and `_unchanged` where it stands there
    already. Raises `invalid` or `limit` for a key or text that can't be kept.
    """

    method = "remember"
    project: str
    plane: str = ""
    key: str
    text: str
    unless_erased: bool = False
    """Leave alone a memory of which anything was erased, unless it says so already: `_erased` beside `_unchanged`."""
    beside: bool = False
    """Write over no other text: where one stands under KEY, take KEY-2, KEY-3 and so on. Settles no conflict."""


class Forget(Mutation[dict[str, Any]], kw_only=True):
    """Take a memory away; the log keeps that it was there. Answers `{"key", "text"}` as it was; or `not_found`.

    Of a conflict in which it was taken away already, the other texts are.
    """

    method = "forget"
    project: str
    plane: str = ""
    key: str


class EraseMemory(Mutation[dict[str, Any]], kw_only=True):
    """Take a memory away if it is still there, and the texts that it ever had out of the log, for good.

    Answers `{"key", "events": n}`. Raises `not_found` where no text of it is here, `denied` where another town wrote
    some of it and this machine is no admin.
    """

    method = "erase_memory"
    project: str
    plane: str = ""
    key: str


class Memories(Request[list[dict[str, Any]]], kw_only=True):
    """The memories of a project by key: `{"key", "text", "updated_at", "foreign": bool, "conflict": bool}` each.

    `foreign`: some of it was written in another town, and nobody of this one has written over it since. One in conflict
    has `"values"`, too: all that were written apart, as `conflicts` has those of a field; empty for a taking away, and
    None for what isn't here.
    """

    method = "memories"
    project: str
    plane: str = ""
    key: str = ""
    """Only this one."""
    search: str = ""
    """In key or text, case ignored."""
    conflicts: bool = False
    """Only those in conflict; also where a taking away is what is shown: `text` is empty then."""


# -- Settings ----------------------------------------------------------------------------------------------------
class SetSetting(Mutation[dict[str, Any]], kw_only=True):
    """Set a setting, or take it away.

    Answers `{"key", "value": text or None, "was": text or None}`, and `_unchanged` where it is so already. Raises
    `invalid` for a key that nothing reads and a value it can't have, `denied` for what looks like a secret, `limit`.
    """

    method = "set_setting"
    project: str
    """Empty: for every project of the town that has none of its own."""
    plane: str = ""
    key: str
    value: str | None = None
    """None: take it away."""
    secrets: bool = False
    """Keep it even if it looks like a secret."""


class Settings(Request[list[dict[str, Any]]], kw_only=True):
    """The settings of a project, and those of the town that it has none of its own for, by key.

    Each is `{"key", "value", "of": "project" or "town", "conflict": bool}`, and one in conflict has `"values"` as a
    memory has.
    """

    method = "settings"
    project: str
    plane: str = ""
    prefix: str = ""
    """Only keys that begin so."""
    conflicts: bool = False
    """As of `Memories`; those of the town beside those that the project has of its own."""


# -- Prime -------------------------------------------------------------------------------------------------------
class Prime(Request[dict[str, Any]], kw_only=True):
    """What an agent should know first.

    Answers `{"memories": [{"key", "text"}], "claimed": issues, "ready": issues, "ready_total": n or None,
    "foreign": {"memories": n, "issues": n}}`; an issue is `{"id", "title", "priority", "status", "_short"}`, the last
    how many of its id's leading characters make it unique. Memories are newest first, claimed issues are the actor's,
    the first of them with `"handoff": True` where something was left. What was written in another town, and by nobody
    of this one since, is left out and counted under `foreign`. A memory in conflict has `"conflict": True`.
    """

    method = "prime"
    project: str
    plane: str = ""
    actor: str
    limit: int = 15
    """Ready issues at most."""


MEMORY_REQUESTS: tuple[type[Request[Any]], ...] = (Remember, Forget, EraseMemory, Memories, SetSetting, Settings, Prime)
"""All of this module."""
