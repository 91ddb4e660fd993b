"""One suite for terminals: a hosted one at the other end of a socket, this process's own, and the twin in memory."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moot.console.terminal import Terminal
from moot.conversation import Conversation, try_connect
from moot.spool.terminal import LocalTerminal
from moot_protocol.errors import Code, MootError, RefusedError
from moot_testkit.clients.control import serving
from moot_testkit.clients.terminal import FACTS, RecordingTerminal
from mootd.control.hosting import HostedTerminal

Do = Callable[[Terminal], Any]


class Subject(NamedTuple):
    act: Callable[[Do], Any]
    """Do something with the terminal, and give or raise what comes of it."""
    lay: Callable[[str, bytes], object]
    """Put a file where the client is, and its folder if need be."""
    close: Callable[[str], object]
    """Forbid to read a file."""
    lose: Callable[[str], object]
    """Let a folder not be there."""
    pipe: Callable[[str], object]
    """Put a pipe where the client is, to which nobody writes."""


@contextmanager
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """The daemon's terminal and the client's side of the control socket."""
    with serving() as daemon:

        def act(do: Do) -> Any:
            came_to: list[Any] = []
            failed: list[MootError] = []

            def command(terminal: HostedTerminal[Any]) -> int:
                try:
                    came_to.append(do(terminal))
                except MootError as error:
                    failed.append(error)
                return 0

            daemon.commands.command = command
            channel = try_connect(str(daemon.path))
            assert channel
            assert Conversation(channel).command("moot", []) == 0
            channel.close()
            for error in failed:
                raise error
            return came_to[0]

        yield Subject(act, *on_disk(monkeypatch))


@contextmanager
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """The terminal of a command that the client runs itself."""
    terminal = LocalTerminal(FACTS)
    yield Subject(lambda do: do(terminal), *on_disk(monkeypatch))
    terminal.close()


def on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Callable[[str, bytes], object], Callable[[str], object], Any, Any]:
    """How a test changes what is in the present folder."""

    def lay(path: str, content: bytes) -> None:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(content)

    def close(path: str) -> None:
        """By the system's own answer and not by permissions, which don't bind root."""
        opened = os.open

        def refusing(asked: Any, *arguments: Any, **options: Any) -> int:
            if asked == path:
                raise PermissionError(13, "Permission denied", path)
            return opened(asked, *arguments, **options)

        monkeypatch.setattr(os, "open", refusing)

    return lay, close, lambda _: None, os.mkfifo


@contextmanager
def recording(_: pytest.MonkeyPatch) -> Iterator[Subject]:
    """The twin that tests of commands use."""
    terminal = RecordingTerminal()
    yield Subject(
        lambda do: do(terminal),
        terminal.files.__setitem__,
        terminal.unreadable.add,
        terminal.missing_folders.add,
        terminal.pipes.add,
    )


@pytest.fixture(params=[hosted, local, recording])
def subject(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(os, "isatty", lambda _: False)
    for name in ("MOOT_TOKEN", "MOOT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    made: Callable[[pytest.MonkeyPatch], AbstractContextManager[Subject]] = request.param
    with made(monkeypatch) as ready:
        yield ready


def refusal(subject: Subject, do: Do) -> tuple[Code, str]:
    with pytest.raises(RefusedError) as refused:
        subject.act(do)
    return refused.value.code, refused.value.message


def content(subject: Subject, path: str) -> bytes:
    return b"".join(subject.act(lambda terminal: list(terminal.read_file(path))))


# -- Reading -----------------------------------------------------------------------------------------------------
def test_what_is_there_is_read(subject: Subject) -> None:
    subject.lay("f", b"old")
    assert content(subject, "f") == b"old"


def test_a_file_that_is_not_there_is_not_found_before_anything_is_read_of_it(subject: Subject) -> None:
    code, words = refusal(subject, lambda terminal: terminal.read_file("nowhere"))
    assert (code, words) == (Code.NOT_FOUND, "nowhere: No such file or directory")


def test_a_file_that_may_not_be_read_is_denied(subject: Subject) -> None:
    subject.lay("closed", b"secret")
    subject.close("closed")
    code, words = refusal(subject, lambda terminal: terminal.read_file("closed"))
    assert (code, words) == (Code.DENIED, "closed: Permission denied")


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_an_ordinary_file_is_denied_and_not_waited_for(subject: Subject) -> None:
    subject.pipe("pipe")
    code, words = refusal(subject, lambda terminal: terminal.read_file("pipe", ordinary=True))
    assert (code, words) == (Code.DENIED, "pipe: it is no ordinary file")


def test_an_ordinary_file_that_nobody_has_named_is_read_whole(subject: Subject) -> None:
    subject.lay("f", b"old" * 200_000)
    assert subject.act(lambda terminal: b"".join(terminal.read_file("f", ordinary=True))) == b"old" * 200_000


def test_a_folder_is_there_and_no_file_to_read(subject: Subject) -> None:
    subject.lay("folder/f", b"x")
    code, words = refusal(subject, lambda terminal: terminal.read_file("folder"))
    assert (code, words) == (Code.INVALID, "folder: it is a folder")


# -- Writing -----------------------------------------------------------------------------------------------------
def test_a_file_is_written_over_what_is_there(subject: Subject) -> None:
    subject.lay("f", b"old")
    subject.act(lambda terminal: terminal.write_file("f", [b"n", b"ew"]))
    assert content(subject, "f") == b"new"


def test_one_that_may_not_be_there_and_is_exists_and_stays(subject: Subject) -> None:
    subject.act(lambda terminal: terminal.write_file("f", [b"precious"], exclusive=True))
    code, words = refusal(subject, lambda terminal: terminal.write_file("f", [b"x"], exclusive=True))
    assert (code, words) == (Code.EXISTS, "f: it exists already")
    assert content(subject, "f") == b"precious"


def test_a_folder_that_has_to_be_there_and_is_not_is_not_found(subject: Subject) -> None:
    subject.lose("mistyped")
    code, words = refusal(subject, lambda terminal: terminal.write_file("mistyped/f", [b"x"], parents=False))
    assert (code, words.endswith("mistyped: there is no such folder")) == (Code.NOT_FOUND, True)
    assert refusal(subject, lambda terminal: terminal.read_file("mistyped/f"))[0] is Code.NOT_FOUND


def test_a_folder_that_need_not_be_there_is_made(subject: Subject) -> None:
    subject.lose("new")
    subject.act(lambda terminal: terminal.write_file("new/f", [b"x"]))
    assert content(subject, "new/f") == b"x"


# -- Looking and removing ----------------------------------------------------------------------------------------
def test_the_permissions_of_a_file_are_those_it_was_written_with(subject: Subject) -> None:
    subject.act(lambda terminal: terminal.write_file("f", [b"x"], mode=0o600))
    assert subject.act(lambda terminal: terminal.file_mode("f")) == 0o600


def test_a_folder_has_permissions_too(subject: Subject) -> None:
    subject.lay("folder/f", b"x")
    assert subject.act(lambda terminal: terminal.file_mode("folder")) & 0o700 == 0o700


def test_what_is_not_there_has_no_permissions(subject: Subject) -> None:
    code, words = refusal(subject, lambda terminal: terminal.file_mode("nowhere"))
    assert (code, words) == (Code.NOT_FOUND, "nowhere: No such file or directory")


def test_the_names_in_a_folder_are_those_of_files_and_folders_sorted(subject: Subject) -> None:
    for path in ("folder/b", "folder/a b", "folder/sub/c", "folder/é"):
        subject.lay(path, b"x")
    assert subject.act(lambda terminal: terminal.names_in("folder")) == ["a b", "b", "sub", "é"]


def test_what_is_no_folder_has_no_names(subject: Subject) -> None:
    subject.lay("f", b"x")
    code, words = refusal(subject, lambda terminal: terminal.names_in("nowhere"))
    assert (code, words) == (Code.NOT_FOUND, "nowhere: No such file or directory")
    code, words = refusal(subject, lambda terminal: terminal.names_in("f"))
    assert (code, words) == (Code.INVALID, "f: Not a directory")


def test_a_file_is_removed_and_then_not_found(subject: Subject) -> None:
    subject.lay("f", b"x")
    subject.act(lambda terminal: terminal.remove_file("f"))
    code, words = refusal(subject, lambda terminal: terminal.remove_file("f"))
    assert (code, words.endswith("f: No such file or directory")) == (Code.NOT_FOUND, True)


def test_a_folder_is_not_removed(subject: Subject) -> None:
    subject.lay("folder/f", b"x")
    code, words = refusal(subject, lambda terminal: terminal.remove_file("folder"))
    assert (code, words) == (Code.INVALID, "folder: it is no file")


# -- The user's programs -----------------------------------------------------------------------------------------
def test_where_there_is_no_terminal_editing_is_denied(subject: Subject) -> None:
    code, words = refusal(subject, lambda terminal: terminal.edit("text"))
    assert (code, words) == (Code.DENIED, "there is no terminal to edit in")


def test_where_there_is_no_repository_git_has_no_log(subject: Subject) -> None:
    code, words = refusal(subject, lambda terminal: terminal.git_log(1))
    assert (code, words.startswith("git can't tell its log")) == (Code.INVALID, True)


def test_a_program_that_is_not_installed_is_not_found(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path.cwd()))
    code, words = refusal(subject, lambda terminal: terminal.ask_tool("gh-pr", "7"))
    assert (code, words) == (Code.NOT_FOUND, "gh isn't installed, or not on the PATH")
