"""activity: what happened lately, in the shape and words of earlier releases of Beads; `events` tells all of it."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments.filters import add_limit, checked_limit
from moot.console.command import Command, Context
from moot.console.text import when
from moot.console.text.durations import HELP, duration_ms
from moot.console.text.safe_text import neutralise
from moot.console.watching import ASK_AGAIN, STRETCH_MS
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.issue import CLOSED
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.machine import Events
from moot_protocol.times import format_ms

LIMIT: Final = 100
LOOKED_AT: Final = 5_000
"""Events that are looked at for those that are wanted."""
_TYPES: Final = {"project": "create", "deleted": "delete", "status": "status", "comments": "comment"}
"""Field → the type of a change that has it; the first that is there counts."""
_SYMBOLS: Final = {"create": "+", "delete": "⊘", "comment": "💬"}
_OF_STATUS: Final = {IN_PROGRESS: ("→", "started"), CLOSED: ("✓", "completed"), "open": ("↺", "reopened")}


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--follow", action="store_true", help="go on as more happens")
    add("--mol", default="", metavar="ID", help="only of issues whose id begins so")
    add("--since", type=duration_ms, metavar="DURATION", help=f"only of this last while: {HELP}")
    add("--type", default="", metavar="TYPE", help="only create, update, status, comment or delete")
    add("--interval", metavar="DURATION", help="accepted for bd's sake: news are told as they come")
    add("--town", action="store_true", help="accepted for bd's sake: it is every project anyway")
    add_limit(parser, LIMIT)


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as `bd` tells of it."""
    values = {str(change["field"]): change.get("value") for change in event["changes"]}
    kind = next((name for field, name in _TYPES.items() if field in values), "update")
    symbol, verb = _SYMBOLS.get(kind, "→"), f"{kind}d" if kind.endswith("e") else kind
    more: dict[str, Any] = {}
    if kind == "status":
        more["new_status"] = str(values["status"])
        symbol, verb = _OF_STATUS.get(more["new_status"], ("→", f"→ {more['new_status']}"))
    message = f"{event['entity']} {verb} · @{event['actor']}"
    at = format_ms(event["at"])
    known = {"timestamp": at, "type": kind, "issue_id": event["entity"], "symbol": symbol, "message": message}
    return known | more | {"actor": event["actor"], "action": kind}


def _wanted(context: Context, events: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    given = context.arguments
    since = None if given.since is None else context.now_ms - given.since
    for event in events:
        if event["entity"].startswith(given.mol) and (since is None or event["at"] >= since):
            told = _told(event)
            if not given.type or told["type"] == given.type:
                yield told


def _line(told: Mapping[str, Any]) -> str:
    moment = when.instant(told["timestamp"])
    at = "" if moment is None else when.short_date(moment)
    return f"[{at}] {told['symbol']} {neutralise(told['message'])}\n"


def _activity(context: Context) -> int:
    limit = checked_limit(context.arguments)
    end = context.api.call(Events(since=None))["next"]
    events: list[dict[str, Any]] = []
    at = max(0, end - LOOKED_AT)
    while at < end:
        page = context.api.call(Events(since=at, kind=ISSUE))
        events += page["events"]
        if not page["events"]:
            break
        at = page["next"]
    found = list(_wanted(context, events))
    found = found[-limit:] if limit else found
    if context.json and not context.arguments.follow:
        documents.write(context, found)
        return exits.OK
    _tell(context, found)
    if not found and not context.arguments.follow:
        context.terminal.err("No recent activity\n")
    while context.arguments.follow:
        page = context.api.call(Events(since=end, kind=ISSUE, wait_ms=STRETCH_MS))
        _tell(context, _wanted(context, page["events"]))
        context.terminal.check_alive()
        end = page["next"]
    return exits.OK


def _tell(context: Context, found: Iterable[Mapping[str, Any]]) -> None:
    """A line for each, or with `--json` a document a line, as a feed that goes on has to be."""
    for told in found:
        context.terminal.out(f"{documents.encoded(told)}\n" if context.json else _line(told))


COMMANDS: Final = (
    Command(
        "activity",
        "What happened lately, as earlier releases of bd told it",
        _arguments,
        _activity,
        examples=("moot activity --limit 20", "moot activity --follow"),
        again=ASK_AGAIN,
    ),
)
"""The commands of this module."""
