"""What issues may be poured from.

Invariant: no text leaves here that only another town stands behind.
"""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.documents.document import FORMULA, read_name
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.molecules import AdoptedFormula
from mootd.engine.documents.addressing import plane_for, planes_for
from mootd.engine.documents.adopted import adopted_text
from mootd.engine.documents.reading import Documents
from mootd.engine.stored.log import PlaneRow
from mootd.service.reading.documents import documents_in
from mootd.service.snapshot import Snapshot


def _adopted_formula(snapshot: Snapshot, request: AdoptedFormula) -> dict[str, Any]:
    documents = documents_in(snapshot)
    name = read_name(request.name.removeprefix(f"{FORMULA}/")).name
    plane = _plane_of(documents, request, name)
    text = adopted_text(documents, plane, FORMULA, name)
    if text is None and documents.find(plane, FORMULA, name) is not None:
        raise RefusedError(
            f"nobody of this town has written or adopted formula {name}",
            code=Code.DENIED,
            hint=f"read it with `moot formula show {name}`, then adopt it",
        )
    if text is None:
        raise RefusedError(f"there is no formula {name}", code=Code.NOT_FOUND, hint="see `moot formula list`")
    return {"name": name, "plane": plane.id.hex(), "text": text}


def _plane_of(documents: Documents, request: AdoptedFormula, name: str) -> PlaneRow:
    """The plane whose formula is meant: where only one has it, that one."""
    holding = [row for row in planes_for(documents, request.plane) if documents.find(row, FORMULA, name) is not None]
    return holding[0] if len(holding) == 1 else plane_for(documents, request.plane, request.home)


MOLECULE_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {AdoptedFormula: _adopted_formula}
"""What each of them is answered with."""
