"""A mirror on a member of a town: the file in memory, the clock by hand, nothing that waits."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from moot_protocol.requests.issues import Create, IssueFields, Show, Update
from moot_protocol.requests.machine import Events
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.edges.memory_files import MemoryFile
from mootd.engine.machine.mirrors import MirrorRow, put_mirror, read_mirror
from mootd.engine.unit import Unit
from mootd.mirror.intake import NEVER_CUT, Tally, adopt
from mootd.mirror.keeper import FILE_QUIET_MS, WRITE_QUIET_MS, Keeper

FOLDER, FILE = "/work", ".beads/issues.jsonl"
OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def line(number: int, title: str = "", **fields: Any) -> bytes:
    """An issue's line as a tool of somebody else's writes it: its own order, its own blanks, a field nobody knows."""
    shown = {
        "updated_at": OLD, "id": f"demo-{number:04d}", "title": title or f"Issue {number}", "status": "open",
        "priority": 2, "issue_type": "task", "created_at": OLD, "x_rank": number,
    } | fields  # fmt: skip
    return json.dumps(shown, separators=(", ", ":")).encode()


def content(*lines: bytes) -> bytes:
    """A file of lines."""
    return b"".join(each + b"\n" for each in lines)


def name(number: int) -> str:
    """The id of the issue in `line(number)`."""
    return f"demo-{number:04d}"


def before_commit(api: Api, monkeypatch: pytest.MonkeyPatch, number: int, write: Callable[[], object]) -> None:
    """Let somebody write between transactions.

    Args:
        api: the machine; what was given its `commit` before isn't affected.
        monkeypatch: puts it back.
        number: before which transaction from now on, from 0.
        write: writes.
    """
    real, count = api.member.commit, 0

    def commit(work: Callable[[Unit], Any]) -> Any:
        nonlocal count
        count += 1
        if count == number + 1:
            write()
        return real(work)

    monkeypatch.setattr(api.member, "commit", commit)


class Mirrored:
    """A project with a mirror.

    Args:
        held: what the file holds when it is adopted.
        api: the machine; by default one of its own.
        file: the file's path in its folder.
    """

    def __init__(self, held: bytes, api: Api | None = None, file: str = FILE) -> None:
        self.api = api or make_api()
        self.file = MemoryFile(held)
        self.path = file
        replica = self.api.member.replica
        row = MirrorRow(folder=FOLDER, file=file, workspace="w1", project=PROJECT, plane=replica.ledger.id)
        self.adopted: Tally = adopt(self.api.member.commit, replica, row, held)
        self.is_to_compare = self.row.cuts == NEVER_CUT
        """Whether the whole file was to be compared with the log."""
        self.keeper = self._keeper()
        self.quiet()

    def _keeper(self) -> Keeper:
        member = self.api.member
        return Keeper(self.row, self.file, member.replica, member.commit, member.clock)

    def restart(self) -> None:
        """A new process over the same store and file."""
        self.keeper = self._keeper()

    @property
    def row(self) -> MirrorRow:
        """What is kept of it."""
        with self.api.member.replica.read() as reader:
            row = read_mirror(reader, FOLDER, self.path)
        assert row is not None
        return row

    def put(self, **changes: Any) -> None:
        """Change the row behind the keeper's back."""
        row = type(self.row)(**{field: getattr(self.row, field) for field in self.row.__struct_fields__} | changes)
        self.api.member.commit(lambda unit: put_mirror(unit, row))

    # -- Time ----------------------------------------------------------------------------------------------------
    def step(self, ms: int = 0) -> int:
        """Let time pass, and the keeper do what is due."""
        self.api.clock.advance(ms)
        return self.keeper.step()

    def saw(self) -> None:
        """Let the file be quiet for long enough to be taken in, and no longer."""
        self.step()
        self.step(FILE_QUIET_MS)

    def quiet(self) -> None:
        """Let everything be quiet for long enough to be done."""
        self.saw()
        self.step()
        self.step(WRITE_QUIET_MS)
        self.step()
        self.step(WRITE_QUIET_MS)

    def shows(self, *lines: bytes) -> None:
        """Another program writes the file, and then is quiet."""
        self.file.write(content(*lines))
        self.saw()

    # -- The log -------------------------------------------------------------------------------------------------
    @property
    def events(self) -> int:
        """How many events the log holds."""
        found: dict[str, Any] = self.api.call(Events(since=None))
        return int(found["next"])

    def who(self) -> list[str]:
        """Who wrote the events, in order."""
        return [event["actor"] for event in self.api.call(Events(since=0))["events"] if event["kind"] == "issue"]

    def title(self, number: int) -> str:
        """What the log says."""
        return str(self.show(number)["title"])

    def show(self, number: int) -> dict[str, Any]:
        """An issue of the log."""
        shown: dict[str, Any] = self.api.call(Show(ids=(name(number),)))[0]
        return shown

    def retitle(self, number: int, title: str) -> None:
        """A command changes an issue."""
        self.api.call(Update(actor="ada", id=name(number), fields=IssueFields(title=title)))

    def create(self, number: int, title: str) -> None:
        """A command makes an issue."""
        self.api.call(Create(actor="ada", project=PROJECT, id=name(number), fields=IssueFields(title=title)))

    @property
    def lines(self) -> list[bytes]:
        """The file's lines."""
        return (self.file.content or b"").splitlines()
