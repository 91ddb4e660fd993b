"""What each request needs: the one table from methods to permissions, and what a request is about.

Invariant: a method that isn't listed needs what only administrators have. Whatever makes the daemon open a file or a
connection of its own choice, hand out keys, or stop is among those too: it would act with the daemon's rights.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.requests.base import Request
from moot_protocol.requests.gates import AWAITING_ISSUES

_MAKING: Final = frozenset({"create", "create_gate"})
UNLISTED: Final = "machine:admin"
"""What a method needs that nobody has put into the table."""

_BY_PERMISSION: Final = {
    "issue:read": (
        "list ready blocked show count stats children history edges edge_tree cycles labels conflicts export "
        "resolve_ids begun events prove prove_event graph epic_status diff query stale lint duplicates similar prime "
        "workspace_info"
    ),
    "issue:write": (
        "create update close reopen undelete add_edge remove_edge add_comment resolve script set_state undo rename "
        "init_project create_gate await set_awaited"
    ),
    "issue:delete": "delete",
    "issue:admin": "erase",
    "issue:import": "import import_edits",
    "claim:read": "claim_peers handoffs",
    "claim:write": "claim_ready unclaim heartbeat claims_told write_handoff",
    "memory:read": "memories",
    "memory:write": "remember",
    "memory:delete": "forget",
    "memory:admin": "erase_memory",
    "setting:read": "settings",
    "setting:write": "set_setting",
    "document:read": "documents show_document document_history document_conflicts adopted_formula",
    "document:write": "new_document publish_document resolve_document",
    "document:admin": "adopt_document",
    "mail:read": "mail read_mail",
    "mail:write": "send_mail nudge ack_mail nudges_told",
    "plane:read": "planes show_plane members towns own_town replicas forks",
    "plane:admin": "create_plane rotate_plane_key isolate_plane",
    "member:admin": (
        "invite invites close_invite invite_town join remove_town retire_replica settle_fork create_town "
        "rotate_town_key recover salvage init_town"
    ),
    "remote:read": "remotes outbox",
    "remote:write": "sync check_remote",
    "remote:admin": "add_remote remove_remote set_mode",
    "mirror:read": "mirrors",
    "mirror:admin": "mirror_on mirror_off mirror_sync mirror_resume workspace_moved",
    "federation:read": "federation_status federation_review federation_news",
    "share:read": "shares",
    "share:admin": "share unshare follow_share",
    "spool:admin": "open_spool close_spool",
    "machine:read": "ping status doctor",
    "machine:admin": "stop rebuild fsck backup check_backup protect",
    "access:read": "check_access",
    "access:admin": "show_access import_access validate_access create_token list_tokens revoke_token",
    "audit:admin": "list_audit export_audit verify_audit",
    "lease:read": "leases",
    "lease:write": "acquire_lease renew_lease release_lease",
    "lease:admin": "promote_town rebalance",
}
"""Permission → the methods that need it."""

PERMISSIONS: Final[Mapping[str, str]] = {
    method: permission for permission, methods in _BY_PERMISSION.items() for method in methods.split()
}
"""Method → what it needs."""
EVERY_PERMISSION: Final = tuple(sorted(_BY_PERMISSION))

RESOURCE_FIELDS: Final = frozenset(
    {
        "plane", "project", "projects", "id", "ids", "workspace", "town", "replica", "remote", "name", "key", "prefix",
        "assignee", "actor", "target", "parent", "lease", "source", "to", "user", "blocks", "alias", "await_id",
        "waiter", "home", "author", "without",
    }
)  # fmt: skip
"""Fields of requests, at any depth, that say what a request is about. None of them ever holds a secret."""
_FREE_FIELDS: Final = frozenset({"metadata", "set_metadata"})
"""Fields in which people write whatever they like, under names of their own."""
ID_FIELDS: Final = frozenset({"id", "ids", "target", "parent", "to", "blocks"})
"""Those of them that may hold the beginning of an issue's id."""
_PLANE: Final = "plane"
_AWAITED: Final = "await_id"
"""What a gate waits for: an issue's id where the gate is of such a type; else only restrictions look at it."""
_NAMING: Final[Mapping[str, frozenset[str]]] = {
    "issue": frozenset({"project", "projects", "prefix"}),
    "claim": frozenset({"project", "projects"}),
    "memory": frozenset({"key"}),
    "setting": frozenset({"key"}),
    "document": frozenset({"name"}),
    "mail": frozenset(),
    "plane": frozenset({"plane"}),
    "member": frozenset({"plane"}),
    "federation": frozenset({"plane"}),
    "remote": frozenset({"remote", "name"}),
    "mirror": frozenset({"project"}),
    "share": frozenset({"project"}),
    "spool": frozenset({"workspace"}),
    "lease": frozenset({"name"}),
}
"""Subject of a permission → the fields whose names a rule's resource covers, beside ids: a rule about issues of a
project `build` says nothing of a plane, a remote or a town of that name."""


class Named(msgspec.Struct, frozen=True, order=True):
    """One thing that a request is about."""

    text: str
    is_id: bool = False
    """Whether it may be the beginning of an issue's id."""


class Part(NamedTuple):
    """One thing that a request does."""

    method: str
    permission: str
    """What it needs."""
    named: tuple[Named, ...]
    """What it is about."""
    makes_in: str = ""
    """The project in which it makes an issue whose id it doesn't say; empty where it makes none."""
    places: tuple[str, ...] = ()
    """The names among them that a permission with a resource may cover."""
    planes: tuple[str, ...] = ()
    """What among them names a plane."""


def methods_in(request: Request[Any]) -> tuple[str, ...]:
    """The methods that a request carries out: its own, and those of its steps if it is a script."""
    steps = getattr(request, "steps", ())
    found = [str(step.get("method", "")) for step in steps if isinstance(step, Mapping)]
    return (request.method, *dict.fromkeys(found))


def permissions_of(request: Request[Any]) -> tuple[str, ...]:
    """What a request needs, each permission once."""
    return tuple(dict.fromkeys(PERMISSIONS.get(method, UNLISTED) for method in methods_in(request)))


def resources_of(request: Request[Any]) -> tuple[Named, ...]:
    """What a request is about: the names in it, in order; none where it is about everything."""
    return tuple(sorted({named for named, _ in _names(msgspec.to_builtins(request), "")}))


def parts_of(request: Request[Any]) -> tuple[Part, ...]:
    """What a request does: its steps, each by itself, if it is a script; else the one thing that it is."""
    steps = [step for step in getattr(request, "steps", ()) if isinstance(step, Mapping)]
    if not steps:
        return (_part(request.method, list(_names(given := msgspec.to_builtins(request), "")), given),)
    found: list[Part] = []
    meant: list[str] = []
    for step in steps:
        method, params = str(step.get("method", "")), step.get("params")
        named = [
            (msgspec.structs.replace(each, text=_dereferenced(each.text, meant)), field)
            for each, field in _names(params, "")
        ]
        given = params if isinstance(params, Mapping) else {}
        found.append(_part(method, [(each, field) for each, field in named if each.text], given))
        own = given.get("id")
        meant.append(_dereferenced(own, meant) if isinstance(own, str) else "")
    return tuple(found)


def _part(method: str, named: list[tuple[Named, str]], given: Mapping[str, Any]) -> Part:
    permission = PERMISSIONS.get(method, UNLISTED)
    naming = _NAMING.get(permission.partition(":")[0], frozenset())
    places = {each.text for each, field in named if field in naming}
    makes_in = str(given.get("project") or "") if method in _MAKING and not given.get("id") else ""
    planes = {each.text for each, field in named if field == _PLANE}
    about = tuple(sorted({each for each, _ in named}))
    return Part(method, permission, about, makes_in, tuple(sorted(places)), tuple(sorted(planes)))


def _dereferenced(text: str, meant: list[str]) -> str:
    """The issue that a name inside a script stands for: `$2` for what the second step names, empty where it makes one.

    Args:
        text: the name.
        meant: what each step before names.
    """
    if not (text.startswith("$") and text[1:].isdecimal()):
        return text
    number = int(text[1:])
    return meant[number - 1] if 1 <= number <= len(meant) else ""


def _names(value: Any, field: str) -> Iterator[tuple[Named, str]]:
    """(name, the field that it stands in) of all names in a value."""
    if isinstance(value, Mapping) and field not in _FREE_FIELDS:
        is_issue_awaited = value.get("await_type") in AWAITING_ISSUES
        for name, inner in value.items():
            if name == _AWAITED and is_issue_awaited and isinstance(inner, str) and inner.strip():
                yield Named(inner.strip(), is_id=True), _AWAITED
            else:
                yield from _names(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _names(inner, field)
    elif isinstance(value, str) and value and field in RESOURCE_FIELDS:
        yield Named(value, field in ID_FIELDS), field
