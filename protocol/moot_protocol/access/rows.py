"""What answers show of many things to somebody whose rules let them see some of them.

Invariant: a row is shown only if its name alone could be asked for; the same decision is made for both. What adds up or
compares what is hidden (counts, digests, groups of the alike) can't be shown in part: whatever isn't listed here is
denied to whom some of it would be hidden. Limit: an issue's own fields are its own, so the ids of what it depends on
stay in them, and text says what it says.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from moot_protocol.access.rules import EVERYTHING
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.merge.kinds import AUDIT, ISSUE, LEASE, MEMORY, SETTING
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import Ready
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Events
from moot_protocol.text import json_text

_ISSUES: Final = "issue:read"
_MEMORIES: Final = "memory:read"
_DOCUMENTS: Final = "document:read"
_OTHERS: Final = frozenset({"_unblocked", "_finished"})
"""What the answer to a write says of others than the issue that was written: their ids."""
_LAPSED: Final = IN_PROGRESS
"""What is ready and has this status is there because its claim has ended."""
_MOST_CHOSEN: Final = 100
"""Issues that a claim of whatever is ready names: others would have to take all of them before it."""


class Sight(Protocol):
    """What somebody may see."""

    def __call__(self, permission: str, *names: str) -> bool:
        """Whether they may see what has these names: one is granted, and none is taken away."""


Narrowing = Callable[[Any, Sight], Any]
_KINDS: Final = {
    ISSUE: _ISSUES,
    MEMORY: _MEMORIES,
    SETTING: "setting:read",
    LEASE: "lease:read",
    AUDIT: "audit:admin",
    "role": _DOCUMENTS,
    "formula": _DOCUMENTS,
    "template": _DOCUMENTS,
}
"""Kind of entity → what its events are read with."""
_PLACED: Final = frozenset({MEMORY, SETTING, LEASE})
"""Kinds whose entities are called by where they are, a slash, and the name that people ask for."""
_OTHER_KINDS: Final = "machine:admin"
"""What all other events are read with: messages are for whom they name, and membership is shown by requests of its own.
"""

_EVERY_KIND: Final = frozenset({*_KINDS.values(), _OTHER_KINDS})


# -- Shapes ------------------------------------------------------------------------------------------------------
def _whole(answer: Any, sees: Sight) -> Any:
    """An answer that says nothing of anything that rules could name."""
    del sees
    return answer


def _page(answer: Page, sees: Sight) -> Page:
    """A page of issues. How many there are in all is told only where all are on it."""
    short = answer.short or [0] * len(answer.issues)
    shown = [pair for pair in zip(answer.issues, short, strict=True) if sees(_ISSUES, pair[0]["id"])]
    return Page(
        issues=[issue for issue, _ in shown],
        total=None if answer.truncated else len(shown),
        truncated=answer.truncated,
        short=[chars for _, chars in shown] if answer.short else [],
    )


def _rows(permission: str, *fields: str) -> Narrowing:
    """A list of documents with names in these fields."""

    def narrowed(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
        return [row for row in answer if sees(permission, *(str(row[field]) for field in fields))]

    return narrowed


def _within(field: str, narrowing: Narrowing) -> Narrowing:
    """A document with such a list in a field."""

    def narrowed(answer: dict[str, Any], sees: Sight) -> dict[str, Any]:
        return answer | {field: narrowing(answer[field], sees)} if field in answer else answer

    return narrowed


# -- Single requests ---------------------------------------------------------------------------------------------
_issues: Final = _rows(_ISSUES, "id")
_dependents: Final = _within("dependents", _issues)


def _shown(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
    return [_dependents(issue, sees) for issue in answer]


def _tree(answer: dict[str, Any], sees: Sight) -> dict[str, Any]:
    below = [child for child in answer["children"] if sees(_ISSUES, child["id"])]
    return answer | {"children": [_tree(child, sees) for child in below]}


def _cycles(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
    return [row for row in answer if all(sees(_ISSUES, name) for name in row["cycle"])]


def _conflicts(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
    """Conflicts; where several issues have one alias, each value is an issue's id."""
    shown = _issues(answer, sees)
    return [
        row for row in shown if row["field"] != "alias" or all(sees(_ISSUES, each["value"]) for each in row["values"])
    ]


def _lines(answer: list[str], sees: Sight) -> list[str]:
    return [line for line in answer if sees(_ISSUES, str(json_text.from_text(line)["id"]))]


def _events(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
    def is_shown(kind: str, entity: str) -> bool:
        names = {entity, entity.partition("/")[2] or entity} if kind in _PLACED else {entity}
        return sees(_KINDS.get(kind, _OTHER_KINDS), *names)

    return [event for event in answer if is_shown(event["kind"], event["entity"])]


def _proofs(answer: list[dict[str, Any]], sees: Sight) -> list[dict[str, Any]]:
    shown = _events([proof["what"] for proof in answer], sees)
    return [proof for proof in answer if proof["what"] in shown]


def _workspace(answer: dict[str, Any] | None, sees: Sight) -> dict[str, Any] | None:
    """What is known of a workspace: of claims that were lost those of issues that are seen, and nobody's nudges."""
    if answer is None:
        return None
    shown = dict(answer)
    if "claims" in shown:
        shown["claims"] = shown["claims"] | {"lost": _issues(shown["claims"]["lost"], sees)}
    if "nudges" in shown and not sees("mail:read", EVERYTHING):
        del shown["nudges"]
    return shown


def _prime(answer: dict[str, Any], sees: Sight) -> dict[str, Any]:
    """What an agent is told first, without how much there is beside it."""
    return answer | {
        "memories": _rows(_MEMORIES, "key")(answer["memories"], sees),
        "claimed": _issues(answer["claimed"], sees),
        "ready": _issues(answer["ready"], sees),
        "ready_total": None,
        "foreign": {"memories": 0, "issues": 0},
    }


def _written(answer: Any, sees: Sight) -> Any:
    """What a write tells of other issues than its own."""
    if isinstance(answer, list):
        return [_written(each, sees) for each in answer]
    if not isinstance(answer, dict):
        return answer
    told = {key: [name for name in answer[key] if sees(_ISSUES, name)] for key in _OTHERS & answer.keys()}
    return answer | told if told else answer


def _undone(answer: Any, sees: Sight) -> Any:
    """What an undo tells of molecules that it opened again beside what was named."""
    if not isinstance(answer, dict) or "changes" not in answer:
        return answer
    changes = _rows(_ISSUES, "id")(answer["changes"], sees)
    return answer | {"changes": changes, "issues": _issues(answer["issues"], sees)}


WRITTEN: Final[Mapping[str, Narrowing]] = {
    "close": _written, "update": _written, "script": _written, "undo": _undone,
}  # fmt: skip
"""Method of a write → what its answer shows to whom some would be hidden; those of all others speak of what they name.
"""
NARROWED: Final[Mapping[str, Narrowing]] = {
    "ping": _whole,
    "workspace_info": _workspace,
    "check_access": _whole,
    "list": _page,
    "ready": _page,
    "blocked": _page,
    "children": _page,
    "query": _page,
    "begun": _page,
    "stale": _page,
    "show": _shown,
    "edges": _issues,
    "edge_tree": _tree,
    "cycles": _cycles,
    "conflicts": _conflicts,
    "graph": _within("issues", _issues),
    "diff": _rows(_ISSUES, "issue_id"),
    "export": _within("lines", _lines),
    "events": _within("events", _events),
    "prove_event": _proofs,
    "prime": _prime,
    "memories": _rows(_MEMORIES, "key"),
    "settings": _rows("setting:read", "key"),
    "documents": _rows(_DOCUMENTS, "id", "name"),
    "document_conflicts": _rows(_DOCUMENTS, "id", "name"),
    "mail": _rows("mail:read", "id"),
    "planes": _rows("plane:read", "name"),
    "remotes": _rows("remote:read", "name"),
    "leases": _rows("lease:read", "name"),
}
"""Method → what its answer shows to whom some would be hidden."""
ALWAYS_NARROWED: Final = frozenset({"workspace_info"})
"""Those whose answers hold something of other kinds than the permission is about."""
ALSO_SHOWN: Final[Mapping[str, frozenset[str]]] = {
    "events": _EVERY_KIND,
    "prove_event": _EVERY_KIND,
    "prime": frozenset({_MEMORIES}),
}
"""Method → what it also needs for its whole answer, beside what it is asked with."""
BY_NAME: Final = frozenset(
    {
        "history", "prove", "resolve_ids", "claim_peers", "handoffs", "read_mail", "show_document", "document_history",
        "adopted_formula", "show_plane", "members",
    }
)  # fmt: skip
"""Methods whose answers speak of what the request names: whoever may see that, may have the answer."""
CHOOSING: Final = "claim_ready"
"""The method that writes to what the daemon chooses: for whom some would be hidden it has to name what it may take."""


def cut(answer: Any, limit: int) -> Any:
    """The first rows of a page that was asked for with more of them than were wanted."""
    if not isinstance(answer, Page) or not 0 < limit < len(answer.issues):
        return answer
    return Page(issues=answer.issues[:limit], total=None, truncated=True, short=answer.short[:limit])


def widened(request: Any, limit: int) -> Any:
    """A request with room for rows that will be hidden; `cut` takes it away again. One for all stays one for all."""
    wanted = getattr(request, "limit", 0)
    if NARROWED.get(request.method) is not _page or not 0 < wanted < limit:
        return request
    return msgspec.structs.replace(request, limit=limit)


def ready_for(request: ClaimReady, limit: int) -> Ready:
    """What there is for a claim of whatever is ready."""
    return Ready(
        filter=request.filter,
        sort=request.sort,
        limit=limit,
        include_deferred=request.include_deferred,
        include_ephemeral=request.include_ephemeral,
    )


def among(request: ClaimReady, found: Page, sees: Sight) -> ClaimReady:
    """The same claim of one of the issues found, of those that may be seen and claimed, and of no other."""
    free = (
        issue["id"]
        for issue in _page(found, sees).issues
        if issue.get("assignee") in {None, "", request.actor} or issue["status"] == _LAPSED
    )
    ids = tuple(islice((name for name in free if sees("claim:write", name)), _MOST_CHOSEN))
    return msgspec.structs.replace(request, among=ids)


def is_passed_over(request: Any, answer: Any) -> bool:
    """Whether all events of a page were hidden and more may follow: an empty page would look like the end."""
    is_empty = isinstance(request, Events) and request.since is not None and not answer["events"]
    return is_empty and answer["next"] > request.since
