"""Commands that list labels: of one issue, and all that are in use."""

from argparse import ArgumentParser
from typing import Final

from moot.console import documents, exits
from moot.console import issue_lines as lines
from moot.console.command import Command, Context
from moot.console.filter_arguments import add_place, projects_of
from moot.console.safe_text import neutralise
from moot.console.style import style_of
from moot_protocol.requests import Labels, Show


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the issue")


def _list(context: Context) -> int:
    issue = context.api.call(Show(ids=(context.arguments.id,)))[0]
    labels: list[str] = issue.get("labels", [])
    if context.json:
        documents.write(context, labels)
    elif labels:
        lines.write_lines(context, [neutralise(label) for label in labels])
    else:
        context.terminal.err(f"no labels on {lines.text_of(issue, 'id')}\n")
    return exits.OK


def _list_all_arguments(parser: ArgumentParser) -> None:
    add_place(parser)


def _list_all(context: Context) -> int:
    labels = context.api.call(Labels(projects=projects_of(context), plane=context.arguments.plane))
    if context.json:
        documents.write(context, labels)
    elif labels:
        rows = [(str(entry["count"]), neutralise(entry["label"])) for entry in labels]
        lines.write_lines(context, lines.count_rows(style_of(context.terminal.facts), rows))
    else:
        context.terminal.err("no labels in use\n")
    return exits.OK


COMMANDS: Final = (
    Command("label list", "The labels of an issue", _list_arguments, _list),
    Command("label list-all", "All labels in use and how often", _list_all_arguments, _list_all),
)
"""The commands of this module."""
