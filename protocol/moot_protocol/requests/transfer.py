"""Requests that bring whole lines of Beads' files in, and give them out; as `issues.py` for the rest."""

from typing import Any, Final

import msgspec

from moot_protocol.beads.pairs import LinePair
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.listing import Filter


class Import(Mutation[dict[str, Any]], kw_only=True):
    """Take in lines of a Beads file, all in one transaction.

    Answers `{"created", "updated", "unchanged", "skipped": counts, "elsewhere": how many of these lines are of issues
    that stand in other projects, and stay there, "problems": [{"line", "id", "problem"}], "session"}`; a problem has
    `"refused": True` where the line was sound and writing it was refused. Fields absent from a line are left alone,
    lines older than what is here are skipped and reported, blank lines count in line numbers and are else ignored.
    """

    method = "import"
    project: str
    plane: str = ""
    """The plane it belongs to, where several have a project of this name."""
    lines: tuple[bytes, ...]
    first_line: int = 1
    """Number of the first of these lines in their file."""
    last: bool = True
    """Whether the file ends here (duplicate ids are found across the whole import, named by `session`)."""
    session: str = ""
    """Names one import of several requests; empty begins one, and the answer's `session` names it."""


EDIT_COUNTS: Final = ("created", "updated", "deleted", "missing", "unchanged", "skipped")
"""What the answer to `ImportEdits` counts."""


class ImportEdits(Mutation[dict[str, Any]], kw_only=True):
    """Take in what changed between two states of a Beads file, all in one transaction; an id stands in one pair.

    Answers a count for each of `EDIT_COUNTS`, and `"problems"` as of an import; those of lines in the earlier state
    have `"base": True`. A line that is gone counts as missing and is reported.
    """

    method = "import_edits"
    project: str
    plane: str = ""
    """The plane it belongs to, where several have a project of this name."""
    pairs: tuple[LinePair, ...]
    delete_missing: bool = False
    """Delete the issues whose lines are gone."""


class Export(Request[dict[str, Any]], kw_only=True):
    """One page of the export in order of id: `{"lines": [JSON text, …], "next": id to go on after, or ""}`."""

    method = "export"
    filter: Filter = msgspec.field(default_factory=Filter)
    after: str = ""
    tombstones: bool = True
    exact: bool = True
    """Each field as it was imported; else every known field has its type, as `show` has them."""


TRANSFER_REQUESTS: tuple[type[Request[Any]], ...] = (Import, ImportEdits, Export)
"""All of this module."""
