"""Towns: town show|list|create|rotate-key."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments, plane_argument
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN, facts, table
from moot.console.lines.membership import state_words, town_rows
from moot.console.notices.recovery_words import hand_over, without_words
from moot.console.text.amounts import several
from moot.console.text.style import Style, style_of
from moot_protocol.requests.membership import CreateTown, OwnTown, RotateTownKey, Towns


# -- town show, town list ----------------------------------------------------------------------------------------
def _show(context: Context) -> int:
    town = context.api.call(OwnTown())
    answer(context, town, _shown(style_of(context.terminal.facts), town))
    return exits.OK


def _shown(style: Style, town: dict[str, Any]) -> Iterator[str]:
    key = lines.text_of(town, "town")
    rows = [
        ("town", lines.text_of(town, "name") or "(no name)"),
        ("key", f"{key} ({'it' if town['is_here'] else 'not it, but a machine of the town'} is here)"),
        ("replica", lines.text_of(town, "replica")),
    ]
    yield from facts(style, rows)
    if town["planes"]:
        yield "planes:"
        for row in table(
            style._replace(width=style.width - 2), [_plane_cells(town, plane) for plane in town["planes"]]
        ):
            yield f"  {row}"


def _plane_cells(town: dict[str, Any], plane: dict[str, Any]) -> list[str]:
    return [
        lines.text_of(plane, "plane"),
        lines.text_of(plane, "kind"),
        lines.text_of(plane, "role") or "-",
        several(plane["replicas"], "replica"),
        ", ".join(filter(None, (state_words(str(plane["state"])), _elsewhere(town, plane)))),
    ]


def _elsewhere(town: dict[str, Any], plane: dict[str, Any]) -> str:
    """As which town this machine is on a plane, where that is another than the one it works in."""
    if plane["town"] == town["town"]:
        return ""
    name = lines.text_of(plane, "town_name") or lines.text_of(plane, "town")[:KEY_SHOWN]
    return f"of town {name}{'' if plane['is_here'] else ', whose key is elsewhere'}"


def _list(context: Context) -> int:
    towns = context.api.call(Towns(plane=context.arguments.plane))
    answer_list(
        context,
        towns,
        lambda style: town_rows(style, towns),
        "no towns; `moot init` or `moot town create NAME` makes one",
    )
    return exits.OK


# -- town create -------------------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what other towns will read: a name, not a proof of who it is")


def _create(context: Context) -> int:
    made = context.api.call(CreateTown(actor=context.actor, name=context.arguments.name))
    made = without_words(made) | hand_over(context, made)
    town = f"town {lines.text_of(made, 'name')} {lines.text_of(made, 'town')}"
    if made["created"]:
        told = f"Made {town}, with this machine as replica {lines.text_of(made, 'replica')}"
    else:
        told = f"This is now {town}, on {several(len(made['planes']), 'plane')} that it founded"
    answer(context, made, [confirmed(context, told)])
    return exits.OK


# -- town rotate-key ---------------------------------------------------------------------------------------------
_ROTATED: Final = {
    "rotated": "has the new key",
    "invite": "needs an invite",
    "kept": "keeps its key",
}


def _rotate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would become of each plane")


def _rotate(context: Context) -> int:
    made = context.api.call(RotateTownKey(actor=context.actor, dry_run=context.arguments.dry_run))
    answer(context, made, _rotated(context, made))
    if any(plane["state"] == "invite" for plane in made["planes"]):
        program = context.terminal.facts.program
        note(context, f"Ask an admin of such a plane for `{program} invite --town`, and join again with the ticket")
    note(context, "Whoever may have stolen the old key can still sign with it: `moot recover` is for that")
    return exits.OK


def _rotated(context: Context, made: dict[str, Any]) -> Iterator[str]:
    if context.arguments.dry_run:
        yield "Would give this town a new key:"
    else:
        yield confirmed(
            context, f"This town's key is {lines.text_of(made, 'town')}, was {lines.text_of(made, 'before')}"
        )
        yield f"  This machine is replica {lines.text_of(made, 'replica')}"
    for plane in made["planes"]:
        detail = lines.text_of(plane, "detail")
        yield f"  {lines.text_of(plane, 'plane')} {_ROTATED[plane['state']]}{f': {detail}' if detail else ''}"


COMMANDS: Final = (
    Command(
        "town show",
        "This machine's town: its name, its key and its planes",
        no_arguments,
        _show,
        alone=True,
        examples=("moot town show", "moot town show --json"),
    ),
    Command(
        "town list",
        "The towns of each plane: role, depth, who admitted them, and whether they still count",
        plane_argument,
        _list,
        aliases=("member list",),
        examples=("moot town list --plane shared",),
        alone=True,
    ),
    Command(
        "town create",
        "Make this machine's town with a name, or name it where it has none",
        _create_arguments,
        _create,
        examples=("moot town create rivertown",),
        alone=True,
    ),
    Command(
        "town rotate-key",
        "Give this town a new key, and this machine with it",
        _rotate_arguments,
        _rotate,
        examples=("moot town rotate-key --dry-run",),
        alone=True,
    ),
)
