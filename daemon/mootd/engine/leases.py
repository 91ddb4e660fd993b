"""Leases over the store: taking, prolonging and giving them back, on the first ledger of this machine's town.

Invariant: a machine writes claims and terms in its own name only, and only over what it saw; what counts is
`moot_protocol.lease`'s to say, of the machines of one's own town. What this machine takes itself to hold is noted on it
alone, so that it is told when another has taken it over, also after a restart.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.kinds import LEASE
from moot_protocol.lease import (
    CLAIMS,
    TERMS,
    Standing,
    Token,
    claim_of,
    is_free,
    may_act,
    passes,
    standing_of,
    term_name,
)
from moot_protocol.limits import LEASE_EPOCH_MOST, LEASE_LEAST_MS, LEASE_MARGIN_MS, LEASE_MOST_MS
from moot_protocol.time_units import DAY_MS, MINUTE_MS
from mootd.engine import layout
from mootd.engine.editor import Editor
from mootd.engine.entities import Entities
from mootd.engine.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


class Held(NamedTuple):
    """A lease and who holds it."""

    name: str
    standing: Standing | None


class LeaseView:
    """The leases of this machine's town, inside a transaction.

    Args:
        entities: the transaction.
        plane: the ledger they stand on.
        feed_of: a feed by its number.
    """

    def __init__(self, entities: Entities, plane: PlaneRow, feed_of: Callable[[int], FeedRow]) -> None:
        self._entities = entities
        self._plane = plane
        self._feed_of = feed_of
        self._town = f"{key_text(plane.town)}/"

    def entity(self, name: str) -> str:
        """The id of a lease's entity: towns that share a ledger have leases of their own."""
        return self._town + name

    def standing(self, name: str) -> Standing | None:
        """Who holds a lease."""
        key = layout.id_key(self._plane.number, LEASE, self.entity(name))
        eid = self._entities.reader.get(self._entities.views.ids, key)
        return None if eid is None else self._of(int.from_bytes(eid, "big"))

    def all(self) -> Iterator[Held]:
        """Every lease, by name."""
        start = layout.id_key(self._plane.number, LEASE, self._town)
        for key, eid in self._entities.reader.scan(self._entities.views.ids, start, layout.after(start)):
            yield Held(layout.id_entity(key).removeprefix(self._town), self._of(int.from_bytes(eid, "big")))

    def _of(self, eid: int) -> Standing | None:
        record = self._entities.record(eid)
        if record is None:
            return None
        live = self._entities.live(record)
        claims = [claim for claim in live.get(CLAIMS, ()) if self._is_own(claim.author)]
        return standing_of(claims, live.get(TERMS, ()))

    def _is_own(self, author: bytes) -> bool:
        feed = self._entities.feed_number(self._plane.number, author)
        return feed is not None and self._feed_of(feed).town == self._plane.town


def view_in(unit: Unit) -> LeaseView:
    """The leases as a unit has left them so far."""
    unit.flush()
    return LeaseView(unit.entities(), unit.replica.ledger, unit.feed)


def hybrid_ms(unit: Unit) -> int:
    """The time that leases go by: the wall clock, or what was heard of others if that is later."""
    return max(unit.now_ms, to_ms(unit.clock.last))


# -- Taking and keeping ------------------------------------------------------------------------------------------
def acquire(unit: Unit, name: str, actor: str, ttl_ms: int, *, force: bool = False) -> Held:
    """Take a lease under the next epoch; where this machine holds it, prolong it under its own.

    Raises:
        RefusedError: `conflict`: another machine holds it, and `force` isn't given; `invalid`, `limit`.
    """
    _check(name, ttl_ms)
    standing, me, now_ms = view_in(unit).standing(name), unit.replica.id, hybrid_ms(unit)
    if standing is not None and standing.token.holder == me and may_act(standing.token, standing, now_ms):
        return renew(unit, name, standing.token.epoch, actor, ttl_ms)
    if standing is not None and standing.token.holder != me and not force and not is_free(standing, now_ms):
        raise RefusedError(
            f"lease {name} is held by {key_text(standing.token.holder)} under epoch {standing.token.epoch}",
            code=Code.CONFLICT,
            hint="`moot town promote` with --force takes it from a machine that is gone",
            retryable=True,
        )
    epoch = 1 if standing is None else standing.token.epoch + 1
    if epoch > LEASE_EPOCH_MOST:
        raise RefusedError(f"lease {name} has no epoch left", code=Code.LIMIT)
    token = Token(epoch, me)
    editor = _editor(unit, name, actor)
    editor.add(CLAIMS, claim_of(token), over=[group for group, _ in editor.elements(CLAIMS)])
    ends = [group for group, _ in editor.elements(TERMS)]
    editor.add(TERMS, [term_name(token), now_ms + ttl_ms], over=ends)
    editor.save()
    unit.transaction.put(Table.META, layout.lease_held_key(name), epoch.to_bytes(8, "big"))
    return Held(name, view_in(unit).standing(name))


def renew(unit: Unit, name: str, epoch: int, actor: str, ttl_ms: int) -> Held:
    """Prolong a lease that this machine holds under an epoch.

    Raises:
        RefusedError: `lost_race`: another holds it by now, or its end has passed; `invalid`, `limit`.
    """
    _check(name, ttl_ms)
    standing, token, now_ms = view_in(unit).standing(name), Token(epoch, unit.replica.id), hybrid_ms(unit)
    if standing is None or not passes(token, standing):
        raise _fenced(name, epoch, standing)
    if now_ms >= standing.until_ms:
        raise RefusedError(f"lease {name} has run out", code=Code.LOST_RACE, hint="take it anew", retryable=True)
    _write_end(unit, name, token, actor, now_ms + ttl_ms)
    return Held(name, view_in(unit).standing(name))


def release(unit: Unit, name: str, epoch: int, actor: str) -> Held:
    """Give a lease back, where this machine holds it under this epoch."""
    _check(name, LEASE_LEAST_MS)
    token = Token(epoch, unit.replica.id)
    standing = view_in(unit).standing(name)
    if passes(token, standing):
        _write_end(unit, name, token, actor, 0)
    elif standing is not None and standing.token.holder == token.holder:
        return Held(name, standing)  # held under another epoch by now, which stays noted
    unit.transaction.delete(Table.META, layout.lease_held_key(name))
    return Held(name, view_in(unit).standing(name))


def _write_end(unit: Unit, name: str, token: Token, actor: str, until_ms: int) -> None:
    editor = _editor(unit, name, actor)
    editor.set_entry(TERMS, term_name(token), until_ms)
    editor.save()


def _editor(unit: Unit, name: str, actor: str) -> Editor:
    return Editor(unit, unit.replica.ledger.number, LEASE, view_in(unit).entity(name), actor)


def _check(name: str, ttl_ms: int) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{name!r} can't name a lease: lowercase letters, digits and hyphens, 40 at most")
    if not LEASE_LEAST_MS <= ttl_ms <= LEASE_MOST_MS:
        least, most = LEASE_LEAST_MS // MINUTE_MS, LEASE_MOST_MS // DAY_MS
        raise RefusedError(f"a lease holds for {least} minutes to {most} days", code=Code.LIMIT)


def _fenced(name: str, epoch: int, standing: Standing | None) -> RefusedError:
    now = "nobody holds it" if standing is None else f"{key_text(standing.token.holder)} holds it"
    under = f" under epoch {standing.token.epoch}" if standing else ""
    return RefusedError(
        f"lease {name} is no longer this machine's under epoch {epoch}: {now}{under}",
        code=Code.LOST_RACE,
        hint="stop what was done on its behalf",
    )


# -- Being told --------------------------------------------------------------------------------------------------
def fenced(reader: Reader, view: LeaseView, me: bytes) -> dict[str, int]:
    """Leases that this machine took itself to hold and another has taken over → the epoch that it held them under."""
    found = {}
    prefix = layout.LEASES_HELD
    for key, value in reader.scan(Table.META, prefix, layout.after(prefix)):
        name, epoch = key[len(prefix) :].decode(), int.from_bytes(value, "big")
        standing = view.standing(name)
        if standing is not None and standing.token.holder != me:
            found[name] = epoch
    return found


def document(held: Held, me: bytes, now_ms: int, lost: int = 0) -> dict[str, Any]:
    """A lease as requests answer it."""
    standing = held.standing
    return {
        "name": held.name,
        "epoch": standing.token.epoch if standing else 0,
        "holder": key_text(standing.token.holder) if standing else "",
        "is_here": standing is not None and standing.token.holder == me,
        "actor": standing.actor if standing else "",
        "since_ms": standing.since_ms if standing else 0,
        "until_ms": standing.until_ms if standing else 0,
        "state": _state(standing, now_ms),
        "fenced": lost,
    }


def _state(standing: Standing | None, now_ms: int) -> str:
    if standing is not None and standing.until_ms == 0:
        return "released"
    if standing is None or is_free(standing, now_ms):
        return "free"
    return "held" if now_ms < standing.until_ms - LEASE_MARGIN_MS else "ending"
