"""Frames as git objects: what is laid down, and what of a hostile history is read."""

import zlib
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import MIB
from moot_testkit.machines import git_servers
from mootd.edges.git import objects
from mootd.edges.git.objects import (
    Step,
    check_push,
    check_pushes,
    history,
    leads_to,
    read_frames,
    write_push,
)
from mootd.edges.git.process import Deadlines, Done, Git

WHO = "x <x@y> 0 +0000"


class Watched(Git):
    """The user's git, and what it was asked to show."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "repository", git_servers.surroundings(folder), Deadlines())
        self.shown: list[str] = []
        self.calls = 0

    async def run(self, *arguments: str, stdin: bytes = b"", **more: Any) -> Done:
        self.calls += 1
        if arguments[:2] == ("cat-file", "--batch=%(objectsize)"):
            self.shown += stdin.decode().split()
        return await super().run(*arguments, stdin=stdin, **more)

    async def write(self, kind: str, data: bytes) -> str:
        """An object of any content, whatever git thinks of it, as git itself lays them down."""
        if not self._is_ready:
            await self._prepare()
        laid_down = b"%s %d\0%s" % (kind.encode(), len(data), data)
        name = sha1(laid_down, usedforsecurity=False).hexdigest()
        path = self._repository / "objects" / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(laid_down, 1))
        return name

    async def tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of (mode, name, object id)."""
        rows = (f"{mode} {name}\0".encode() + bytes.fromhex(object_id) for mode, name, object_id in entries)
        return await self.write("tree", b"".join(rows))

    async def commit(self, tree: str, *parents: str) -> str:
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {WHO}", f"committer {WHO}"]
        return await self.write("commit", "\n".join([*lines, "", "words"]).encode())


@pytest.fixture
def git(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def read(git: Git, tip: str, after: str | None = None, room: int = MIB) -> tuple[Sequence[bytes], str]:
    return await read_frames(git, await history(git, tip, after), room)


# -- What is laid down -------------------------------------------------------------------------------------------
async def test_a_commit_tells_a_remote_nothing_but_its_frames(git: Watched) -> None:
    first = await write_push(git, None, [b"one", b"two"])
    second = await write_push(git, first, [b"three"])
    nobody = "author moot <moot@invalid> 0 +0000\ncommitter moot <moot@invalid> 0 +0000\n\n"
    tree = (await git.local("rev-parse", f"{second}^{{tree}}")).lines()[0]
    assert (await git.local("cat-file", "commit", second)).out.decode() == f"tree {tree}\nparent {first}\n{nobody}"
    names = [line.split("\t") for line in (await git.local("ls-tree", first)).lines()]
    assert [(row.split()[:2], name) for row, name in names] == [
        (["100644", "blob"], "0000"),
        (["100644", "blob"], "0001"),
    ]
    assert (await git.local("ls-tree", "--name-only", second)).out == b"0000\n"


async def test_the_same_push_is_the_same_commit(git: Watched) -> None:
    first = await write_push(git, None, [b"one"])
    assert await write_push(git, None, [b"one"]) == first
    second = await write_push(git, first, [b"two"])
    assert await write_push(git, first, [b"two"]) == second
    assert len({first, second, await write_push(git, None, [b"two"])}) == 3


async def test_what_was_laid_down_passes_the_checks_of_git(git: Watched) -> None:
    tip = None
    for frames in ([b"one"], [b"", b"two\n"], [b"%d" % number for number in range(200)]):
        tip = await write_push(git, tip, frames)
    done = await git.local("fsck", "--strict", "--no-dangling", str(tip))
    assert done.err.replace(b"notice: HEAD points to an unborn branch (none)\n", b"") == b""


@pytest.mark.parametrize(
    ("frames", "code"),
    [([], Code.INVALID), ([b""] * 10_001, Code.LIMIT), ([bytes(17 * MIB + 1)], Code.LIMIT)],
    ids=["none", "too many", "too large"],
)
def test_pushes_have_limits(frames: list[bytes], code: Code) -> None:
    with pytest.raises(RefusedError) as caught:
        check_push(frames)
    assert caught.value.code is code


async def test_a_push_at_its_limits_can_be_read(git: Watched) -> None:
    frames = [b"%d" % number for number in range(objects.PUSH_FRAMES)]
    large = [bytes(objects.FRAME_BYTES), bytes([1]) * MIB]
    check_push(frames)
    check_push(large)
    tip = await write_push(git, await write_push(git, None, frames), large)
    assert await read(git, tip, room=1 << 40) == (frames + large, tip)


# -- Histories ---------------------------------------------------------------------------------------------------
async def test_a_history_is_read_from_its_beginning_or_from_a_commit_of_it(git: Watched) -> None:
    line = [await write_push(git, None, [b"0"])]
    for number in range(1, 5):
        line.append(await write_push(git, line[-1], [b"%d" % number]))
    other = await write_push(git, None, [b"other"])
    side = await write_push(git, line[1], [b"side"])

    async def commits(after: str | None) -> list[str]:
        return [step.commit for step in await history(git, line[-1], after)]

    for number, commit in enumerate(line):
        assert await commits(commit) == line[number + 1 :]
    for elsewhere in (None, other, side, "00" * 20, "HEAD", "--all", "", "^" + line[0]):
        assert await commits(elsewhere) == line
    assert [step.commit for step in await history(git, line[0], line[3])] == line[:1]
    assert await leads_to(git, line[3], line[0])
    assert await leads_to(git, line[0], line[0])
    assert not await leads_to(git, line[0], line[3])
    assert not await leads_to(git, side, line[3])


async def test_a_history_with_branches_is_malformed(git: Watched) -> None:
    root, other = await write_push(git, None, [b"root"]), await write_push(git, None, [b"other"])
    tree = await git.tree(("100644", "0000", await git.write("blob", b"x")))
    left, right = await git.commit(tree, root), await write_push(git, root, [b"right"])
    for parents in ((left, right), (root, other), (root, left), (left, root)):
        merge = await git.commit(tree, *parents)
        for tip in (merge, await write_push(git, merge, [b"later"])):
            for after in (None, root, left):
                with pytest.raises(MalformedError):
                    await history(git, tip, after)


async def test_a_history_that_is_too_long_is_malformed(git: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = None
    for _ in range(4):
        tip = await write_push(git, tip, [b"x"])
    monkeypatch.setattr(objects, "HISTORY_BYTES", 400)
    with pytest.raises(MalformedError):
        await history(git, str(tip), None)


# -- Hostile trees -----------------------------------------------------------------------------------------------
BLOB, TREE, COMMIT = "blob", "tree", "commit"
HOSTILE: dict[str, Callable[[dict[str, str]], list[tuple[str, str, str]]]] = {
    "nothing": lambda _: [],
    "a name of its own": lambda ids: [("100644", "README", ids[BLOB])],
    "a number too high": lambda ids: [("100644", "0001", ids[BLOB])],
    "a number left out": lambda ids: [("100644", "0000", ids[BLOB]), ("100644", "0002", ids[BLOB])],
    "a number twice": lambda ids: [("100644", "0000", ids[BLOB])] * 2,
    "a longer number": lambda ids: [("100644", "00000", ids[BLOB])],
    "something more": lambda ids: [("100644", "0000", ids[BLOB]), ("100644", "z", ids[BLOB])],
    "a symlink": lambda ids: [("120000", "0000", ids[BLOB])],
    "a program": lambda ids: [("100755", "0000", ids[BLOB])],
    "a folder": lambda ids: [("40000", "0000", ids[TREE])],
    "a submodule": lambda ids: [("160000", "0000", "ab" * 20)],
    "git's own folder": lambda ids: [("40000", ".git", ids[TREE])],
    "submodules' names": lambda ids: [("100644", ".gitmodules", ids[BLOB])],
    "a way out": lambda ids: [("100644", "../../etc/cron.d/x", ids[BLOB])],
    "an absolute path": lambda ids: [("100644", "/etc/passwd", ids[BLOB])],
    "a mode with a zero before it": lambda ids: [("0100644", "0000", ids[BLOB])],
    "a tree that claims to be a file": lambda ids: [("100644", "0000", ids[TREE])],
    "a commit that claims to be a file": lambda ids: [("100644", "0000", ids[COMMIT])],
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_tree_that_no_sender_writes_is_malformed_and_what_stands_before_it_readable(
    git: Watched, what: str
) -> None:
    good = await write_push(git, None, [b"good"])
    ids = {BLOB: await git.write("blob", b"/etc/passwd"), COMMIT: good}
    ids[TREE] = await git.tree(("100644", "0000", ids[BLOB]))
    tip = await git.commit(await git.tree(*HOSTILE[what](ids)), good)
    later = await write_push(git, tip, [b"later"])
    assert await read(git, later) == ([b"good"], good)
    for unreadable in (tip, later):
        with pytest.raises(MalformedError):
            await read(git, unreadable, good)
        with pytest.raises(MalformedError):
            await check_pushes(git, await history(git, unreadable, None))


@pytest.mark.parametrize("cut", [1, 20, 25])
async def test_a_tree_that_is_cut_is_malformed(git: Watched, cut: int) -> None:
    row = b"100644 0000\0" + bytes.fromhex(await git.write("blob", b"x"))
    tip = await git.commit(await git.write("tree", row + row.replace(b"0000\0", b"0001\0")[:-cut]))
    with pytest.raises((MalformedError, RefusedError)):
        await read(git, tip)


async def test_huge_blobs_are_never_read(git: Watched) -> None:
    huge = await git.write("blob", bytes(objects.FRAME_BYTES + 1))
    tip = await git.commit(await git.tree(("100644", "0000", huge)))
    with pytest.raises(MalformedError) as caught:
        await read(git, tip)
    assert caught.value.code is Code.TOO_LARGE
    assert huge not in git.shown


async def test_many_blobs_that_are_huge_together_are_never_read(git: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PUSH_BYTES", 100)
    blob = await git.write("blob", bytes(26))
    tip = await git.commit(await git.tree(*(("100644", f"000{number}", blob) for number in range(4))))
    with pytest.raises(MalformedError):
        await read(git, tip)
    assert blob not in git.shown


async def test_huge_trees_are_never_read(git: Watched) -> None:
    blob = await git.write("blob", b"")
    good = await write_push(git, None, [b"good"])
    huge = await git.tree(*(("100644", f"{number:04}", blob) for number in range(14_000)))
    tip = await git.commit(huge, good)
    with pytest.raises(MalformedError) as caught:
        await read(git, tip, good)
    assert caught.value.code is Code.TOO_LARGE
    assert huge not in git.shown
    assert await read(git, tip) == ([b"good"], good)


async def test_one_file_too_many_is_malformed(git: Watched) -> None:
    blob = await git.write("blob", b"")
    tip = await git.commit(await git.tree(*(("100644", f"{number:04}", blob) for number in range(10_001))))
    with pytest.raises(MalformedError):
        await read(git, tip)


async def test_large_trees_are_read_a_few_at_a_time(git: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_TREES_BYTES", 100)
    tip, frames = None, [b"%d" % number for number in range(5)]
    for _ in range(4):
        tip = await write_push(git, tip, frames)
    git.calls = 0
    assert await read(git, str(tip)) == (frames * 4, tip)
    assert git.calls == 1 + 4 * 4


async def test_a_long_history_of_small_pushes_takes_few_calls(git: Watched) -> None:
    commit = b"commit refs/x\ncommitter x <x@y> %d +0000\ndata 0\nM 100644 :1 0000\n\n"
    stream = b"blob\nmark :1\ndata 1\nx\n" + b"".join(commit % number for number in range(600))
    await git.local("fast-import", "--quiet", stdin=stream)
    tip = (await git.local("rev-parse", "refs/x")).lines()[0]
    git.calls = 0
    assert await read(git, tip) == ([b"x"] * 600, tip)
    assert git.calls <= 1 + 3 * 4


async def test_objects_that_are_gone_mean_damage_here(git: Watched) -> None:
    missing = await git.commit(await git.tree(("100644", "0000", "ab" * 20)))
    for steps in (await history(git, missing, None), [Step(missing, "cd" * 20)]):
        with pytest.raises(RefusedError) as caught:
            await read_frames(git, steps, MIB)
        assert caught.value.code is Code.STORE_DAMAGED
    with pytest.raises(RefusedError) as caught:
        await leads_to(git, missing, "ab" * 20)
    assert caught.value.code is Code.STORE_DAMAGED


async def test_a_git_that_was_killed_says_nothing_of_a_history(tmp_path: Path) -> None:
    class Killed(Git):
        async def run(self, *_arguments: str, **_more: Any) -> Done:
            return Done(-9, b"", b"git was ended by signal 9")

    with pytest.raises(RefusedError) as caught:
        await leads_to(Killed(tmp_path, {}, Deadlines()), "ab" * 20, "cd" * 20)
    assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, True)
