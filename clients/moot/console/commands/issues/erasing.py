"""erase: what people wrote in an issue goes for good. Without `--force` it only shows what would go, and what not.

Nothing else here takes anything out of the log: what is deleted can be undeleted, and a field that is written over is
in its history.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, is_unchanged, nothing_to_do
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.erasure import ERASABLE, WORDS
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.shares import Shares

NOT_ERASED: Final = (
    "who wrote when, and which fields; ids, names of actors, and what else the issue is: status, edges, times",
    "machines and towns that have not exchanged since, or run a release that knows no erasures",
    "what Git remotes and brokers hold: sealed, and for whoever has the keys of the plane still to be opened",
    "copies that `backup` made, exported files, a mirrored file's history in the user's own git",
    "disk blocks that the store has freed, until it writes over them",
)
"""What keeps something of it, as users are told."""
_ALIASES: Final = {
    "acceptance": "acceptance_criteria", "body": "description", "comment": "comments", "desc": "description",
    "label": "labels", "note": "notes", "reason": "close_reason", "session": "closed_by_session", "spec": "spec_id",
}  # fmt: skip
"""Names of flags and of `show` → the fields."""


def field_meant(typed: str) -> str:
    """The field that a name means: as in documents, as a flag of `create` and `update`, or of one thing for several.

    Raises:
        RefusedError: `usage`: it is none whose values can be erased.
    """
    name = typed.strip().lower().replace("-", "_")
    field = _ALIASES.get(name, name)
    if field not in ERASABLE:
        hint = f"these can: {', '.join(sorted(ERASABLE))}"
        raise RefusedError(f"{typed}: no field whose values can be erased", code=Code.USAGE, hint=hint)
    return field


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("id", metavar="ID", help="the issue")
    add(
        "--field",
        action="append",
        metavar="NAME",
        help="only this field, all that it ever held: title, description, design, acceptance, notes, comments, labels, "
        "metadata, reason, delete-reason, external-ref, spec, extra, owner, created-by, session; several with commas",
    )
    add("--all", action="store_true", help="all that people wrote; owner, created-by and session only by --field")
    add("-f", "--force", action="store_true", help="erase it for good, rather than show what would go")
    add_dry_run(parser)


def _run(context: Context) -> int:
    given = context.arguments
    fields = tuple(dict.fromkeys(map(field_meant, comma_separated(given.field))))
    if given.field and not fields:
        raise RefusedError("--field needs the name of a field", code=Code.USAGE, hint="`moot help erase` lists them")
    if given.all and fields:
        raise RefusedError("--all and --field exclude one another", code=Code.USAGE)
    if given.force and not (given.all or fields):
        hint = "`moot erase ID` shows what would go"
        raise RefusedError("--force needs to be told what: --all, or --field NAME", code=Code.USAGE, hint=hint)
    is_preview = given.dry_run or not given.force
    wanted = Erase(actor=context.actor, dry_run=is_preview, id=given.id, fields=fields or tuple(sorted(WORDS)))
    done = context.api.call(wanted)
    copies = [] if is_unchanged(done) else _copies(context, str(done["id"]))
    document = {**done, "copies": copies, "not_erased": list(NOT_ERASED)} | ({"dry_run": True} if is_preview else {})
    told = _unchanged(done, fields) if is_unchanged(done) else _told(context, done, copies, is_preview=is_preview)
    answer(context, document, told)
    return exits.OK


def _copies(context: Context, issue: str) -> list[dict[str, str]]:
    """The copies of an issue on other planes, and what it is itself a copy of; none where they may not be known."""
    try:
        shares = context.api.call(Shares(id=issue))
    except MootError:
        return []
    return [
        {"id": str(copy["source"] if is_copy else copy["copy"]), "plane": str(share["from" if is_copy else "to"])}
        | {"is": "source" if is_copy else "copy"}
        for share in shares
        for copy in share["copies"]
        if (is_copy := copy["copy"] == issue) or copy["source"] == issue
    ]


def _unchanged(done: Mapping[str, Any], fields: Sequence[str]) -> Iterator[str]:
    what = f"of {_listed(fields)} nothing" if fields else "nothing that people wrote"
    yield nothing_to_do(f"{what} is here in {lines.text_of(done, 'id')}")


def _told(
    context: Context, done: Mapping[str, Any], copies: Sequence[Mapping[str, str]], *, is_preview: bool
) -> Iterator[str]:
    verb = "Would erase" if is_preview else "Erased"
    where = several(int(done["events"]), "event")
    told = f"{verb} {_listed(done['fields'])} of {lines.text_of(done, 'id')}, with all that was there before: {where}"
    yield told if is_preview else confirmed(context, told)
    if done["rewritten"]:
        stands = "stands" if is_preview else "stood"
        yield f"  Written again, since it {stands} in the same events: {_listed(done['rewritten'])}"
        if is_preview:
            yield "  What others changed of these and hasn't come here would be in conflict with that, and a label that"
            yield "  somebody took away would be back: `moot sync --wait` first brings it here"
    if others := int(done["written_over"]):
        goes = "would go" if is_preview else "went"
        yield f"  {several(others, 'other value')} of these events that had been written over {goes} with them"
    if not_mine := int(done["not_mine"]):
        stays = "would stay" if is_preview else "stays"
        yield f"  {several(not_mine, 'event')} of other towns {stays}: an admin of the plane can erase them"
    for each in copies:
        what = "It is a copy of" if each["is"] == "source" else "Copied to"
        where = f"{neutralise(each['id'])} on plane {neutralise(each['plane'])}"
        yield f"  {what} {where}, which has to be erased by itself"
    yield from _to_go_on(context, is_preview=is_preview)


def _to_go_on(context: Context, *, is_preview: bool) -> Iterator[str]:
    given = context.arguments
    if not is_preview:
        yield "  Other machines erase it when they exchange with this one: `moot sync` begins at once"
    yield "  What stays:"
    yield from (f"  - {each}" for each in NOT_ERASED)
    if is_preview and not given.dry_run:
        what = "--force" if given.all or given.field else "--all --force, or --field NAME --force,"
        yield f"  Nothing is erased yet, and once it is nothing brings it back. Add {what} to erase"


def _listed(fields: Sequence[str]) -> str:
    return neutralise(", ".join(fields))


COMMANDS: Final = (
    Command(
        "erase",
        "Take what people wrote in an issue out of the log, for good (without --force only shows it)",
        _arguments,
        _run,
        examples=(
            "moot erase bd-a1b2  # shows what would go, and what can't",
            "moot erase bd-a1b2 --field description --field comments",
        ),
    ),
)
"""The commands of this module."""
