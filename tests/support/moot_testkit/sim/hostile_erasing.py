"""What hostile replicas name as erased, and what they send again of it."""

from random import Random

from moot_protocol.log.batch import Batch
from moot_testkit.bytes.feeds import stripped
from moot_testkit.naive.erasure import name_of
from moot_testkit.sim.knowledge import Knowledge


def erased_key(random: Random, knowledge: Knowledge, author: bytes) -> str:
    """A key that names an event of an author, one that never was, or none."""
    batches = [batch for batch in knowledge.batches.values() if batch.header.author == author]
    if not batches or not random.randrange(8):
        return f"{random.randrange(60)}.{random.randbytes(8).hex()}"
    event = random.choice(random.choice(batches).events)
    name = f"{event.n}.{event.leaf[:8].hex()}"
    return random.choice((*[name] * 12, name.upper(), f"0{name}", name[:-1], f"{name}0", f"{name}\n"))


def copies(random: Random, knowledge: Knowledge) -> list[Batch]:
    """Batches of which something was ever to be erased: with all their values, with some, and with none."""
    found = [
        batch
        for batch in knowledge.batches.values()
        if any(name_of(batch.header.author, event) in knowledge.erased for event in batch.events)
    ]
    return [_partly(random, batch) for batch in random.sample(found, min(len(found), random.randrange(1, 12)))]


def _partly(random: Random, batch: Batch) -> Batch:
    if random.randrange(3):
        return batch
    return stripped(batch, [event.n for event in batch.events if random.randrange(2)] or None)
