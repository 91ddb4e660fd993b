"""Who may do what: rules, and the one function that decides by them.

A user has a *role*, the most that they may do; *permissions*, what of it they may; and *restrictions*, which take
away. Invariants: what no rule allows is denied; a restriction wins over everything; the order in which anything is
listed never shows; `alice/claude-3` may never do what `alice` may not.

    permission     subject:verb, as `issue:read`; a rule may add a resource (`issue:write:demo-*`)
    *              in a rule, any run of characters, colons included
    no:PATTERN     denies where PATTERN fits the permission, the resource, or `permission:resource`; case doesn't count
    rig:, crew:    in a rule, what others call projects and workers: read as `issue:` and `claim:`
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

EVERYTHING: Final = "*"
"""The resource of a request that names none: all there is."""
RESTRICTION: Final = "no:"
ADMIN_VERB: Final = "admin"
READ_VERB: Final = "read"
_SYNONYMS: Final = {"rig": "issue", "crew": "claim"}


class AccessRole(StrEnum):
    """The most that a user may do."""

    ADMIN = "admin"
    """Everything."""
    USER = "user"
    """Everything but administer (verb `admin`)."""
    READER = "reader"
    """Read."""
    SERVICE_ACCOUNT = "service_account"
    """As a user, but nothing that isn't listed."""


class Audit(StrEnum):
    """Which requests leave a record although nobody administers anything by them."""

    WRITES = "writes"
    """Decisions on requests that write, and every denial."""
    DECISIONS = "decisions"
    """Every decision."""
    ALL = "all"
    """Every request, also of the daemon's own user, on whom no rule binds."""


class User(NamedTuple):
    """What the rules say of somebody."""

    role: AccessRole
    permissions: tuple[str, ...] | None = None
    """None: all that the role allows; nothing for a service account."""
    restrictions: tuple[str, ...] = ()
    """Patterns, without the `no:`."""
    uids: tuple[int, ...] = ()
    """User ids of the system that are this user."""


class Rules(NamedTuple):
    """All that an access file says."""

    users: Mapping[str, User]
    audit: Audit = Audit.WRITES


class Decision(NamedTuple):
    """What was decided, and by which rule."""

    allowed: bool
    rule: str
    """In words: the user and the rule of theirs that decided."""


def decide(rules: Rules, subject: str, permission: str, resource: str = EVERYTHING) -> Decision:
    """Decide whether somebody may do something.

    Args:
        rules: the rules.
        subject: who: the name of a user, or of somebody who works for one (`user/…`).
        permission: what, as `issue:write`.
        resource: on what.
    """
    decisions = [_of_user(name, rules.users[name], permission, resource) for name in _chain(rules, subject)]
    if not decisions:
        return Decision(False, f"no rule names {subject}")
    return next((each for each in decisions if not each.allowed), decisions[-1])


def user_of(rules: Rules, uid: int) -> str | None:
    """The user that a user id of the system is."""
    return next((name for name in sorted(rules.users) if uid in rules.users[name].uids), None)


def acts_for(actor: str, user: str) -> bool:
    """Whether an actor is a user, or somebody who works for them."""
    return actor == user or actor.startswith(f"{user}/")


def matches(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern, in time linear in the text for each part of the pattern."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == text
    if not text.startswith(first):
        return False
    place = len(first)
    for part in others[:-1]:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - place >= len(others[-1]) and text.endswith(others[-1])


def meant(pattern: str) -> str:
    """A pattern with the words that others use for subjects put into ours."""
    subject, colon, rest = pattern.partition(":")
    return f"{_SYNONYMS.get(subject, subject)}{colon}{rest}"


def _chain(rules: Rules, subject: str) -> Iterator[str]:
    """Those whose rules bind a subject: for `a/b/c` the users `a`, `a/b` and `a/b/c`, as far as there are any."""
    parts = subject.split("/")
    names = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return (name for name in names if name in rules.users)


def _of_user(name: str, user: User, permission: str, resource: str) -> Decision:
    whole = f"{permission}:{resource}"
    for pattern in sorted(user.restrictions):
        folded = pattern.casefold()
        targets = (permission, resource, whole)
        if any(matches(each, target.casefold()) for each in {folded, meant(folded)} for target in targets):
            return Decision(False, f"{name}: {RESTRICTION}{pattern}")
    if not _within(user.role, permission):
        return Decision(False, f"{name}: role {user.role}")
    if user.permissions is None:
        return Decision(user.role is not AccessRole.SERVICE_ACCOUNT, f"{name}: role {user.role}")
    granting = (each for each in sorted(user.permissions) if _grants(meant(each), permission, whole))
    rule = next(granting, None)
    return Decision(rule is not None, f"{name}: {rule or 'no permission of theirs'}")


def _grants(pattern: str, permission: str, whole: str) -> bool:
    return matches(pattern, permission) or matches(pattern, whole)


def _within(role: AccessRole, permission: str) -> bool:
    verb = permission.partition(":")[2]
    if role is AccessRole.ADMIN:
        return True
    return verb == READ_VERB if role is AccessRole.READER else verb != ADMIN_VERB
