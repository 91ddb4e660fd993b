"""Settings: which keys there are, and which values each may have. They stand on a plane, for everybody in a project.

A key is known by itself or by its namespace; a mistyped one is refused rather than kept where nothing reads it.
Whatever is written to a log can't be taken back from those who have read it, so keys that hold secrets are refused.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CUSTOM_STATUSES, SETTING_BYTES, SETTING_KEY_BYTES

KV: Final = "kv."
"""What the keys of the key-value store begin with; `config` doesn't list them."""
NAMESPACES: Final = (
    "custom.", KV, "ado.", "agent.", "ai.", "audit.", "backup.", "beads.", "claim.", "conflict.", "doctor.", "dolt.",
    "export.", "external_projects.", "federation.", "github.", "gitlab.", "hierarchy.", "import.", "jira.", "linear.",
    "mail.", "notion.", "output.", "prime.", "repos.", "routing.", "status.", "sync.", "types.", "validation.",
)  # fmt: skip
"""What keys of others may begin with: kept as they are, read by whoever put them there."""
KEPT: Final = frozenset(
    {"allowed_prefixes", "issue_id_mode", "max_collision_prob", "max_hash_length", "min_hash_length"}
)
"""Whole keys of others, kept like those."""
_SECRET: Final = re.compile(r"(^|[._-])(password|passwd|secret|token|pat|api[._-]?key|credentials?)$")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_CATEGORIES: Final = frozenset({"active", "wip", "done", "frozen"})
STATUSES: Final = frozenset({"open", "in_progress", "blocked", "deferred", "closed", "pinned", "hooked"})
"""The statuses of every project."""
TYPES: Final = frozenset(
    {
        "bug", "feature", "task", "epic", "chore", "decision", "message", "molecule", "gate", "spike", "story",
        "milestone", "event", "merge-request", "agent", "role", "rig", "convoy", "slot",
    }
)  # fmt: skip
"""The issue types of every project."""
_FLAGS: Final = frozenset({"true", "false"})


class CustomStatus(NamedTuple):
    """A status of a project's own."""

    name: str
    category: str
    """active, wip, done or frozen; empty where none is given."""


class Known(NamedTuple):
    """A setting whose values are checked."""

    about: str
    """What it does, in a few words."""
    check: Callable[[str], str]
    """What is wrong with a value; empty if nothing is."""
    is_read: bool = True
    """Whether Moot does something by it. Others are checked and kept for programs of Beads that do."""


def custom_statuses(value: str) -> list[CustomStatus]:
    """The statuses that `status.custom` names: `review:active,parked:frozen`.

    Raises:
        RefusedError: a name or a category is none, a name stands twice, or there are too many.
    """
    found: dict[str, CustomStatus] = {}
    for part in filter(None, (each.strip() for each in value.split(","))):
        name, colon, category = part.partition(":")
        if not _NAME.fullmatch(name):
            raise RefusedError(f"{name!r} is no name of a status", hint="small letters, digits, _ and -")
        if colon and category not in _CATEGORIES:
            raise RefusedError(f"{category!r} is no category", hint=f"one of {', '.join(sorted(_CATEGORIES))}")
        if name in found:
            raise RefusedError(f"status {name} stands twice")
        found[name] = CustomStatus(name, category)
    if len(found) > CUSTOM_STATUSES:
        raise RefusedError(f"{len(found)} statuses; at most {CUSTOM_STATUSES}", code=Code.LIMIT)
    return list(found.values())


def custom_types(value: str) -> list[str]:
    """The issue types that `types.custom` names.

    Raises:
        RefusedError: a name is none.
    """
    names = [part.strip() for part in value.split(",") if part.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise RefusedError(f"{name!r} is no name of a type", hint="small letters, digits, _ and -")
    return list(dict.fromkeys(names))


def _parsed_by(parse: Callable[[str], Any]) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            parse(value)
        except RefusedError as error:
            return f"{error.message}: {error.hint}" if error.hint else error.message
        return ""

    return check


def _flag(value: str) -> str:
    return "" if value in _FLAGS else "it is true or false"


def _count(value: str) -> str:
    return "" if value.isascii() and value.isdigit() and len(value) < 10 else "it is a whole number from 0 on"


def _one_of(*names: str) -> Callable[[str], str]:
    return lambda value: "" if value in names else f"it is one of {', '.join(names)}"


KNOWN: Final[dict[str, Known]] = {
    "agent.profile": Known(
        "how much agents may do by themselves", _one_of("conservative", "minimal", "team-maintainer"), is_read=False
    ),
    "export.auto": Known("whether Beads writes its file after changes", _flag, is_read=False),
    "federation.sovereignty": Known(
        "how much is shared, as Beads names it", _one_of("T1", "T2", "T3", "T4"), is_read=False
    ),
    "no-git-ops": Known("agents make no commits", _flag, is_read=False),
    "prime.max-memories": Known("memories in `prime` at most; 0: as many as fit", _count),
    "prime.max-memory-chars": Known("bytes of memories in `prime` at most; 0: as many as fit", _count),
    "routing.mode": Known(
        "where new issues go, as Beads names it",
        _one_of("auto", "maintainer", "contributor", "explicit"),
        is_read=False,
    ),
    "status.custom": Known("statuses of your own: name:category,…", _parsed_by(custom_statuses)),
    "types.custom": Known("issue types of your own: name,…", _parsed_by(custom_types)),
}
"""By key."""
PREFIX_KEYS: Final = frozenset({"issue_prefix", "issue-prefix", "prefix"})


def check_key(key: str, *, secrets: bool = False) -> None:
    """Refuse a key that nothing can mean.

    Args:
        key: the key.
        secrets: let it name a secret all the same.

    Raises:
        RefusedError: `invalid`, `denied` for a secret, `limit`.
    """
    if not key.strip() or key != key.strip() or not key.isprintable():
        raise RefusedError(f"{key!r} is no key of a setting")
    if len(key.encode()) > SETTING_KEY_BYTES:
        raise RefusedError(f"a key of {len(key.encode())} bytes; at most {SETTING_KEY_BYTES}", code=Code.LIMIT)
    if key in PREFIX_KEYS:
        raise RefusedError(f"{key} can't be set: a project keeps its prefix", hint="see `moot rename-prefix`")
    is_of_others = key in KEPT or any(key.startswith(name) and len(key) > len(name) for name in NAMESPACES)
    if key not in KNOWN and not is_of_others:
        lacks_name = key in NAMESPACES
        hint = f"write a name after the dot: {key}NAME" if lacks_name else f"for one of your own: custom.{key}"
        raise RefusedError(f"nothing reads a setting {key}", hint=hint)
    if not secrets and not key.startswith(KV) and _SECRET.search(key):
        raise RefusedError(
            f"{key} looks like a secret, and what is written to the log stays there for everybody on its plane",
            code=Code.DENIED,
            hint="keep it in the environment of the program that needs it",
        )


def problem_of(key: str, value: str) -> str:
    """What is wrong with a setting's value; empty if nothing is."""
    if len(value.encode()) > SETTING_BYTES:
        return f"it has {len(value.encode())} bytes; at most {SETTING_BYTES}"
    known = KNOWN.get(key)
    return known.check(value) if known is not None else ""
