"""Machines that join: invite, invite list|close, join.

The ticket is the last line of standard output and stands there alone, so that it can go into a pipe; what there is to
say about it goes to standard error. What a join gives once is printed before anything else.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context, key_argument, no_arguments
from moot.console.context import answer, answer_list, note, read_text
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN, clash_words, invite_rows, safe_url
from moot.console.notices.recovery_words import hand_over, without_words
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIB
from moot_protocol.requests.exchange import CloseInvite, Invite, Invites, Join, Remotes
from moot_protocol.requests.membership import InviteTown

TICKET_BYTES: Final = 1 * MIB
"""Bytes read of standard input for a ticket: far above one, so that the daemon judges it."""


# -- invite ------------------------------------------------------------------------------------------------------
def _invite_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--plane", default="ledger", metavar="PLANE", help="the plane to join (default ledger)")
    parser.add_argument("--town", action="store_true", help="for another town, which joins with a charter of its own")
    parser.add_argument(
        "--role", choices=("admin", "writer", "reader"), default="writer", help="what it may do there; admins are towns"
    )
    parser.add_argument(
        "--expires", metavar="WHEN", help="24h (the default), 30min, 7d, or a date; UTC unless an offset is given"
    )


def _invite(context: Context) -> int:
    given = context.arguments
    expires_ms = 0 if given.expires is None else when.parse_ahead(given.expires, context.now_ms)
    if given.role == "admin" and not given.town:
        raise RefusedError("a machine is invited as writer or reader; admins are other towns", code=Code.USAGE)
    request = InviteTown if given.town else Invite
    made = context.api.call(request(actor=context.actor, plane=given.plane, role=given.role, expires_ms=expires_ms))
    for line in _explained(context, made):
        note(context, line)
    if context.json:
        documents.write(context, made)
    elif made["ticket"]:  # a dry run has none
        context.terminal.out(f"{neutralise(str(made['ticket']))}\n")
    return exits.OK


def _explained(context: Context, made: dict[str, Any]) -> Iterator[str]:
    program = context.terminal.facts.program
    until = f"{when.short_date(made['expires_ms'])} UTC ({when.age(made['expires_ms'], context.now_ms)})"
    role = lines.text_of(made, "role")
    who = f"another town, as {role}," if context.arguments.town else f"a {role}"
    yield f"Invites {who} to plane {lines.text_of(made, 'plane')}; expires {until}"
    yield (
        f"Expiry only reminds: the ticket lets in who has it until `{program} invite close`, "
        f"of which `{program} status` tells"
    )
    if made["remotes"]:
        addresses = (f"{neutralise(str(remote['kind']))} {safe_url(str(remote['url']))}" for remote in made["remotes"])
        yield f"It leads to {', '.join(addresses)}"
    else:
        yield f"Warning: {_without_remote(context, lines.text_of(made, 'plane'))}"
    where = "machine where the other town was founded" if context.arguments.town else "other machine"
    yield f"On the {where}: `{program} join -` reads it from stdin, so that the shell's history doesn't keep it"
    if context.arguments.town:
        yield "This machine admits whoever comes with it once it has seen them, and closes the invite"
    yield "A ticket is a password: whoever has it can join. It is kept nowhere."


def _without_remote(context: Context, plane: str) -> str:
    """Why a ticket names no remote, and what to do."""
    program = context.terminal.facts.program
    remotes = [lines.text_of(remote, "name") for remote in context.api.call(Remotes())]
    if remotes:
        on = f"`{program} plane set {plane} --remote {remotes[0]} --mode auto`"
        return f"plane {plane} goes to no remote yet, so that whoever joins would wait for it: {on} here first"
    return f"the ticket names no remote; whoever joins has to add one (`{program} remote add`)"


# -- invite list, invite close -----------------------------------------------------------------------------------
def _list(context: Context) -> int:
    invites = context.api.call(Invites())
    answer_list(context, invites, lambda style: invite_rows(style, invites, context.now_ms), "no invites")
    return exits.OK


def _close_arguments(parser: ArgumentParser) -> None:
    key_argument(parser, "invite", metavar="INVITE", told="the beginning of its key")
    parser.add_argument(
        "--keep",
        action="append",
        metavar="A,B",
        help="the replicas that count; an empty text for none (default: all that are known to have used it)",
    )


def _close(context: Context) -> int:
    given = context.arguments
    keep = None if given.keep is None else comma_separated(given.keep)
    closed = context.api.call(CloseInvite(actor=context.actor, invite=given.invite, keep=keep))
    name = lines.text_of(closed, "invite")[:KEY_SHOWN]
    told = f"Closed invite {name} to plane {lines.text_of(closed, 'plane')}: {several(len(closed['users']), 'replica')}"
    counting = "counts" if len(closed["users"]) == 1 else "count"
    users = (f"  {neutralise(str(user))}" for user in closed["users"])
    answer(context, closed, [confirmed(context, f"{told} {counting}, nobody else ever will"), *users])
    return exits.OK


# -- join --------------------------------------------------------------------------------------------------------
def _join_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ticket", metavar="TICKET", help="what `moot invite` printed; - reads it from stdin")


def _join(context: Context) -> int:
    made = context.api.call(Join(actor=context.actor, ticket=_ticket(context)))
    # The words are this machine's town's, not the inviting one's.
    joined = without_words(made) | hand_over(context, made | {"town": made.get("own_town", "")})
    for warning in _warnings(context, joined):
        note(context, f"Warning: {warning}")
    answer(context, joined, _joined(context, joined, is_founded=bool(made["recovery_words"])))
    return exits.OK


def _ticket(context: Context) -> str:
    """The ticket, or the last line of standard input that isn't blank, which is where `moot invite` puts it."""
    given = str(context.arguments.ticket)
    source = read_text(context, "-", TICKET_BYTES) if given == "-" else given
    written = source.strip().splitlines()
    if not written:
        raise RefusedError(
            "there is no ticket", code=Code.USAGE, hint="give what `moot invite` printed as its last line"
        )
    return written[-1].strip()


def _warnings(context: Context, joined: dict[str, Any]) -> Iterator[str]:
    if not joined["remotes"] and joined["state"] == "waiting":
        program = context.terminal.facts.program
        plane = lines.text_of(joined, "name")
        yield (
            f"the ticket names no remote; add one with `{program} remote add`, "
            f"or use one that is here: `{program} plane set {plane} --remote NAME --mode auto`"
        )
    if joined.get("left"):
        planes = ", ".join(neutralise(str(name)) for name in joined["left"])
        yield f"this machine's new key has to be invited again to: {planes}"
    if joined["clashes"]:
        yield clash_words(joined["clashes"])


def _joined(context: Context, joined: dict[str, Any], *, is_founded: bool) -> Iterator[str]:
    named = f"plane {lines.text_of(joined, 'name')} of town {lines.text_of(joined, 'town')}"
    if joined["created"] or joined.get("is_again"):
        replica = lines.text_of(joined, "replica")
        if joined.get("is_for_town"):
            named = f"{named} as town {lines.text_of(joined, 'own_town')}"
        told = "Joined" if joined["created"] else "Joined anew:"
        if joined.get("is_new_key"):
            told = "Joined anew under a new key:"
        role = f" as {lines.text_of(joined, 'role')}" if joined["role"] else ""
        yield confirmed(context, f"{told} {named}{role}, with this machine as {replica}")
    elif joined["remotes"]:
        added = ", ".join(map(neutralise, joined["remotes"]))
        yield confirmed(
            context, f"{named[:1].upper()}{named[1:]} was joined already; it is exchanged with {added} too now"
        )
    else:
        yield f"Nothing to do: {named} was joined already"
    program = context.terminal.facts.program
    if is_founded:
        yield f"  Your town is new and has no name: `{program} town create NAME`, best before the plane's charter comes"
    if joined["state"] == "waiting":
        remotes = ", ".join(map(neutralise, joined["remotes"])) or "a remote"
        yield f"  Waits for its charter from {remotes}; nothing can be written on it before"
        yield f"  Next: `{program} sync --wait`, then {_opening(program, joined)}"
    elif joined["created"]:
        yield f"  Next: {_opening(program, joined)}"


def _opening(program: str, joined: dict[str, Any]) -> str:
    """How a project of the plane is opened: by its name, since without one the folder's would make another.

    The plane is named, too, unless it is the machine's first ledger: a new project goes there by itself.
    """
    plane = lines.text_of(joined, "init_plane")
    if plane:
        told = f"`{program} init --plane {plane} --prefix NAME` in the project's folder, NAME as its ids begin"
        return f"{told} (`{program} plane list` shows the projects that are there)"
    return f"`{program} init --prefix NAME` in the project's folder, NAME as the project's ids begin"


COMMANDS: Final = (
    Command(
        "invite",
        "Make a ticket with which another machine, or another town, can join a plane",
        _invite_arguments,
        _invite,
        examples=(
            "moot invite --expires 7d",
            "moot invite --role reader | ssh other moot join -",
            "moot invite --town --plane shared --role admin",
        ),
        alone=True,
    ),
    Command(
        "invite list",
        "Invites: open, expired, closed, and who used them",
        no_arguments,
        _list,
        alone=True,
        examples=("moot invite list", "moot invite list --json"),
    ),
    Command(
        "invite close",
        "Close an invite: who has used it counts, nobody else ever will",
        _close_arguments,
        _close,
        examples=("moot invite close jqI_oxhs",),
        alone=True,
    ),
    Command(
        "join",
        "Join a plane with a ticket; planes here stay",
        _join_arguments,
        _join,
        examples=("moot join - < ticket",),
        alone=True,
    ),
)
