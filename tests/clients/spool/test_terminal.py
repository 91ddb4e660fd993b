"""The client's own terminal: files with its own rights, and what is held back once something was queued."""

import os
from pathlib import Path

import pytest

from moot.conversation import Failure
from moot.spool.terminal import LocalTerminal, own_facts
from moot_protocol.errors import RefusedError
from moot_testkit.clients.terminal import FACTS


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalTerminal:
    monkeypatch.chdir(tmp_path)
    return LocalTerminal(FACTS)


def test_output_goes_where_it_belongs_until_it_is_held_back(
    terminal: LocalTerminal, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal.out("one ")
    terminal.err("told")
    terminal.hold()
    terminal.out("two ")
    terminal.release()
    terminal.out("three")
    assert capfd.readouterr() == ("one three", "told")
    assert terminal.held == ["two "]
    assert terminal.facts is FACTS


def test_a_file_is_written_whole_and_read_back(terminal: LocalTerminal, tmp_path: Path) -> None:
    terminal.write_file("made", [b"one", b"two"], mode=0o600)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    assert b"".join(terminal.read_file("made")) == b"onetwo"
    assert next(terminal.read_file("made"))  # what isn't read to its end is closed
    with pytest.raises(RefusedError, match="exists already"):
        terminal.write_file("made", [b"x"], exclusive=True)
    with pytest.raises(RefusedError, match="No such file"):
        terminal.read_file("nowhere")


def test_a_files_permissions_are_told(terminal: LocalTerminal, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0o640)
    assert terminal.file_mode("f") == 0o640
    with pytest.raises(RefusedError, match="No such file"):
        terminal.file_mode("nowhere")


def test_a_file_is_removed(terminal: LocalTerminal, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    terminal.remove_file("f")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RefusedError, match="No such file"):
        terminal.remove_file("f")


def test_a_defect_is_told_by_its_name(terminal: LocalTerminal, capfd: pytest.CaptureFixture[str]) -> None:
    assert terminal.tell_defect(ValueError("no \x1b")) == ""
    assert capfd.readouterr().err == "ValueError: no ^[\n"


def test_a_file_that_is_not_finished_is_not_there(terminal: LocalTerminal, tmp_path: Path) -> None:
    def broken() -> "list[bytes]":
        raise RefusedError("no more")

    with pytest.raises(RefusedError, match="no more"):
        terminal.write_file("made", (chunk for chunk in [b"one", *broken()]))
    terminal.close()
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_editor_and_no_log_where_there_is_none(terminal: LocalTerminal) -> None:
    with pytest.raises(RefusedError, match="no terminal"):
        terminal.edit("text")
    with pytest.raises(RefusedError):
        terminal.git_log(1)
    terminal.check_alive()


def test_output_that_is_not_taken_ends_the_command_as_one_that_the_daemon_runs(
    terminal: LocalTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Failure("pipe", "")

    def refuse(descriptor: int, data: bytes) -> None:
        raise gone

    monkeypatch.setattr("moot.spool.terminal.write_all", refuse)
    with pytest.raises(Failure) as caught:
        terminal.out("x")
    assert caught.value is gone
    with pytest.raises(Failure) as caught:
        terminal.tell_defect(gone)
    assert caught.value is gone


def test_arguments_that_are_no_text_are_refused() -> None:
    with pytest.raises(Failure, match="not valid UTF-8") as caught:
        own_facts("moot", ["help", os.fsdecode(b"\xff")])
    assert caught.value.code == "usage"
