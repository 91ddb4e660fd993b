"""The log: events as they arrive, waiting for them, and replaying and verifying all of them."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.issues.history import event_number
from moot.console.context import answer, note, say
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.notices.unknown_names import refuse_status
from moot.console.progress import Progress
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.watching import ASK_AGAIN, STRETCH_MS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import TOMBSTONE
from moot_protocol.merge.kinds import CERTIFICATE, CHARTER_KINDS, KINDS
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Show
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.machine import Events, Fsck, Rebuild

TEXT_SHOWN: Final = 60
"""Characters shown of a value in a line about an event."""
DEFAULT_TIMEOUT: Final = 600.0
"""Seconds that `wait` waits: it ends, whoever forgets it."""
ALL_RIGHT: Final = "every hash, link, signature and digest is right, and so is every list"
"""The verdict of an `fsck` that finds nothing."""


# -- events ------------------------------------------------------------------------------------------------------
def _events_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=_count,
        default=0,
        metavar="N",
        help="only what arrived after arrival number N, the first of a line",
    )
    parser.add_argument("--follow", action="store_true", help="go on as more arrives")
    parser.add_argument("--kind", default="", help="only about this kind of thing (issue, project…)")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ArgumentTypeError(f"{text!r} is no number of events")
    return int(text)


def _events(context: Context) -> int:
    given = context.arguments
    since = given.since
    known = {*KINDS, *CHARTER_KINDS, CERTIFICATE}
    if given.kind and given.kind not in known:
        note(context, f"No kind is called {neutralise(given.kind)!r} here; there are {', '.join(sorted(known))}")
    while True:
        page = context.api.call(Events(since=since, kind=given.kind, wait_ms=STRETCH_MS if given.follow else 0))
        if since and since + 1 < page["first"]:
            context.terminal.err(f"events {since + 1} to {page['first'] - 1} are no longer kept\n")
        for event in page["events"]:
            context.terminal.out(_event_text(context, event))
        if not page["events"] and not given.follow:
            return exits.OK
        context.terminal.check_alive()
        since = page["next"]


def _event_text(context: Context, event: dict[str, Any]) -> str:
    if context.json:
        return documents.encoded(event) + "\n"
    changes = ", ".join(_changes(event.get("changes", ())))
    moment = when.instant(event["at"])
    at = str(event["at"]) if moment is None else when.short_date(moment)
    who = " ".join(filter(None, (neutralise(event["actor"]), lines.origin_mark(event))))
    numbers = f"{event['arrival']} {event_number(event)}"
    return f"{numbers} {neutralise(at)} {who} {neutralise(event['entity'])} {changes}\n"


def _changes(changes: Any) -> Iterator[str]:
    for change in changes:
        field = neutralise(str(change["field"]))
        if "removed" in change:
            removed = change["removed"]
            yield f"-{field}" if removed is True else f"-{field}={_brief(removed)}"
        else:
            yield f"{field}={_brief(change.get('value'))}"


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else documents.encoded(value)
    return neutralise(text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 1] + "…")


# -- wait --------------------------------------------------------------------------------------------------------
def _wait_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("id", nargs="?", metavar="ID", help="the issue to wait for")
    add("--status", action="append", metavar="A,B", help="until its status is one of these; else until it changes")
    add("--events", type=_count, metavar="N", help="until N events have arrived, whatever they are about")
    add("--since", type=_count, metavar="N", help="count what arrived after arrival number N; else from now on")
    add("--timeout", type=_seconds, default=DEFAULT_TIMEOUT, metavar="SECONDS", help="give up after so long (600)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _wait(context: Context) -> int:
    given = context.arguments
    if (given.id is None) == (given.events is None):
        raise RefusedError(
            "wait for an issue or for a number of events", code=Code.USAGE, hint="`moot wait ID --status closed`"
        )
    if given.events is not None:
        return _wait_for_events(context)
    return _wait_for_issue(context)


class _Watch:
    """Events from a point on, until a deadline.

    Raises:
        RefusedError: `usage`: the point lies behind the end of the log, where nothing would be waited for but that it
            grows that long.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deadline = context.monotonic() + context.arguments.timeout
        since = context.arguments.since
        end: int = context.api.call(Events(since=None))["next"]
        if since is not None and since > end:
            raise RefusedError(
                f"the log ends at {end}, and --since names {since}",
                code=Code.USAGE,
                hint="`moot events` shows them, the first of each line; without --since all from now on counts",
            )
        self.next = end if since is None else since

    def stretch(self) -> list[dict[str, Any]]:
        """What has arrived, after waiting for it a while if there is nothing yet.

        Raises:
            RefusedError: `timeout`: the deadline has passed and nothing came.
        """
        self._context.terminal.check_alive()
        left_ms = int((self._deadline - self._context.monotonic()) * 1000)
        page = self._context.api.call(Events(since=self.next, wait_ms=max(0, min(STRETCH_MS, left_ms))))
        self.next = page["next"]
        events: list[dict[str, Any]] = page["events"]
        if not events and left_ms <= 0:
            raise RefusedError(
                f"nothing of the kind within {self._context.arguments.timeout:g} s",
                code=Code.TIMEOUT,
                hint=f"go on with --since {self.next}, so that nothing is missed",
                retryable=True,
            )
        return events


def _wait_for_events(context: Context) -> int:
    watch = _Watch(context)
    arrived = 0
    while arrived < context.arguments.events:
        arrived += len(watch.stretch())
    answer(context, {"events": arrived, "next": watch.next}, [f"{arrived} events; next {watch.next}"])
    return exits.OK


def _wait_for_issue(context: Context) -> int:
    """Wait until an issue has a status, or until it changes.

    The place in the log is taken before the issue is looked at, so that no change falls between.

    Raises:
        RefusedError: `invalid`: nothing here can have that status; `not_found`: the issue is deleted, or was while it
            was waited for; `timeout`.
    """
    wanted = comma_separated(context.arguments.status)
    watch = _Watch(context)
    issue = _look(context)
    own = issue["id"].rpartition("-")[0]  # it may be of another project than the workspace
    refuse_status(context, wanted, sorted(filter(None, {context.project, own})))
    while not (wanted and issue.get("status") in wanted):
        if issue.get("status") == TOMBSTONE:
            name = neutralise(issue["id"])
            raise RefusedError(f"{name} is deleted", code=Code.NOT_FOUND, hint=f"`moot undelete {name}` brings it back")
        touched = any(event["entity"] == issue["id"] for event in watch.stretch())
        if touched:
            issue = _look(context)
            if not wanted:
                break
    line = f"{neutralise(issue['id'])} is {neutralise(str(issue.get('status', '')))}"
    answer(context, documents.without_marks(issue), [line])
    return exits.OK


def _look(context: Context) -> IssueDoc:
    return context.api.call(Show(ids=(context.arguments.id,)))[0]


# -- rebuild, fsck -----------------------------------------------------------------------------------------------
def _until_done(
    context: Context, begin: Callable[[str], Request[dict[str, Any]]], progress: Progress
) -> Iterator[dict[str, Any]]:
    """The answers of a request that is repeated with its cursor until it is done."""
    cursor = ""
    while True:
        stretch = context.api.call(begin(cursor))
        yield stretch
        if stretch["done"]:
            break
        progress.report(*stretch["progress"])
        cursor = stretch["cursor"]
    progress.end()


def _rebuild(context: Context) -> int:
    progress = Progress(context, "replaying", "events")
    planes: list[dict[str, Any]] = []
    for stretch in _until_done(context, lambda cursor: Rebuild(cursor=cursor), progress):
        planes += stretch.get("planes", ())
    differing = [plane for plane in planes if plane["before"] != plane["after"]]
    answer(context, {"planes": planes, "ok": not differing}, (_rebuilt(context, plane) for plane in planes))
    return exits.FAILED if differing else exits.OK


def _rebuilt(context: Context, plane: dict[str, Any]) -> str:
    name = neutralise(str(plane["name"]))
    if plane["before"] == plane["after"]:
        return confirmed(
            context, f"{name}: {plane['events']:,} events replayed, digest {plane['after'][:16]} as before"
        )
    return (
        f"✗ {name}: {plane['events']:,} events replayed, digest was {plane['before'][:16]} and is {plane['after'][:16]}"
        " now. The views were wrong and are right again; please report it"
    )


def _fsck(context: Context) -> int:
    progress = Progress(context, "verifying", "batches")
    problems: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    for last in _until_done(context, lambda cursor: Fsck(cursor=cursor), progress):
        problems += last.get("problems", ())
    batches, events = last.get("batches", 0), last.get("events", 0)
    if context.json:
        documents.write(context, {"ok": not problems, "batches": batches, "events": events, "problems": problems})
        return exits.FAILED if problems else exits.OK
    for problem in problems:
        hint = f" ({neutralise(str(problem['hint']))})" if problem.get("hint") else ""
        context.terminal.out(f"✗ {neutralise(str(problem['where']))}: {neutralise(str(problem['problem']))}{hint}\n")
    verdict = several(len(problems), "problem") if problems else ALL_RIGHT
    line = f"{batches:,} batches, {events:,} events: {verdict}"
    say(context, line if problems else confirmed(context, line))
    return exits.FAILED if problems else exits.OK


COMMANDS: Final = (
    Command(
        "events",
        "What happened, by arrival number, which --since takes; undo and prove take n=",
        _events_arguments,
        _events,
        examples=("moot events --since 1200 --json", "moot events --follow"),
        again="go on with --since and the arrival number of the last event that came",
    ),
    Command(
        "wait",
        "Wait until an issue changes or has a status, or events arrive",
        _wait_arguments,
        _wait,
        examples=("moot wait bd-a1b2 --status closed --timeout 60", "moot wait --events 1 --since 1200"),
        again=ASK_AGAIN,
    ),
    Command(
        "rebuild",
        "Replay the log into fresh views, while serving",
        no_arguments,
        _rebuild,
        examples=("moot rebuild  # says whether the views come out the same",),
    ),
    Command(
        "fsck",
        "Verify every hash, link and signature of the log, and all that is made of it",
        no_arguments,
        _fsck,
        examples=("moot fsck  # ends with code 1 where something is wrong", "moot fsck --json"),
    ),
)
