"""Commands that list labels: of one issue, and all that are in use."""

from argparse import ArgumentParser
from typing import Final

from moot.console import exits
from moot.console.arguments.filters import add_place, projects_listed
from moot.console.command import Command, Context, issue_argument
from moot.console.context import answer_list
from moot.console.lines import issues as lines
from moot.console.lines.brief import brief
from moot.console.text.safe_text import neutralise
from moot_protocol.requests.issues import Labels


def _list(context: Context) -> int:
    issue = brief(context, context.arguments.id)
    labels: list[str] = issue.get("labels", [])
    nothing = f"no labels on {lines.text_of(issue, 'id')}"
    answer_list(context, labels, lambda _: list(map(neutralise, labels)), nothing)
    return exits.OK


def _list_all_arguments(parser: ArgumentParser) -> None:
    add_place(parser)


def _list_all(context: Context) -> int:
    labels = context.api.call(Labels(projects=projects_listed(context), plane=context.arguments.plane))
    rows = [(str(entry["count"]), neutralise(entry["label"])) for entry in labels]
    answer_list(context, labels, lambda style: lines.count_rows(style, rows), "no labels in use")
    return exits.OK


COMMANDS: Final = (
    Command("label list", "The labels of an issue", issue_argument, _list, examples=("moot label list bd-a1b2",)),
    Command(
        "label list-all",
        "All labels in use and how often",
        _list_all_arguments,
        _list_all,
        examples=("moot label list-all", "moot label list-all --project all  # of every project"),
    ),
)
"""The commands of this module."""
