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
_ANY: Final = "\0"
"""A name that nothing has: only what fits every name fits it."""
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
    """Every decision: of whom a rule binds, the reads that were allowed too. So it is where nothing is said."""
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
    audit: Audit = Audit.DECISIONS


class Asker(NamedTuple):
    """Whose requests have to be admitted."""

    uid: int | None = None
    """The user id at the other end of the socket; None where the system can't tell, and only the daemon's own gets in.
    """
    token: str = ""
    """The API token that was presented, or empty."""


class Decision(NamedTuple):
    """What was decided, and by which rule."""

    allowed: bool
    rule: str
    """In words: the user and the rule of theirs that decided."""
    unseen: str = ""
    """What was typed for something that has to look as if it weren't there; empty where nothing has to."""


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


def is_named(rules: Rules, subject: str) -> bool:
    """Whether there are rules for somebody: their own, or those of whom they work for."""
    return next(_chain(rules, subject), None) is not None


def restriction_of(rules: Rules, subject: str, permission: str, resource: str) -> Decision | None:
    """The restriction that takes a resource away, if one does; whether anything grants it isn't asked."""
    found = (_restricted(name, rules.users[name], permission, resource) for name in _chain(rules, subject))
    return next((each for each in found if each is not None), None)


def restricts(rules: Rules, subject: str) -> bool:
    """Whether anything at all is taken away from somebody."""
    return any(rules.users[name].restrictions for name in _chain(rules, subject))


def may_some(rules: Rules, subject: str, permission: str) -> Decision:
    """Decide whether somebody may do something on any resource at all."""
    names = list(_chain(rules, subject))
    for name in names:
        user = rules.users[name]
        wanted = f"{permission}:"
        held = user.permissions is None or any(
            matches(each, permission) or _may_go_on(each, wanted) for each in map(meant, user.permissions)
        )
        if not held or not _within(user.role, permission) or _is_bare(user):
            return Decision(False, f"{name}: no permission of theirs")
        taken = _restricted(name, user, permission, _ANY)
        if taken is not None:
            return taken
    return Decision(bool(names), f"{names[-1]}: some" if names else f"no rule names {subject}")


def sees_all(rules: Rules, subject: str, permission: str) -> bool:
    """Whether a permission is somebody's on everything, with no restriction that could fit a name without a colon."""
    patterns = (each.casefold() for name in _chain(rules, subject) for each in rules.users[name].restrictions)
    could_fit = any(
        ":" not in each or _may_go_on(each, f"{permission}:")
        for pattern in patterns
        for each in (pattern, meant(pattern))
    )
    return not could_fit and decide(rules, subject, permission).allowed


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
    taken = _restricted(name, user, permission, resource)
    if taken is not None:
        return taken
    if not _within(user.role, permission):
        return Decision(False, f"{name}: role {user.role}")
    if user.permissions is None:
        return Decision(not _is_bare(user), f"{name}: role {user.role}")
    granting = (each for each in sorted(user.permissions) if _grants(meant(each), permission, whole))
    rule = next(granting, None)
    return Decision(rule is not None, f"{name}: {rule or 'no permission of theirs'}")


def _restricted(name: str, user: User, permission: str, resource: str) -> Decision | None:
    for pattern in sorted(user.restrictions):
        folded = pattern.casefold()
        targets = (permission, resource, f"{permission}:{resource}")
        if any(matches(each, target.casefold()) for each in {folded, meant(folded)} for target in targets):
            return Decision(False, f"{name}: {RESTRICTION}{pattern}")
    return None


def _is_bare(user: User) -> bool:
    """Whether somebody may nothing, because nothing is listed."""
    return user.permissions is None and user.role is AccessRole.SERVICE_ACCOUNT


def _may_go_on(pattern: str, start: str) -> bool:
    """Whether a pattern fits some text that begins so and goes on without a colon."""
    places = {0}
    for character in start:
        stars = _with_stars_passed(pattern, places)
        places = {at for at in stars if pattern[at : at + 1] == "*"}
        places |= {at + 1 for at in stars if pattern[at : at + 1] == character}
    return any(":" not in pattern[at:] for at in places)


def _with_stars_passed(pattern: str, places: set[int]) -> set[int]:
    """Places in a pattern, and those that are reached from them where a `*` stands for nothing."""
    found = set(places)
    for at in places:
        rest = pattern[at:]
        found |= set(range(at, at + len(rest) - len(rest.lstrip("*")) + 1))
    return found


def _grants(pattern: str, permission: str, whole: str) -> bool:
    return matches(pattern, permission) or matches(pattern, whole)


def _within(role: AccessRole, permission: str) -> bool:
    verb = permission.partition(":")[2]
    if role is AccessRole.ADMIN:
        return True
    return verb == READ_VERB if role is AccessRole.READER else verb != ADMIN_VERB
