"""What the doctor finds of modes and owners of what holds secrets, and closing what lies open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.errors import RefusedError
from moot_protocol.requests.machine import Protect
from mootd.edges.exposure import Kept, close_all, data_kept, exposures, keys_kept, words_kept
from mootd.edges.spool_folder import close_spool_folders
from mootd.engine.replica import Replica
from mootd.engine.spools import open_spools
from mootd.service.machine.own_machine import Machine

_FIX: Final = "`moot doctor --fix` closes what is yours"
_STOLEN: Final = "if somebody may have read them, docs/security.md says what a stolen key can do, and what to type"


def privacy_checks(machine: Machine) -> Iterator[dict[str, Any]]:
    """Whether data, keys, recovery words and access rules are this user's alone."""
    places = machine.places
    yield _check("data folder is private", data_kept(places), f"{places.data} and its log are this user's alone")
    yield _check("keys are private", keys_kept(places), f"{places.keys} is this user's alone", _STOLEN)
    if words := words_kept(places):
        told = ", ".join(str(each.path) for each in words)
        yield _check("recovery words are private", words, f"{told}: write them on paper, delete the file", _STOLEN)
    yield checked("access.toml is in force", *_rules(machine))


def _check(name: str, kept: list[Kept], detail: str, *advice: str) -> dict[str, Any]:
    found = list(exposures(kept))
    fix = [_FIX] if close_all(kept, is_trial=True) else []
    hints = [*(error.hint for error in found if error.hint), *fix, *advice]
    return checked(name, not found, "; ".join(error.message for error in found) or detail, "; ".join(hints))


def _rules(machine: Machine) -> tuple[bool, str, str]:
    path = machine.access.path
    try:
        rules = machine.access.rules()
    except RefusedError as error:
        return False, error.message, f"look at what it says; {error.hint or 'until it is right nobody else is let in'}"
    return True, f"there is no {path}: nobody but this user is let in" if rules is None else str(path), ""


def protect(machine: Machine, replica: Replica, request: Protect) -> dict[str, Any]:
    """Close to others what holds secrets, as far as it is this user's."""
    places = machine.places
    kept = [*data_kept(places), *keys_kept(places), *words_kept(places)]
    with replica.read() as reader:
        folders = [Path(row.folder) for row in open_spools(reader)]
    closed = close_all(kept, is_trial=request.dry_run)
    for folder in folders:
        closed += close_spool_folders(folder, is_trial=request.dry_run)
    return {"closed": [str(path) for path in closed]}
