"""Documents: doc new|list|show|edit|history|publish|adopt, and settling a document's conflict.

What was typed into an editor is never lost to a refusal: the editor opens again on it, until it is accepted or left
as it is.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments.filters import add_limit, checked_limit
from moot.console.command import Command, Context
from moot.console.context import answer, answer_list, note, read_text, say
from moot.console.context import edited as edited_text
from moot.console.lines import documents as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN
from moot.console.lines.issues import write_lines
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.documents.document import DOCUMENT_KINDS, FORMULA, starting_text
from moot_protocol.documents.formula import BUMPS
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.documents import (
    AdoptDocument,
    DocumentHistory,
    Documents,
    NewDocument,
    PublishDocument,
    ResolveDocument,
    ShowDocument,
)

LIMIT: Final = 100
NOT_ADOPTED: Final = "not_adopted"
_TRY_AGAIN: Final = frozenset({Code.INVALID, Code.CONFLICT, Code.LIMIT})
"""What a changed text may help against."""
_YES: Final = frozenset({"y", "yes"})


# -- Arguments ---------------------------------------------------------------------------------------------------
def _name_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="the document, or KIND/NAME; NAME~LEAF for one of several versions"
    )
    _plane_argument(parser)


def _plane_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--plane", default="", help="on this plane (default: the only federation plane, else the project's)"
    )


def _new_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=DOCUMENT_KINDS, help="what it is")
    parser.add_argument("name", metavar="NAME", help="lowercase letters, digits and hyphens")
    parser.add_argument("--from", dest="source", metavar="FILE", help="its text; - is stdin (default: your editor)")
    _plane_argument(parser)


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--kind", choices=DOCUMENT_KINDS, default="", help="only of this kind")
    parser.add_argument("--plane", default="", help="only of this plane")


def _bump_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bump", choices=BUMPS, default="", help="of a formula: count its version up where the one it has is taken"
    )


def _publish_arguments(parser: ArgumentParser) -> None:
    _name_arguments(parser)
    parser.add_argument("--from", dest="source", metavar="FILE", required=True, help="the new text; - is stdin")
    _bump_argument(parser)


def _edit_arguments(parser: ArgumentParser) -> None:
    _name_arguments(parser)
    _bump_argument(parser)


def _history_arguments(parser: ArgumentParser) -> None:
    _name_arguments(parser)
    add_limit(parser, LIMIT)


def _adopt_arguments(parser: ArgumentParser) -> None:
    _name_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="don't ask: you have read it")


def _shown(context: Context) -> dict[str, Any]:
    return context.api.call(
        ShowDocument(name=context.arguments.name, plane=context.arguments.plane, home=context.plane)
    )


# -- Reading -----------------------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    given = context.arguments
    found = context.api.call(Documents(kind=given.kind, plane=given.plane))
    answer_list(
        context,
        found,
        lambda style: lines.list_rows(style, found, context.now_ms),
        "no documents; `moot doc new KIND NAME` begins one",
    )
    return exits.OK


def _show(context: Context) -> int:
    document = _shown(context)
    style = style_of(context.terminal.facts)
    head = lines.head_lines(style, document, context.now_ms)
    answer(context, document, [*head, *lines.running_lines(style, document), "", *lines.text_lines(document)])
    if document["standing"] == NOT_ADOPTED and not context.json:
        note(context, f"not this town's word: `moot doc adopt {lines.text_of(document, 'id')}` accepts it")
    return exits.OK


def _history(context: Context) -> int:
    limit = checked_limit(context.arguments)
    given = context.arguments
    versions = context.api.call(DocumentHistory(name=given.name, limit=limit, plane=given.plane, home=context.plane))
    if context.json:
        documents.write(context, versions)
    else:
        write_lines(context, lines.history_rows(style_of(context.terminal.facts), versions, context.now_ms))
    if limit and len(versions) == limit:
        newest = "version" if limit == 1 else f"{limit:,} versions"
        context.terminal.err(f"the newest {newest} shown; --limit 0 shows all\n")
    return exits.OK


# -- Writing -----------------------------------------------------------------------------------------------------
def _new(context: Context) -> int:
    given = context.arguments

    def begin(text: str, *, dry_run: bool = False) -> dict[str, Any]:
        request = NewDocument(
            actor=context.actor,
            kind=given.kind,
            name=given.name,
            text=text,
            dry_run=dry_run,
            plane=given.plane,
            home=context.plane,
        )
        return context.api.call(request)

    if given.source is not None:
        made = begin(read_text(context, given.source))
    else:
        start = starting_text(given.kind, given.name)
        begin(start, dry_run=True)  # a name that is taken is told before anybody writes
        edited = _edited(context, start, begin, "new")
        if edited is None:
            raise RefusedError("the text is as it began: nothing was written")
        made = edited
    told = f"Began {_called(made)} on plane {lines.text_of(made, 'plane')}"
    answer(context, made, [confirmed(context, told)])
    return exits.OK


def _publish(context: Context) -> int:
    given = context.arguments
    request = PublishDocument(
        actor=context.actor,
        name=given.name,
        text=read_text(context, given.source),
        bump=given.bump,
        plane=given.plane,
        home=context.plane,
    )
    _tell_published(context, context.api.call(request))
    return exits.OK


def _edit(context: Context) -> int:
    given = context.arguments
    document = _shown(context)
    text = document["text"]
    if text is None:
        raise RefusedError(f"the text of {document['id']} isn't here", code=Code.NOT_FOUND)
    # Who edits a formula means the next version of it.
    bump = given.bump or ("patch" if document["kind"] == FORMULA else "")

    def publish(edited: str, *, dry_run: bool = False) -> dict[str, Any]:
        request = PublishDocument(
            actor=context.actor,
            name=document["id"],
            text=edited,
            bump=bump,
            over=tuple(document["writes"]),
            dry_run=dry_run,
            plane=given.plane,
            home=context.plane,
        )
        return context.api.call(request)

    if not document["problem"]:
        publish(text, dry_run=True)  # who may not write it is told before anybody edits
    done = _edited(context, text, publish, "publish")
    _tell_published(context, document | {"changed": False} if done is None else done)
    return exits.OK


def _edited(
    context: Context, text: str, submit: Callable[[str], dict[str, Any]], command: str
) -> dict[str, Any] | None:
    """Let the user edit a text and submit it, again as long as it is refused; None where it was left as it is.

    Args:
        context: the command's.
        text: what to begin with.
        submit: takes the text, or refuses it.
        command: the `doc` command that takes the text without an editor.

    Raises:
        MootError: it was refused and then left as it was.
    """
    otherwise = f"`moot doc {command} … --from -` reads it from standard input, `--from FILE` from a file"
    refused: MootError | None = None
    while True:
        edited = edited_text(context, text, otherwise)
        if edited == text:
            if refused is not None:
                raise refused
            return None
        try:
            return submit(edited)
        except MootError as error:
            if error.code not in _TRY_AGAIN:
                raise
            note(context, f"Not accepted: {neutralise(error.message)}")
            refused, text = error, edited


def _tell_published(context: Context, document: dict[str, Any]) -> None:
    called = _called(document)
    told = f"Published {called} on plane {lines.text_of(document, 'plane')}"
    answer(context, document, [confirmed(context, told) if document["changed"] else f"{called} is as it was"])
    if document["in_conflict"]:
        note(context, f"Warning: {called} is in conflict now; `moot conflicts` shows both sides")


def _called(document: dict[str, Any]) -> str:
    return " ".join(filter(None, (lines.text_of(document, "id"), lines.text_of(document, "version"))))


# -- Adopting ----------------------------------------------------------------------------------------------------
def _adopt(context: Context) -> int:
    document = _shown(context)
    called = _called(document)
    if document["standing"] != NOT_ADOPTED:
        answer(context, document | {"changed": False}, [f"{called}: nothing to adopt, it is this town's word already"])
        return exits.OK
    if document["problem"]:
        raise RefusedError(f"{document['id']} can't be used: {document['problem']}")
    _show_before_adopting(context, document)
    if not context.arguments.yes and not _agrees(context, called):
        context.terminal.err("not adopted\n")
        return exits.FAILED
    request = AdoptDocument(
        actor=context.actor,
        name=context.arguments.name,
        content=document["content"],
        plane=context.arguments.plane,
        home=context.plane,
    )
    done = context.api.call(request) | {"diff": document["diff"]}
    content = lines.text_of(done, "content")[:KEY_SHOWN]
    told = f"Adopted {called} of town {lines.town_words(document)}, content {content}"
    answer(context, done, [confirmed(context, told)])
    return exits.OK


def _show_before_adopting(context: Context, document: dict[str, Any]) -> None:
    """Show what is about to be accepted: as a diff where something runs or an earlier text is in force."""
    style = style_of(context.terminal.facts)
    told = [*lines.head_lines(style, document, context.now_ms), *lines.running_lines(style, document), ""]
    as_diff = document["runs"] or not document["diff"].startswith("--- nothing\n")
    told += lines.diff_lines(style, document["diff"]) if as_diff else lines.text_lines(document)
    for line in told:
        say(context, line)


def _agrees(context: Context, called: str) -> bool:
    """Ask whether to adopt; only a person at a terminal can be asked.

    Raises:
        RefusedError: `usage`: nobody is there, or `--json` leaves no place for a question.
    """
    if context.json or context.arguments.quiet or not context.terminal.facts.in_is_terminal:
        raise RefusedError(
            "nobody can be asked here", code=Code.USAGE, hint="read it with `moot doc show`, then add --yes"
        )
    context.terminal.out(f"Adopt {called} as this town's word? [y/N] ")
    typed = next(iter(context.terminal.stdin()), b"")
    return typed.decode("utf-8", "replace").strip().lower() in _YES


# -- Settling ----------------------------------------------------------------------------------------------------
def resolve_document(context: Context, text: str | None) -> int:
    """Settle a document's conflict: what `resolve ID document` does.

    Args:
        context: the command's.
        text: a text of its own, or None where one of the values is picked.
    """
    given = context.arguments
    request = ResolveDocument(
        actor=context.actor, name=given.id, pick=given.pick, text=text or "", plane=given.plane, home=context.plane
    )
    settled = context.api.call(request)
    told = f"Resolved {_called(settled)} on plane {lines.text_of(settled, 'plane')}"
    answer(context, settled, [confirmed(context, told)])
    return exits.OK


COMMANDS: Final = (
    Command(
        "doc new",
        "Begin a role, formula or template",
        _new_arguments,
        _new,
        examples=("moot doc new role reviewer", "moot doc new formula release --from release.toml"),
    ),
    Command(
        "doc list",
        "All roles, formulas and templates, whose they are, and whether they are adopted",
        _list_arguments,
        _list,
        examples=("moot doc list", "moot doc list --kind formula --json"),
    ),
    Command(
        "doc show",
        "A document, where it comes from, and whether it is adopted",
        _name_arguments,
        _show,
        examples=("moot doc show reviewer", "moot doc show template/bug~a194"),
    ),
    Command(
        "doc edit", "Change a document in your editor", _edit_arguments, _edit, examples=("moot doc edit reviewer",)
    ),
    Command(
        "doc history",
        "Every version of a document, newest first",
        _history_arguments,
        _history,
        examples=("moot doc history formula/release",),
    ),
    Command(
        "doc publish",
        "Write a new version of a document from a file",
        _publish_arguments,
        _publish,
        examples=("moot doc publish release --from release.toml --bump minor",),
    ),
    Command(
        "doc adopt",
        "Accept what another town wrote as this town's word, after reading it",
        _adopt_arguments,
        _adopt,
        examples=("moot doc adopt role/reviewer",),
    ),
)
"""The commands of this module."""
