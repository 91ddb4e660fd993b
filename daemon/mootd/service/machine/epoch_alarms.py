"""Planes that can't have a new key, told to people where they would get one.

Invariant: an end is written whether or not a new epoch can follow it. Where it can't, since too many count for one, and
somebody who was removed could open the present one, nothing but charters is sent: that goes on until people act.
"""

from collections.abc import Iterator
from typing import Any

from moot_protocol.errors import RefusedError
from mootd.engine.membership.epochs import crowd_of, crowd_told, present_of, way_out_of
from mootd.engine.membership.towns import has_key_of, is_admin
from mootd.engine.replica import Replica
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.store.port import Reader


def epoch_alarms(replica: Replica, reader: Reader) -> Iterator[dict[str, Any]]:
    """An alarm for each plane of which this machine may begin epochs and can't."""
    source = LogSnapshot(reader)
    for plane in replica.planes.values():
        try:
            may_begin = has_key_of(replica, plane) and is_admin(source, plane)
        except RefusedError:
            continue  # keys that can't be read are told of by themselves
        crowd = crowd_of(source, plane) if may_begin else None
        if crowd is not None:
            told = crowd_told(plane, crowd)
            is_shut = present_of(source, plane) is None
            yield {
                "code": "no_new_key",
                "severity": "warning",
                "message": f"{told}; until then nothing but charters is sent" if is_shut else told,
                "hint": way_out_of(plane, crowd),
            }
