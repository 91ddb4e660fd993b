"""Planes: plane list|create|show|set."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN, PLANE_SHOWN, facts, invite_rows, mode_words, table
from moot.console.notices.recovery_words import hand_over, without_words
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import SYNC_MODES, CreatePlane, Planes, SetMode, ShowPlane
from moot_protocol.requests.federation import IsolatePlane

KINDS: Final = ("ledger", "federation", "operational")
_INDENT: Final = "  "


def _plane_argument(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the plane, or the beginning of its id")


def _text(document: Mapping[str, Any], field: str) -> str:
    return lines.text_of(document, field)


# -- plane list --------------------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    planes = context.api.call(Planes())
    answer_list(
        context,
        planes,
        lambda style: table(style, [_cells(plane) for plane in planes]),
        "no planes; `moot init` makes the first, `moot join TICKET` joins one",
    )
    return exits.OK


def _cells(plane: dict[str, Any]) -> list[str]:
    waiting = plane["state"] == "waiting"
    about = "; ".join(filter(None, (lines.text_of(plane, "projects"), mode_words(plane["remotes"]))))
    return [
        _text(plane, "name"),
        _text(plane, "plane")[:PLANE_SHOWN],
        _text(plane, "kind"),
        _text(plane, "role"),
        "waiting" if waiting else several(plane["events"], "event"),
        about,
    ]


# -- plane create, plane set -------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="how to call it")
    parser.add_argument("--kind", choices=KINDS, default="ledger", help="what it is for (default ledger)")


def _create(context: Context) -> int:
    given = context.arguments
    made = context.api.call(CreatePlane(actor=context.actor, name=given.name, kind=given.kind))
    made = without_words(made) | hand_over(context, made)
    told = f"Founded {_text(made, 'kind')} plane {_text(made, 'name')} {_text(made, 'plane')[:PLANE_SHOWN]}"
    answer(context, made, [confirmed(context, told)])
    return exits.OK


def _isolate_arguments(parser: ArgumentParser) -> None:
    _plane_argument(parser)
    parser.add_argument("--to", action="append", default=[], metavar="REMOTE", help="with this remote, repeatable")
    parser.add_argument("--off", action="store_true", help="end it: each remote has the mode again that it had")


def _isolate(context: Context) -> int:
    given = context.arguments
    if bool(given.to) == given.off:
        raise RefusedError("with which remotes?", code=Code.USAGE, hint="give --to REMOTE, repeatable, or --off")
    request = IsolatePlane(actor=context.actor, plane=given.name, to=tuple(given.to), off=given.off)
    made = context.api.call(request)
    name = _text(made, "plane")
    if not made["is_isolated"]:
        answer(context, made, [confirmed(context, f"Plane {name} is isolated no more")])
        return exits.OK
    told = f"This machine exchanges plane {name} with {_text(made, 'remotes')} only"
    answer(context, made, [confirmed(context, told)])
    if made["withdrawn"]:
        note(context, f"{several(made['withdrawn'], 'frame')} that waited for other remotes won't go there")
    note(context, "What other remotes hold already stays there; other machines of the plane decide for themselves")
    return exits.OK


def _set_arguments(parser: ArgumentParser) -> None:
    _plane_argument(parser)
    parser.add_argument("--remote", required=True, metavar="REMOTE", help="with this remote")
    parser.add_argument(
        "--mode", required=True, choices=SYNC_MODES, help="by itself, only when asked (`moot sync`), or not at all"
    )


def _set(context: Context) -> int:
    given = context.arguments
    done = context.api.call(SetMode(actor=context.actor, plane=given.name, remote=given.remote, mode=given.mode))
    told = f"Plane {_text(done, 'plane')} with remote {_text(done, 'remote')}: {_text(done, 'mode')}"
    answer(context, done, [confirmed(context, told)])
    return exits.OK


# -- plane show --------------------------------------------------------------------------------------------------
def _show(context: Context) -> int:
    plane = context.api.call(ShowPlane(plane=context.arguments.name))
    style = style_of(context.terminal.facts)
    answer(context, plane, _shown(style, plane, context.now_ms))
    return exits.OK


def _shown(style: Style, plane: dict[str, Any], now_ms: int) -> Iterator[str]:
    yield from facts(style, list(_facts(plane)))
    inner = style._replace(width=style.width - len(_INDENT))
    if plane["members"]:
        yield "members:"
        for row in table(inner, [_member_cells(style, member, now_ms) for member in plane["members"]]):
            yield f"{_INDENT}{row}"
    if plane["invites"]:
        yield "invites:"
        for row in invite_rows(inner, plane["invites"], now_ms):
            yield f"{_INDENT}{row}"


def _facts(plane: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "plane", _text(plane, "name")
    yield "id", _text(plane, "plane")
    yield "kind", _text(plane, "kind")
    yield "town", f"{_text(plane, 'town')}{' (its key is here)' if plane['is_own'] else ''}"
    yield "role here", _text(plane, "role")
    waiting = plane["state"] == "waiting"
    yield "state", "waiting for its charter from a remote" if waiting else _text(plane, "state")
    yield "holds", f"{several(plane['events'], 'event')} of {several(plane['replicas'], 'replica')}"
    if plane["projects"]:
        yield "projects", _text(plane, "projects")
    yield "remotes", mode_words(plane["remotes"]) or "none"
    if plane["epoch"]:
        yield "epoch", _text(plane, "epoch")


def _member_cells(style: Style, member: dict[str, Any], now_ms: int) -> list[str]:
    seen = member["last_seen_ms"]
    live = "live now" if member.get("is_live") else ""
    invite = _text(member, "invite")[:KEY_SHOWN]
    return [
        _text(member, "replica")[: KEY_SHOWN if style.terminal else None],
        _text(member, "role"),
        _text(member, "state"),
        several(member["events"], "event"),
        "here" if member["is_here"] else live or (f"seen {when.age(seen, now_ms)}" if seen else "never seen"),
        f"by invite {invite}" if invite else "",
    ]


COMMANDS: Final = (
    Command(
        "plane list",
        "Planes here, and the remotes they are exchanged with",
        no_arguments,
        _list,
        alone=True,
        examples=("moot plane list", "moot plane list --json"),
    ),
    Command(
        "plane create",
        "Found another plane of this town",
        _create_arguments,
        _create,
        examples=("moot plane create private", "moot plane create scratch --kind operational"),
        alone=True,
    ),
    Command(
        "plane show",
        "A plane, who writes on it, and its invites",
        _plane_argument,
        _show,
        alone=True,
        examples=("moot plane show ledger",),
    ),
    Command(
        "plane set",
        "How a plane is exchanged with a remote",
        _set_arguments,
        _set,
        examples=("moot plane set ledger --remote origin --mode manual",),
        alone=True,
    ),
    Command(
        "plane isolate",
        "Exchange a plane with the named remotes only, whatever is added later",
        _isolate_arguments,
        _isolate,
        examples=("moot plane isolate partner --to intranet", "moot plane isolate partner --off"),
        alone=True,
    ),
)
