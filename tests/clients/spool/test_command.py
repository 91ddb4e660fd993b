"""A whole command without a socket: what the user is told of it, and when the spool is chosen at all."""

import json
import os
import time
from pathlib import Path

import pytest

from moot import thin
from moot.conversation import Conversation, Failure, Sandboxed, try_connect
from moot.facts import has_spool
from moot.spool.command import spool_command
from moot_protocol.requests.issues import Close, Show
from moot_protocol.spool.files import COMMANDS, command_name, name_parts
from moot_testkit.towns.spooling import SpoolSite, create
from moot_testkit.towns.town import START_MS

REFUSED = Sandboxed("unreachable", "this sandbox forbids Unix sockets", "run moot outside")
ONE = "demo-one1"
CODEX = "CODEX_SANDBOX_NETWORK_DISABLED"
"""Set by a sandbox that forbids every connection."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpoolSite:
    site = SpoolSite(tmp_path)
    site.api.clock.advance(time.time_ns() // 1_000_000 - START_MS)
    site.api.call(create("One", id=ONE))
    site.write_snapshot()
    monkeypatch.chdir(tmp_path)
    for name in ("BD_ACTOR", "BEADS_ACTOR", "MOOT_SPOOL_WAIT", "BD_JSON_ENVELOPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOOT_ACTOR", "ada")
    monkeypatch.setattr("moot.spool.files.SETTLING_S", 0.05)
    return site


# -- What is told ------------------------------------------------------------------------------------------------
def test_a_queued_write_is_told_as_queued_and_not_as_done(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    assert spool_command("moot", ["close", ONE, "--reason", "done"], REFUSED) == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"Queued for the daemon: close {ONE} (command ")
    assert "Closed" not in out
    assert not err
    site.take()
    assert site.api.call(Show(ids=(ONE,)))[0]["status"] == "closed"


def test_what_is_queued_is_told_by_the_name_of_the_command(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["claim", ONE, "--ttl", "30m"], ["priority", ONE, "1"], ["gate", "create", "--blocks", ONE]):
        assert spool_command("moot", words, REFUSED) == 0
    told = capfd.readouterr().out.splitlines()
    expected = [f"claim {ONE} (", f"priority {ONE} (", "gate create ("]
    assert all(line.startswith(f"Queued for the daemon: {each}") for line, each in zip(told, expected, strict=True))


@pytest.mark.parametrize(("words", "is_queued"), [(["close", ONE], True), (["list"], False)])
def test_where_the_words_about_what_was_queued_can_t_be_written_it_is_told_to_be_queued_all_the_same(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch, words: list[str], is_queued: bool
) -> None:
    def full(descriptor: int, text: str) -> None:
        if descriptor == 1 and text:
            raise Failure("output", "no space left")

    monkeypatch.setattr("moot.spool.terminal._write", full)
    with pytest.raises(Failure) as caught:
        spool_command("moot", words, REFUSED)
    assert caught.value.hint.startswith("what was asked for is queued") == is_queued
    assert len(site.waiting()) == is_queued


def test_a_document_is_marked_as_queued(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    assert spool_command("moot", ["create", "Two", "--json"], REFUSED) == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert len(document["queued"]) == 1
    assert document["id"].startswith("demo-")
    assert "Queued for the daemon: create" in err
    assert spool_command("bd", ["update", ONE, "--claim", "--json"], REFUSED) == 0
    assert all(issue["queued"] for issue in json.loads(capfd.readouterr().out))


def test_where_nobody_takes_commands_that_is_told(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    spool_command("moot", ["q", "Two"], REFUSED)
    spool_command("moot", ["q", "Three"], REFUSED)
    assert "nobody takes" not in capfd.readouterr().err
    older, _ = sorted((site.path / COMMANDS).iterdir())
    ms, command = name_parts(older.name) or (0, b"")
    older.rename(older.with_name(command_name(ms - 600_000, command)))
    for arguments in (["q", "Four"], ["create", "Five", "--json"]):
        spool_command("moot", arguments, REFUSED)
        err = capfd.readouterr().err
        assert "moot: nobody takes commands: the oldest has waited for 10min\n  start the daemon outside" in err
    spool_command("moot", ["q", "Six", "--quiet"], REFUSED)
    assert "nobody takes" not in capfd.readouterr().err
    spool_command("moot", ["list"], REFUSED)
    assert "; 5 queued commands not in it yet, the oldest for 10min" in capfd.readouterr().err


def test_an_id_alone_is_told_since_it_is_settled(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    assert spool_command("moot", ["q", "Two"], REFUSED) == 0
    made = capfd.readouterr().out.strip()
    site.take()
    assert site.api.call(Show(ids=(made,)))[0]["title"] == "Two"


def test_a_read_is_told_with_its_age_and_what_it_cannot_show(
    site: SpoolSite, capfd: pytest.CaptureFixture[str]
) -> None:
    assert spool_command("moot", ["list"], REFUSED) == 0
    out, err = capfd.readouterr()
    assert "One" in out
    assert err == "moot: read from the snapshot, 0 s old\n"
    spool_command("moot", ["q", "Two"], REFUSED)
    capfd.readouterr()
    spool_command("moot", ["list", "--json"], REFUSED)
    out, err = capfd.readouterr()
    assert [issue["title"] for issue in json.loads(out)] == ["One"]
    assert "1 queued command not in it yet" in err


@pytest.mark.parametrize("command", [["list"], ["ready"], ["search", "One"], ["ready", "--json"]])
def test_a_list_that_is_short_of_what_the_snapshot_has_no_room_for_says_so(
    site: SpoolSite, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    site.api.call(create("Two"))
    monkeypatch.setattr("mootd.spool.snapshots.SNAPSHOT_ISSUES", 1)
    site.write_snapshot()
    assert spool_command("moot", command, REFUSED) == 0
    told = "moot: read from the snapshot, 0 s old, which has no room for 1 issue that is not closed\n"
    assert capfd.readouterr().err == told


@pytest.mark.parametrize(("content", "exit_code"), [(None, 75), (b"", 1), (b"cut", 1)], ids=["missing", "empty", "cut"])
def test_a_snapshot_that_cannot_be_read_is_told_once_and_has_no_age(
    site: SpoolSite, capfd: pytest.CaptureFixture[str], content: bytes | None, exit_code: int
) -> None:
    snapshot = site.path / "snapshot"
    snapshot.unlink()
    if content is not None:
        snapshot.write_bytes(content)
    for command in ("ready", "heartbeat"):
        code = spool_command("moot", [command], REFUSED)
        out, err = capfd.readouterr()
        assert (code, out) == (exit_code, "")
        assert err.startswith("Error: ")
        assert "read from the snapshot" not in err


def test_a_snapshot_older_than_the_last_command_is_told_to_be_so(
    site: SpoolSite, capfd: pytest.CaptureFixture[str]
) -> None:
    spool_command("moot", ["q", "Two"], REFUSED)
    site.take()
    os.utime(site.path / "snapshot", (0, 0))
    capfd.readouterr()
    spool_command("moot", ["list"], REFUSED)
    out, err = capfd.readouterr()
    assert "Two" not in out
    assert " s old, older than the last command: what that changed may be missing\n" in err
    site.api.clock.advance(time.time_ns() // 1_000_000 - site.api.clock.now_ms() + 1)
    site.write_snapshot()
    spool_command("moot", ["list"], REFUSED)
    out, err = capfd.readouterr()
    assert "Two" in out
    assert err.endswith(" s old\n")


def test_what_fails_is_told_as_elsewhere(site: SpoolSite, capfd: pytest.CaptureFixture[str]) -> None:
    assert spool_command("moot", ["close", "demo-zzzz", "--json"], REFUSED) == 3
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "not_found"
    assert spool_command("moot", ["status"], REFUSED) == 69
    assert "the snapshot can't answer this" in capfd.readouterr().err
    assert not site.waiting()


@pytest.mark.parametrize("argv", ["kv set a b", "forget key --erase", "init --spool", "where", "diff", "graph --all"])
def test_what_does_not_go_this_way_is_refused_by_no_name_that_nobody_typed(
    site: SpoolSite, capfd: pytest.CaptureFixture[str], argv: str
) -> None:
    assert spool_command("moot", argv.split(), REFUSED) in (4, 69)
    told = capfd.readouterr().err.splitlines()[0]
    assert told.startswith(("Error: this can't go through the spool", "Error: the snapshot can't answer this"))


def test_what_the_daemon_refused_is_told_with_the_next_command(
    site: SpoolSite, capfd: pytest.CaptureFixture[str]
) -> None:
    site.put(Close(actor="ada", id="demo-gone"))
    site.take()
    spool_command("moot", ["list"], REFUSED)
    assert "the daemon refused what was queued: close demo-gone: no issue demo-gone" in capfd.readouterr().err
    spool_command("moot", ["list"], REFUSED)
    assert "refused" not in capfd.readouterr().err
    site.put(Close(actor="bob", id="demo-gone"))
    site.take()
    spool_command("moot", ["list", "--actor", "bob"], REFUSED)
    assert "refused" in capfd.readouterr().err


def test_a_defect_is_told_and_nothing_more_is_done(
    site: SpoolSite, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moot.spool.api.SNAPSHOT_READS", {})
    monkeypatch.setattr("moot.spool.api.cannot", ZeroDivisionError)
    assert spool_command("moot", ["list"], REFUSED) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["soon", "-1", "1.5"])
def test_seconds_to_wait_are_whole(site: SpoolSite, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MOOT_SPOOL_WAIT", text)
    with pytest.raises(Failure, match="--wait and MOOT_SPOOL_WAIT take whole seconds") as caught:
        spool_command("moot", ["list"], REFUSED)
    assert caught.value.code == "usage"


# -- Where there is no spool -------------------------------------------------------------------------------------
def test_without_a_spool_the_user_is_told_how_to_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: SpoolSite
) -> None:
    (site.path / "token").unlink()
    for folder in (tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        assert not has_spool()
        with pytest.raises(Failure, match="forbids Unix sockets") as caught:
            spool_command("moot", ["list"], REFUSED)
        assert caught.value is REFUSED
        with pytest.raises(Failure, match="MOOT_SPOOL is set"):
            spool_command("moot", ["list"])


def test_a_spool_in_disorder_is_told(site: SpoolSite) -> None:
    site.path.chmod(0o755)
    with pytest.raises(Failure, match="open to others"):
        spool_command("moot", ["list"], REFUSED)


# -- When it is chosen -------------------------------------------------------------------------------------------
class Channel:
    """A connection that may not be sent to."""

    def sendall(self, data: bytes) -> None:
        raise PermissionError(1, "Operation not permitted")


def test_a_refused_send_counts_as_a_sandbox_until_the_daemon_has_answered() -> None:
    conversation = Conversation(Channel())  # type: ignore[arg-type]
    with pytest.raises(Sandboxed, match="cannot send"):
        conversation.command("moot", ["list"])
    conversation.pid = 7
    with pytest.raises(Failure, match="cannot send") as caught:
        conversation.command("moot", ["list"])
    assert not isinstance(caught.value, Sandboxed)


def test_a_refused_socket_counts_as_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("moot.conversation.socket", forbidden)
    monkeypatch.delenv(CODEX, raising=False)
    with pytest.raises(Sandboxed, match="forbids Unix sockets") as caught:
        try_connect("/nowhere")
    assert caught.value.hint.startswith("run `moot init --spool`")
    monkeypatch.setenv(CODEX, "1")
    with pytest.raises(Sandboxed) as caught:
        try_connect("/nowhere")
    assert caught.value.hint.startswith("this sandbox has its network disabled; ")


def test_moot_spool_chooses_it_without_asking_the_daemon(
    site: SpoolSite, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOT_SPOOL", "1")
    assert has_spool()
    assert thin.run(["moot", "list"]) == 0
    assert "read from the snapshot" in capfd.readouterr().err
    assert thin.run(["moot", "doctor"]) == 1
    assert "the daemon can be asked: MOOT_SPOOL is set, so the socket isn't tried" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "kept", "seconds"),
    [
        (["close", ONE, "--wait"], ["close", ONE], "10"),
        (["close", "--wait=30", ONE], ["close", ONE], "30"),
        (["close", ONE, "--wait", "5", "--json"], ["close", ONE, "--json"], "5"),
        (["create", "--wait", "2024"], ["create", "2024"], "10"),
        (["sync", "--wait"], ["sync", "--wait"], None),
        (["create", "--", "--wait"], ["create", "--", "--wait"], None),
    ],
)
def test_how_long_to_wait_is_noted_and_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], kept: list[str], seconds: str | None
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("MOOT_SPOOL_WAIT", None)
    assert thin._enter_folder(arguments)[0] == kept
    assert os.environ.get("MOOT_SPOOL_WAIT") == seconds
