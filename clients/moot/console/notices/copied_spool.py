"""The spool in a copy of a project's folder: nobody takes commands from it, and whoever looks is told so.

A spool belongs to the folder in which it was opened. A copy has its token, so that clients in a sandbox put commands
there and can't know that the daemon takes them elsewhere; outside it is known.
"""

from typing import Any, Final, NamedTuple

from moot.console.command import Context
from moot.console.context import folder_around, note
from moot.console.text.safe_text import neutralise
from moot_protocol.checks import checked
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.machine import Status

_SPOOL: Final = ".moot/spool"
_TOKEN: Final = "token"  # noqa: S105 - the name of a file


class Copied(NamedTuple):
    """A spool that lies here, and is that of another folder."""

    here: str
    belongs_to: str

    @property
    def told(self) -> str:
        """What is the matter."""
        here, there = neutralise(f"{self.here}/{_SPOOL}"), neutralise(self.belongs_to)
        return f"nobody takes commands from {here}: the workspace's spool belongs to {there}, of which this is a copy"

    @property
    def hint(self) -> str:
        """What to do."""
        there = neutralise(self.belongs_to)
        return f"work in {there}; or make this a workspace of its own: without its folder .moot, `moot init --spool`"


def copied_spool(context: Context) -> Copied | None:
    """The spool in the workspace's folder, if it is another folder's; None where it isn't, or nobody can tell."""
    here = folder_around(context)
    if not here:
        return None
    try:
        if _TOKEN not in context.terminal.names_in(f"{here}/{_SPOOL}"):
            return None
        spools: list[dict[str, Any]] = context.api.call(Status()).get("spools", [])
    except RefusedError as error:
        if error.code is Code.CANCELLED:
            raise
        return None
    folders = [str(each["folder"]) for each in spools if each["workspace"] == context.terminal.facts.workspace]
    return Copied(here, folders[0]) if folders and here not in folders else None


def note_copied_spool(context: Context) -> None:
    """Tell on standard error of a spool here that is another folder's."""
    found = copied_spool(context)
    if found is not None:
        note(context, f"{found.told}\n  {found.hint}")


def copied_spool_checks(context: Context) -> list[dict[str, Any]]:
    """The same as a check of `doctor`, which fails; none where there is nothing to tell."""
    found = copied_spool(context)
    return [] if found is None else [checked("the spool here is the workspace's", False, found.told, found.hint)]
