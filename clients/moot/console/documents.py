"""What `--json` writes: one document on standard output, of `export`, `events` and `audit export` one a line.

The shapes are those of `bd`: bare by default; with BD_JSON_ENVELOPE=1 each inside `{"schema_version": 1, "data": …}`.
Documents carry every value as it is: characters that would act on a terminal, or not show, are written as JSON's own
escapes, which any reader turns back. What a list leaves out is said on standard error, so that it can't be taken for
all there is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from moot.console import as_bd, exits
from moot.console.command import Context
from moot.console.grammar import did_you_mean
from moot.console.text.safe_text import is_plain
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue_document import FIELDS
from moot_protocol.requests.listing import IssueDoc, Page

SCHEMA_VERSION: Final = 1
PIECE_CHARS: Final = 64 * 1024
"""Characters after which what is there of a document is put out: nobody else waits until all of it is made."""
_BLANKS: Final = "  "
"""What each level is indented by."""
_WRAPPED: Final = 2
"""Objects around a document's list, its envelope among them, at most: so far its elements are encoded one by one."""
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_INDENTED: Final = json.JSONEncoder(ensure_ascii=False, indent=_BLANKS).encode
_TEXT_FIELDS: Final = frozenset(
    {
        "description", "design", "acceptance_criteria", "notes", "comments", "dependencies",
        "dependency_count", "dependent_count", "comment_count",
    }
)  # fmt: skip
"""Fields that a list has, or has whole, only where it is asked for whole documents."""
_MARKS: Final = frozenset({"_alias", "_blocked", "_claim", "_conflicts", "_erased", "_missing", "_origin"})
_FIELDS: Final = FIELDS | _TEXT_FIELDS | _MARKS | {"parent", "blocked_by", "blocked_by_count", "dependents"}
"""Fields that are known, though no issue that is told of may have them."""


def write(context: Context, document: Any) -> None:
    """Write one document to standard output: indented for a terminal, else on one line.

    An object that tells of a dry run says so; an array has no place for it.
    """
    facts = context.terminal.facts
    if getattr(context.arguments, "dry_run", False) and isinstance(document, dict):
        document = {**document, "dry_run": True}
    parts = _parts(enveloped(document, facts.environment), indent=facts.out_is_terminal)
    for piece in _in_pieces(chain(parts, ["\n"])):
        context.terminal.out(piece)


def enveloped(document: Any, environment: Mapping[str, str]) -> Any:
    """The document, or the envelope around it where BD_JSON_ENVELOPE asks for one."""
    if environment.get("BD_JSON_ENVELOPE") != "1":
        return document
    return {"schema_version": SCHEMA_VERSION, "data": document}


def encoded(document: Any, *, indent: bool = False) -> str:
    """A document as JSON whose every character is printable, newlines of the indentation apart."""
    return "".join(_parts(document, indent=indent))


def _parts(value: Any, *, indent: bool, depth: int = 0) -> Iterator[str]:
    """What a document is made of, in order: each element of a list by itself, as no thread runs beside the encoder."""
    if isinstance(value, list | tuple) and value:
        yield from _enclosed("[]", ([_whole(each, depth + 1, indent=indent)] for each in value), depth, indent=indent)
    elif isinstance(value, dict) and value and depth < _WRAPPED and all(type(name) is str for name in value):
        named = ": " if indent else ":"
        fields = (
            chain([_whole(name, 0, indent=indent), named], _parts(each, indent=indent, depth=depth + 1))
            for name, each in value.items()
        )
        yield from _enclosed("{}", fields, depth, indent=indent)
    else:
        yield _whole(value, depth, indent=indent)


def _enclosed(brackets: str, elements: Iterable[Iterable[str]], depth: int, *, indent: bool) -> Iterator[str]:
    start, end = ("\n" + _BLANKS * (depth + 1), "\n" + _BLANKS * depth) if indent else ("", "")
    before = brackets[0] + start
    for element in elements:
        yield before
        yield from element
        before = "," + start
    yield end + brackets[1]


def _whole(value: Any, depth: int, *, indent: bool) -> str:
    """A value at a depth, encoded at once: outside of strings there are line ends, inside there are none."""
    return escaped(_INDENTED(value).replace("\n", "\n" + _BLANKS * depth) if indent else _COMPACT(value))


def _in_pieces(parts: Iterable[str]) -> Iterator[str]:
    """Parts put together until they are worth putting out."""
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PIECE_CHARS:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def escaped(text: str) -> str:
    """JSON, or lines of it, of the same meaning whose every character is printable, newlines apart."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "\n".join([line if is_plain(line) else "".join(map(_escaped, line)) for line in text.split("\n")])


def _escaped(character: str) -> str:
    """A character of a JSON text, which outside strings is all ASCII, as it is or by its UTF-16 code units."""
    if is_plain(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def write_page(context: Context, page: Page, fields: Sequence[str] = ()) -> None:
    """Write a page of issues as an array, and on standard error what was left out of it."""
    issues = [with_parent(issue) for issue in page.issues]
    check_known(issues, fields)
    write(context, [selected(issue, fields) for issue in issues])
    say_left_out(context, page)


def with_parent(document: IssueDoc) -> IssueDoc:
    """A document that names the issue it is part of, where its edges tell it."""
    edges = document.get("dependencies", ())
    parent = next((edge["depends_on_id"] for edge in edges if edge.get("type") == PARENT), None)
    return document if parent is None else document | {"parent": parent}


def say_left_out(context: Context, page: Page) -> None:
    """Say on standard error how much of a list is not shown; nothing if all of it is."""
    if page.truncated:
        shown = len(page.issues)
        told = f"{shown} shown, more match" if page.total is None else f"{shown} of {page.total} shown"
        context.terminal.err(f"{told}; --limit 0 shows all\n")


def check_known(issues: Sequence[IssueDoc], fields: Iterable[str]) -> None:
    """Refuse fields that nobody knows and no issue has. Where there is no issue, one could have any field.

    Raises:
        RefusedError: `usage`; names the fields that there are.
    """
    asked = [field for field in fields if field not in _FIELDS]
    known = _FIELDS.union(*issues) if asked else _FIELDS  # each issue may have fields that nobody knows
    for field in asked if issues else ():
        if field not in known:
            there = sorted(name for name in known if not name.startswith("_"))
            raise RefusedError(
                f"no issue has a field {field!r}{did_you_mean(field, sorted(known))}",
                code=Code.USAGE,
                hint=f"the fields are {', '.join(there)}",
            )


def selected(document: IssueDoc, fields: Sequence[str]) -> IssueDoc:
    """The named fields that a document has, in the order of their names; all if none is named."""
    return {name: document[name] for name in fields if name in document} if fields else document


def needs_texts(fields: Iterable[str]) -> bool:
    """Whether a list has to carry long texts and comments for these fields; no fields means all."""
    fields = frozenset(fields)
    return not fields or bool(fields & _TEXT_FIELDS)


def error_body(error: MootError) -> dict[str, Any]:
    """A failure as every document tells it under `error`."""
    # What was not answered in time may have been done: whether it can be repeated, the error alone says.
    retryable = error.retryable or (error.code is not Code.TIMEOUT and exits.exit_code(error) == exits.TRY_AGAIN)
    return {"code": str(error.code), "message": error.message, "hint": error.hint, "retryable": retryable}


def failure(error: MootError, *, is_bd: bool) -> dict[str, Any]:
    """The document of a failure, also as `bd` answers it."""
    body = error_body(error)
    return as_bd.error_document(error, retryable=body["retryable"]) if is_bd else {"error": body}


def without_marks(document: IssueDoc) -> IssueDoc:
    """A document without `_short`, which is of use to the eye only."""
    return {name: value for name, value in document.items() if name != "_short"}


def changed(document: IssueDoc) -> IssueDoc:
    """An issue after a change, as `bd` answers it: what it depends on is told by `show`, in another shape."""
    return {name: value for name, value in document.items() if name not in {"dependencies", "_short"}}


def issue_details(document: IssueDoc, down: Sequence[IssueDoc]) -> IssueDoc:
    """An issue as `bd show --json` has it: the issues it depends on inside it, each with `dependency_type`.

    Args:
        document: what `Show` answers.
        down: what it depends on, as `Edges` answers.
    """
    details = {name: value for name, value in document.items() if name not in {"dependencies", "_short"}}
    if down:
        details["dependencies"] = list(map(without_marks, down))
    details["dependency_count"] = len(down)
    details["dependent_count"] = len(document.get("dependents", ()))
    details["comment_count"] = len(document.get("comments", ()))
    parent = next((edge["id"] for edge in down if edge.get("dependency_type") == PARENT), None)
    return details if parent is None else details | {"parent": parent}


def tree_nodes(root: Mapping[str, Any], depth_limit: int) -> list[dict[str, Any]]:
    """A tree of dependencies as `bd dep tree --json` has it: its nodes in order, with `depth` and `parent_id`."""
    nodes: list[dict[str, Any]] = []
    pending: list[tuple[Mapping[str, Any], int, str]] = [(root, 0, "")]
    while pending:
        node, depth, parent = pending.pop()
        fields = {name: value for name, value in node.items() if name not in {"children", "type", "seen", "_short"}}
        if depth:
            fields["dependency_type"] = node.get("type", "")
        nodes.append(fields | {"depth": depth, "parent_id": parent, "truncated": depth >= depth_limit})
        pending.extend((child, depth + 1, node["id"]) for child in reversed(node.get("children", ())))
    return nodes


def statistics(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Totals as `bd stats --json` has them."""
    return {"summary": {theirs: totals.get(ours, 0) for ours, theirs in _STATISTICS.items()}}


_STATISTICS: Final = {
    "total": "total_issues",
    "open": "open_issues",
    "in_progress": "in_progress_issues",
    "closed": "closed_issues",
    "blocked": "blocked_issues",
    "deferred": "deferred_issues",
    "ready": "ready_issues",
    "pinned": "pinned_issues",
    "epics_closable": "epics_eligible_for_closure",
    "lead_time_hours": "average_lead_time_hours",
}
