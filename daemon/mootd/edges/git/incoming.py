"""Getting what a remote's refs lead to, and telling what is wrong with them.

Usually one fetch of everything under the topics, into names of its own, so that nothing new costs one round trip.
Where that fails though the remote can be reached, some ref may be to blame: then the refs are listed and ours fetched
one by one, so that a bad one harms nobody else; it is tried again ever more rarely until it changes.

`refs/seen` only ever goes forward: what was found there once stays readable whatever the remote shows later.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import MIB
from mootd.edges.git.names import Space, alarm, parse_name, ref_name, sender_names, topic_names, went_missing
from mootd.edges.git.objects import leads_to
from mootd.edges.git.process import Git
from mootd.edges.git.words import refusal
from mootd.remotes import Alarm, Fetched, Ref, RefAlarm, Tip

LIST_BYTES: Final = 64 * MIB
"""Bytes of a list of refs: some 500,000."""
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
    """Refs that weren't fetched."""

    foreign: Collection[str] = ()
    bad: Mapping[Ref, str] = {}
    """And what git said of them."""


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
        self._is_careful = False
        self._doubts: dict[Ref, _Doubt] = {}

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        """As the port's.

        Raises:
            RefusedError: also `limit`: the remote shows more refs than are looked at.
        """
        if not topics:
            return Fetched((), ())
        spaces = tuple(topic_names(topic) for topic in sorted(set(topics)))
        try:
            all_came = not self._is_careful and await self._all(spaces)
            shown = _Shown() if all_came else await self._each(spaces)
            return await self._sort(spaces, shown)
        except MalformedError as error:
            raise RefusedError("the remote shows too many refs", code=Code.LIMIT) from error

    async def look(self, ref: Ref) -> str | None:
        """The commit to which a ref leads on the remote now, fetched; None if there is no such ref."""
        done = await self._fetch([_mirrored(sender_names(ref) + "*")])
        if done:
            raise done
        name = ref_name(ref, Space.INCOMING)
        found = (await self._held(name)).get(name)
        return found.object_id if found and found.kind == "commit" else None

    async def list(self, spaces: Sequence[str]) -> dict[str, str]:
        """Names and object ids under these prefixes, as the remote shows them, none fetched."""
        patterns = (f"{space}*" for space in spaces)
        done = await self._git.run("ls-remote", "--quiet", "--refs", "--", self._address, *patterns, room=LIST_BYTES)
        if done.code:
            raise refusal(done.err, self._address, "cannot list the remote's refs")
        shown = (line.partition("\t") for line in done.lines())
        return {name: object_id for object_id, _, name in shown if name.startswith(tuple(spaces))}

    async def _fetch(self, refspecs: Iterable[str]) -> RefusedError | None:
        """Fetch; the refusal if that failed."""
        stdin = "".join(f"{refspec}\n" for refspec in refspecs).encode()
        done = await self._git.run(*_FETCH, self._address, stdin=stdin)
        return refusal(done.err, self._address, "cannot fetch from the remote") if done.code else None

    async def _all(self, spaces: Sequence[str]) -> bool:
        """Fetch everything at once; whether that worked."""
        self._is_careful = True  # until it has worked: one ref may keep it from ever ending in time
        failure = await self._fetch(_mirrored(f"{space}*") for space in spaces)
        if failure and failure.code is not Code.UNREACHABLE:
            self._is_careful = False
            raise failure
        self._is_careful = failure is not None
        return failure is None

    async def _each(self, spaces: Sequence[str]) -> _Shown:
        """Fetch our refs one by one."""
        listed = await self.list(spaces)
        held = await self._held(Space.INCOMING)
        ours = {ref: object_id for name, object_id in listed.items() if (ref := parse_name(name))}
        await self._forget(
            name
            for name in held
            if (remote := _remote(name)).startswith(tuple(spaces)) and (remote not in listed or not parse_name(remote))
        )
        bad: dict[Ref, str] = {}
        for ref, object_id in ours.items():
            there = held.get(ref_name(ref, Space.INCOMING))
            if not there or there.object_id != object_id:
                words = await self._one(ref, object_id)
                if words:
                    bad[ref] = words
        self._doubts = {ref: doubt for ref, doubt in self._doubts.items() if ref in bad or ref not in ours}
        self._is_careful = bool(bad) or len(ours) < len(listed)
        return _Shown([name for name in listed if not parse_name(name)], bad)

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
        failure = await self._fetch([_mirrored(ref_name(ref))])
        if failure:
            doubt.words = failure.message
            return doubt.words
        return ""

    async def _sort(self, spaces: Sequence[str], shown: _Shown) -> Fetched:
        """Tell tips from alarms, and remember what was seen."""
        held = await self._held(Space.INCOMING, Space.SEEN)
        incoming = {remote: found for name, found in held.items() if (remote := _remote(name, Space.INCOMING))}
        incoming = {name: found for name, found in incoming.items() if name.startswith(tuple(spaces))}
        ours = {ref: found for name, found in incoming.items() if (ref := parse_name(name))}
        seen = {
            ref: found.object_id
            for name, found in held.items()
            if (ref := parse_name(name, Space.SEEN)) and ref_name(ref).startswith(tuple(spaces))
        }
        foreign = {*shown.foreign, *(name for name in incoming if not parse_name(name))}
        alarms = [Alarm(name, RefAlarm.FOREIGN) for name in foreign]
        alarms += [alarm(ref, RefAlarm.UNREADABLE, words) for ref, words in shown.bad.items()]
        tips: list[Tip] = []
        for ref in sorted(ours.keys() - shown.bad.keys()):
            wrong = await self._trouble(ref, ours[ref], seen.get(ref))
            if wrong:
                alarms.append(wrong)
            else:
                tips.append(Tip(ref, ours[ref].object_id))
        missing, replaced = went_missing(seen, ours.keys() | shown.bad.keys(), (tip.ref for tip in tips))
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


def _remote(name: str, space: Space = Space.INCOMING) -> str:
    """The name on the remote of what is mirrored; nothing for other names."""
    return Space.REMOTE + name.removeprefix(space) if name.startswith(space) else ""
