"""A workspace with an open spool: the daemon's side without its process, and the client's side without its own."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from moot.spool.api import SpoolApi
from moot.spool.files import SpoolFiles
from moot_protocol.errors import RefusedError
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import Create, InitProject, IssueFields, ListIssues
from moot_protocol.requests.spools import OpenSpool
from moot_protocol.spool.files import COMMANDS, FOLDER, REFUSED, SNAPSHOT_FILE, Outcome, command_name, seal_command
from moot_protocol.spool.snapshot_file import seal_snapshot
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.edges.entropy import SeededEntropy
from mootd.edges.spool_folder import opened_spool
from mootd.engine.spools import SpoolRow, open_spools, secret_of
from mootd.engine.unit import Unit
from mootd.spool.snapshots import snapshot_body
from mootd.spool.taking import Taker

WORKSPACE = "w0rkspace"


class SpoolSite:
    """A workspace of the project `demo` whose spool is open.

    Args:
        folder: the workspace's folder.
        seed: what keys and ids follow from.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.api: Api = make_api(seed=seed, folder=folder)
        self.open_workspace(folder, WORKSPACE, PROJECT)
        self.entropy = SeededEntropy(f"{seed} client".encode())
        self.files = TakingFiles(self)
        self.judged: list[Request[Any]] = []
        self.denies: RefusedError | None = None
        """What every command is refused with, if it is."""
        self._taker = self.new_taker()

    def open_workspace(self, folder: Path, workspace: str, project: str) -> None:
        """Make a folder the workspace of a project, and open its spool."""
        (folder / ".moot").mkdir(exist_ok=True)
        (folder / ".moot" / "workspace").write_text(f"{workspace}\n")
        self.api.call(InitProject(actor="ada", prefix=project, workspace=workspace, folder=str(folder)))
        self.api.call(OpenSpool(actor="ada", workspace=workspace, folder=str(folder)))

    @property
    def path(self) -> Path:
        """The spool."""
        return self.folder / FOLDER

    @property
    def row(self) -> SpoolRow:
        """The spool's row."""
        with self.api.member.replica.read() as reader:
            return next(row for row in open_spools(reader) if row.workspace == WORKSPACE)

    # -- The daemon's side ---------------------------------------------------------------------------------------
    def submit(self, job: Callable[[Unit], Any]) -> "Future[Any]":
        """Carry out a job, as the writer does."""
        future: Future[Any] = Future()
        try:
            future.set_result(self.api.member.commit(job))
        except Exception as error:
            future.set_exception(error)
        return future

    def new_taker(self) -> Taker:
        """What a daemon takes commands with once it has started."""
        return Taker(self.row, self.api.member.replica, self.submit, self.admit)

    def admit(self, request: Request[Any]) -> None:
        """Judge a command; what was judged is kept."""
        self.judged.append(request)
        if self.denies is not None:
            raise self.denies

    def restart(self) -> None:
        """The daemon starts again."""
        self._taker = self.new_taker()

    def take(self) -> bool:
        """Let the daemon take what waits."""
        with opened_spool(self.folder) as folder:
            return self._taker.take(folder)

    def write_snapshot(self) -> None:
        """Let the daemon write the snapshot."""
        secret = secret_of(self.api.member.replica.keys, self.row)
        body = snapshot_body(self.api.member.replica, self.row)
        with opened_spool(self.folder) as folder:
            folder.put(SNAPSHOT_FILE, seal_snapshot(secret, body))

    # -- The client's side ---------------------------------------------------------------------------------------
    def client(self, wait_s: float | None = None) -> SpoolApi:
        """What a sandboxed client calls."""
        return SpoolApi(self.files, self.api.clock.now_ms(), self.entropy.bytes, wait_s, lambda: None)

    def command(self, request: Mutation[Any], *, awaited: bool = False) -> tuple[str, bytes]:
        """The name and the content of a command's file."""
        ms, command = self.api.clock.now_ms(), self.entropy.bytes(16)
        return command_name(ms, command), seal_command(self.files.token, command, ms, request, awaited=awaited)

    def put(self, request: Mutation[Any], *, awaited: bool = False) -> str:
        """Put a command into the spool; its file's name."""
        name, data = self.command(request, awaited=awaited)
        (self.path / COMMANDS / name).write_bytes(data)
        return name

    # -- What came of it -----------------------------------------------------------------------------------------
    def titles(self) -> list[str]:
        """The titles of all issues, in order."""
        return sorted(issue["title"] for issue in self.api.call(ListIssues(all=True, limit=0)).issues)

    def waiting(self) -> list[str]:
        """The names of what is in the spool."""
        return sorted(path.name for path in (self.path / COMMANDS).iterdir())

    def reasons(self) -> list[str]:
        """Why files were put aside."""
        return sorted(path.read_text() for path in (self.path / REFUSED).glob("*.reason"))


class TakingFiles(SpoolFiles):
    """A spool of a client that waits only as long as the daemon takes to look."""

    def __init__(self, site: SpoolSite) -> None:
        super().__init__(site.folder)
        self._site = site

    def wait(self, command: bytes, seconds: float) -> Outcome | None:
        del seconds
        self._site.take()
        return super().wait(command, 0)


def create(title: str, **more: Any) -> Create:
    """A request for an issue of the project."""
    return Create(actor="ada", project=PROJECT, fields=IssueFields(title=title), **more)
