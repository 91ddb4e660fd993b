"""Aliases: names that stand for the ids of issues.

An id is the name of an entity in the log and never changes; an alias is a register like a title. Two machines that
cannot see one another may give one alias to two issues: then it means neither, and it is told as a clash.
"""

from typing import Any

from moot_protocol import ids
from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.issues.issue import ALIAS
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues.addressing import refuse_taken
from mootd.engine.issues.mutations import UNCHANGED, IssueWriter
from mootd.engine.issues.names import Names
from mootd.engine.issues.reading import Issues
from mootd.engine.planes import issue_planes
from mootd.engine.stored import layout
from mootd.engine.unit import Unit


def rename(writer: IssueWriter, request: Rename) -> IssueDoc:
    """Give an issue an alias, or take it away."""
    name, eid, record, _ = writer.find(request.id)
    present = writer.issues().read(record, texts=False).values.get(ALIAS, "")
    alias = "" if request.alias == name else request.alias
    if alias and alias != present:
        problem = ids.entity_problem(alias)
        if problem or " " in alias or ":" in alias or alias.startswith("$"):
            raise RefusedError(f"{alias!r} can't be an alias: {problem or 'no spaces, colons or $ at its beginning'}")
        refuse_taken(writer.unit, alias)
        _refuse_confusing(writer.unit, alias, eid)
    editor = writer.editor(name, request)
    editor.set(ALIAS, alias)
    return writer.answer(name) if editor.save() else writer.answer(name) | UNCHANGED


def _refuse_confusing(unit: Unit, alias: str, eid: int) -> None:
    """Refuse what is shown as another issue's id: who read it in a list would reach this issue with it.

    Raises:
        RefusedError: `exists`.
    """
    planes = issue_planes(unit.replica.planes)
    other = Names(unit.transaction, unit.views.views, *(row.number for row in planes)).shown_so(alias)
    if other is not None and other.eid != eid:
        raise RefusedError(
            f"{alias} would be taken for {other.issue}, whose id is shown so",
            code=Code.EXISTS,
            hint="choose a name that is not the beginning of an id",
            discreet=f"{alias} would be taken for another issue, whose id is shown so",
        )


def clashes(issues: Issues) -> list[dict[str, Any]]:
    """The aliases that several issues have, each as a conflict whose values are the ids of the issues."""
    holders: dict[tuple[int, str], list[int]] = {}
    for plane in issues.planes:
        start = layout.aliases_prefix(plane)
        for key, _ in issues.entities.reader.scan(issues.entities.views.index, start, layout.after(start)):
            alias, eid = layout.alias_parts(key)
            holders.setdefault((plane, alias), []).append(eid)
    return [_clash(issues, alias, eids) for (_, alias), eids in holders.items() if len(eids) > 1]


def _clash(issues: Issues, alias: str, eids: list[int]) -> dict[str, Any]:
    values = []
    for eid in eids:
        record = issues.entities.record(eid)
        siblings = issues.live(record, texts=False).get(ALIAS, ()) if record else ()
        for sibling in siblings:
            if record and sibling.value == alias:
                written = {"actor": sibling.actor, "at": to_ms(sibling.hlc), "author": key_text(sibling.author)}
                values.append({"value": record.entity, **written, "n": sibling.n})
    values.sort(key=lambda value: (value["at"], value["value"]))
    return {"id": values[0]["value"], "field": ALIAS, "shown": alias, "values": values}
