"""Random worlds of one town: forks, ends, invites, backdated and stripped batches, of which anything may be held."""

from typing import NamedTuple

from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import START_MS, FeedWriter, Town, note, seed, signer, stripped

INVITES = ("invite one", "invite two")
"""The names of the invites that replicas come with; whether they are made, and how, is another matter."""


class World(NamedTuple):
    """Everything that was ever signed on a plane."""

    town: Town
    batches: tuple[Batch, ...]
    """All batches, whole, in the order in which they were made."""


class Held(NamedTuple):
    """What one replica holds of a world."""

    batches: tuple[tuple[Batch, bool], ...]
    """(batch, whether it is parked)."""


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A town, its charter and three replicas or five, after up to 16 writes, forks, ends, invites, uses and closes."""
    town = Town()
    writers = [town.charter, town.replica("one"), town.replica("two", Role.READER), town.replica("three", Role.ADMIN)]
    if draw(st.booleans()):  # else few worlds would come as far as a close
        key = town.invite(INVITES[0], draw(st.sampled_from([Role.WRITER, Role.READER])))
        writers += [town.replica(name, draw(st.sampled_from(Role)), note(), by=key) for name in ("four", "five")]
    for step in range(draw(st.integers(0, 16))):
        writer = draw(st.sampled_from(writers))
        charter = draw(st.sampled_from([one for one in writers if one.author == town.key.public]))
        invite = draw(st.sampled_from(INVITES))
        match draw(st.sampled_from(["write", "write", "fork", "end", "backdate", "invite", "join", "close"])):
            case "write":
                writer.write(*(note(f"{step}") for _ in range(draw(st.integers(1, 3)))))
            case "fork":
                # Forks right at the tip are forks once both go on.
                writers.append(writer.fork(f"{step}", draw(st.integers(0, len(writer.batches)))))
                writers[-1].write(note(f"{step}"), *([note("more")] if draw(st.booleans()) else []))
            case "backdate":
                writer.write(note(f"{step}"), hlc=from_ms(START_MS - draw(st.integers(1, 5))))
            case "end":
                _end(draw, town, charter, draw(st.sampled_from(writers)))
            case "invite":
                named = draw(st.sampled_from([town.key.public, town.key.public, town.key.public, ZEROS]))
                town.invite(invite, draw(st.sampled_from(Role)), by=charter, town=named)
            case "join":
                role = draw(st.sampled_from(Role))
                writers.append(town.replica(f"{step}", role, note(f"{step}"), by=signer(f"{town.name} {invite}")))
            case "close":
                subjects = draw(st.sets(st.sampled_from([writer.author for writer in writers])))
                town.close(signer(f"{town.name} {invite}"), *subjects, by=charter)
    return World(town, tuple({batch.id: batch for writer in writers for batch in writer.batches}.values()))


def _end(draw: st.DrawFn, town: Town, charter: FeedWriter, target: FeedWriter) -> None:
    """End a feed at a batch of it, at none, at one that nobody has, or with a number that doesn't fit."""
    pinned = draw(st.sampled_from([*target.batches, None]))
    if target.author == town.key.public and draw(st.booleans()):
        town.end_charter(charter)
    elif draw(st.integers(0, 5)) == 0:
        town.end(target.author, draw(st.integers(0, 4)), seed("nobody's batch"), by=charter)
    elif pinned is None:
        town.end(target.author, draw(st.integers(0, 1)), ZEROS, by=charter)
    else:
        header = pinned.header
        town.end(target.author, draw(st.integers(header.first, header.last + 1)), pinned.id, by=charter)


@st.composite
def held_of(draw: st.DrawFn, world: World) -> Held:
    """Any part of a world: batches missing, parked, or without some of their values."""
    most = draw(st.booleans())
    held = []
    for batch in world.batches:
        fate = draw(st.sampled_from(["held"] * (12 if most else 3) + ["missing", "parked", "stripped"]))
        if fate == "stripped":
            absent = draw(st.sets(st.integers(batch.header.first, batch.header.last), min_size=1))
            held.append((stripped(batch, absent), False))
        elif fate != "missing":
            held.append((batch, fate == "parked"))
    return Held(tuple(held))
