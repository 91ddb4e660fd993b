"""edit: one text of an issue in the user's editor.

What somebody else changed meanwhile isn't overwritten: both changes are merged where they don't touch, and else the
edited text is given back and nothing is written.
"""

from argparse import ArgumentParser
from typing import Final

from moot.console import documents, exits
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, edited
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, naming, nothing_to_do
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import IssueFields, Show, Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.text.merge import merge3

_FIELDS: Final = {
    "description": "description", "title": "title", "design": "design", "notes": "notes",
    "acceptance": "acceptance_criteria",
}  # fmt: skip
"""Flag → field."""
_PASSED: Final = {
    "description": "--body-file -", "title": "--title TEXT", "design": "--design-file -", "notes": "--notes TEXT",
    "acceptance": "--acceptance TEXT",
}  # fmt: skip
"""Flag → what `update` takes the same text by."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    which = parser.add_mutually_exclusive_group()
    for flag, field in _FIELDS.items():
        default = " (the default)" if flag == "description" else ""
        which.add_argument(
            f"--{flag}",
            dest="flag",
            action="store_const",
            const=flag,
            default="description",
            help=f"its {field.replace('_', ' ')}{default}",
        )
    add_dry_run(parser)


def _edit(context: Context) -> int:
    given = context.arguments
    field = _FIELDS[given.flag]
    before = context.api.call(Show(ids=(given.id,)))[0]
    old = str(before.get(field, ""))
    new = _edited(context, old, field)
    if new == old:
        return _answered(context, before | {UNCHANGED: True})
    now = context.api.call(Show(ids=(before["id"],)))[0]
    merged = merge3(old, new, str(now.get(field, "")))
    if merged is None or (field == "title" and now.get(field, "") not in (old, new)):
        context.terminal.err(f"Your text:\n{neutralise(new, keep_newlines=True)}\n")
        raise RefusedError(
            f"{given.flag} of {before['id']} was changed while you edited it",
            code=Code.CONFLICT,
            hint="nothing was written; your text stands above: edit again and put it in",
        )
    fields = IssueFields()
    setattr(fields, field, merged)
    changed = context.api.call(
        Update(actor=context.actor, dry_run=given.dry_run, id=before["id"], fields=fields),
    )
    return _answered(context, changed)


def _answered(context: Context, issue: IssueDoc) -> int:
    given = context.arguments
    text = f"{given.flag} of {naming(issue)}"
    done = "Would update" if given.dry_run else "Updated"
    told = nothing_to_do(f"{text} is as it was") if is_unchanged(issue) else confirmed(context, f"{done} {text}")
    answer(context, documents.changed(issue), [told])
    return exits.OK


def _edited(context: Context, old: str, field: str) -> str:
    """What the user makes of a text; the line end that editors put at the end is no change of theirs."""
    new = edited(context, old, f"`moot update {context.arguments.id} {_PASSED[context.arguments.flag]}` takes the text")
    if field == "title":
        return " ".join(new.split())
    return new[:-1] if new.endswith("\n") and not old.endswith("\n") else new


COMMANDS: Final = (
    Command(
        "edit",
        "Edit a text of an issue in your editor ($VISUAL, $EDITOR)",
        _arguments,
        _edit,
        examples=("moot edit bd-a1b2", "moot edit bd-a1b2 --notes"),
    ),
)
"""The commands of this module."""
