"""The client's effects: files read and written with its own rights and from its folder, input, and the editor."""

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moot import effects
from moot.console.terminal import Facts
from moot.effects import MOST_NAMES, Files
from moot_protocol import limits
from moot_protocol.control.effects import ONLY_ORDINARY
from moot_protocol.errors import MootError
from moot_testkit.clients.control import PATIENCE, Daemon, until
from moot_testkit.clients.thin import Shell, run_at_terminal
from mootd.control.hosting import HostedTerminal

Terminal = HostedTerminal[Facts]


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def act(daemon: Daemon, shell: Shell, do: Any, **options: Any) -> Any:
    """What something that a command does with its terminal comes to: a value, or the error's words."""
    came_to: list[Any] = []

    def command(terminal: Terminal) -> int:
        try:
            came_to.append(do(terminal))
        except MootError as error:
            came_to.append(error.message)
        return 0

    daemon.commands.command = command
    done = shell.run("act", **options)
    assert (done.returncode, done.stderr) == (0, b"")
    return came_to[0]


def test_standard_input_reaches_the_command_whole(daemon: Daemon, shell: Shell) -> None:
    data = os.urandom(1_000_000)
    assert act(daemon, shell, lambda terminal: b"".join(terminal.stdin()), stdin=data) == data


def test_a_file_is_read_from_the_clients_folder_whole(daemon: Daemon, shell: Shell) -> None:
    data = os.urandom(1_000_000)
    (shell.work / "f").write_bytes(data)
    assert act(daemon, shell, lambda terminal: b"".join(terminal.read_file("f"))) == data


def test_a_pipe_is_read_as_a_file_is(daemon: Daemon, shell: Shell) -> None:
    data = b"x" * 500_000
    assert act(daemon, shell, lambda terminal: b"".join(terminal.read_file("/dev/stdin")), stdin=data) == data


def test_a_named_pipe_is_waited_for_until_somebody_writes_to_it(daemon: Daemon, shell: Shell) -> None:
    pipe = shell.work / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(0.3, lambda: pipe.write_bytes(b"late"))
    writer.start()
    assert act(daemon, shell, lambda terminal: b"".join(terminal.read_file("pipe"))) == b"late"
    writer.join(PATIENCE)


def test_a_device_in_the_place_of_an_ordinary_file_is_refused_and_its_side_by_the_same_bit(
    daemon: Daemon, shell: Shell
) -> None:
    (shell.work / "f").symlink_to("/dev/zero")
    words = act(daemon, shell, lambda terminal: terminal.read_file("f", ordinary=True))
    assert (words, effects.ONLY_ORDINARY) == ("f: it is no ordinary file", ONLY_ORDINARY)


def test_two_files_may_be_read_side_by_side(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "a").write_bytes(b"a" * 600_000)
    (shell.work / "b").write_bytes(b"b" * 600_000)

    def both(terminal: Terminal) -> bytes:
        pairs = zip(terminal.read_file("a"), terminal.read_file("b"), strict=True)
        return b"".join(first + second for first, second in pairs)

    assert len(act(daemon, shell, both)) == 1_200_000


@pytest.mark.parametrize(("path", "reason"), [("nowhere", "nowhere: No such file"), (".", ".: it is a folder")])
def test_what_cannot_be_read_is_refused_with_the_reason(daemon: Daemon, shell: Shell, path: str, reason: str) -> None:
    assert reason in act(daemon, shell, lambda terminal: terminal.read_file(path))


def test_a_file_is_written_whole_with_its_permissions_and_missing_folders(daemon: Daemon, shell: Shell) -> None:
    chunks = [os.urandom(300_000) for _ in range(3)]
    act(daemon, shell, lambda terminal: terminal.write_file("new/folder/f", iter(chunks), mode=0o600))
    path = shell.work / "new" / "folder" / "f"
    assert path.read_bytes() == b"".join(chunks)
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == ["f"]


def test_a_file_that_is_written_with_the_permissions_it_has_keeps_them_whatever_the_umask(
    daemon: Daemon, shell: Shell
) -> None:
    path = shell.work / "f"
    path.write_text("old")
    for mode in (0o600, 0o777):
        path.chmod(mode)
        act(daemon, shell, lambda terminal: terminal.write_file("f", [b"new"], mode=terminal.file_mode("f")))
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", mode)
    assert "No such file" in str(act(daemon, shell, lambda terminal: terminal.file_mode("nowhere")))


def test_of_a_folder_with_too_many_names_none_is_told(daemon: Daemon, shell: Shell) -> None:
    folder = shell.work / "many"
    folder.mkdir()
    for number in range(MOST_NAMES + 1):
        (folder / str(number)).touch()
    assert f"more than {MOST_NAMES} names" in str(act(daemon, shell, lambda terminal: terminal.names_in("many")))
    (folder / "0").unlink()
    assert len(act(daemon, shell, lambda terminal: terminal.names_in("many"))) == MOST_NAMES


def test_a_file_is_removed_at_the_end_of_links_and_nothing_but_a_file(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "f").write_text("x")
    (shell.work / "link").symlink_to("f")
    (shell.work / "folder").mkdir()

    def remove(path: str) -> object:
        return act(daemon, shell, lambda terminal: terminal.remove_file(path))

    assert remove("link") is None
    assert not (shell.work / "f").exists()
    assert "No such file" in str(remove("f"))
    assert "it is no file" in str(remove("folder"))


@pytest.mark.parametrize(("mode", "closed"), [(0o600, 0o700), (0o644, 0o755)])
def test_every_folder_made_above_a_file_is_as_closed_as_the_file_whatever_the_umask(
    tmp_path: Path, mode: int, closed: int
) -> None:
    before = os.umask(0)
    try:
        told = Files().carry_out("write", [1, str(tmp_path / "a" / "b" / "c" / "f"), mode, 0])
    finally:
        os.umask(before)
    assert told == ["done"]
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")] == [closed] * 3


def test_a_file_below_what_is_no_folder_is_refused_in_words(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "page").write_text("x")

    def write(terminal: Terminal) -> None:
        terminal.write_file("page/moot.1", [b"x"])

    told = act(daemon, shell, write)
    assert ("no folder" in told, "exists" in told) == (True, False)


def test_a_file_that_somebody_names_makes_no_folders(daemon: Daemon, shell: Shell) -> None:
    def write(terminal: Terminal) -> None:
        terminal.write_file("mistyped/f", [b"x"], parents=False)

    assert "mistyped: there is no such folder" in act(daemon, shell, write)
    assert names(shell.work) == []
    (shell.work / "mistyped").mkdir()
    assert act(daemon, shell, write) is None
    assert names(shell.work / "mistyped") == ["f"]


def test_a_file_replaces_another_and_a_link_stays_a_link(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "target").write_text("old and longer")
    (shell.work / "link").symlink_to("target")
    act(daemon, shell, lambda terminal: terminal.write_file("link", [b"new"]))
    assert (shell.work / "target").read_text() == "new"
    assert (shell.work / "link").is_symlink()


def test_an_exclusive_file_never_replaces_another(daemon: Daemon, shell: Shell) -> None:
    def write(terminal: Terminal) -> None:
        terminal.write_file("f", [b"x"], exclusive=True)

    assert act(daemon, shell, write) is None
    (shell.work / "f").write_text("precious")
    assert "it exists already" in act(daemon, shell, write)
    assert (shell.work / "f").read_text() == "precious"


def test_an_exclusive_file_refuses_where_someone_was_faster(daemon: Daemon, shell: Shell) -> None:
    def content() -> Iterator[bytes]:
        (shell.work / "f").write_text("precious")
        yield b"x"

    assert "File exists" in act(daemon, shell, lambda t: t.write_file("f", content(), exclusive=True))
    assert (shell.work / "f").read_text() == "precious"
    assert names(shell.work) == ["f"]


def test_a_device_is_written_to_and_not_replaced(daemon: Daemon, shell: Shell) -> None:
    pipe = shell.work / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert act(daemon, shell, lambda terminal: terminal.write_file("pipe", [b"x" * 300_000])) is None
    reader.join(PATIENCE)
    assert read == [b"x" * 300_000]
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_a_pipe_without_a_name_of_its_own_is_written_to_as_well(daemon: Daemon, shell: Shell, name: str) -> None:
    (shell.work / "link").symlink_to("/proc/self/fd/1")

    def command(terminal: Terminal) -> int:
        terminal.write_file(name, [b"x" * 300_000])
        return 0

    daemon.commands.command = command
    done = shell.run("act")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"x" * 300_000


def test_an_exclusive_file_is_no_pipe_that_is_there(daemon: Daemon, shell: Shell) -> None:
    def write(terminal: Terminal) -> None:
        terminal.write_file("/dev/stdout", [b"x"], exclusive=True)

    assert "it exists already" in act(daemon, shell, write)


def test_a_file_whose_content_fails_to_come_leaves_the_old_one_and_nothing_else(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "f").write_text("old")

    def content() -> Iterator[bytes]:
        yield bytes(limits.RPC_CHUNK_BYTES)
        raise MootError("it broke")

    assert act(daemon, shell, lambda terminal: terminal.write_file("f", content())) == "it broke"
    assert (shell.work / "f").read_text() == "old"
    assert names(shell.work) == ["f"]


def test_a_full_disk_is_refused_with_the_reason(daemon: Daemon, shell: Shell) -> None:
    refused = act(daemon, shell, lambda terminal: terminal.write_file("/dev/full", [b"x"]))
    assert refused == "/dev/full: No space left on device"


def test_folders_made_for_a_private_file_are_private(daemon: Daemon, shell: Shell) -> None:
    act(daemon, shell, lambda terminal: terminal.write_file("own/words", [b"x"], mode=0o600))
    act(daemon, shell, lambda terminal: terminal.write_file("all/words", [b"x"]))
    assert [(shell.work / name).stat().st_mode & 0o077 != 0 for name in ("own", "all")] == [False, True]


def test_text_is_edited_in_the_users_editor(daemon: Daemon, shell: Shell) -> None:
    editor = shell.work / "editor"
    editor.write_text('#!/bin/sh\necho "$1" >> "$2"\necho edited\n')
    editor.chmod(0o755)
    came_to: list[str] = []

    def command(terminal: Terminal) -> int:
        came_to.append(terminal.edit("old\n"))
        return 0

    daemon.commands.command = command
    code, shown = run_at_terminal(shell, "edit", EDITOR=f"{editor} 'two words'", TMPDIR=str(shell.work))
    assert (code, came_to, shown) == (0, ["old\ntwo words\n"], b"edited\r\n")
    assert names(shell.work) == ["editor"]


def test_a_failing_editor_changes_nothing(daemon: Daemon, shell: Shell) -> None:
    daemon.commands.command = lambda terminal: len(terminal.edit("old\n"))
    code, shown = run_at_terminal(shell, "edit", VISUAL="false", EDITOR="true", TMPDIR=str(shell.work))
    assert code == 1
    assert b"the editor ended with code 1" in shown
    assert names(shell.work) == []


def test_without_a_terminal_there_is_no_editor(daemon: Daemon, shell: Shell) -> None:
    assert "no terminal" in act(daemon, shell, lambda terminal: terminal.edit("x"), EDITOR="true")


def test_an_interrupt_ends_with_130_cancels_the_command_and_leaves_no_half_file(daemon: Daemon, shell: Shell) -> None:
    def content(terminal: Terminal) -> Iterator[bytes]:
        yield bytes(limits.RPC_CHUNK_BYTES)
        terminal.err("begun\n")
        while True:
            terminal.check_alive()

    def command(terminal: Terminal) -> int:
        terminal.write_file("f", content(terminal))
        return 0

    daemon.commands.command = command
    with shell.start("export", stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert process.stderr.readline() == b"begun\n"
        assert names(shell.work) != []
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == b""
    assert names(shell.work) == []
    until(lambda: not daemon.server.hosted)
