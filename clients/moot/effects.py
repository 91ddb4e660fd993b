"""The effects that few commands have: reading, writing and removing files, the user's editor, and git's log.

Files are opened here, with this process's rights and from its folder, because the daemon may not be let where the user
is. A file is written beside its place under another name, synced and put there in one step: whoever looks finds the old
one or the whole new one.
"""

import os
import signal
import stat

CHUNK = 256 * 1024
"""Bytes read at once, and so of one reply."""
MOST_NAMES = 10_000
"""Names in a folder that are told."""
STDIN = 0
ONLY_ORDINARY = 1 << 30
"""As `moot_protocol.control.effects` has it, which would be more to load."""
CODES = {1: "denied", 2: "not_found", 13: "denied", 17: "exists", 25: "denied"}
"""Number of the system's error → the protocol's code for it; other failures have none."""

Reply = list[object]


class Files:
    """The open files of one command, by the daemon's numbers for them."""

    def __init__(self) -> None:
        self._read: dict[int, int] = {STDIN: 0}
        self._written: dict[int, _NewFile] = {}

    def carry_out(self, effect: str, details: list[object]) -> Reply | None:
        """Do what the daemon asks, and return the reply without its number; None where none is expected.

        Raises:
            ValueError: there is no such effect.
        """
        match [effect, *details]:
            case ["drop", int(handle)]:
                self._drop(handle)
                return None
            case _:
                return self._replied(effect, details)

    def _replied(self, effect: str, details: list[object]) -> Reply:
        try:
            match [effect, *details]:
                case ["read", int(handle), str(path)]:
                    self._read[handle] = _open_to_read(path, is_ordinary=bool(handle & ONLY_ORDINARY))
                    return self._more(handle)
                case ["more", int(handle)]:
                    return self._more(handle)
                case ["write", int(handle), str(path), int(mode), int(flags)]:
                    self._written[handle] = _NewFile(path, mode, exclusive=bool(flags & 1), parents=not flags & 2)
                case ["chunk", int(handle), bytes(data)]:
                    self._written[handle].write(data)
                case ["commit", int(handle)]:
                    self._written.pop(handle).commit()
                case ["remove", str(path)]:
                    _remove(path)
                case ["mode" | "names" | "edit" | "git-log" | "tool", *_]:
                    return ["data", _told(effect, details)]
                case _:
                    raise ValueError(effect)
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            words = f"{name}{error.strerror or error}".encode("utf-8", "replace")
            return ["fail", words, CODES.get(error.errno or 0, "")]
        return ["done"]

    def close(self) -> None:
        """Give up what was not finished: no half-written file stays behind."""
        for handle in list(self._written):
            self._drop(handle)

    def _more(self, handle: int) -> Reply:
        data = os.read(self._read[handle], CHUNK)
        if not data and handle != STDIN:
            os.close(self._read.pop(handle))
        return ["data", data]

    def _drop(self, handle: int) -> None:
        if handle in self._written:
            self._written.pop(handle).abandon()
        elif handle in self._read:
            os.close(self._read.pop(handle))


def _told(effect: str, details: list[object]) -> bytes:
    """A file's permissions, the names in a folder, what a program of the user's says; what asks it is loaded if needed.

    Raises:
        OSError: it can't tell.
        ValueError: there is no such effect.
    """
    match [effect, *details]:
        case ["mode", str(path)]:
            return b"%o" % stat.S_IMODE(os.stat(path).st_mode)
        case ["names", str(path)]:
            return "\0".join(_names_in(path)).encode("utf-8", "replace")
        case ["edit", str(text)]:
            return _edit(text)
        case ["git-log", int(most)]:
            from moot.git_log import git_log

            return git_log(most)
        case ["tool", str(question), str(word)]:
            from moot.tools import answer

            return answer(question, word)
        case _:
            raise ValueError(effect)


def _names_in(path: str) -> list[str]:
    names: list[str] = []
    with os.scandir(path) as found:
        for each in found:
            if len(names) == MOST_NAMES:
                raise OSError(7, f"it holds more than {MOST_NAMES} names", path)
            names.append(each.name)
    return names


def _open_to_read(path: str, *, is_ordinary: bool) -> int:
    """Open what somebody has named, whatever it is; what has to be an ordinary file is never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if is_ordinary else 0))
    mode = os.fstat(descriptor).st_mode  # of what was opened: the name may mean something else by now
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise IsADirectoryError(21, "it is a folder", path)
    if is_ordinary and not stat.S_ISREG(mode):
        os.close(descriptor)
        raise PermissionError(1, "it is no ordinary file", path)
    return descriptor


def _make_folder(path: str, mode: int) -> None:
    """Make a folder and those above it as far as they are missing; each as closed as the file of this mode in it.

    The umask alone would not do: one that closes nothing leaves what is above the folder open to all.

    Raises:
        OSError: as the system says; `NotADirectoryError`: a file is in the way.
    """
    missing: list[str] = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode | (mode & 0o444) >> 2)
        except FileExistsError as error:
            if not os.path.isdir(folder):  # else somebody else was faster
                raise NotADirectoryError(20, "it is no folder", folder) from error


def _remove(path: str) -> None:
    """Remove what a write would have replaced: a regular file, at the end of links."""
    found = os.path.realpath(path)
    if os.path.lexists(found) and not stat.S_ISREG(os.stat(found).st_mode):
        raise OSError(22, "it is no file", path)
    os.unlink(found)


def _place(path: str) -> str:
    """Where links lead in the end, for a file to be put there; what is no regular file may have no name but this."""
    return path if os.path.exists(path) and not os.path.isfile(path) else os.path.realpath(path)


class _NewFile:
    """A file being written. What is no regular file (a pipe, /dev/stdout) is written to as it stands."""

    def __init__(self, path: str, mode: int, *, exclusive: bool, parents: bool) -> None:
        self._path = _place(path)
        self._exclusive = exclusive
        self._temporary = ""
        is_kept = False
        if os.path.lexists(self._path):
            if exclusive:
                raise FileExistsError(17, "it exists already", path)
            before = os.stat(self._path).st_mode
            is_kept = mode == stat.S_IMODE(before)
            if not stat.S_ISREG(before):
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
                return
        folder, name = os.path.split(self._path)
        if parents:
            _make_folder(folder, mode)
        elif not os.path.isdir(folder):
            raise FileNotFoundError(2, "there is no such folder", folder)
        self._temporary = os.path.join(folder, f".{name[:200]}.{os.urandom(6).hex()}")
        self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if is_kept:  # the umask is for what is new
            os.fchmod(self._descriptor, mode)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error

    def commit(self) -> None:
        try:
            self._finish()
        except OSError as error:
            self.abandon()
            raise OSError(error.errno, error.strerror, self._path) from error

    def _finish(self) -> None:
        if self._temporary:
            os.fsync(self._descriptor)
            if self._exclusive:
                os.link(self._temporary, self._path)  # unlike a rename, it refuses where someone was faster
                os.unlink(self._temporary)
            else:
                os.replace(self._temporary, self._path)
            self._temporary = ""
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_CLOEXEC)
            os.fsync(folder)
            os.close(folder)
        os.close(self._descriptor)
        self._descriptor = -1

    def abandon(self) -> None:
        if self._temporary:
            os.unlink(self._temporary)
            self._temporary = ""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _edit(text: str) -> bytes:
    """Let the user edit a text; returns it as their editor leaves it.

    Raises:
        OSError: there is no terminal, or the editor failed.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise OSError(25, "there is no terminal to edit in")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - a name of 96 random bits that must not exist
    path = os.path.join(folder, f"moot-{os.urandom(12).hex()}.md")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
        _run_editor(editor, path)
        with open(path, "rb") as file:
            return file.read()
    finally:
        os.unlink(path)


def _run_editor(editor: str, path: str) -> None:
    """Run the editor as a shell would, so that it may have arguments; Ctrl-C is the editor's meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = os.spawnvp(os.P_WAIT, "sh", ["sh", "-c", f'{editor} "$@"', editor, path])  # noqa: S606 - the user's own
    finally:
        signal.signal(signal.SIGINT, before)
    if code != 0:
        raise OSError(5, f"the editor ended with code {code}: nothing is changed", editor)
