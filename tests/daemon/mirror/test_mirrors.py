"""All mirrors of a daemon: told of changes they work at once, and each of what is asked does what it says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Create, InitProject, IssueFields, Show, Update, WorkspaceInfo
from moot_protocol.requests.machine import Status
from moot_protocol.requests.mirrors import MirrorOff, MirrorOn, MirrorResume, MirrorSync, WorkspaceMoved
from moot_protocol.requests.mirrors import Mirrors as MirrorsRequest
from moot_protocol.spool.files import FOLDER as SPOOL
from moot_protocol.spool.files import FORMAT, TOKEN_FILE, Token, encode_token
from moot_testkit.clients.control import PATIENCE
from moot_testkit.towns.mirroring import FILE, FOLDER, NEW, content, line, name
from moot_testkit.towns.town import PROJECT, Api, make_api
from moot_testkit.towns.trying import kept
from mootd.edges.memory_files import MemoryFile, MemoryWatcher
from mootd.engine.spools import SpoolRow, close_spool, move_spool, open_spool, secret_of, spool_of
from mootd.mirror import mirrors as module
from mootd.mirror.keeper import Timing
from mootd.mirror.mirrors import Asked, Mirrors
from mootd.mirror.moving import GONE

ON = MirrorOn(folder=FOLDER, file=FILE, workspace="w1", project=PROJECT)
AT_ONCE = Timing(file_quiet=0, write_quiet=0)


class World:
    """A machine with files in memory."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.files = {(FOLDER, FILE): MemoryFile(content(line(1), line(2), line(3)))}
        self.watcher = MemoryWatcher()
        self.threads = ThreadPoolExecutor(2)
        self.mirrors = self.make(AT_ONCE)

    def make(self, timing: Timing) -> Mirrors:
        return Mirrors(self.api.member.replica, self.api.member.commit, self.threads, self._file, self.watcher, timing)

    def _file(self, folder: str, file: str) -> MemoryFile:
        if file.startswith(".."):
            raise RefusedError("out of the folder", code=Code.DENIED)
        return self.files.setdefault((folder, file), MemoryFile(None))

    @property
    def file(self) -> MemoryFile:
        return self.files[FOLDER, FILE]

    def ask(self, request: Asked) -> Any:
        return self.mirrors.call(request)

    def refusal(self, request: Asked) -> Code:
        with pytest.raises(RefusedError) as refused:
            self.ask(request)
        return refused.value.code

    def title(self, number: int) -> str:
        return str(self.api.call(Show(ids=(name(number),)))[0]["title"])

    def shows(self, *lines: bytes) -> None:
        self.file.write(content(*lines))
        self.watcher.happened(FOLDER, FILE)


@pytest.fixture
def world() -> World:
    return World(make_api())


# -- What is asked -----------------------------------------------------------------------------------------------
def test_on_adopts_a_file_once_and_tells_of_it(world: World) -> None:
    told = world.ask(ON)
    assert (told["adopted"], told["created"], told["state"], told["versions"]) == (True, 3, "in_step", 1)
    assert world.ask(ON)["adopted"] is False
    assert [each["file"] for each in world.ask(MirrorsRequest())] == [FILE]
    assert world.ask(MirrorsRequest(folder="/elsewhere")) == []


def test_on_without_a_file_or_out_of_the_folder_is_refused(world: World) -> None:
    def on(file: str) -> MirrorOn:
        return MirrorOn(folder=FOLDER, file=file, workspace="w1", project=PROJECT)

    assert world.refusal(on("none.jsonl")) is Code.NOT_FOUND
    assert world.refusal(on("../x")) is Code.DENIED
    assert world.ask(MirrorsRequest()) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_on_of_a_file_that_is_something_else_or_lies_where_git_keeps_its_own_is_refused_and_takes_nothing_in(
    world: World, *, dry_run: bool
) -> None:
    world.file.is_kept = True
    assert world.refusal(replace(ON, dry_run=dry_run)) is Code.DENIED
    world.file.is_kept = False
    world.file.write(b"[core]\n\tbare = false\n")
    with pytest.raises(RefusedError, match="not a single line of it is an issue") as refused:
        world.ask(replace(ON, dry_run=dry_run))
    assert (refused.value.code, refused.value.hint[:20]) == (Code.CONFLICT, "name a file of issue")
    assert world.ask(MirrorsRequest()) == []


def test_there_are_only_so_many_mirrors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIRRORS", 0)
    assert world.refusal(ON) is Code.LIMIT


def test_on_again_can_change_how_it_is_watched(world: World) -> None:
    assert world.ask(ON)["polls"] is False
    again = MirrorOn(folder=FOLDER, file=FILE, workspace="w1", project=PROJECT, poll=True)
    assert world.ask(again)["polls"] is True


# -- A project's folder that was moved ---------------------------------------------------------------------------
THERE = "/there"
ON_THERE = MirrorOn(folder=THERE, file=FILE, workspace="w1", project=PROJECT)
MOVED = WorkspaceMoved(workspace="w1", folder=THERE)


def moved(world: World) -> World:
    """A machine whose workspace was moved with its mirror, and the mirror followed where it lay before."""
    world.api.call(InitProject(actor="ada", prefix=PROJECT, workspace="w1", folder=FOLDER))
    world.ask(ON)
    world.files[THERE, FILE] = MemoryFile(world.file.content)
    world.files[THERE, ".moot/workspace"] = MemoryFile(b"w1\n")
    del world.files[FOLDER, FILE]
    return world


def test_a_file_that_was_moved_with_its_project_goes_on_as_the_mirror_it_was(world: World) -> None:
    before = moved(world).ask(MirrorsRequest())[0]
    world.api.call(Update(actor="ada", id=name(1), fields=IssueFields(title="Meanwhile")))
    foretold = world.ask(replace(ON_THERE, dry_run=True))
    assert (foretold["folder"], foretold["moved_from"]) == (THERE, f"{FOLDER}/{FILE}")
    assert world.ask(MirrorsRequest()) == [before]
    told = world.ask(ON_THERE)
    assert (told["adopted"], told["moved_from"]) == (False, f"{FOLDER}/{FILE}")
    assert [each | {"waiting": 0} for each in world.ask(MirrorsRequest())] == [
        before | {"folder": THERE, "gone": False, "problem": "", "state": "in_step"}
    ]
    world.ask(MirrorSync(folder=THERE, file=FILE))
    assert b"Meanwhile" in (world.files[THERE, FILE].content or b"")


def test_a_list_tells_which_mirrors_are_gone_with_their_folder(world: World) -> None:
    world.ask(ON)
    assert [each["gone"] for each in world.ask(MirrorsRequest())] == [False]
    world.files[FOLDER, ".moot/workspace"] = MemoryFile(b"w1\n")
    held = world.files.pop((FOLDER, FILE))
    assert [each["gone"] for each in world.ask(MirrorsRequest())] == [False]
    del world.files[FOLDER, ".moot/workspace"]
    world.files[THERE, FILE] = held
    (told,) = world.ask(MirrorsRequest())
    assert (told["gone"], told["state"], told["problem"]) == (True, "problem", GONE)


def test_a_file_where_git_keeps_its_own_takes_no_mirrors_place(world: World) -> None:
    moved(world).files[THERE, FILE].is_kept = True
    assert world.refusal(ON_THERE) is Code.DENIED


def test_a_file_that_is_not_there_takes_no_mirrors_place(world: World) -> None:
    moved(world).files.pop((THERE, FILE))
    assert world.refusal(ON_THERE) is Code.NOT_FOUND
    assert [each["folder"] for each in world.ask(MirrorsRequest())] == [FOLDER]


def test_a_workspace_that_was_moved_is_noted_once_and_its_mirror_stays_where_it_was(world: World) -> None:
    told = moved(world).ask(MOVED)
    assert told == {"moved": True, "from": FOLDER, "mirrors": [f"{FOLDER}/{FILE}"], "spool": False}
    assert (world.api.call(WorkspaceInfo(workspace="w1")) or {})["folder"] == THERE
    assert world.ask(MOVED)["moved"] is False
    assert [each["folder"] for each in world.ask(MirrorsRequest())] == [FOLDER]


@pytest.mark.parametrize(
    ("folder", "held"),
    [(FOLDER, b"w1\n"), (THERE, b"w2\n")],
    ids=["a copy, with the first still there", "a folder of another workspace"],
)
def test_a_workspace_that_was_not_moved_stays_where_it_is(world: World, folder: str, held: bytes) -> None:
    moved(world).files[folder, ".moot/workspace"] = MemoryFile(held)
    assert world.ask(MOVED)["moved"] is False
    assert (world.api.call(WorkspaceInfo(workspace="w1")) or {})["folder"] == FOLDER


def spool(world: World) -> SpoolRow:
    """The spool of the workspace."""
    with world.api.member.replica.read() as reader:
        row = spool_of(reader, "w1")
    assert row is not None
    return row


def with_spool(world: World, folder: str) -> World:
    """A machine whose workspace was moved, with its spool's token in a folder."""
    moved(world).api.member.commit(lambda unit: open_spool(unit, "w1", FOLDER))
    secret = secret_of(world.api.member.replica.keys, spool(world))
    token = encode_token(Token(FORMAT, "w1", PROJECT, "aa", secret, bytes(32)))
    world.files[folder, f"{SPOOL}/{TOKEN_FILE}"] = MemoryFile(token)
    return world


def test_a_spool_goes_with_its_folder_where_its_token_lies(world: World) -> None:
    told = with_spool(world, THERE).ask(MOVED)
    assert (told["moved"], told["spool"], spool(world).folder) == (True, True, THERE)


def test_a_spool_whose_token_does_not_lie_there_stays_where_it_was(world: World) -> None:
    assert with_spool(world, FOLDER).ask(MOVED)["spool"] is False
    assert spool(world).folder == FOLDER


def test_a_closed_spool_is_not_moved(world: World) -> None:
    with_spool(world, THERE).api.member.commit(lambda unit: close_spool(unit, "w1"))
    assert world.ask(MOVED)["spool"] is False
    assert spool(world).folder == FOLDER


def test_a_spool_in_a_folder_that_is_still_there_stays(world: World) -> None:
    row = spool(with_spool(world, THERE))
    world.api.member.commit(lambda unit: move_spool(unit, row, "/own"))
    world.files["/own", ".moot/workspace"] = MemoryFile(b"w1\n")
    assert world.ask(MOVED) == {"moved": True, "from": FOLDER, "mirrors": [f"{FOLDER}/{FILE}"], "spool": False}
    assert spool(world).folder == "/own"


def test_a_workspace_that_nobody_knows_is_not_moved(world: World) -> None:
    assert world.refusal(MOVED) is Code.NOT_FOUND


# -- What else is asked ------------------------------------------------------------------------------------------
def test_off_leaves_the_file_alone(world: World) -> None:
    world.ask(ON)
    off = MirrorOff(folder=FOLDER, file=FILE)
    world.ask(off)
    assert world.ask(MirrorsRequest()) == []
    assert world.file.content == content(line(1), line(2), line(3))
    assert world.refusal(off) is Code.NOT_FOUND


def test_sync_takes_in_and_writes_back_at_once(world: World) -> None:
    world.ask(ON)
    world.file.write(content(line(1, "Theirs", updated_at=NEW), line(2), line(3)))
    told = world.ask(MirrorSync(folder=FOLDER, file=FILE))
    assert (told["state"], world.title(1)) == ("in_step", "Theirs")


def test_a_dry_run_tells_what_would_be_and_leaves_all_as_it_was(world: World) -> None:
    def unchanged(request: Asked) -> Any:
        before, held = kept(world.api.member), world.file.content
        told = world.ask(request)
        assert kept(world.api.member) == before
        assert world.file.content == held
        return told

    assert (unchanged(replace(ON, dry_run=True))["created"], world.ask(MirrorsRequest())) == (3, [])
    world.ask(ON)
    assert unchanged(replace(ON, poll=True, dry_run=True))["polls"] is False
    assert unchanged(MirrorOff(folder=FOLDER, file=FILE, dry_run=True))["state"] == "in_step"
    assert world.refusal(MirrorResume(folder=FOLDER, file=FILE, accept=True, dry_run=True)) is Code.CONFLICT
    world.file.write(content(line(1, "Theirs", updated_at=NEW), line(2), line(3)))
    told = unchanged(MirrorSync(folder=FOLDER, file=FILE, dry_run=True))
    assert (told["state"], told["updated"], told["writes"], told["project"]) == ("in_step", 1, False, PROJECT)
    assert world.title(1) == "Issue 1"
    world.file.write(b"")
    told = unchanged(MirrorSync(folder=FOLDER, file=FILE, dry_run=True))
    assert (told["state"], told["question"]) == ("asks", {"gone": 3, "reverted": 0, "total": 3})


def test_lines_of_other_projects_issues_are_told_before_they_are_left_alone_and_afterwards(world: World) -> None:
    def alone(told: Any) -> tuple[int, list[str]]:
        return told["left_alone"], told["left_alone_ids"]

    world.ask(ON)
    world.api.call(InitProject(actor="ada", prefix="other"))
    world.api.call(Create(actor="ada", project="other", id="other-v", fields=IssueFields(title="Theirs")))
    sync = MirrorSync(folder=FOLDER, file=FILE)
    held = content(line(1), line(2), line(3), line(9, id="other-v", updated_at=NEW))
    world.file.write(held)
    assert alone(world.ask(replace(sync, dry_run=True))) == (1, ["other-v"])
    assert alone(world.ask(MirrorsRequest())[0]) == (0, [])
    assert alone(world.ask(sync)) == alone(world.ask(MirrorsRequest())[0]) == (1, ["other-v"])
    assert world.file.content == held
    assert alone(world.ask(replace(sync, dry_run=True))) == (0, [])


def test_a_question_is_told_as_a_warning_and_answered(world: World) -> None:
    world.ask(ON)
    world.file.write(b"")
    told = world.ask(MirrorSync(folder=FOLDER, file=FILE))
    assert (told["state"], told["question"]) == ("asks", {"gone": 3, "reverted": 0, "total": 3})
    assert [alarm["code"] for alarm in world.api.call(Status())["alarms"]] == ["mirror_asks"]
    world.ask(MirrorResume(folder=FOLDER, file=FILE, accept=False))
    assert world.file.content == content(line(1), line(2), line(3))
    assert world.api.call(Status())["alarms"] == []


def test_what_is_wrong_is_told_as_a_warning(world: World) -> None:
    world.ask(ON)
    world.file.write(content(b"<<<<<<< HEAD", line(1)))
    assert world.ask(MirrorSync(folder=FOLDER, file=FILE))["state"] == "problem"
    (alarm,) = world.api.call(Status())["alarms"]
    assert (alarm["code"], "conflict marker" in alarm["message"]) == ("mirror_problem", True)


# -- At work -----------------------------------------------------------------------------------------------------
@asynccontextmanager
async def running(world: World) -> AsyncIterator[Callable[[Callable[[], object]], Any]]:
    """The mirrors at work; what is given waits until something holds."""
    task = asyncio.get_running_loop().create_task(world.mirrors.run())

    async def until(holds: Callable[[], object]) -> None:
        for _ in range(PATIENCE * 100):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never came")

    try:
        yield until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.threads.shutdown()


async def asked(world: World, request: Asked) -> Any:
    return await asyncio.to_thread(world.ask, request)


async def test_a_mirror_that_is_turned_on_while_all_work_follows_its_file_and_its_project(world: World) -> None:
    async with running(world) as until:
        await asked(world, ON)
        await until(lambda: world.mirrors._worked)
        await asyncio.to_thread(world.shows, line(1, "Theirs", updated_at=NEW), line(2), line(3))
        await until(lambda: world.title(1) == "Theirs")


async def test_commits_wake_a_mirror_and_one_from_before_is_kept_again(world: World) -> None:
    world.ask(ON)
    world.mirrors = world.make(AT_ONCE)
    async with running(world) as until:
        await until(lambda: world.mirrors._worked)
        await asyncio.to_thread(retitle, world, 2, "Mine")
        world.mirrors.happened()
        await until(lambda: b'"title":"Mine"' in (world.file.content or b""))


async def test_after_off_a_file_is_not_looked_at_any_more(world: World) -> None:
    async with running(world) as until:
        await asked(world, ON)
        await until(lambda: world.mirrors._worked)
        await asked(world, MirrorOff(folder=FOLDER, file=FILE))
        assert not world.mirrors._worked
        world.shows(line(1, "Theirs", updated_at=NEW), line(2), line(3))
    assert world.title(1) == "Issue 1"


async def test_a_mirror_that_fails_keeps_no_other_waiting(world: World) -> None:
    world.files[FOLDER, "other.jsonl"] = MemoryFile(b"")
    async with running(world) as until:
        await asked(world, ON)
        await asked(world, MirrorOn(folder=FOLDER, file="other.jsonl", workspace="w1", project=PROJECT))
        await until(lambda: len(world.mirrors._worked) == 2)
        world.files[FOLDER, "other.jsonl"].stamp = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        world.watcher.happened(FOLDER, "other.jsonl")
        await asyncio.to_thread(world.shows, line(1, "Theirs", updated_at=NEW), line(2), line(3))
        await until(lambda: world.title(1) == "Theirs")


async def test_a_mirror_that_can_not_begin_keeps_no_other_waiting_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ask(ON)
    for file in ("a.jsonl", "b.jsonl"):
        world.files[FOLDER, file] = MemoryFile(b"")
        world.ask(MirrorOn(folder=FOLDER, file=file, workspace="w1", project=PROJECT))
    watch = world.watcher.watch

    def watching(folder: str, file: str, *rest: Any, **more: Any) -> Any:
        if file != FILE:
            raise OSError(28, "no watches left")
        return watch(folder, file, *rest, **more)

    monkeypatch.setattr(world.watcher, "watch", watching)
    world.mirrors = world.make(AT_ONCE)
    async with running(world) as until:
        await until(lambda: world.mirrors.trouble)
        assert "OSError" in world.mirrors.trouble
        await asyncio.to_thread(world.shows, line(1, "Theirs", updated_at=NEW), line(2), line(3))
        await until(lambda: world.title(1) == "Theirs")


async def test_a_file_is_looked_at_when_it_changed_and_soon_after_commits_and_else_when_its_time_has_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMITS_MS", 1)
    world.ask(ON)
    (worked,) = world.mirrors._worked.values()
    async with asyncio.timeout(PATIENCE):
        worked.file_changed()
        await worked.until_due(10 * PATIENCE * 1000)
        worked.committed()
        await worked.until_due(10 * PATIENCE * 1000)
        await worked.until_due(1)


def retitle(world: World, number: int, title: str) -> None:
    world.api.call(Update(actor="ada", id=name(number), fields=IssueFields(title=title)))
