"""Who may do what on this machine: access show|check|import|validate."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, note, read_text
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import table
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot_protocol.requests.access import CheckAccess, ImportAccess, ShowAccess, ValidateAccess

BINDING: Final = "Rules bind other users of this system and API tokens; agents of one user are asked, not held, to obey"
"""What rules are good for."""


def _idle(context: Context, document: dict[str, Any]) -> None:
    for each in document["idle"]:
        note(context, f"{lines.text_of(each, 'user')}: {lines.text_of(each, 'rule')} fits no permission there is")


def _form(path: str) -> str:
    return "yaml" if path.endswith((".yaml", ".yml")) else "toml"


# -- access show -------------------------------------------------------------------------------------------------
def _show(context: Context) -> int:
    shown = context.api.call(ShowAccess())
    answer(context, shown, _shown(style_of(context.terminal.facts), shown))
    _idle(context, shown)
    return exits.FAILED if shown["problem"] else exits.OK


def _shown(style: Style, shown: dict[str, Any]) -> Iterator[str]:
    path = lines.text_of(shown, "path")
    if shown["problem"]:
        yield f"{path} gives no rules: {lines.text_of(shown, 'problem')}"
        yield "Until that is put right nobody but the daemon's own user gets in"
    elif not shown["present"]:
        yield f"No rules: there is no {path}"
    else:
        yield f"{path}: {several(len(shown['users']), 'user')}, audit {lines.text_of(shown, 'audit')}"
        yield from table(style, [_cells(user) for user in shown["users"]])
        yield BINDING


def _cells(user: dict[str, Any]) -> list[str]:
    listed = user["permissions"]
    uids = ",".join(map(str, user["uids"]))
    rules = "(all of the role)" if listed is None else ", ".join(map(str, listed)) or "(none)"
    without = ", ".join(map(str, user["restrictions"]))
    told = f"{rules}; {without}" if without else rules
    return [lines.text_of(user, "name"), lines.text_of(user, "role"), f"uid {uids}" if uids else "-", neutralise(told)]


# -- access check ------------------------------------------------------------------------------------------------
def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("subject", metavar="ACTOR", help="who: a user, or somebody who works for one (alice/claude-3)")
    parser.add_argument("permission", metavar="PERMISSION", help="what, as issue:write")
    parser.add_argument("resource", nargs="?", default="", metavar="RESOURCE", help="on what; else on everything")


def _check(context: Context) -> int:
    given = context.arguments
    request = CheckAccess(subject=given.subject, permission=given.permission, resource=given.resource)
    decision = context.api.call(request)
    answer(context, decision, [f"{'allowed' if decision['allowed'] else 'denied'}: {lines.text_of(decision, 'rule')}"])
    return exits.OK if decision["allowed"] else exits.DENIED


# -- access import -----------------------------------------------------------------------------------------------
def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an access.yaml, or an access.toml; - for YAML on standard input")
    parser.add_argument("--replace", action="store_true", help="put these rules in the place of those there are")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be written")


def _import(context: Context) -> int:
    given = context.arguments
    form = "yaml" if given.file == "-" else _form(given.file)
    text = read_text(context, given.file)
    request = ImportAccess(actor=context.actor, text=text, form=form, replace=given.replace, dry_run=given.dry_run)
    done = context.api.call(request)
    answer(context, done, _imported(context, done))
    _idle(context, done)
    return exits.OK


def _imported(context: Context, done: dict[str, Any]) -> Iterator[str]:
    if context.arguments.dry_run:
        for line in str(done["text"]).splitlines():
            yield neutralise(line)
        return
    told = f"Wrote rules for {several(done['users'], 'user')} to {lines.text_of(done, 'path')}"
    yield confirmed(context, told)


# -- access validate ---------------------------------------------------------------------------------------------
def _validate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="", metavar="FILE", help="a file; else the rules of this machine")


def _validate(context: Context) -> int:
    path = context.arguments.file
    if path:
        request = ValidateAccess(text=read_text(context, path), form=_form(path))
        found = context.api.call(request)
    else:
        shown = context.api.call(ShowAccess())
        found = {"valid": not shown["problem"], "users": len(shown["users"])} | {
            name: shown[name] for name in ("problem", "idle")
        }
    answer(context, found, [_validated(found)])
    _idle(context, found)
    return exits.OK if found["valid"] else exits.FAILED


def _validated(found: dict[str, Any]) -> str:
    return (
        f"valid: {several(found['users'], 'user')}" if found["valid"] else f"not valid: {neutralise(found['problem'])}"
    )


COMMANDS: Final = (
    Command(
        "access show",
        "The access rules of this machine",
        no_arguments,
        _show,
        alone=True,
        examples=("moot access show", "moot access show --json"),
    ),
    Command(
        "access check",
        "What the rules decide, and by which rule",
        _check_arguments,
        _check,
        examples=("moot access check alice/claude-3 issue:write demo-7mmk",),
        alone=True,
    ),
    Command(
        "access import",
        "Write access.toml from another tool's access.yaml",
        _import_arguments,
        _import,
        examples=("moot access import config/access.yaml --dry-run",),
        alone=True,
    ),
    Command(
        "access validate",
        "Whether a file gives rules, and which of them fit nothing",
        _validate_arguments,
        _validate,
        alone=True,
        examples=("moot access validate  # the rules in force", "moot access validate access.toml"),
    ),
)
