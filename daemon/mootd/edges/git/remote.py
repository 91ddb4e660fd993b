"""A Git repository as a remote: `RefRemote` over the user's own git.

Invariant: a ref of ours is moved forward only, never forced. Where it was moved back or removed, the next push brings
it to where we left it; where it leads to pushes of ours that this repository has forgotten (a restored backup), the
next push goes on from there; where it leads to anything else, the push is refused and the sender begins another
generation.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from mootd.edges.git.incoming import Incoming
from mootd.edges.git.names import Space, is_object_id, ref_name
from mootd.edges.git.objects import check_push, check_pushes, history, leads_to, read_frames, write_push
from mootd.edges.git.process import Deadlines, Git
from mootd.edges.git.words import check_address, plain, refusal, said
from mootd.ports import Entropy
from mootd.remotes import Fetched, Ref, Tip

_PUSH: Final = ("push", "--porcelain", "--progress", "--no-verify", "--no-signed", "--")
_STALE: Final = (
    "non-fast-forward", "fetch first", "stale info", "cannot lock", "failed to lock", "failed to update ref",
    "incorrect old value", "already exists", "updated since", "needs force",
)  # fmt: skip
"""What a remote says to a push when somebody else was there at the same time."""
_DENIED: Final = ("declined", "denied", "prohibited", "protected", "not allowed", "permission", "hidden ref")
_SCRATCH_BYTES: Final = 16
_UPKEEP: Final = (
    "-c", "gc.auto=2000", "-c", "gc.autoPackLimit=50", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet",
)  # fmt: skip


class Tested(NamedTuple):
    """What a remote turned out to allow."""

    refs: int
    """How many refs of Moot's it shows."""
    can_push: bool
    words: str = ""
    """Why not, if not; or why what was pushed can't be deleted."""
    is_denied: bool = False
    """Whether somebody has to give a permission for it."""


class GitRemote:
    """A remote that keeps frames in refs.

    Args:
        address: a URL, `user@host:path`, or the full path of a folder.
        repository: the path of Moot's own bare repository for this remote and no other; made on first use.
        environment: the process's, with the user's HOME and SSH agent.
        deadlines: of every git.

    Raises:
        RefusedError: `invalid`: that is no address.
    """

    def __init__(
        self, address: str, repository: Path, environment: Mapping[str, str], deadlines: Deadlines | None = None
    ) -> None:
        check_address(address)
        self._address = address
        self._deadlines = deadlines or Deadlines()
        self._git = Git(repository.absolute(), environment, self._deadlines)
        self._incoming = Incoming(self._git, address)

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        """Get every ref of these topics, with all that it leads to: one round trip if nothing is new."""
        return await self._incoming.fetch(topics)

    async def read(self, tip: Tip, after: str | None, room: int) -> tuple[Sequence[bytes], str]:
        """Frames that came after a commit, oldest first, and the last commit read."""
        if not is_object_id(tip.commit):
            raise MalformedError("a tip without a commit")
        steps = await history(self._git, tip.commit, after)
        return await read_frames(self._git, steps, room) if steps else ((), tip.commit)

    async def push(self, ref: Ref, frames: Sequence[bytes]) -> Tip:
        """Put frames after those that a ref of ours holds, as one commit, in at most two tries.

        A push that was taken though the connection broke is the same commit when it is repeated.

        Raises:
            RefusedError: `conflict`; `limit`: frames too many or too large; `unreachable`, `denied`.
        """
        check_push(frames)
        own = await self._own(ref)
        commit = await write_push(self._git, own, frames)
        trouble = await self._offer(commit, ref_name(ref))
        if trouble:
            stands = await self._incoming.look(ref)
            if stands and stands != commit:
                parent = await self._settled(own, stands)
                commit = commit if parent == own else await write_push(self._git, parent, frames)
            if stands != commit and (trouble := await self._offer(commit, ref_name(ref))):
                raise _moving(trouble)
        spaces = (Space.OWN, Space.SEEN)
        await self._update("".join(f"update {ref_name(ref, space)} {commit}\n" for space in spaces))
        return Tip(ref, commit)

    async def drop(self, ref: Ref) -> None:
        """Remove a ref of ours from the remote; fine if it isn't there."""
        await self._remove(ref_name(ref))
        spaces = (Space.OWN, Space.SEEN, Space.INCOMING)
        await self._update("".join(f"delete {ref_name(ref, space)}\n" for space in spaces))

    async def test(self, entropy: Entropy) -> Tested:
        """Find out what the remote allows: to list, and to push and delete a ref that means nothing.

        Raises:
            RefusedError: it can't even be listed.
        """
        refs = len(await self._incoming.list((Space.REMOTE,)))
        name = Space.SCRATCH + entropy.bytes(_SCRATCH_BYTES).hex()
        can_push = False
        try:
            words = await self._offer(await write_push(self._git, None, [b"moot"]), name)
            can_push = not words
            if can_push:
                await self._remove(name)
        except RefusedError as error:
            return Tested(refs, can_push, error.message, is_denied=error.code is Code.DENIED)
        return Tested(refs, can_push, words)

    async def maintain(self) -> None:
        """Pack what has piled up in Moot's own repository; costs nothing when little has."""
        patient = Deadlines(self._deadlines.patience_s, self._deadlines.patience_s)
        done = await self._git.run(*_UPKEEP, deadlines=patient)
        if done.code:
            raise self._git.failure("gc", done)

    async def close(self) -> None:
        """Stop whatever runs."""
        await self._git.close()

    async def _own(self, ref: Ref) -> str | None:
        """Where our last push of a ref led, as far as this repository knows."""
        done = await self._git.local("for-each-ref", "--format=%(objectname)", ref_name(ref, Space.OWN))
        return next(iter(done.lines()), None)

    async def _settled(self, own: str | None, stands: str) -> str | None:
        """The commit to push on top of, where the remote's ref leads to another than was thought.

        Raises:
            RefusedError: `conflict`.
        """
        if own is not None and await leads_to(self._git, own, stands):
            return own  # it was moved back: our push repeats all that it lost
        try:
            if own is None or await leads_to(self._git, stands, own):
                await check_pushes(self._git, await history(self._git, stands, own))
                return stands
        except MalformedError as error:
            raise RefusedError("the remote's ref leads to what is no push of ours", code=Code.CONFLICT) from error
        raise RefusedError("the remote's ref leads to another commit than our last", code=Code.CONFLICT)

    async def _offer(self, commit: str, name: str) -> str:
        """Ask the remote to move a ref forward to a commit, or to remove it where none is given.

        Returns:
            Nothing if it did; else why the ref may have to be looked at.
        """
        done = await self._git.run(*_PUSH, self._address, f"{commit}:{name}")
        return self._answer(done.lines(), done.err, name)

    async def _remove(self, name: str) -> None:
        trouble = await self._offer("", name)
        if trouble:
            raise _moving(trouble)

    def _answer(self, lines: Sequence[str], err: bytes, name: str) -> str:
        for line in lines:
            flag, _, rest = line.partition("\t")
            names, _, summary = rest.partition("\t")
            if names.rpartition(":")[2] != name:
                continue
            if flag != "!":
                return ""
            if any(sign in summary for sign in _STALE):
                return plain(summary)
            code = Code.DENIED if any(sign in summary for sign in _DENIED) else Code.UNREACHABLE
            words = ": ".join(filter(None, (plain(summary), said(err, self._address))))
            raise RefusedError(f"the remote rejects a push: {words}", code=code, retryable=code is Code.UNREACHABLE)
        raise refusal(err, self._address, "cannot push to the remote")

    async def _update(self, lines: str) -> None:
        await self._git.local("update-ref", "--stdin", stdin=lines.encode())


def _moving(trouble: str) -> RefusedError:
    return RefusedError(f"somebody else is moving the remote's ref: {trouble}", code=Code.UNREACHABLE, retryable=True)
