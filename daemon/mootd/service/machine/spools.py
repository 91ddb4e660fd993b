"""How the spools of this machine stand, for `status` and `doctor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.limits import SPOOL_BYTES, SPOOL_ENTRY_MS, SPOOL_FILES
from moot_protocol.time_units import DAY_MS
from mootd.edges.spool_folder import standing_of
from mootd.engine.machine.workspaces import read_workspace
from mootd.engine.spools import SpoolRow, open_spools
from mootd.store.port import Reader

_NEARLY_FULL: Final = 0.8
"""The part of a cap from which on it is worth a word."""
_OLD_MS: Final = DAY_MS
"""A command that has waited so long isn't being taken."""


def spools(reader: Reader) -> list[dict[str, Any]]:
    """The open spools, one document each.

    They have "project", "workspace", "folder", "waiting", "bytes", "oldest_ms", "refused", "snapshot_ms", "problem"
    and "hint"; times are milliseconds since 1970, or None.
    """
    found = []
    for row in open_spools(reader):
        standing = standing_of(Path(row.folder))
        told = standing._asdict()
        told["bytes"] = told.pop("size")
        if standing.problem and not Path(row.folder).is_dir():
            told["hint"] = _where_it_is(row, (read_workspace(reader, row.workspace) or {}).get("folder", ""))
        found.append({"project": row.project, "workspace": row.workspace, "folder": row.folder, **told})
    return found


def _where_it_is(row: SpoolRow, known: str) -> str:
    """What to do about a spool whose folder is gone, as far as it is known where its project lies now."""
    if known not in {"", row.folder} and Path(known).is_dir():
        return f"the project lies in {known} now: `moot init --spool` there opens it again"
    return "if the project was moved, `moot where` in its new folder lets the spool go on there"


def spool_alarms(found: list[dict[str, Any]], now_ms: int) -> Iterator[dict[str, Any]]:
    """What is wrong with spools, as alarms of `status`."""
    for spool in found:
        where = f"the spool of project {spool['project']} in {spool['folder']}"
        if spool["problem"]:
            yield _alarm("alarm", f"{where}: {spool['problem']}", spool["hint"] or "look at what lies there")
        if spool["refused"]:
            yield _alarm(
                "warning",
                f"{where}: {_files(spool['refused'])} refused",
                f"why stands beside each in {spool['folder']}/.moot/spool/refused; remove them when you have looked",
            )
        if _is_nearly_full(spool):
            yield _alarm("warning", f"{where} is nearly full", "see the daemon's log for why nothing is taken from it")
        if spool["oldest_ms"] is not None and now_ms - spool["oldest_ms"] > _OLD_MS:
            yield _alarm(
                "warning",
                f"{where}: a command has waited for {(now_ms - spool['oldest_ms']) // DAY_MS} days",
                f"commands count for {SPOOL_ENTRY_MS // DAY_MS} days; see the daemon's log",
            )


def spool_checks(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The spools as checks of `doctor`: whether each is on, how full and how old."""
    for spool in found:
        refused = f", {_files(spool['refused'])} refused" if spool["refused"] else ""
        told = spool["problem"] or f"{spool['waiting']:,} of {SPOOL_FILES:,} commands wait{refused}"
        is_well = not (spool["problem"] or spool["refused"] or _is_nearly_full(spool))
        hint = spool["hint"] or f"see {spool['folder']}/.moot/spool/refused and the daemon's log"
        yield checked(f"spool of {spool['project']} works", is_well, f"{told} in {spool['folder']}", hint)


def _files(count: int) -> str:
    return "1 file was" if count == 1 else f"{count:,} files were"


def _is_nearly_full(spool: dict[str, Any]) -> bool:
    return bool(spool["waiting"] >= _NEARLY_FULL * SPOOL_FILES or spool["bytes"] >= _NEARLY_FULL * SPOOL_BYTES)


def _alarm(severity: str, message: str, hint: str) -> dict[str, Any]:
    return {"code": "spool", "severity": severity, "message": message, "hint": hint}
