"""Going on in a molecule: after one of its steps was closed, the next that is ready is begun.

Beginning is a claim, so that of two agents who close at once only one gets the step, though they have one name; the
other gets the one after it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from moot.console import documents
from moot.console.command import Context
from moot.console.lines.confirm import confirmed, is_unchanged, naming
from moot.console.lines.issues import parent_of
from moot.console.molecules.molecule import Molecule, roots_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.issues import Update
from moot_protocol.requests.listing import IssueDoc


def advance(context: Context, closed: IssueDoc, *, claim: bool) -> dict[str, Any] | None:
    """Begin the step that comes after one that has just been closed.

    Args:
        context: the command's.
        closed: the step as it is now, with its edges.
        claim: begin it, rather than only find it.

    Returns:
        What `bd close --continue --json` says of it; None where the issue is part of nothing.
    """
    root = roots_of(context, [closed]).get(closed["id"]) if parent_of(closed) else None
    if root is None:
        return None
    molecule = Molecule(context, root["id"])
    document: dict[str, Any] = {"closed_step": documents.changed(closed), "auto_advanced": False}
    document |= {"molecule_complete": False, "molecule_id": molecule.id}
    if all(step.get("status") == CLOSED for step in molecule.steps):
        return document | {"molecule_complete": True}
    for step in molecule.ready():
        if not claim:
            return document | {"next_step": step}
        begun = _begun(context, step)
        if begun is not None:
            return document | {"next_step": begun, "auto_advanced": True}
    return document


def _begun(context: Context, step: IssueDoc) -> IssueDoc | None:
    """A step, now the actor's and in progress; None if somebody else has it, or has begun it by the same name."""
    try:
        begun = context.api.call(Update(actor=context.actor, id=step["id"], claim=True))
        return None if is_unchanged(begun) else documents.changed(begun)
    except RefusedError as error:
        if error.code is not Code.LOST_RACE:
            raise
        return None


def advanced_lines(context: Context, document: Mapping[str, Any]) -> Iterator[str]:
    """The same in words."""
    following = document.get("next_step")
    if document["molecule_complete"]:
        yield confirmed(context, f"Molecule {document['molecule_id']} complete! All steps closed.")
    elif following is None:
        yield "  No ready steps in the molecule"
    elif document["auto_advanced"]:
        yield confirmed(context, f"Begun: {naming(following)}")
    else:
        yield f"  Next ready: {naming(following)}"
