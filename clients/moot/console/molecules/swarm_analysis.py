"""What can be told of an epic's children as a swarm's work: in which waves they can be done, and how far they are.

Everything is a function of the answer to `Graph` of scope `children`; nothing of a swarm is stored but the issue that
stands for it. Closed issues hold nobody up and are in no wave.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.issues.edge_types import EXTERNAL, HOLDING, PARENT
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.listing import IssueDoc

_HOLDING: Final = HOLDING | {PARENT}
"""Types of edges that hold work up, or whose target may."""
_FIRST_WORDS: Final = ("foundation", "setup", "base", "core")
_LAST_WORDS: Final = ("integration", "final", "test")


class Family(NamedTuple):
    """An epic and its children."""

    epic: IssueDoc
    children: list[IssueDoc]
    needs: dict[str, list[str]]
    """What each child waits for among the others."""
    outside: list[str]
    """What children wait for beyond the epic, in words."""


def family_of(graph: dict[str, Any]) -> Family:
    """An epic and its children from a graph of scope `children`."""
    epic, *children = graph["issues"]
    inside = {child["id"] for child in children}
    needs: dict[str, list[str]] = {child["id"]: [] for child in children}
    outside = []
    for child in children:
        for edge in child.get("dependencies", ()):
            target, kind = edge.get("depends_on_id", ""), edge.get("type")
            if kind not in _HOLDING or target == epic["id"]:
                continue
            if target in inside:
                needs[child["id"]].append(target)
            elif target.startswith(EXTERNAL):
                outside.append(f"{child['id']} has external dependency: {target}")
            else:
                outside.append(f"{child['id']} depends on {target} (outside epic)")
    return Family(epic, children, needs, outside)


def analysis(family: Family) -> dict[str, Any]:
    """An epic's structure as `bd swarm validate --json` has it, its issues included."""
    waiting = [child for child in family.children if child.get("status") != CLOSED]
    titles = {child["id"]: child.get("title", "") for child in family.children}
    still = {
        child["id"]: [other for other in family.needs[child["id"]] if _is_open(family, other)] for child in waiting
    }
    fronts, cycle = waves(still)
    needed_by = _needed_by(family)
    errors = [f"Dependency cycle detected involving: {', '.join(cycle)}"] if cycle else []
    return {
        "epic_id": family.epic["id"],
        "epic_title": family.epic.get("title", ""),
        "total_issues": len(family.children),
        "closed_issues": len(family.children) - len(waiting),
        "ready_fronts": [
            {"wave": number, "issues": wave, "titles": [titles[issue] for issue in wave]}
            for number, wave in enumerate(fronts)
        ],
        "max_parallelism": max(map(len, fronts), default=0),
        "estimated_sessions": len(waiting),
        "warnings": [*family.outside, *_doubts(family, needed_by)] if family.children else ["Epic has no children"],
        "errors": errors,
        "swarmable": not errors,
        "issues": _nodes(family, fronts, needed_by),
    }


def _is_open(family: Family, issue: str) -> bool:
    return any(child["id"] == issue and child.get("status") != CLOSED for child in family.children)


def waves(needs: Mapping[str, Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """What can be worked on at once, wave by wave, and what never can.

    Args:
        needs: each issue → those of the others that it waits for.
    """
    left = {issue: set(others) for issue, others in needs.items()}
    fronts: list[list[str]] = []
    while wave := sorted(issue for issue, others in left.items() if not others & left.keys()):
        fronts.append(wave)
        for issue in wave:
            del left[issue]
    return ([], sorted(left)) if left else (fronts, [])


def _needed_by(family: Family) -> dict[str, list[str]]:
    needed: dict[str, list[str]] = {child["id"]: [] for child in family.children}
    for issue, others in family.needs.items():
        for other in others:
            needed[other].append(issue)
    return needed


def _doubts(family: Family, needed_by: Mapping[str, Sequence[str]]) -> list[str]:
    """What may be an edge that is missing or turned round, by what titles say."""
    doubts = []
    for child in family.children:
        title = str(child.get("title", ""))
        words = title.lower()
        told = f"{child['id']} ({title})"
        if not needed_by[child["id"]] and any(word in words for word in _FIRST_WORDS):
            doubts.append(f"{told} has no dependents - should other issues depend on it?")
        if not family.needs[child["id"]] and any(word in words for word in _LAST_WORDS):
            doubts.append(f"{told} has no dependencies - should it depend on implementation?")
    return doubts


def _nodes(
    family: Family, fronts: Sequence[Sequence[str]], needed_by: Mapping[str, list[str]]
) -> dict[str, dict[str, Any]]:
    wave_of = {issue: number for number, wave in enumerate(fronts) for issue in wave}
    return {
        child["id"]: {
            "id": child["id"],
            "title": child.get("title", ""),
            "status": child.get("status", ""),
            "priority": child.get("priority", 2),
            "depends_on": family.needs[child["id"]],
            "depended_on_by": needed_by[child["id"]],
            "wave": wave_of.get(child["id"], -1),
        }
        for child in family.children
    }


def status(family: Family) -> dict[str, Any]:
    """How far an epic's children are, as `bd swarm status --json` has it.

    What something holds up counts as blocked wherever that lies, also beyond the epic.
    """
    groups: dict[str, list[dict[str, Any]]] = {"completed": [], "active": [], "ready": [], "blocked": []}
    for child in sorted(family.children, key=lambda child: str(child["id"])):
        shown = {"id": child["id"], "title": child.get("title", "")}
        if child.get("assignee"):
            shown["assignee"] = child["assignee"]
        if child.get("status") == CLOSED:
            groups["completed"].append(shown | ({"closed_at": child["closed_at"]} if child.get("closed_at") else {}))
        elif child.get("status") == "in_progress":
            groups["active"].append(shown)
        elif child.get("blocked_by"):
            groups["blocked"].append(shown | {"blocked_by": child["blocked_by"]})
        else:
            groups["ready"].append(shown)
    total = len(family.children)
    return {
        "epic_id": family.epic["id"],
        "epic_title": family.epic.get("title", ""),
        "total_issues": total,
        **groups,
        "progress_percent": 100 * len(groups["completed"]) / total if total else 0.0,
        "active_count": len(groups["active"]),
        "ready_count": len(groups["ready"]),
        "blocked_count": len(groups["blocked"]),
    }
