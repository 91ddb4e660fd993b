"""The flags that give an issue its fields, shared by the commands that create and change issues.

A flag that is absent leaves its field alone; an empty value clears it. Times are read here and stored as RFC 3339.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from moot.console.command import Context
from moot.console.context import note, read_text
from moot.console.text import when
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import JSON_NESTING
from moot_protocol.requests.issues import IssueFields
from moot_protocol.text.json_text import to_text

TYPE_ALIASES: Final = {"enhancement": "feature", "feat": "feature", "dec": "decision", "adr": "decision"}
_DESCRIPTION_FLAGS: Final = ("description", "body_file", "stdin")


def priority(text: str) -> int:
    """A priority, 0 to 4 with or without a P before it.

    Raises:
        ArgumentTypeError: it is nothing of the kind.
    """
    digits = text.strip().upper().removeprefix("P")
    if digits not in {"0", "1", "2", "3", "4"}:
        raise ArgumentTypeError(f"{text!r} is no priority; use 0 to 4 or P0 to P4, 0 is the most urgent")
    return int(digits)


def priority_asked(text: str) -> int:
    """A priority that was answered to a question.

    Raises:
        RefusedError: `usage`: it is none.
    """
    try:
        return priority(text)
    except ArgumentTypeError as error:
        raise RefusedError(str(error), code=Code.USAGE) from error


def minutes(text: str) -> int:
    """A number of minutes.

    Raises:
        ArgumentTypeError: it is no whole number from 0 on.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ArgumentTypeError(f"{text!r} is no number of minutes")
    return int(text)


def add_field_arguments(parser: ArgumentParser) -> None:
    """Add the flags for the fields of an issue."""
    add = parser.add_argument
    add("--title", help="its title")
    add(
        "-t", "--type", dest="issue_type", metavar="TYPE", help="bug, feature, task, epic, chore, decision… or your own"
    )
    add("-p", "--priority", type=priority, metavar="0-4", help="0 to 4 or P0 to P4; 0 is the most urgent")
    add("-s", "--status", help="open, in_progress, blocked, deferred, closed… or your own")
    add("-a", "--assignee", metavar="NAME", help="who works on it")
    add("-d", "--description", "--body", "-m", "--message", metavar="TEXT", help="what it is about; - reads stdin")
    add("--body-file", "--description-file", metavar="FILE", help="read the description from a file; - is stdin")
    add("--stdin", action="store_true", help="read the description from stdin")
    add("--design", metavar="TEXT", help="how it is to be done")
    add("--design-file", metavar="FILE", help="read the design from a file; - is stdin")
    add("--acceptance", "--acceptance-criteria", metavar="TEXT", help="when it is done")
    add("--notes", metavar="TEXT", help="notes; replaces those there are")
    add("-e", "--estimate", type=minutes, metavar="MINUTES", help="how long it will take")
    add("--due", metavar="TIME", help=f"when it is due: 3d, {when.HELP}".replace("%", "%%"))
    add("--defer", metavar="TIME", help="keep it out of ready until then")
    add("--external-ref", metavar="REF", help="its name elsewhere (gh-9, a URL)")
    add("--spec-id", metavar="ID", help="the specification it belongs to")
    add("--ephemeral", action="store_true", help="short-lived: kept out of lists of work")


def read_fields(context: Context) -> IssueFields:
    """The fields that a command line gives.

    Raises:
        RefusedError: a time or a combination of flags makes no sense, or a file can't be read.
    """
    given = context.arguments
    fields = IssueFields(
        title=_given(given.title),
        description=_description(context),
        design=_text_or_file(context, "design"),
        acceptance_criteria=_given(given.acceptance),
        notes=_given(given.notes),
        status=_given(given.status),
        priority=_given(given.priority),
        issue_type=_issue_type(given),
        assignee=_given(given.assignee),
        estimated_minutes=_given(given.estimate),
        due_at=_time(context, given.due),
        defer_until=_time(context, given.defer),
        external_ref=_given(given.external_ref),
        spec_id=_given(given.spec_id),
    )
    if given.ephemeral:
        fields.ephemeral = True
    _defer(context, fields)
    return fields


def _given(value: Any) -> Any:
    return UNSET if value is None else value


def _issue_type(given: Namespace) -> str | UnsetType:
    return UNSET if given.issue_type is None else TYPE_ALIASES.get(given.issue_type, given.issue_type)


def _description(context: Context) -> str | UnsetType:
    given = context.arguments
    named = [name for name in _DESCRIPTION_FLAGS if getattr(given, name) not in (None, False)]
    if len(named) > 1:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in named)
        raise RefusedError(f"{flags} both give the description", code=Code.USAGE, hint="give one of them")
    if given.stdin or given.description == "-":
        return read_text(context, "-")
    if given.body_file is not None:
        return read_text(context, given.body_file)
    return UNSET if given.description is None else str(given.description)


def _text_or_file(context: Context, name: str) -> str | UnsetType:
    text, file = getattr(context.arguments, name), getattr(context.arguments, f"{name}_file")
    if text is not None and file is not None:
        raise RefusedError(f"--{name} and --{name}-file both give it", code=Code.USAGE, hint="give one of them")
    if file is not None:
        return read_text(context, file)
    return UNSET if text is None else str(text)


def _time(context: Context, text: str | None) -> str | UnsetType:
    if text is None:
        return UNSET
    return when.rfc3339(when.parse_due(text, context.now_ms)) if text.strip() else ""


def _defer(context: Context, fields: IssueFields) -> None:
    """Deferring into the future makes the status `deferred`, unless a status is given."""
    if isinstance(fields.defer_until, UnsetType) or not fields.defer_until:
        return
    until = when.instant(fields.defer_until)
    if until is not None and until <= context.now_ms:
        note(
            context, "Warning: --defer names a time that is past: the issue stays ready. Did you mean +1d or tomorrow?"
        )
    elif fields.status is UNSET:
        fields.status = "deferred"


def reads_stdin(arguments: Namespace) -> bool:
    """Whether a command line asks for a text from standard input."""
    given = vars(arguments)
    files = (given.get("body_file"), given.get("design_file"), given.get("description"), given.get("file"))
    return bool(given.get("stdin")) or "-" in files or given.get("text") == ["-"]


def read_metadata(context: Context, text: str | None) -> dict[str, Any]:
    """The metadata that `--metadata` gives: a JSON object, or `@` and a file that holds one.

    Raises:
        RefusedError: `usage`: it is no JSON object; `invalid`: it is nested too deeply.
    """
    if text is None:
        return {}
    source = read_text(context, text[1:]) if text.startswith("@") else text
    try:
        value = _value_of("--metadata", source)
    except msgspec.DecodeError as error:
        raise RefusedError(f"--metadata is no JSON: {error}", code=Code.USAGE) from error
    if not isinstance(value, dict):
        raise RefusedError("--metadata is no JSON object", code=Code.USAGE, hint='write it as {"key": value}')
    return {key: _kept(f"{key} of --metadata", entry) for key, entry in value.items()}


def read_entries(entries: Sequence[str] | None) -> dict[str, Any]:
    """The metadata that `--set-metadata key=value` gives; a value that is JSON counts as such, else as text.

    Raises:
        RefusedError: `usage`: an entry has no `=`; `invalid`: a value is nested too deeply.
    """
    found: dict[str, Any] = {}
    for entry in entries or ():
        key, equals, text = entry.partition("=")
        if not equals or not key:
            raise RefusedError(f"{entry!r} is no key=value", code=Code.USAGE)
        try:
            found[key] = _kept(f"the value of {key}", _value_of(f"the value of {key}", text))
        except msgspec.DecodeError:
            found[key] = text
    return found


def _value_of(what: str, text: str) -> Any:
    """A JSON value.

    Raises:
        msgspec.DecodeError: it is no JSON.
        RefusedError: `invalid`: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise RefusedError(f"{what} is nested deeper than {JSON_NESTING} levels") from error


def _kept(what: str, value: Any) -> Any:
    """A value that can be sent on and kept.

    Raises:
        RefusedError: `invalid`: it can't, as it is nested too deeply.
    """
    try:
        to_text(value)
    except ValueError as error:
        raise RefusedError(f"{what} can't be kept: {error}") from error
    return value
