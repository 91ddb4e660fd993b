"""Founding the town of this machine."""

from typing import Any

from moot_protocol.crypto import SeedSigner
from moot_protocol.ids import key_text
from moot_protocol.requests.issues import InitTown
from mootd.edges.recovery import new_recovery_seed, recovery_words
from mootd.engine.membership.charter_writing import found_town
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.unit import Unit


def found(unit: Unit, request: InitTown) -> dict[str, Any]:
    """Make the town if there is none; the recovery words are in the answer once, and kept nowhere."""
    del request
    replica = unit.replica
    words = ""
    created = not (replica.is_founded or unit.new_planes)  # another request of the same group may just have
    if created:
        seed = new_recovery_seed(replica.entropy)
        words = recovery_words(seed)
        found_town(unit, SeedSigner(seed).public)
    planes = [*replica.planes.values(), *unit.new_planes]
    return {
        "created": created,
        "town": key_text(replica.signer(TOWN_KEY).public),
        "replica": key_text(replica.signer(REPLICA_KEY).public),
        "planes": [{"name": plane.name, "plane": plane.id.hex()} for plane in planes],
        "recovery_words": words,
    }
