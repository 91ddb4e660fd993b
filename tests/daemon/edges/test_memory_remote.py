"""The remote in memory: what a simulation may do to it, and what it can see."""

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.edges.git.names import ref_name
from mootd.edges.memory_remote import Commit, MemoryRefRemote, MemoryRefs
from mootd.remotes import Ref

TOPIC = b"t" * 16
REF = Ref(TOPIC, b"a" * 16, 1)


async def test_what_it_holds_can_be_looked_at() -> None:
    refs = MemoryRefs()
    alice = MemoryRefRemote(refs)
    first = await alice.push(REF, [b"one"])
    second = await alice.push(REF, [b"two"])
    assert refs.tips == {ref_name(REF): second.commit}
    assert list(refs.history(second.commit)) == [second.commit, first.commit]
    assert refs.commits[second.commit] == Commit(first.commit, (b"two",))


async def test_a_commit_is_known_by_what_it_holds() -> None:
    refs = MemoryRefs()
    assert refs.add(Commit(None, (b"x",))) == refs.add(Commit(None, (b"x",)))
    assert len({refs.add(Commit(None, frames)) for frames in ((b"x",), (b"y",), (b"x", b""), None)}) == 4


async def test_calls_are_counted_and_reading_is_none() -> None:
    refs = MemoryRefs()
    alice, bob = MemoryRefRemote(refs), MemoryRefRemote(refs)
    await alice.push(REF, [b"one"])
    (tip,) = (await bob.fetch([TOPIC])).tips
    await bob.fetch([])
    await bob.read(tip, None, 100)
    await alice.drop(REF)
    await alice.close()
    assert refs.connections == 3


async def test_while_it_is_unreachable_nothing_changes_and_what_was_fetched_can_be_read() -> None:
    refs = MemoryRefs()
    alice = MemoryRefRemote(refs)
    tip = await alice.push(REF, [b"one"])
    refs.is_reachable = False
    for call in (alice.push(REF, [b"two"]), alice.fetch([TOPIC]), alice.drop(REF)):
        with pytest.raises(RefusedError) as caught:
            await call
        assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, True)
    assert await alice.read(tip, None, 100) == ([b"one"], tip.commit)
    refs.is_reachable = True
    assert await alice.fetch([TOPIC]) == ([tip], [])
    assert refs.connections == 2
