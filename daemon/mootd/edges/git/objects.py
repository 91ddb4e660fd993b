"""Frames as git objects: how a push is laid down, and how one is checked and read.

    commit      one push: its parent is the sender's last commit of that generation, if any; always the same author,
                date 0 and no message, so a remote learns nothing and the same push is the same commit
    its tree    the push's new frames only: ordinary files `0000`, `0001`, …

So a push costs the same however long the history is. Whatever was fetched is hostile until it was checked here, sizes
before contents, and nothing is ever checked out: a tree's names, modes and links reach no disk.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import MIB
from mootd.edges.git.names import is_object_id
from mootd.edges.git.process import Git

FRAME_BYTES: Final = 17 * MIB
"""Bytes of one frame: what 16 MiB may become when sealed and padded."""
PUSH_FRAMES: Final = 10_000
"""Frames of one push: their names have four digits."""
PUSH_BYTES: Final = 64 * MIB
"""Bytes of one push's frames: a reader holds them in memory together."""
HISTORY_BYTES: Final = 64 * MIB
"""Bytes of a list of commits: some 500,000."""
_TREES: Final = 256
"""Commits whose trees are asked for at once."""
_TREES_BYTES: Final = 1 * MIB
"""Bytes of trees read at once, unless one alone is larger."""
_TREE_BYTES: Final = PUSH_FRAMES * len(b"100644 0000\0" + bytes(32))
_HEADER_BYTES: Final = 128
"""Bytes that git's line before an object may have."""
_WORK: Final = "refs/work"
"""Where the last push that was laid down is kept until it was taken."""
_IDENTITY: Final = "moot <moot@invalid> 0 +0000"


class Step(NamedTuple):
    """A commit of a history without branches."""

    commit: str
    tree: str


def check_push(frames: Sequence[bytes]) -> None:
    """Refuse what no reader would take.

    Raises:
        RefusedError: `limit`; `invalid` for no frames at all.
    """
    if not frames:
        raise RefusedError("a push without frames")
    if len(frames) > PUSH_FRAMES or sum(map(len, frames)) > PUSH_BYTES or max(map(len, frames)) > FRAME_BYTES:
        raise RefusedError("a push has too many or too large frames", code=Code.LIMIT)


async def write_push(git: Git, parent: str | None, frames: Sequence[bytes]) -> str:
    """Lay a push down in the repository.

    Returns:
        The commit's id: the same for the same parent and frames.
    """
    stream: list[bytes] = []
    for number, frame in enumerate(frames, 1):
        stream += [b"blob\nmark :%d\ndata %d\n" % (number, len(frame)), frame, b"\n"]
    mark = len(frames) + 1
    stream.append(f"commit {_WORK}\nmark :{mark}\ncommitter {_IDENTITY}\ndata 0\n".encode())
    if parent is not None:
        stream.append(f"from {parent}\n".encode())
    stream.append(b"deleteall\n")
    stream += [b"M 100644 :%d %s\n" % (number, _entry(number - 1)) for number in range(1, mark)]
    stream.append(b"\nget-mark :%d\ndone\n" % mark)
    done = await git.local("fast-import", "--quiet", "--force", "--done", "--depth=0", stdin=b"".join(stream))
    return done.out.decode("ascii").strip()


async def leads_to(git: Git, tip: str, ancestor: str) -> bool:
    """Whether a commit is the tip or in its history."""
    done = await git.run("merge-base", "--is-ancestor", ancestor, tip)
    if done.code not in (0, 1):
        raise git.failure("merge-base", done)
    return done.code == 0


async def history(git: Git, tip: str, after: str | None) -> list[Step]:
    """The commits that lead to a tip, oldest first.

    Args:
        git: on a repository that holds the tip.
        tip: a commit.
        after: leave out this one and what leads to it; None, or one that doesn't lead to the tip, for all.

    Raises:
        MalformedError: the history branches or is too long.
        RefusedError: `store_damaged`: the tip isn't there.
    """
    if after == tip:
        return []
    if after is not None and is_object_id(after):
        parent, steps = await _line(git, tip, f"^{after}")
        if parent == after:
            return steps
    _, steps = await _line(git, tip)
    if not steps:
        raise git.damage("rev-list")
    return steps


async def read_frames(git: Git, steps: Sequence[Step], room: int) -> tuple[list[bytes], str]:
    """The frames of pushes, up to the first with which there are so many bytes.

    Args:
        git: on the repository that holds them.
        steps: one or more.
        room: bytes.

    Returns:
        Frames in order, and the last commit read.

    Raises:
        MalformedError: the first commit is none that a sender pushes; what stands before such a commit is returned.
    """
    frames: list[bytes] = []
    start = 0
    while True:
        try:
            pushes = await _pushes(git, steps[start : start + _TREES])
        except MalformedError:
            if not start:
                raise
            break
        for number, push in enumerate(pushes, 1):
            room -= push.size
            if room <= 0:
                pushes = pushes[:number]
                break
        frames += await _contents(git, pushes)
        start += len(pushes)
        if room <= 0 or start == len(steps):
            break
    return frames, steps[start - 1].commit


async def check_pushes(git: Git, steps: Sequence[Step]) -> None:
    """Check commits without reading their frames.

    Raises:
        MalformedError: one is none that a sender pushes.
    """
    start = 0
    while start < len(steps):
        start += len(await _pushes(git, steps[start : start + _TREES]))


class _Push(NamedTuple):
    commit: str
    blobs: list[str]
    size: int


async def _line(git: Git, *revisions: str) -> tuple[str, list[Step]]:
    """A history that must be a line, oldest first, and the parent of its first commit ("" if it has none)."""
    done = await git.local(
        "rev-list", "--parents", "--reverse", "--format=%T", "--ignore-missing", *revisions, "--", room=HISTORY_BYTES
    )
    lines = done.lines()
    first = ""
    steps: list[Step] = []
    for head, tree in zip(lines[::2], lines[1::2], strict=True):
        _, commit, *parents = head.split(" ")
        if len(parents) > 1:  # with one parent each, the commits of one tip are a line
            raise MalformedError(f"the history of commit {revisions[0]} branches")
        if parents and not steps:
            first = parents[0]
        steps.append(Step(commit, tree))
    return first, steps


async def _pushes(git: Git, steps: Sequence[Step]) -> list[_Push]:
    """Check the first of these commits: those whose trees are read at once, up to one that no sender pushes.

    Raises:
        MalformedError: the very first is such a one.
    """
    trees = await _trees(git, steps)
    blobs: list[list[str]] = []
    for step, tree in zip(steps, trees, strict=False):
        try:
            blobs.append(_entries(step.commit, tree))
        except MalformedError:
            if not blobs:
                raise
            break
    sizes = iter(await _sizes(git, [blob for push in blobs for blob in push]))
    pushes: list[_Push] = []
    for step, names in zip(steps, blobs, strict=False):
        found = [next(sizes) for _ in names]
        if any(kind != "blob" or size > FRAME_BYTES for kind, size in found) or _total(found) > PUSH_BYTES:
            if not pushes:
                raise MalformedError(f"commit {step.commit} holds what is no frame", code=Code.TOO_LARGE)
            break
        pushes.append(_Push(step.commit, names, _total(found)))
    return pushes


async def _trees(git: Git, steps: Sequence[Step]) -> list[bytes]:
    """The trees of the first of these commits: at least one, together not too large."""
    names: list[str] = []
    total = 0
    for step, (_, size) in zip(steps, await _sizes(git, [step.tree for step in steps]), strict=True):
        total += size
        if size > _TREE_BYTES and not names:
            raise MalformedError(f"the tree of commit {step.commit} has {size} bytes", code=Code.TOO_LARGE)
        if size > _TREE_BYTES or (names and total > _TREES_BYTES):
            break
        names.append(step.tree)
    return await _objects(git, names, total)


def _entries(commit: str, tree: bytes) -> list[str]:
    """The blobs that a tree names, if it names nothing else."""
    blobs: list[str] = []
    width = len(commit) // 2
    start = 0
    while start < len(tree):
        name = b"100644 %s\0" % _entry(len(blobs))
        end = start + len(name) + width
        if len(blobs) == PUSH_FRAMES or tree[start : start + len(name)] != name or end > len(tree):
            break
        blobs.append(tree[end - width : end].hex())
        start = end
    if start != len(tree) or not blobs:
        raise MalformedError(f"the tree of commit {commit} isn't files 0000, 0001, … alone")
    return blobs


async def _contents(git: Git, pushes: Sequence[_Push]) -> list[bytes]:
    blobs = [blob for push in pushes for blob in push.blobs]
    return await _objects(git, blobs, sum(push.size for push in pushes))


async def _sizes(git: Git, names: Sequence[str]) -> list[tuple[str, int]]:
    """Type and size of objects."""
    done = await git.local(
        "cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=_asked(names), room=_HEADER_BYTES * len(names)
    )
    found = [line.split(" ") for line in done.lines()]
    if len(found) != len(names) or any(not size.isdecimal() for _, size in found):
        raise git.damage("cat-file")
    return [(kind, int(size)) for kind, size in found]


async def _objects(git: Git, names: Sequence[str], size: int) -> list[bytes]:
    """The contents of objects that together have at most so many bytes."""
    room = size + _HEADER_BYTES * len(names)
    done = await git.local("cat-file", "--batch=%(objectsize)", stdin=_asked(names), room=room)
    contents: list[bytes] = []
    start = 0
    for _ in names:
        line = done.out.find(b"\n", start)
        header = done.out[start:line]
        if line < 0 or not header.isdigit():
            raise git.damage("cat-file")
        start = line + 1 + int(header) + 1
        contents.append(done.out[line + 1 : start - 1])
    return contents


def _asked(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode("ascii")


def _total(found: Sequence[tuple[str, int]]) -> int:
    return sum(size for _, size in found)


def _entry(number: int) -> bytes:
    return b"%04d" % number
