"""Access files: `access.toml` to rules and back, and rules from the YAML that other tools have.

    audit = "decisions"                   # "writes", "all"

    [users.alice]
    role = "user"                         # "admin", "reader", "service_account"
    uids = [1000]
    permissions = ["issue:*", "memory:read"]
    restrictions = ["no:*polecat*"]

Invariant: a file that can't be read to its last field gives no rules at all, so that a slip of the pen never lets
anybody in. Names, patterns and ids that contradict one another are errors too.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot_protocol.access.rules import RESTRICTION, AccessRole, Audit, Rules, User, matches, meant
from moot_protocol.access.yaml import read_yaml
from moot_protocol.ids import entity_problem
from moot_protocol.limits import ACCESS_BYTES, ACCESS_PATTERN_CHARS, ACCESS_PATTERNS, ACCESS_USERS
from moot_protocol.text.toml_text import DocumentError, Table, quoted, read_toml

_MOST_UID: Final = 2**32 - 2
"""The highest user id; the one above means none."""


def read_rules(text: str) -> Rules:
    """The rules that an `access.toml` gives.

    Raises:
        DocumentError: it gives none; says where.
    """
    _check_size(text)
    top = Table(read_toml(text))
    rules = Rules(_users(top.table("users")), _one_of(Audit, top, "audit", Audit.DECISIONS))
    _check_others(top)
    return _checked(rules)


def rules_from_yaml(text: str) -> Rules:
    """The rules that another tool's `access.yaml` gives.

    Raises:
        DocumentError: it gives none; says where.
    """
    _check_size(text)
    found = read_yaml(text)
    if not isinstance(found, dict):
        raise DocumentError("it must begin with `users:`")
    if isinstance(found.get("users"), list):
        found = found | {"users": _by_name(found["users"])}
    top = Table(found)
    users = top.table("users")
    for name in users.names():
        _rename_uid(found["users"][name])
    rules = Rules(_users(users), _one_of(Audit, top, "audit", Audit.DECISIONS))
    _check_others(top)
    return _checked(rules)


def _by_name(entries: list[Any]) -> dict[str, Any]:
    users: dict[str, Any] = {}
    for place, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in users:
            raise DocumentError("it must have a name that no other has", field=f"users[{place}]")
        users[name] = {field: value for field, value in entry.items() if field != "name"}
    return users


def _rename_uid(entry: Any) -> None:
    if isinstance(entry, dict) and "uid" in entry and "uids" not in entry:
        entry["uids"] = [entry.pop("uid")]


def _check_size(text: str) -> None:
    if len(text.encode("utf-8", "replace")) > ACCESS_BYTES:
        raise DocumentError(f"it has more than {ACCESS_BYTES} bytes")


def _check_others(table: Table) -> None:
    for name in table.others():
        raise table.error(name, "there is no such field")


def _one_of(choices: Any, table: Table, name: str, default: Any) -> Any:
    given = table.text(name)
    if given and given not in list(choices):
        raise table.error(name, f"it must be one of {', '.join(choices)}")
    return choices(given) if given else default


def _users(table: Table) -> dict[str, User]:
    names = table.names()
    if len(names) > ACCESS_USERS:
        raise table.error("", f"there are more than {ACCESS_USERS}")
    return {name: _user(table, name) for name in sorted(names)}


def _user(users: Table, name: str) -> User:
    problem = entity_problem(name)
    if problem or name.startswith("/") or name.endswith("/"):
        raise users.error(name, f"it can't name a user: {problem or 'a / stands between two names'}")
    table = users.table(name)
    role = _one_of(AccessRole, table, "role", None)
    if role is None:
        raise table.error("role", "it must be there")
    listed = _patterns(table, "permissions")
    taken = _patterns(table, "restrictions")
    wrong = next((each for each in taken if not each.startswith(RESTRICTION)), None)
    if wrong is not None:
        raise table.error("restrictions", f"{wrong} must begin with {RESTRICTION}")
    denying = [*taken, *(each for each in listed if each.startswith(RESTRICTION))]
    granting = tuple(sorted({each for each in listed if not each.startswith(RESTRICTION)}))
    user = User(
        role,
        granting if "permissions" in table else None,
        tuple(sorted({each.removeprefix(RESTRICTION).strip() for each in denying})),
        _uids(table),
    )
    _check_others(table)
    return user


def _patterns(table: Table, name: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in table.texts(name))
    if len(found) > ACCESS_PATTERNS:
        raise table.error(name, f"there are more than {ACCESS_PATTERNS}")
    for each in found:
        if not each.removeprefix(RESTRICTION).strip() or len(each) > ACCESS_PATTERN_CHARS or not each.isprintable():
            raise table.error(name, f"a rule has 1 to {ACCESS_PATTERN_CHARS} characters, all of them printable")
    return found


def _uids(table: Table) -> tuple[int, ...]:
    given = table.any("uids")
    if given is None:
        return ()
    if not isinstance(given, list) or any(type(uid) is not int or not 0 <= uid <= _MOST_UID for uid in given):
        raise table.error("uids", "it must be a list of user ids")
    return tuple(sorted(set(given)))


def _checked(rules: Rules) -> Rules:
    owners: dict[int, str] = {}
    for name, user in rules.users.items():
        for uid in user.uids:
            if uid in owners:
                raise DocumentError(f"{owners[uid]} and {name} can't both be user id {uid}", field="users")
            owners[uid] = name
    return rules


def idle_rules(rules: Rules, permissions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(user, rule) of permissions that fit nothing there is: most likely misspelt.

    Args:
        rules: the rules.
        permissions: every permission there is.
    """
    for name, user in rules.users.items():
        for rule in user.permissions or ():
            general = ":".join(meant(rule).split(":")[:2])
            if not any(matches(general, each) or matches(meant(rule), each) for each in permissions):
                yield name, rule


def write_rules(rules: Rules) -> str:
    """Rules as an `access.toml` that `read_rules` reads to the same."""
    parts = [f"audit = {quoted(rules.audit)}\n"]
    for name in sorted(rules.users):
        user = rules.users[name]
        lines = [f"[users.{quoted(name)}]", f"role = {quoted(user.role)}"]
        if user.uids:
            lines.append(f"uids = [{', '.join(map(str, user.uids))}]")
        if user.permissions is not None:
            lines.append(f"permissions = [{', '.join(map(quoted, user.permissions))}]")
        if user.restrictions:
            listed = ", ".join(quoted(RESTRICTION + each) for each in user.restrictions)
            lines.append(f"restrictions = [{listed}]")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
