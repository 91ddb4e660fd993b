"""Getting what a remote's refs lead to, and telling what is wrong with them.

First a list, which is all where nothing is new; then a fetch of what is, by name and into names of its own, many refs
at once: one that breaks off costs what it was asked for, and nothing that came before. Whatever else stands on the
remote, and be it a hundred thousand names, is never fetched.

A bad ref harms nobody else. Where a fetch fails though the remote can be reached, some ref may be to blame, and is
looked for by halves: k bad ones of n cost some 2k log n fetches. Such a fetch costs little; one that finds no end costs
a deadline, and so what it was asked for is fetched one by one by the next call. What has been bad is fetched by itself,
and ever more rarely until it changes.

`refs/seen` only ever goes forward: what was found there once stays readable whatever the remote shows later.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import MIB
from mootd.edges.git.names import Space, alarm, foreign_alarms, parse_name, ref_name, topic_names, went_missing
from mootd.edges.git.objects import leads_to
from mootd.edges.git.process import Done, Git
from mootd.edges.git.words import refusal
from mootd.remotes import UNREACHED, Alarm, Fetched, Ref, RefAlarm, Tip

LIST_BYTES: Final = 64 * MIB
"""Bytes of a list of refs: some 500,000."""
REFS: Final = 20_000
"""Refs of one topic that are taken: those of thousands of authors, each with a few generations."""
AT_ONCE: Final = 500
"""Refs fetched by one git, which compares each name it is given with each that it is shown."""
_FETCH: Final = (
    "fetch", "--progress", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
    "--no-show-forced-updates", "--stdin", "--",
)  # fmt: skip
_RAREST: Final = 10
"""A bad ref that doesn't change is tried again at least every 2^10 calls."""


class _Found(NamedTuple):
    """What a local ref leads to."""

    object_id: str
    kind: str
    parents: Sequence[str]


class _Shown(NamedTuple):
    """What a remote shows under topics, and what of it is looked at."""

    taken: Mapping[Ref, str] = {}
    """Our refs and what they lead to."""
    left_out: Collection[Ref] = ()
    """Those beyond `REFS`."""
    lacking: Collection[Ref] = ()
    """Those taken that aren't held, or lead elsewhere than what is."""
    alarms: Sequence[Alarm] = ()


@dataclass
class _Doubt:
    """A ref that couldn't be fetched."""

    object_id: str
    words: str
    failures: int = 1
    calls_to_skip: int = 1


class Incoming:
    """The refs that other senders move on a remote.

    Args:
        git: on the repository that mirrors this remote, and no other.
        address: the remote's.
    """

    def __init__(self, git: Git, address: str) -> None:
        self._git = git
        self._address = address
        self._doubts: dict[Ref, _Doubt] = {}
        self._unended: set[Ref] = set()
        """What a fetch of many was asked for that hasn't ended: one of them may keep it from ever ending in time."""

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        """As the port's.

        Raises:
            RefusedError: also `limit`: the remote shows more refs than are looked at.
        """
        if not topics:
            return Fetched((), ())
        spaces = tuple(topic_names(topic) for topic in sorted(set(topics)))
        try:
            shown = await self._look_over(spaces)
            groups = self._trusted(shown)
            if await self._all(groups):
                groups = ()
            else:
                shown = await self._look_over(spaces)  # what is gone by now is no bad ref
                groups = self._trusted(shown)
            return await self._sort(spaces, shown, await self._carefully(shown, groups))
        except MalformedError as error:
            raise _too_many() from error

    async def look(self, ref: Ref) -> str | None:
        """The commit to which a ref leads on the remote now, fetched; None if there is no such ref."""
        remote, name = ref_name(ref), ref_name(ref, Space.INCOMING)
        if remote not in await self.list([remote]):
            await self._forget([name])
            return None
        done = await self._fetch([_mirrored(remote)])
        if done:
            raise done
        found = (await self._held(name)).get(name)
        return found.object_id if found and found.kind == "commit" else None

    async def list(self, spaces: Sequence[str]) -> dict[str, str]:
        """Names and object ids under these prefixes, as the remote shows them, none fetched.

        Raises:
            RefusedError: `limit`: there are too many.
        """
        patterns = (f"{space}*" for space in spaces)
        try:
            done = await self._git.run(
                "ls-remote", "--quiet", "--refs", "--", self._address, *patterns, room=LIST_BYTES
            )
        except MalformedError as error:
            raise _too_many() from error
        if done.code:
            raise refusal(done.err, self._address, "cannot list the remote's refs")
        return await asyncio.to_thread(_under, done, tuple(spaces))

    async def _look_over(self, spaces: Sequence[str]) -> _Shown:
        """List what is there, and forget what is held and isn't, or is none of ours."""
        listed = await self.list(spaces)
        held = await self._held(Space.INCOMING)
        shown = await asyncio.to_thread(_looked_over, listed, held)
        await self._forget(
            name
            for name in held
            if (remote := _remote(name)).startswith(tuple(spaces)) and parse_name(remote) not in shown.taken
        )
        return shown

    async def _fetch(self, refspecs: Iterable[str]) -> RefusedError | None:
        """Fetch; the refusal if that failed."""
        stdin = "".join(f"{refspec}\n" for refspec in refspecs).encode()
        done = await self._git.run(*_FETCH, self._address, stdin=stdin)
        return refusal(done.err, self._address, "cannot fetch from the remote") if done.code else None

    def _trusted(self, shown: _Shown) -> Sequence[Sequence[Ref]]:
        """What is lacking and may be fetched together, as much as is fetched at once."""
        trusted = sorted(filter(self._is_trusted, shown.lacking))
        return [trusted[start : start + AT_ONCE] for start in range(0, len(trusted), AT_ONCE)]

    def _is_trusted(self, ref: Ref) -> bool:
        return ref not in self._doubts and ref not in self._unended

    async def _all(self, groups: Iterable[Sequence[Ref]]) -> bool:
        """Fetch refs, many at once; whether that worked. What was fetched before it failed is held."""
        for refs in groups:
            failure = await self._together(refs)
            if failure and failure.code not in UNREACHED:
                raise failure
            if failure:
                return False
        return True

    async def _together(self, refs: Sequence[Ref]) -> RefusedError | None:
        """Fetch refs at once; the refusal if that failed."""
        self._unended.update(refs)
        failure = await self._fetch(_mirrored(ref_name(ref)) for ref in refs)
        self._unended.difference_update(refs)
        return failure

    async def _carefully(self, shown: _Shown, groups: Iterable[Sequence[Ref]]) -> dict[Ref, str]:
        """Fetch groups of which one failed, and by itself what isn't trusted; what git said of the bad refs."""
        alone = [[ref] for ref in sorted(shown.lacking) if not self._is_trusted(ref)]
        bad: dict[Ref, str] = {}
        for refs in (*groups, *alone):
            bad |= await self._by_halves(refs, shown.taken)
        self._doubts = {ref: doubt for ref, doubt in self._doubts.items() if ref in bad or ref not in shown.taken}
        return bad

    async def _by_halves(self, refs: Sequence[Ref], taken: Mapping[Ref, str]) -> dict[Ref, str]:
        """Fetch refs; what git said of those that are to blame where it failed."""
        if len(refs) == 1:
            words = await self._one(refs[0], taken[refs[0]])
            return {refs[0]: words} if words else {}
        if await self._together(refs) is None:
            return {}
        middle = len(refs) // 2
        return await self._by_halves(refs[:middle], taken) | await self._by_halves(refs[middle:], taken)

    async def _one(self, ref: Ref, object_id: str) -> str:
        """Fetch one ref unless it is too early to try again; why it couldn't be fetched, or nothing."""
        doubt = self._doubts.get(ref)
        if doubt and doubt.object_id == object_id and doubt.calls_to_skip > 0:
            doubt.calls_to_skip -= 1
            return doubt.words
        failures = doubt.failures + 1 if doubt and doubt.object_id == object_id else 1
        # Before the attempt, so that one which runs into a deadline isn't the first thing of the next call again.
        doubt = _Doubt(object_id, "it could not be fetched in time", failures, 2 ** min(failures, _RAREST))
        self._doubts[ref] = doubt
        self._unended.discard(ref)
        failure = await self._fetch([_mirrored(ref_name(ref))])
        if failure:
            doubt.words = failure.message
            return doubt.words
        return ""

    async def _sort(self, spaces: Sequence[str], shown: _Shown, bad: Mapping[Ref, str]) -> Fetched:
        """Tell tips from alarms, and remember what was seen."""
        held = await self._held(Space.INCOMING, Space.SEEN)
        ours = {
            ref: found
            for name, found in held.items()
            if (ref := parse_name(name, Space.INCOMING)) and ref in shown.taken
        }
        seen = {
            ref: found.object_id
            for name, found in held.items()
            if (ref := parse_name(name, Space.SEEN)) and ref_name(ref).startswith(tuple(spaces))
        }
        alarms = [*shown.alarms, *(alarm(ref, RefAlarm.UNREADABLE, words) for ref, words in bad.items())]
        tips: list[Tip] = []
        for ref in sorted(ours.keys() - bad.keys()):
            wrong = await self._trouble(ref, ours[ref], seen.get(ref))
            if wrong:
                alarms.append(wrong)
            else:
                tips.append(Tip(ref, ours[ref].object_id))
        missing, replaced = went_missing(seen, {*shown.taken, *shown.left_out}, (tip.ref for tip in tips))
        alarms += [alarm(ref, RefAlarm.MISSING) for ref in missing]
        await self._remember([tip for tip in tips if seen.get(tip.ref) != tip.commit])
        await self._forget(ref_name(ref, Space.SEEN) for ref in replaced)
        return Fetched(tips, sorted(alarms))

    async def _trouble(self, ref: Ref, found: _Found, seen: str | None) -> Alarm | None:
        if found.kind != "commit":
            return alarm(ref, RefAlarm.UNREADABLE, f"it leads to a {found.kind}")
        if seen is None or seen == found.object_id or seen in found.parents:
            return None
        if await leads_to(self._git, found.object_id, seen):
            return None
        return alarm(ref, RefAlarm.WENT_BACK, f"it led to {seen} and leads to {found.object_id}")

    async def _held(self, *spaces: str) -> dict[str, _Found]:
        """Local refs of these names or under them."""
        form = "--format=%(refname) %(objectname) %(objecttype) %(parent)"
        done = await self._git.local("for-each-ref", form, *spaces, room=LIST_BYTES)
        held: dict[str, _Found] = {}
        for line in done.lines():
            name, object_id, kind, *parents = line.split(" ")
            held[name] = _Found(object_id, kind, parents)
        return held

    async def _remember(self, tips: Sequence[Tip]) -> None:
        lines = (f"update {ref_name(tip.ref, Space.SEEN)} {tip.commit}\n" for tip in tips)
        await self._update("".join(lines))

    async def _forget(self, names: Iterable[str]) -> None:
        await self._update("".join(f"delete {name}\n" for name in names))

    async def _update(self, lines: str) -> None:
        if lines:
            await self._git.local("update-ref", "--stdin", stdin=lines.encode())


def _mirrored(name: str) -> str:
    """The refspec that brings a remote's ref, or all that match, under refs/incoming."""
    return f"+{name}:{Space.INCOMING}{name.removeprefix(Space.REMOTE)}"


def _remote(name: str) -> str:
    """The name on the remote of what is mirrored; nothing for other names."""
    return Space.REMOTE + name.removeprefix(Space.INCOMING) if name.startswith(Space.INCOMING) else ""


def _under(done: Done, spaces: tuple[str, ...]) -> dict[str, str]:
    shown = (line.partition("\t") for line in done.lines())
    return {name: object_id for object_id, _, name in shown if name.startswith(spaces)}


def _looked_over(listed: Mapping[str, str], held: Mapping[str, _Found]) -> _Shown:
    """What to take of a list, those that are held first: nobody keeps refs away by many of their own."""
    foreign: list[str] = []
    by_topic: dict[bytes, list[tuple[bool, Ref]]] = {}
    for name in listed:
        ref = parse_name(name)
        if ref is None:
            foreign.append(name)
        else:
            by_topic.setdefault(ref.topic, []).append((ref_name(ref, Space.INCOMING) not in held, ref))
    taken: dict[Ref, str] = {}
    left_out: set[Ref] = set()
    alarms = foreign_alarms(foreign)
    for topic, refs in by_topic.items():
        in_order = [ref for _, ref in sorted(refs)]
        taken |= {ref: listed[ref_name(ref)] for ref in in_order[:REFS]}
        if len(in_order) > REFS:
            left_out.update(in_order[REFS:])
            alarms.append(
                Alarm(topic_names(topic), RefAlarm.FOREIGN, f"only {REFS:,} of {len(in_order):,} refs are read")
            )
    return _Shown(
        taken, left_out, [ref for ref, object_id in taken.items() if not _leads(held, ref, object_id)], alarms
    )


def _leads(held: Mapping[str, _Found], ref: Ref, object_id: str) -> bool:
    """Whether what is held of a ref leads to this object."""
    found = held.get(ref_name(ref, Space.INCOMING))
    return found is not None and found.object_id == object_id


def _too_many() -> RefusedError:
    return RefusedError("the remote shows too many refs", code=Code.LIMIT)
