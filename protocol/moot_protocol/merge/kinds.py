"""Which field of which kind of entity is read how: the one table. A new kind of entity is new rows here.

A field is a *register* (written over everything live in it) or *set-like* (added to over nothing, removed from by
naming dots). Which of the two follows from its policy.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Policy(StrEnum):
    """How siblings are read. See `policies.py` for what each shows and when it is in conflict."""

    LATEST = "latest"
    EARLIEST = "earliest"
    UNION = "union"
    KEYED = "keyed"
    TEXT = "text"
    VERSION = "version"
    KEEP_BOTH = "keep_both"
    REVIEW = "review"
    TOTAL = "total"
    MAXIMUM = "maximum"


SET_LIKE: Final = frozenset({Policy.UNION, Policy.KEYED, Policy.KEEP_BOTH, Policy.TOTAL})
"""Policies of fields that several values live in without disagreeing."""


class Role(StrEnum):
    """What a town or replica may do on a plane, from most to least."""

    ADMIN = "admin"
    WRITER = "writer"
    READER = "reader"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return _ROLE_RANK[self]


_ROLE_RANK: Final = {Role.READER: 0, Role.WRITER: 1, Role.ADMIN: 2}


class Field(NamedTuple):
    """How one field is merged and kept."""

    policy: Policy
    inline: bool = True
    """Whether its value stands in the record; long text is read from its event instead."""
    writer: Role = Role.WRITER
    """The least role whose writes count."""


_REGISTER: Final = Field(Policy.LATEST)
_TEXT: Final = Field(Policy.TEXT, inline=False)

ISSUE: Final = "issue"
PROJECT: Final = "project"
MEMORY: Final = "memory"
SETTING: Final = "setting"
SHARE: Final = "share"
COPY: Final = "copy"
MESSAGE: Final = "message"
NUDGE: Final = "nudge"
GENESIS: Final = "genesis"
CHARTER: Final = "charter"
CERTIFICATE: Final = "certificate"
ADMISSION: Final = "admission"
INVITE: Final = "invite"
END: Final = "end"
EPOCH: Final = "epoch"
AUDIT: Final = "audit"
LEASE: Final = "lease"
REPLICA: Final = "replica"
ERASE: Final = "erase"

CHARTER_KINDS: Final = frozenset({GENESIS, CHARTER, ADMISSION, INVITE, END, EPOCH})
"""Kinds that count only in charters."""
OWN_CHARTER_KINDS: Final = frozenset({GENESIS, CHARTER, INVITE, END})
"""Those that count in the charter of a town that is no admin too: what concerns its own replicas."""

KINDS: Final[dict[str, dict[str, Field]]] = {
    ISSUE: {
        "project": _REGISTER,
        "title": _REGISTER,
        "status": _REGISTER,
        "priority": _REGISTER,
        "issue_type": _REGISTER,
        "assignee": Field(Policy.EARLIEST),
        "leases": Field(Policy.UNION),
        "owner": _REGISTER,
        "created_by": _REGISTER,
        "estimated_minutes": _REGISTER,
        "created_at": Field(Policy.MAXIMUM),
        "updated_at": Field(Policy.MAXIMUM),
        "started_at": Field(Policy.MAXIMUM),
        "closed_at": Field(Policy.MAXIMUM),
        "close_reason": _REGISTER,
        "closed_by_session": _REGISTER,
        "due_at": _REGISTER,
        "defer_until": _REGISTER,
        "external_ref": _REGISTER,
        "spec_id": _REGISTER,
        "ephemeral": _REGISTER,
        "pinned": _REGISTER,
        "alias": _REGISTER,
        "deleted": _REGISTER,
        "description": _TEXT,
        "design": _TEXT,
        "acceptance_criteria": _TEXT,
        "notes": _TEXT,
        "labels": Field(Policy.UNION),
        "edges": Field(Policy.UNION),
        "comments": Field(Policy.UNION, inline=False),
        "metadata": Field(Policy.KEYED),
        "extra": Field(Policy.KEYED, inline=False),
        "compaction_level": Field(Policy.MAXIMUM),
    },
    PROJECT: {"title": _REGISTER},
    MEMORY: {"text": _TEXT, "title": _REGISTER, "labels": Field(Policy.UNION)},
    SETTING: {"value": _REGISTER},
    SHARE: {
        "what": _REGISTER,
        "to": _REGISTER,
        "rule": _REGISTER,
        "prefix": _REGISTER,
        "follower": _REGISTER,
        "ended": _REGISTER,
    },
    COPY: {"issue": _REGISTER},
    MESSAGE: {
        "to": _REGISTER,
        "text": _TEXT,
        "title": _REGISTER,
        "reply_to": _REGISTER,
        "acks": Field(Policy.UNION),
    },
    NUDGE: {"to": _REGISTER, "text": _REGISTER, "acks": Field(Policy.UNION)},
    "formula": {"document": Field(Policy.VERSION, inline=False)},
    "template": {"document": Field(Policy.KEEP_BOTH, inline=False)},
    "role": {"document": Field(Policy.REVIEW, inline=False, writer=Role.ADMIN)},
    "adoption": {"content": Field(Policy.UNION)},
    "usage": {"amount": Field(Policy.TOTAL)},
    AUDIT: {
        "action": _REGISTER,
        "actor": _REGISTER,
        "details": Field(Policy.LATEST, inline=False),
        "event_type": _REGISTER,
        "resource": _REGISTER,
        "result": _REGISTER,
    },
    LEASE: {"claims": Field(Policy.UNION), "terms": Field(Policy.KEYED)},
    REPLICA: {"version": _REGISTER},
    ERASE: {},  # its keys name events (`erasure.py`)
}
"""kind → key → how the field is read."""

UNKNOWN_FIELD: Final = Field(Policy.LATEST, inline=False)
"""What a newer version's fields are to this one: kept, merged, and shown as registers."""


def field_of(kind: str, key: str) -> Field:
    """How a key of a kind is read."""
    return KINDS.get(kind, {}).get(key, UNKNOWN_FIELD)


INLINE_KEYS: Final = {
    kind: frozenset(key for key, field in fields.items() if field.inline) for kind, fields in KINDS.items()
}
"""kind → keys whose values stand in records."""
ADMIN_KINDS: Final = frozenset(
    kind for kind, fields in KINDS.items() if any(field.writer is Role.ADMIN for field in fields.values())
)
"""Kinds that have a field which only admins write."""
