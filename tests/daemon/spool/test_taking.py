"""Commands out of a spool: applied once each, whatever is put there besides, and however often it is put back."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import MIB, SPOOL_ENTRY_MS, SPOOL_REFUSED_FILES
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimReady, Heartbeat, Unclaim
from moot_protocol.requests.gates import CreateGate
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Edge,
    InitProject,
    IssueFields,
    Script,
    Show,
    Update,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import Memories, Remember
from moot_protocol.spool.files import ANSWERS, COMMANDS, REFUSED, command_name, open_answer, seal_command
from moot_testkit.towns.spooling import SpoolSite, create
from moot_testkit.towns.town import PROJECT
from mootd.service.machine.spools import spool_alarms, spools


def alarms(site: SpoolSite) -> str:
    with site.api.member.replica.read() as reader:
        return " ".join(alarm["message"] for alarm in spool_alarms(spools(reader), site.api.clock.now_ms()))


def check_unharmed(site: SpoolSite, before: list[str]) -> None:
    """Nothing was applied, and a proper command still is."""
    assert site.titles() == before
    site.put(create("after"))
    site.take()
    assert site.titles() == sorted([*before, "after"])
    assert not site.waiting()


# -- What is proper ----------------------------------------------------------------------------------------------
def test_commands_are_applied_in_the_order_in_which_they_were_written_and_removed(site: SpoolSite) -> None:
    site.put(create("one", id="demo-one"))
    site.api.clock.advance(1)
    site.put(Update(actor="ada", id="demo-one", claim=True))
    site.api.clock.advance(1)
    site.put(AddComment(actor="ada", id="demo-one", text="hello"))
    site.api.clock.advance(1)
    site.put(Close(actor="ada", id="demo-one", reason="done"))
    assert not site.take()
    (shown,) = site.api.call(Show(ids=("demo-one",)))
    assert (shown["status"], shown["assignee"], shown["close_reason"]) == ("closed", "ada", "done")
    assert [comment["text"] for comment in shown["comments"]] == ["hello"]
    assert not site.waiting()
    assert not list((site.path / ANSWERS).iterdir())


def test_an_awaited_command_is_answered_and_a_refused_one_in_any_case(site: SpoolSite) -> None:
    site.put(create("one", id="demo-one"), awaited=True)
    site.put(Close(actor="ada", id="demo-none"))
    site.take()
    secret = site.files.token.secret
    answers = {path.suffix: open_answer(secret, path.read_bytes()) for path in (site.path / ANSWERS).iterdir()}
    assert answers[".answer"].result["id"] == "demo-one"
    error = answers[".refusal"].error
    assert error is not None
    assert (error.code, answers[".refusal"].actor) == (Code.NOT_FOUND, "ada")
    assert answers[".refusal"].about == "close demo-none"


def test_a_memory_comes_through(site: SpoolSite) -> None:
    site.put(Remember(actor="ada", project=PROJECT, key="k", text="kept"))
    site.take()
    assert [each["text"] for each in site.api.call(Memories(project=PROJECT))] == ["kept"]


def test_many_are_taken_in_several_looks(site: SpoolSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mootd.spool.taking.AT_ONCE", 10)
    for number in range(11):
        site.api.clock.advance(1)
        site.put(Remember(actor="ada", project=PROJECT, key=f"{number:03}", text="kept"))
    assert site.take()
    assert not site.take()
    assert len(site.api.call(Memories(project=PROJECT))) == 11


# -- Once --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("awaited", [False, True])
def test_a_command_that_is_put_back_is_refused_as_a_replay(site: SpoolSite, awaited: bool) -> None:
    name = site.put(create("one"), awaited=awaited)
    data = (site.path / COMMANDS / name).read_bytes()
    site.take()
    (site.path / COMMANDS / name).write_bytes(data)
    site.take()
    assert "put it back" in site.reasons()[0]
    assert "1 file was refused" in alarms(site)
    check_unharmed(site, ["one"])


@pytest.mark.parametrize("days", [0, 2, 29])
def test_a_replay_after_a_restart_changes_nothing_however_late(site: SpoolSite, days: int) -> None:
    name = site.put(create("one"))
    data = (site.path / COMMANDS / name).read_bytes()
    site.take()
    site.api.clock.advance(days * 24 * 3600 * 1000)
    site.put(create("two"))
    site.restart()
    (site.path / COMMANDS / name).write_bytes(data)
    site.take()
    assert site.titles() == ["one", "two"]
    assert not site.waiting()


def test_a_refused_command_stays_refused_when_it_is_put_back(site: SpoolSite) -> None:
    name = site.put(Close(actor="ada", id="demo-one"))
    data = (site.path / COMMANDS / name).read_bytes()
    site.take()
    site.api.call(create("one", id="demo-one"))
    for _ in range(2):
        (site.path / COMMANDS / name).write_bytes(data)
        site.take()
        site.restart()
    assert site.api.call(Show(ids=("demo-one",)))[0]["status"] == "open"


def test_a_command_stays_while_the_writer_cannot_write(site: SpoolSite, monkeypatch: pytest.MonkeyPatch) -> None:
    name = site.put(create("one"))

    def full(*_: object) -> None:
        raise RefusedError("the disk is full", code=Code.STORE_FULL, retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr("mootd.spool.taking.carry_out", full)
        with pytest.raises(MootError, match="full"):
            site.take()
    assert site.waiting() == [name]
    site.take()
    assert site.titles() == ["one"]


def test_a_command_that_meets_a_defect_goes_aside_and_says_so(site: SpoolSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put(create("one"), awaited=True)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("mootd.spool.taking.carry_out", broken)
        with capture_logs() as logged:
            site.take()
    assert "spool.crashed" in [each["event"] for each in logged]
    (answer,) = (site.path / ANSWERS).iterdir()
    error = open_answer(site.files.token.secret, answer.read_bytes()).error
    assert error is not None
    assert error.code is Code.INTERNAL
    assert "defect" in site.reasons()[0]
    check_unharmed(site, [])


# -- What is no command ------------------------------------------------------------------------------------------
def _forged(site: SpoolSite, at: Path) -> None:
    name, _ = site.command(create("forged"))
    token = site.files.token
    forger = type(token)(token.version, token.workspace, token.project, token.plane, bytes(32), token.daemon)
    data = seal_command(forger, bytes.fromhex(name[14:46]), int(name[:13]), create("forged"), awaited=False)
    (at / name).write_bytes(data)


def _truncated(site: SpoolSite, at: Path) -> None:
    name, data = site.command(create("truncated"))
    (at / name).write_bytes(data[:-1])


def _changed(site: SpoolSite, at: Path) -> None:
    name, data = site.command(create("changed"))
    (at / name).write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])


def _empty(site: SpoolSite, at: Path) -> None:
    (at / site.command(create("empty"))[0]).touch()


def _too_large(site: SpoolSite, at: Path) -> None:
    with (at / site.command(create("large"))[0]).open("wb") as file:
        file.truncate(64 * MIB)


def _renamed(site: SpoolSite, at: Path) -> None:
    _, data = site.command(create("renamed"))
    (at / site.command(create("other"))[0]).write_bytes(data)


def _not_ours(site: SpoolSite, at: Path) -> None:
    (at / "notes\n.txt").write_bytes(site.command(create("not ours"))[1])


def _not_even_text(site: SpoolSite, at: Path) -> None:
    Path(os.fsdecode(os.fsencode(at) + b"/\xff\xfe.command")).write_bytes(b"")


def _symlink(site: SpoolSite, at: Path) -> None:
    name, data = site.command(create("linked"))
    (site.folder / "elsewhere").write_bytes(data)
    (at / name).symlink_to(site.folder / "elsewhere")


def _hardlink(site: SpoolSite, at: Path) -> None:
    name, data = site.command(create("linked"))
    (site.folder / "elsewhere").write_bytes(data)
    (at / name).hardlink_to(site.folder / "elsewhere")


def _pipe(site: SpoolSite, at: Path) -> None:
    os.mkfifo(at / site.command(create("pipe"))[0])


def _socket(site: SpoolSite, at: Path) -> None:
    name = site.command(create("socket"))[0]
    here = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{name}")
    os.close(here)


def _too_old(site: SpoolSite, at: Path) -> None:
    ms, command = site.api.clock.now_ms() - SPOOL_ENTRY_MS - 1, site.entropy.bytes(16)
    data = seal_command(site.files.token, command, ms, create("old"), awaited=False)
    (at / command_name(ms, command)).write_bytes(data)


def _too_new(site: SpoolSite, at: Path) -> None:
    ms, command = site.api.clock.now_ms() + 11 * 60 * 1000, site.entropy.bytes(16)
    data = seal_command(site.files.token, command, ms, create("new"), awaited=False)
    (at / command_name(ms, command)).write_bytes(data)


BAD: dict[str, tuple[Callable[[SpoolSite, Path], None], str]] = {
    "forged": (_forged, "not written with this workspace's token"),
    "truncated": (_truncated, "not a command"),
    "changed": (_changed, "not"),
    "empty": (_empty, "not a command"),
    "too large": (_too_large, "at most"),
    "under another name": (_renamed, "name is another command's"),
    "not ours": (_not_ours, "name is no command's"),
    "not even text": (_not_even_text, "name is no command's"),
    "a symbolic link": (_symlink, "symbolic link"),
    "a hard link": (_hardlink, "hard link"),
    "a pipe": (_pipe, "named pipe"),
    "a socket": (_socket, "a socket"),
    "too old": (_too_old, "older than 30 days"),
    "from the future": (_too_new, "ahead of this machine's clock"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_command_goes_aside_with_an_alarm_and_harms_nothing(site: SpoolSite, kind: str) -> None:
    make, reason = BAD[kind]
    make(site, site.path / COMMANDS)
    elsewhere = site.folder / "elsewhere"
    content = elsewhere.read_bytes() if elsewhere.exists() else b""
    site.take()
    assert len(site.reasons()) == 1
    assert reason in site.reasons()[0]
    assert "1 file was refused" in alarms(site)
    assert (elsewhere.read_bytes() if elsewhere.exists() else b"") == content
    check_unharmed(site, [])


def test_a_folder_is_passed_over_and_harms_nothing(site: SpoolSite) -> None:
    (site.path / COMMANDS / site.command(create("folder"))[0]).mkdir()
    site.take()
    site.put(create("after"))
    site.take()
    assert site.titles() == ["after"]
    assert len(site.waiting()) == 1


def test_of_what_goes_aside_only_so_much_is_kept(site: SpoolSite) -> None:
    for number in range(SPOOL_REFUSED_FILES + 5):
        (site.path / COMMANDS / f"{number:03}").touch()
    while site.take():
        pass
    assert len(list((site.path / REFUSED).iterdir())) <= 2 * SPOOL_REFUSED_FILES
    check_unharmed(site, [])


def test_too_many_files_are_told_and_what_is_proper_among_them_is_applied(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mootd.edges.spool_folder.SPOOL_FILES", 20)
    for number in range(21):
        (site.path / COMMANDS / f"{number:04}").touch()
    site.put(create("one"))
    assert "more than 20 files" in alarms(site)
    while site.take():
        pass
    assert site.titles() == ["one"]


@pytest.mark.parametrize("part", ["", COMMANDS, ANSWERS, REFUSED])
def test_a_spool_replaced_by_a_link_is_left_alone(site: SpoolSite, tmp_path: Path, part: str) -> None:
    site.put(create("one"))
    elsewhere = tmp_path / "elsewhere"
    (site.path / part).rename(elsewhere)
    (site.path / part).symlink_to(elsewhere)
    with pytest.raises(RefusedError, match="symbolic link"):
        site.take()
    assert "symbolic link" in alarms(site)
    assert not site.titles()


def test_a_spool_that_others_may_write_to_is_left_alone(site: SpoolSite) -> None:
    site.put(create("one"))
    (site.path / COMMANDS).chmod(0o770)
    with pytest.raises(RefusedError, match="open to others"):
        site.take()
    assert not site.titles()


# -- Rules ---------------------------------------------------------------------------------------------------------
def test_each_command_is_judged_once_before_it_is_carried_out(site: SpoolSite) -> None:
    request = create("one")
    name = site.put(request)
    data = (site.path / COMMANDS / name).read_bytes()
    site.take()
    assert [type(each) for each in site.judged] == [Create]
    (site.path / COMMANDS / name).write_bytes(data)
    site.restart()
    site.take()
    assert len(site.judged) == 1, "it was carried out before"
    assert site.titles() == ["one"]


def test_a_command_that_the_rules_deny_is_answered_and_put_aside(site: SpoolSite) -> None:
    site.denies = RefusedError("ada may not", code=Code.DENIED)
    site.put(create("one"), awaited=True)
    site.take()
    (answer,) = (site.path / ANSWERS).iterdir()
    error = open_answer(site.files.token.secret, answer.read_bytes()).error
    assert error is not None
    assert error.code is Code.DENIED
    assert (site.titles(), site.waiting()) == ([], [])


def test_a_command_stays_while_it_cannot_be_judged(site: SpoolSite) -> None:
    site.denies = RefusedError("the store is full", code=Code.STORE_FULL, retryable=True)
    site.put(create("one"))
    with pytest.raises(RefusedError):
        site.take()
    site.denies = None
    site.take()
    assert site.titles() == ["one"]


# -- What may not come through -----------------------------------------------------------------------------------
def _in_other_project(site: SpoolSite) -> None:
    site.api.call(InitProject(actor="ada", prefix="other"))
    site.api.call(Create(actor="ada", project="other", id="other-abcdef", fields=IssueFields(title="theirs")))


FOREIGN: dict[str, Mutation[Any]] = {
    "a new issue there": Create(actor="ada", project="other", fields=IssueFields(title="x")),
    "an id of theirs": create("x", id="other-two"),
    "an issue of theirs": Close(actor="ada", id="other-abcdef"),
    "the start of its id": Close(actor="ada", id="other-abcd"),
    "an edge to theirs": create("x", edges=(Edge("other-abcdef"),)),
    "a parent of theirs": create("x", parent="other-abcdef"),
    "an edge from theirs": AddEdge(actor="ada", id="other-abcdef", edge=Edge("demo-one")),
    "a memory of theirs": Remember(actor="ada", project="other", key="k", text="x"),
    "a claim of theirs": Unclaim(actor="ada", id="other-abcdef"),
    "whatever is claimed": Heartbeat(actor="ada"),
    "what is ready there": ClaimReady(actor="ada", filter=Filter(projects=("other",))),
    "a gate there": CreateGate(actor="ada", project="other", await_type="human"),
    "a gate before theirs": CreateGate(actor="ada", project="demo", await_type="human", blocks=("other-abcdef",)),
    "a gate for theirs": CreateGate(actor="ada", project="demo", await_type="issue", await_id="other-abcdef"),
    "a step of a script": Script(actor="ada", steps=({"method": "close", "params": {"id": "other-abcdef"}},)),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_belongs_to_another_project_is_not_touched(site: SpoolSite, kind: str) -> None:
    _in_other_project(site)
    site.api.call(create("ours", id="demo-one"))
    request = FOREIGN[kind]
    site.put(request, awaited=True)
    before = site.titles()
    site.take()
    (answer,) = (site.path / ANSWERS).iterdir()
    error = open_answer(site.files.token.secret, answer.read_bytes()).error
    assert error is not None
    assert error.code is Code.DENIED
    assert site.titles() == before
    assert site.api.call(Show(ids=("other-abcdef",)))[0]["status"] == "open"
    assert not site.api.call(Memories(project="other"))


def test_a_name_of_who_acts_that_is_no_line_is_refused(site: SpoolSite) -> None:
    site.put(replace(create("One"), actor="a\nb"))
    site.take()
    assert (site.titles(), site.waiting()) == ([], [])
    assert "control characters" in "".join(site.reasons())
