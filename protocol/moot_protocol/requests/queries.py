"""Requests that look over many issues: queries, ids by how they begin, what lies still, is missing, or is there twice.

As `issues.py` for the rest. Lists are about the projects named, or all; `plane` narrows them to one plane.
"""

from typing import Any, Final

import msgspec

from moot_protocol.requests.base import Request
from moot_protocol.requests.listing import Filter, Page

MOST_BEGUN: Final = 2_000
"""Ids of one beginning that are looked at: more than anybody goes through, and a moment's work."""


class Query(Request[Page], kw_only=True):
    """Issues that a query finds (see `query.py`), in an order as `list` has them.

    Closed ones are left out unless `all`, or the query itself speaks of status or closing. Raises `usage`, telling
    the column where the query stopped making sense.
    """

    method = "query"
    text: str
    projects: tuple[str, ...] = ()
    plane: str = ""
    all: bool = False
    sort: str = "priority"
    reverse: bool = False
    limit: int = 50
    """0: all."""
    texts: bool = False


class Begun(Request[Page], kw_only=True):
    """Issues whose ids or aliases begin with one of some words, in order of id, closed ones too.

    They are looked up, so that it doesn't matter how many other issues there are. `truncated` says that a word begins
    more than `most` ids.
    """

    method = "begun"
    starts: tuple[str, ...]
    """Upper and lower case are different; the project's part is none to be left out."""
    filter: Filter = msgspec.field(default_factory=Filter)
    """Which of them."""
    most: int = MOST_BEGUN
    """Ids and aliases of one word that are looked at, in order: the word itself is the first. At most `MOST_BEGUN`."""


class Stale(Request[Page], kw_only=True):
    """Issues not closed that nobody has changed since `before` (milliseconds since 1970), the oldest first."""

    method = "stale"
    before: int
    filter: Filter = msgspec.field(default_factory=Filter)
    """Whose statuses narrow it; closed ones are in it only where `statuses` names them."""
    limit: int = 50
    """0: all."""
    texts: bool = False


class Lint(Request[dict[str, Any]], kw_only=True):
    """Which issues lack the sections that their type should have.

    Answers `{"checked": n, "results": [{"id", "title", "type", "missing": [headings], "warnings": n}]}`.
    """

    method = "lint"
    ids: tuple[str, ...] = ()
    """These only, whatever the filter."""
    filter: Filter = msgspec.field(default_factory=Filter)


class Duplicates(Request[list[dict[str, Any]]], kw_only=True):
    """Groups of issues not closed that say exactly the same in title, texts and status.

    Answers `{"title", "issues": [{"id", "title", "status", "priority", "references", "dependents", "dependencies",
    "weight", "is_merge_target", "children": [ids]}], "suggested_target", "suggested_sources"}` each. The target is
    what most hangs on: dependents count three times, dependencies once; then the oldest, then the lowest id.
    """

    method = "duplicates"
    projects: tuple[str, ...] = ()
    plane: str = ""


class Similar(Request[dict[str, Any]], kw_only=True):
    """Pairs of issues whose titles and descriptions have many words in common (Jaccard index of their words).

    Answers `{"pairs": [{"issue_a_id", "issue_b_id", "issue_a_title", "issue_b_title", "similarity"}], "found": n,
    "compared": n, "complete": bool}`, the most alike first. Comparing ends after a fixed number of pairs,
    those with the rarest words in common first: `complete` tells whether it got to the end.
    """

    method = "similar"
    threshold: float = 0.5
    """Above 0, at most 1."""
    filter: Filter = msgspec.field(default_factory=Filter)
    limit: int = 50


QUERY_REQUESTS: tuple[type[Request[Any]], ...] = (Query, Begun, Stale, Lint, Duplicates, Similar)
"""All of this module."""
