"""What towns share, in one place: federation status|peers|pull|push."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.commands.exchange.remotes import NO_REMOTES
from moot.console.commands.exchange.sync import STRETCH_MS, exit_code, failure, has_failed, tell_failures
from moot.console.commands.issues.conflicts import VALUE_WIDTH
from moot.console.commands.issues.history import change_text
from moot.console.context import answer, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN, table
from moot.console.progress import Progress
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.erasure import name_in
from moot_protocol.merge.kinds import ERASE
from moot_protocol.requests.exchange import Sync
from moot_protocol.requests.federation import FederationNews, FederationReview, FederationStatus
from moot_protocol.requests.machine import Events

_NOTHING: Final = "no plane is shared with another town; see `moot invite --town` and `moot join`\n"
_ANSWER_BYTES: Final = 100
_ENTITIES_SHOWN: Final = 10


def _plane_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--plane", default="", metavar="PLANE", help="only this plane, also a ledger of this town alone"
    )


def _planes(context: Context) -> list[dict[str, Any]]:
    return context.api.call(FederationStatus(plane=context.arguments.plane))


# -- status and peers --------------------------------------------------------------------------------------------
def _status(context: Context) -> int:
    planes = _planes(context)
    if context.json or planes:
        style = style_of(context.terminal.facts)
        answer(context, planes, [line for plane in planes for line in plane_lines(style, plane, context.now_ms)])
    else:
        context.terminal.err(_NOTHING)
    return exits.OK


def plane_lines(style: Style, plane: Mapping[str, Any], now_ms: int) -> list[str]:
    """A shared plane: its towns, its remotes, and what wants somebody's decision."""
    waits = " (waits for its charter)" if plane["state"] == "waiting" else ""
    told = [f"{style.heading(lines.text_of(plane, 'plane'))} {lines.text_of(plane, 'kind')}{waits}"]
    told += [f"  {row}" for row in table(style, [_town_cells(town, now_ms) for town in plane["towns"]])]
    told += [f"  {row}" for row in table(style, [_remote_cells(remote) for remote in plane["remotes"]])]
    if plane["members"]:
        told.append(f"  {plane['in_step']} of {several(plane['members'], 'other machine')} in step, as they last said")
    for field, words in (("conflicts", "in conflict"), ("not_adopted", "from other towns, not adopted")):
        if plane[field]:
            told.append(f"  {words}: {neutralise(', '.join(plane[field]))}")
    return told


def _town_cells(town: Mapping[str, Any], now_ms: int) -> list[str]:
    name = lines.town_of({"town_name": town["town_name"], "town": str(town["town"])[:KEY_SHOWN]})
    seen = "this town" if town["is_own"] else "never heard of"
    if not town["is_own"] and town["last_seen_ms"]:
        seen = f"last seen {when.age(town['last_seen_ms'], now_ms)}"
    state = "" if town["state"] == "ok" else lines.text_of(town, "state")
    return [name, lines.text_of(town, "role") or "-", several(town["replicas"], "replica"), seen, state]


def _remote_cells(remote: Mapping[str, Any]) -> list[str]:
    ahead = "carries all that is here" if not remote["ahead"] else f"lacks {several(remote['ahead'], 'event')}"
    return [f"remote {lines.text_of(remote, 'remote')}", lines.text_of(remote, "mode"), ahead]


def _peers(context: Context) -> int:
    planes = _planes(context)
    towns = [{"plane": plane["plane"]} | town for plane in planes for town in plane["towns"] if not town["is_own"]]
    style = style_of(context.terminal.facts)
    rows = [[lines.text_of(town, "plane"), *_town_cells(town, context.now_ms)] for town in towns]
    if context.json or towns:
        answer(context, towns, table(style, rows))
    else:
        context.terminal.err(_NOTHING)
    return exits.OK


# -- pull and push -----------------------------------------------------------------------------------------------
def _exchanged(context: Context, planes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Exchange planes, one after the other, until all is done; what the last exchange left.

    That tells of all planes: what couldn't be reached or opened is known for each remote, whatever was asked for.

    Raises:
        RefusedError: `not_found`: there is nothing to exchange, or nobody to exchange it with.
    """
    progress = Progress(context, "exchanging")
    exchange: dict[str, Any] = {"done": False, "remotes": []}
    connected = [plane for plane in planes if any(remote["mode"] != "off" for remote in plane["remotes"])]
    for plane in connected or planes:  # where none is, the daemon says why
        exchange, cursor = {"done": False}, ""
        while not exchange["done"]:
            exchange = context.api.call(Sync(plane=str(plane["plane"]), cursor=cursor, wait_ms=STRETCH_MS))
            cursor = str(exchange["cursor"])
            progress.tell(lines.text_of(plane, "plane"))
    progress.end()
    if not exchange["remotes"]:
        raise RefusedError(NO_REMOTES if planes else _NOTHING.strip(), code=Code.NOT_FOUND)
    for plane in planes if connected else ():
        if plane not in connected:
            note(context, f"Plane {lines.text_of(plane, 'plane')} has no remote to be exchanged with")
    return exchange


def _answer(context: Context, exchange: dict[str, Any], document: dict[str, Any], told: Sequence[str]) -> int:
    """Answer with what came of an exchange, and with what it has left undone; the exit code."""
    answer(context, document | {"remotes": exchange["remotes"]} | failure(context, exchange), told)
    tell_failures(context, exchange)
    return exit_code(exchange)


def _pull(context: Context) -> int:
    since = context.api.call(Events(since=None))["next"]
    before = _planes(context)
    exchange = _exchanged(context, before)
    news = context.api.call(FederationNews(since=since, plane=context.arguments.plane))
    after = _planes(context)
    return _answer(context, exchange, {"news": news, "planes": after}, _pulled(context, exchange, news, after))


def _pulled(
    context: Context,
    exchange: dict[str, Any],
    news: Sequence[Mapping[str, Any]],
    planes: Sequence[Mapping[str, Any]],
) -> list[str]:
    """That nothing came can only be said where all that has come could be read."""
    told = news_lines(context, news, planes)
    return told if news or has_failed(exchange) else [confirmed(context, "Nothing new from other towns"), *told]


def news_lines(context: Context, news: Sequence[Mapping[str, Any]], planes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What came from which town, and what can be adopted or has to be settled."""
    told: list[str] = []
    for each in news:
        told.append(f"{lines.town_of(each)} on {lines.text_of(each, 'plane')}: {several(each['events'], 'event')}")
        about = [f"{neutralise(str(one['kind']))} {neutralise(str(one['entity']))}" for one in each["entities"]]
        told += [f"  {one}" for one in about[:_ENTITIES_SHOWN]]
        if len(about) > _ENTITIES_SHOWN:
            told.append(f"  and {len(about) - _ENTITIES_SHOWN} more")
    program = context.terminal.facts.program
    for plane in planes:
        on = lines.text_of(plane, "plane")
        told += [
            f"not adopted on {on}: {name} (`{program} doc adopt {name} --plane {on}` accepts it)"
            for name in map(neutralise, plane["not_adopted"])
        ]
        told += [f"in conflict on {on}: {neutralise(name)} (`{program} conflicts`)" for name in plane["conflicts"]]
    return told


def _push_arguments(parser: ArgumentParser) -> None:
    _plane_argument(parser)
    parser.add_argument("--review", action="store_true", help="show what would leave, and ask before it does")
    parser.add_argument("-y", "--yes", action="store_true", help="with --review: show it, and don't ask")


def _push(context: Context) -> int:
    planes = _planes(context)
    if context.arguments.review and not _is_agreed(context, planes):
        if context.json:
            raise RefusedError("nothing was sent: it wasn't agreed to", hint="read what would leave, then add --yes")
        note(context, "Nothing was sent")
        return exits.FAILED
    exchange = _exchanged(context, planes)
    in_step = f"Sent; in step with {several(len(exchange['remotes']), 'remote')}"
    return _answer(context, exchange, {}, [] if has_failed(exchange) else [confirmed(context, in_step)])


def _is_agreed(context: Context, planes: Sequence[Mapping[str, Any]]) -> bool:
    """Show what would leave; whether it may."""
    leaving = context.api.call(FederationReview(plane=context.arguments.plane))
    by_itself = {str(plane["plane"]) for plane in planes if any(each["mode"] == "auto" for each in plane["remotes"])}
    for plane in sorted(by_itself):
        note(context, f"Plane {neutralise(plane)} is exchanged by itself: its changes leave without being asked for")
    for line in review_lines(leaving):
        context.terminal.err(f"{line}\n")
    if not leaving or context.arguments.yes:
        return True
    context.terminal.err("Send this? [y/N] ")
    typed = b"".join(context.terminal.stdin())[:_ANSWER_BYTES]
    return typed.strip().lower() in {b"y", b"yes"}


def review_lines(leaving: Sequence[Mapping[str, Any]]) -> list[str]:
    """What would leave, by plane, remote and what it is about."""
    told = [] if leaving else ["Nothing would leave"]
    for each in leaving:
        count = several(each["events"], "event")
        told.append(f"{count} of plane {lines.text_of(each, 'plane')} would go to {lines.text_of(each, 'remote')}:")
        for entity in each["entities"]:
            who = lines.text_of(entity, "actors")
            told.append(
                f"  {lines.text_of(entity, 'kind')} {lines.text_of(entity, 'entity')}{f' by {who}' if who else ''}"
            )
            told += [f"    {_change(entity, change)}" for change in entity["changes"]]
        shown = sum(entity["events"] for entity in each["entities"])
        if shown < each["events"]:
            told.append(f"  and {several(each['events'] - shown, 'event')} more")
    return told


def _change(entity: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """A change as `history` tells it, its value at more length: whether it may leave is decided by what it says."""
    erased = name_in(str(change["field"])) if entity["kind"] == ERASE else None
    return change_text(change, VALUE_WIDTH) if erased is None else f"erases event n={erased.n}"


COMMANDS: Final = (
    Command(
        "federation status",
        "How each shared plane stands: towns, remotes, conflicts",
        _plane_argument,
        _status,
        alone=True,
        examples=("moot federation status", "moot federation status --plane shared"),
    ),
    Command(
        "federation peers",
        "The other towns, and when they were last heard of",
        _plane_argument,
        _peers,
        alone=True,
        examples=("moot federation peers", "moot federation peers --plane shared"),
    ),
    Command(
        "federation pull",
        "Exchange, and tell what is new from whom and what can be adopted",
        _plane_argument,
        _pull,
        examples=("moot federation pull", "moot federation pull --plane shared"),
        alone=True,
    ),
    Command(
        "federation push",
        "Exchange; with --review only after showing what would leave",
        _push_arguments,
        _push,
        examples=("moot federation push --review", "moot federation push --plane shared --review"),
        alone=True,
    ),
)
"""The commands of this module."""
