"""What commands that change several issues share: their arguments, and scripts that are no longer than one may be."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from moot.console.grammar import comma_separated
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation

STEPS: Final = 500
"""Steps of one script at which no further group is added: well below what the daemon takes."""

Steps = list[tuple[str, Mutation[Any]]]
"""Mutations, each with what names it in errors."""


def add_dry_run(parser: ArgumentParser) -> None:
    """Add `--dry-run`."""
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def labels_named(text: str) -> tuple[str, ...]:
    """The labels that an argument names, several with commas between them.

    Raises:
        RefusedError: `usage`: it names none.
    """
    labels = comma_separated([text])
    if not labels:
        raise RefusedError("a label can't be empty", code=Code.USAGE)
    return labels


def batched(groups: Iterable[Sequence[tuple[str, Mutation[Any]]]]) -> Iterator[Steps]:
    """Groups of steps put together into scripts; no group is divided, and empty ones are left out."""
    script: Steps = []
    for group in groups:
        if script and len(script) + len(group) > STEPS:
            yield script
            script = []
        script = [*script, *group]
    if script:
        yield script
