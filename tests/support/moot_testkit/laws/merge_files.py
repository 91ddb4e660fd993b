"""Real merges as a check of the merge driver: the laws of `merges.py`, held against one merged file."""

import json
from typing import Any

from moot_protocol.mirrors.merging import Merged, merge
from moot_testkit.laws.merges import _KNOWN, TOMBSTONE, Case, Outcome, _Check, conflicts_by_line


def merged_file(case: Case) -> tuple[Merged, Outcome]:
    """Merge a case's three files, and judge what came of it."""
    merged = merge(*case[1:])
    check = _Check(case, delete_missing=True)
    for file in (check.base, check.ours, check.theirs):
        for issue in file.issues.values():
            issue.pop("content_hash", None)  # follows from the other fields
    listed: dict[str, dict[str, list[Any]]] = {}
    for found in merged.disagreements:
        listed.setdefault(found.id, {})[_field(found.field)] = [found.ours, found.theirs]
    told = {(unread.is_ours, unread.line) for unread in merged.unread}
    for is_ours, file, data in ((True, check.ours, case.ours), (False, check.theirs, case.theirs)):
        known = set(case.base.split(b"\n"))
        lines = data.split(b"\n")
        for number in sorted(file.bad):
            line = lines[number - 1]
            check._expect(
                (is_ours, number) in told or line in known or lines.index(line) + 1 < number,
                f"line {number} was dropped silently",
            )
    shown = {issue["id"]: issue for issue in map(json.loads, merged.content.splitlines()) if "id" in issue}
    for name, issue in shown.items():
        if "priority" in check.base.issues.get(name, {}):
            issue.setdefault("priority", 0)  # some versions of Beads leave zeros out, and all read it so
    for name in check.changed:
        sides = [file.issues.get(name) for file in (check.ours, check.theirs)]
        if name not in shown and name in check.base.issues and None in sides:
            shown[name] = check.base.issues[name] | {"status": TOMBSTONE, "gone": True}
    check.settled(shown, listed)
    return merged, check.outcome(conflicts_by_line(*case[1:])[0])


def driver_merge(case: Case) -> Outcome:
    """What the merge driver makes of a case; asking where a merge by lines doesn't counts as blocking."""
    merged, outcome = merged_file(case)
    asked = 0 if merged.is_clean else max(len({each.id for each in merged.disagreements}), 1)
    if asked and not outcome.line_conflicts:
        words = f"{case.name}: it asks, and a merge by lines doesn't"
        outcome = outcome._replace(blocking=1, failures=[*outcome.failures, words])
    return outcome._replace(conflicts=asked)


def _field(field: str) -> str:
    return field if field in _KNOWN or "." in field or field in {"deleted", ""} else f"extra.{field}"
