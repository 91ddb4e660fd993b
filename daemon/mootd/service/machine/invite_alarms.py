"""Invites that have expired and are still open, told to people where they can be closed.

Invariant: an expiry decides nothing by itself, for no two machines need have the same time: until somebody closes the
invite, whoever has its ticket gets in. So the machines with the town's key, which alone can close it, say so.
"""

from collections.abc import Iterator
from typing import Any, Final

from moot_protocol.clock import minute_of
from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from mootd.engine.membership.charters import invites_of
from mootd.engine.membership.towns import has_key_of
from mootd.engine.replica import Replica
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.store.port import Reader

_NAMED: Final = 3
"""Invites of a plane that are named."""
_KEY_SHOWN: Final = 12
"""Characters of an invite's key, as `moot invite list` shows them."""


def invite_alarms(replica: Replica, reader: Reader) -> Iterator[dict[str, Any]]:
    """An alarm for each plane on which this town has invites that have expired and are open."""
    source, now_ms = LogSnapshot(reader), replica.wall.now_ms()
    for plane in replica.planes.values():
        expired = _expired(source, replica, plane, now_ms)
        if expired:
            named = ", ".join(f"{key[:_KEY_SHOWN]} ({minute_of(ms)})" for key, ms in expired[:_NAMED])
            more = f" and {len(expired) - _NAMED:,} more" if len(expired) > _NAMED else ""
            one = len(expired) == 1
            yield {
                "code": "invite_expired",
                "severity": "warning",
                "message": f"{'an invite' if one else f'{len(expired):,} invites'} to plane {plane.name} "
                f"{'has' if one else 'have'} expired and {'is' if one else 'are'} still open: {named}{more}",
                "hint": "whoever has the ticket still gets in: `moot invite list` says who did, `moot invite close "
                "INVITE` lets nobody else in",
            }


def _expired(source: LogSnapshot, replica: Replica, plane: PlaneRow, now_ms: int) -> list[tuple[str, int]]:
    """(key, when it expired) of the open invites that this machine can close, the first to expire first."""
    try:
        if not has_key_of(replica, plane):
            return []
    except RefusedError:
        return []  # keys that can't be read are told of by themselves
    found = (
        (invitation.invite.expires_ms, key_text(key))
        for key, invitation in invites_of(source, plane).items()
        if invitation.counting is None and 0 < invitation.invite.expires_ms < now_ms
    )
    return [(key, ms) for ms, key in sorted(found)]
