"""Trying a request out: it is carried out, answered, and taken back.

Invariant: a trial leaves the log, the rows, the keys and what is known of both as they were, and gives no secret away:
what it would have made opens nothing, so that nobody is to keep it.
"""

from collections.abc import Callable
from typing import Any, Final

from mootd.edges.keys import MemoryKeyStore
from mootd.engine.unit import Unit

_SECRETS: Final = ("ticket", "recovery_words")
"""Fields of answers that are told once."""


def tried(unit: Unit, work: Callable[[Unit], Any]) -> Any:
    """The answer that work would have, its secrets left empty.

    Args:
        unit: the unit; it goes on as if nothing had been done.
        work: what to try.

    Raises:
        MootError: as the work would.
    """
    replica = unit.replica
    planes = {row.number for row in (*replica.planes.values(), *unit.new_planes)}
    try:
        with replica.keys.trying(MemoryKeyStore(replica.entropy)):
            answer = unit.try_out(work)
    finally:
        for plane, author in [key for key in replica.names if key[0] not in planes]:
            del replica.names[plane, author]  # another plane is to have this number
    if isinstance(answer, dict):
        return answer | {name: "" for name in _SECRETS if name in answer}
    return answer
