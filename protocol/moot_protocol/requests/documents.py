"""Requests about documents: roles, formulas and templates; as `issues.py` for the rest.

A document is named `NAME` or `KIND/NAME`, one of several versions of a template `NAME~LEAF` as lists show it. Its plane
is the one named; else the machine's only federation plane; else, where there is none, `home`, the plane of the
workspace's project, or the machine's first ledger. Times are milliseconds since 1970, keys and towns text as
`ids.key_text` writes them, contents the SHA-256 of a text in hexadecimal.

What is told of one write, here called *origin*: `{"town", "town_name", "replica", "actor", "at", "n", "is_own",
"is_home"}`; `is_own` tells whether it is of the town that this machine belongs to on that plane, `is_home` whether it
is of the one that it belongs to on its first ledger.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


class Documents(Request[list[dict[str, Any]]], kw_only=True):
    """All documents, each version of a template by itself.

    Answer: `[{"id", "kind", "name", "plane", "version", "title", "content", "problem", "standing", "in_conflict"}]`,
    each with its origin; `id` is `KIND/NAME`. `standing` is `own`, `adopted` or `not_adopted`, or `disputed` where
    nothing is agreed yet, and then there is no origin; `problem` says why the text can't be used, or is empty.
    """

    method = "documents"
    kind: str = ""
    plane: str = ""
    """Only of this plane; empty: of all planes."""


class ShowDocument(Request[dict[str, Any]], kw_only=True):
    """One document.

    Answer: an entry of `documents`, and `"text"`, `"commands"`, `"hooks"` (of a role: name -> what a shell runs),
    `"runs"` (whether it has any), `"adopted"`: `{"content", "actor", "at"}` of what this town adopted last or None,
    `"diff"`: where its standing is `not_adopted`, what changed since the text in force here (all of it, where none is),
    `"writes"`: the names of the writes that a change of it is over.
    Raises `not_found`, `ambiguous`; `conflict` where nothing is agreed.
    """

    method = "show_document"
    name: str
    plane: str = ""
    home: str = ""


class DocumentHistory(Request[list[dict[str, Any]]], kw_only=True):
    """Every version of a document that was ever written, newest first.

    Answer: `[{"name", "version", "content", "bytes", "state", "standing"}]`, each with its origin; `state` is `shown`,
    `live` (beside what is shown) or `replaced`.
    """

    method = "document_history"
    name: str
    limit: int = 0
    """At most so many; 0 for all."""
    plane: str = ""
    home: str = ""


class DocumentConflicts(Request[list[dict[str, Any]]], kw_only=True):
    """Documents whose writers disagree.

    Answer: `[{"id", "field", "kind", "name", "plane", "shown", "values": [{"value", "version", "diff", "author",
    origin…}]}]`: `field` is `document`, `shown` the text that is shown or None, `diff` what choosing the value changes.
    """

    method = "document_conflicts"
    name: str = ""
    """Only of this document."""
    plane: str = ""
    """Only of this plane; empty: of all planes."""


class _Write(Mutation[dict[str, Any]], kw_only=True):
    """What requests that write a document have; answer: as `show_document`, and `"changed"`."""

    plane: str = ""
    home: str = ""


class NewDocument(_Write, kw_only=True):
    """Begin a document. Raises `exists`; `invalid` for a text that is none of its kind; `denied`."""

    method = "new_document"
    kind: str
    name: str
    text: str


class PublishDocument(_Write, kw_only=True):
    """Write a new version of a document; the text that is there already changes nothing.

    Raises `invalid` for a text that is none of its kind and a version below the highest; `conflict` where the formula's
    version stands with another text, or where the document is in conflict and `over` doesn't say what was seen;
    `denied` for a role, where this machine's town is no administrator.
    """

    method = "publish_document"
    name: str
    text: str
    bump: str = ""
    """Of a formula: count this part of its version up (`major`, `minor`, `patch`) where the version it has is taken."""
    over: tuple[str, ...] = ()
    """`writes` of `show_document` as they were when it was read; empty: what is there now."""


class AdoptDocument(_Write, kw_only=True):
    """Accept what another town wrote: it stands for this town's word from now on.

    Raises `lost_race` where another text is shown than the one named; `invalid` where it can't be used.
    """

    method = "adopt_document"
    name: str
    content: str
    """SHA-256 of the text that was read."""


class ResolveDocument(_Write, kw_only=True):
    """Settle a conflict with one of the values, or with a new text. Raises `not_found` where there is none."""

    method = "resolve_document"
    name: str
    pick: int | str | None = None
    """Its number as `document_conflicts` lists it, from 1, or its name there."""
    text: str = ""


DOCUMENT_REQUESTS: tuple[type[Request[Any]], ...] = (
    Documents, ShowDocument, DocumentHistory, DocumentConflicts, NewDocument, PublishDocument, AdoptDocument,
    ResolveDocument,
)  # fmt: skip
"""All of this module."""
