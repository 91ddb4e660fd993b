"""What requests for lists share: which issues are wanted, and a page of them."""

from typing import Any

import msgspec

Json = Any
"""Whatever JSON can hold."""
IssueDoc = dict[str, Any]
"""An issue as Beads writes it: id, title, status, priority, issue_type, …, labels, dependencies, comments."""


class Filter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which issues a list holds; every part given must hold. Times are milliseconds since 1970."""

    projects: tuple[str, ...] = ()
    """Empty: all."""
    plane: str = ""
    """Its name, or the beginning of its id in hexadecimal; empty: all that hold issues."""
    statuses: tuple[str, ...] = ()
    exclude_statuses: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()
    priorities: tuple[int, ...] = ()
    assignee: str = ""
    unassigned: bool = False
    labels: tuple[str, ...] = ()
    """All of them."""
    any_labels: tuple[str, ...] = ()
    exclude_labels: tuple[str, ...] = ()
    label_pattern: str = ""
    """Some label is like this: `*` stands for anything, `?` for one character."""
    label_regex: str = ""
    """Somewhere in some label this regular expression (`moot_protocol.text.regex`) matches."""
    no_labels: bool = False
    ids: tuple[str, ...] = ()
    parent: str = ""
    """Descendants of this issue."""
    no_parent: bool = False
    title_contains: str = ""
    title_or_id: str = ""
    """In the title, case ignored, or id or alias begin so, with or without its prefix: what `search` looks for."""
    text_contains: str = ""
    """In title or description, case ignored."""
    description_contains: str = ""
    notes_contains: str = ""
    empty_description: bool = False
    spec: str = ""
    """The specification's id begins so."""
    external: str = ""
    """The name elsewhere is this."""
    external_contains: str = ""
    created_after: int | None = None
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    closed_after: int | None = None
    closed_before: int | None = None
    due_before: int | None = None
    due_after: int | None = None
    defer_after: int | None = None
    defer_before: int | None = None
    overdue: bool = False
    deferred: bool = False
    """By status, or until a time that is still to come."""
    pinned: bool | None = None
    metadata: dict[str, str] = {}
    """Top-level metadata entries that must have these values as text."""
    has_metadata: tuple[str, ...] = ()
    deleted: bool = False
    """Deleted issues instead of live ones."""


class Page(msgspec.Struct, kw_only=True):
    """One page of issues."""

    issues: list[IssueDoc]
    total: int | None
    """How many match in all, where that was cheap to know or the list is complete; else None."""
    truncated: bool
    """Whether more match than are here."""
    short: list[int] = []
    """For each issue, how many of its id's leading characters make it unique."""
