"""API tokens of this machine: access token create|list|revoke."""

from argparse import ArgumentParser
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import table
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import MootError
from moot_protocol.requests.access import CreateToken, ListTokens, RevokeToken

_MODE: Final = 0o600


# -- access token create -----------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="whose rules it binds to: a user of access.toml, or USER/AGENT")
    parser.add_argument("--expires", metavar="WHEN", help="30d, or a date; UTC unless an offset is given. Else never")
    parser.add_argument("--note", default="", metavar="TEXT", help="what it is for")
    parser.add_argument(
        "--out", default="", metavar="FILE", help="write it to a new file, mode 0600, not to the screen"
    )


def _create(context: Context) -> int:
    given = context.arguments
    expires_ms = when.parse_ahead(given.expires, context.now_ms) if given.expires else 0
    request = CreateToken(actor=context.actor, user=given.user, expires_ms=expires_ms, note=given.note)
    made = context.api.call(request)
    if given.out:
        _keep(context, made, given.out)
    if context.json:
        documents.write(context, made)
        return exits.OK
    if made.get("token"):  # a dry run has none
        context.terminal.out(f"{made['token']}\n")
    until = f"expires {_moment(made, 'expires_ms')}"
    where = f"stands in {neutralise(given.out)}" if given.out else "is shown this once"
    note(context, f"token {lines.text_of(made, 'id')} of {lines.text_of(made, 'user')}, {until}, {where}")
    note(context, "present it with MOOT_TOKEN_FILE (a file of mode 0600) or MOOT_TOKEN")
    return exits.OK


def _keep(context: Context, made: dict[str, Any], path: str) -> None:
    """Write a token to a file, and take it out of the answer; what can't be written is good for nothing."""
    token = made.pop("token")
    try:
        context.terminal.write_file(path, [f"{token}\n".encode()], mode=_MODE, exclusive=True, parents=False)
    except MootError:
        if token:  # a dry run has made none
            context.api.call(RevokeToken(actor=context.actor, id=made["id"]))
        raise


# -- access token list -------------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    found = context.api.call(ListTokens())
    answer_list(context, found, lambda style: table(style, [_cells(context, each) for each in found]), "no tokens")
    return exits.OK


def _cells(context: Context, token: dict[str, Any]) -> list[str]:
    expired = token["expires_ms"] is not None and token["expires_ms"] <= context.now_ms
    state = "revoked" if token["revoked_ms"] else "expired" if expired else "good"
    return [
        lines.text_of(token, "id"),
        lines.text_of(token, "user"),
        state,
        f"made {_moment(token, 'created_ms')}",
        f"expires {_moment(token, 'expires_ms')}",
        f"used {_moment(token, 'used_ms')}",
        lines.text_of(token, "note"),
    ]


def _moment(token: dict[str, Any], field: str) -> str:
    return when.short_date(token[field]) if token[field] else "never"


# -- access token revoke -----------------------------------------------------------------------------------------
def _revoke_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `access token list` shows it")


def _revoke(context: Context) -> int:
    done = context.api.call(RevokeToken(actor=context.actor, id=context.arguments.id))
    told = f"token {lines.text_of(done, 'id')} of {lines.text_of(done, 'user')}"
    answer(context, done, [confirmed(context, f"Revoked {told}") if done["changed"] else f"{told} was revoked before"])
    return exits.OK


COMMANDS: Final = (
    Command(
        "access token create",
        "Make an API token that binds whoever presents it to a user's rules",
        _create_arguments,
        _create,
        examples=("moot access token create ci/builder --expires 30d --out ci.token",),
        alone=True,
    ),
    Command(
        "access token list",
        "The API tokens of this machine, without their secrets",
        no_arguments,
        _list,
        alone=True,
        aliases=("access token",),
        examples=("moot access token list", "moot access token list --json"),
    ),
    Command(
        "access token revoke",
        "Let an API token be good no more, at once",
        _revoke_arguments,
        _revoke,
        examples=("moot access token revoke 7m3k9q2x4c",),
        alone=True,
    ),
)
