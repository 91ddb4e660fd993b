"""Running git: the only module that starts it.

Invariant: whatever happens, a call ends within its deadlines and leaves no process behind. Each git leads a process
group and a session of its own, so that no helper finds a terminal to ask at; on a deadline, on cancellation and on
close the whole group ends. The user's configuration, credentials and SSH agent stay in force; hooks, prompts,
unusual protocols, submodules and background upkeep are off, and no GIT_* variable of the surroundings leads git to
another repository.

A transfer has two deadlines: `quiet_s` without a sign of life, and `patience_s` in all, because large ones on slow
lines are no failure.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from mootd.edges.git.words import said
from mootd.edges.paths import private_folder

KEPT: Final = frozenset({
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH", "GIT_SSH", "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_NO_VERIFY",
    "GIT_PROXY_COMMAND", "GIT_PROXY_SSL_CAINFO", "GIT_HTTP_PROXY_AUTHMETHOD",
})  # fmt: skip
"""Variables of git's own that say how to reach remotes; the others name repositories, prompts and tracing."""
_SETTINGS: Final = (
    "core.hooksPath=/dev/null", "core.askPass=", "core.fsmonitor=false", "core.logAllRefUpdates=false",
    "core.compression=1", "credential.interactive=false", "color.ui=false", "fetch.fsckObjects=true",
    "fetch.parallel=1", "fetch.recurseSubmodules=false", "fetch.writeCommitGraph=false", "gc.auto=0",
    "init.defaultBranch=none", "maintenance.auto=false", "pack.window=0", "push.followTags=false",
    "push.gpgSign=false", "push.pushOption=", "push.recurseSubmodules=no", "submodule.recurse=false",
    "transfer.bundleURI=false", "transfer.fsckObjects=true",
)  # fmt: skip
"""Frames are sealed, so looking for likeness between them (pack.window) and squeezing them hard gains nothing."""
_STDERR_BYTES: Final = 64 * 1024
"""Bytes of what git says that are kept: its last words."""
_CHUNK: Final = 64 * 1024
_FATAL: Final = 128
"""A git that ends with this code leaves its helpers to themselves, and one may hang on a server for ever. Where it
ends well they stay: a cache of the user's credentials may be among them."""
_FULL: Final = ("No space left on device", "Out of diskspace", "Disk quota exceeded")
_GRACE_S: Final = 2.0
"""Seconds that a git which is told to stop may take to remove its lock files."""


class Deadlines(NamedTuple):
    """How long git may take, in seconds."""

    quiet_s: float = 60.0
    """Without a sign of life."""
    patience_s: float = 1800.0
    """In all."""


class Done(NamedTuple):
    """How a git ended."""

    code: int
    out: bytes
    err: bytes

    def lines(self) -> list[str]:
        """The lines of its output; bytes that are no UTF-8 are replaced."""
        return self.out.decode("utf-8", "replace").split("\n")[:-1]


class Git:
    """The user's git on one bare repository of Moot's, which no other process may use.

    Args:
        repository: an absolute path; made on first use, this user's alone.
        environment: the process's.
        deadlines: for one git.
        program: its name or path.
    """

    def __init__(
        self, repository: Path, environment: Mapping[str, str], deadlines: Deadlines, *, program: str = "git"
    ) -> None:
        self._repository = repository
        self._deadlines = deadlines
        self._environment = surroundings(environment, repository)
        self._command = (program, *(part for setting in self._settings() for part in ("-c", setting)))
        self._running: set[asyncio.subprocess.Process] = set()
        self._closings = 0
        self._is_ready = False

    async def run(
        self, *arguments: str, stdin: bytes = b"", room: int = 1 << 20, deadlines: Deadlines | None = None
    ) -> Done:
        """Run git on the repository.

        Args:
            arguments: the subcommand and what follows it.
            stdin: what it reads.
            room: bytes of output that it may write.
            deadlines: in place of the usual ones.

        Raises:
            RefusedError: `timeout`: it didn't end in time; `unreachable`: there is no git; `denied`: the repository's
                folder lies open to others.
            MalformedError: `too_large`: it wrote more.
        """
        if not self._is_ready:
            await self._prepare()
        done = await self._run(arguments, stdin, room, deadlines)
        if done.code and not self._is_ready:
            await self._prepare()
            done = await self._run(arguments, stdin, room, deadlines)
        return done

    async def local(self, *arguments: str, stdin: bytes = b"", room: int = 1 << 20) -> Done:
        """Run git where only this machine can make it fail.

        Raises:
            RefusedError: as `run` and `failure`.
        """
        done = await self.run(*arguments, stdin=stdin, room=room)
        if done.code:
            raise self.failure(arguments[0], done)
        return done

    def failure(self, subcommand: str, done: Done) -> RefusedError:
        """The refusal for a git that failed without a remote.

        It is `unreachable` where somebody killed it, `store_full` where the disk is full, else `store_damaged`.
        """
        words = said(done.err, "")
        if done.code < 0:
            return RefusedError(f"git {subcommand}: {words}", code=Code.UNREACHABLE, retryable=True)
        if any(sign in words for sign in _FULL):
            return RefusedError(
                f"no room for {self._repository}: {words}",
                code=Code.STORE_FULL,
                hint="make room on its disk; nothing is lost, and what waits goes then",
                retryable=True,
            )
        return self.damage(subcommand, words)

    def damage(self, subcommand: str, words: str = "") -> RefusedError:
        """The refusal for a repository in which something that git once took is gone."""
        return RefusedError(
            f"git {subcommand} fails in {self._repository}{words and ': '}{words}",
            code=Code.STORE_DAMAGED,
            hint="move this folder away: what it holds is fetched again",
        )

    async def close(self) -> None:
        """End every git that runs; one that is just starting ends at once."""
        self._closings += 1
        for process in tuple(self._running):
            await _end(process)

    def _settings(self) -> tuple[str, ...]:
        slow = max(1, int(self._deadlines.quiet_s))
        return (*_SETTINGS, "http.lowSpeedLimit=1000", f"http.lowSpeedTime={slow}")

    async def _prepare(self) -> None:
        await asyncio.to_thread(private_folder, self._repository)
        await self._clear_locks()
        made = await self._run(("init", "--quiet", "--bare", "--template=", "--object-format=sha1"), b"", _CHUNK)
        if made.code:
            words = said(made.err, "")
            raise RefusedError(f"git cannot make the repository {self._repository}: {words}", code=Code.DENIED)
        ssh = await self._run(("config", "--get", "core.sshCommand"), b"", _CHUNK)
        if ssh.code and not self._environment.keys() & {"GIT_SSH", "GIT_SSH_COMMAND"}:
            self._environment["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
            self._environment["GIT_SSH_VARIANT"] = "ssh"
        self._is_ready = True

    async def _clear_locks(self) -> None:
        """Remove what a git that was killed has left: no other can be holding its locks."""
        await asyncio.to_thread(_remove_locks, self._repository)

    async def _run(
        self, arguments: tuple[str, ...], stdin: bytes, room: int, deadlines: Deadlines | None = None
    ) -> Done:
        deadlines = deadlines or self._deadlines
        closings = self._closings
        started = await self._start(arguments)
        process, out = started.process, b""
        self._running.add(process)
        try:
            if closings != self._closings:
                _signal(process, signal.SIGTERM)
            out = await _follow(started, stdin, room, deadlines)
        except TimeoutError as error:
            raise RefusedError(
                f"git {arguments[0]} gave no sign of life for {deadlines.quiet_s:g} s, "
                f"or took more than {deadlines.patience_s:g} s",
                code=Code.TIMEOUT,
                retryable=True,
            ) from error
        finally:
            started.ear.close()
            self._running.discard(process)
            if process.returncode is None or not 0 <= process.returncode < _FATAL or len(out) > room:
                await _end_unread(started)
                await self._clear_locks()
                there = await asyncio.to_thread((self._repository / "HEAD").exists)
                is_gone = (process.returncode or 0) >= _FATAL and not there
                self._is_ready = self._is_ready and not is_gone  # somebody moved it away: another one is made
        if len(out) > room:
            raise MalformedError(f"git {arguments[0]} writes more than {room} bytes", code=Code.TOO_LARGE)
        code, heard = process.returncode or 0, started.ear.heard
        return Done(code, out, heard if code >= 0 else heard + b"\n" + _ended_by(-code).encode())

    async def _start(self, arguments: tuple[str, ...]) -> "_Started":
        try:
            return await _start((*self._command, *arguments), self._environment)
        except OSError as error:
            raise RefusedError(
                f"cannot start {self._command[0]}: {error.strerror}",
                code=Code.UNREACHABLE,
                hint="see that git is installed and on the daemon's PATH",
                retryable=True,
            ) from error


def _ended_by(number: int) -> str:
    return f"git was ended by signal {number}: {signal.strsignal(number)}"


def surroundings(environment: Mapping[str, str], repository: Path) -> dict[str, str]:
    """The environment in which git runs: the user's, without what would lead it astray or let it ask."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_") or name in KEPT}
    for name in ("SSH_ASKPASS", "LANGUAGE"):
        kept.pop(name, None)
    return kept | {
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_ASKPASS": "",
        "GIT_DIR": str(repository),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "LC_ALL": "C",
        "SSH_ASKPASS_REQUIRE": "never",
    }


class _Ear:
    """Keeps the last of what git says on stderr.

    Not one of the process's own pipes, because helpers that stay (a shared SSH connection) may keep it open for hours
    after git has ended.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self.heard = b""

    @contextlib.contextmanager
    def listening(self, on_words: Callable[[], None]) -> Iterator[None]:
        """Call back whenever there is more."""
        self._loop.add_reader(self._descriptor, self._hear, on_words)
        try:
            yield
        finally:
            self._loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Take what is there, and no more."""
        if self._is_open:
            self._is_open = False
            self._read()
            os.close(self._descriptor)

    def _hear(self, on_words: Callable[[], None]) -> None:
        if self._read():
            on_words()
        else:
            self._loop.remove_reader(self._descriptor)

    def _read(self) -> bool:
        try:
            words = os.read(self._descriptor, _STDERR_BYTES)
        except BlockingIOError:
            return True
        self.heard = (self.heard + words)[-_STDERR_BYTES:]
        return bool(words)


class _Started(NamedTuple):
    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    ear: _Ear


async def _start(command: tuple[str, ...], environment: Mapping[str, str]) -> _Started:
    listening, speaking = os.pipe()
    ear = _Ear(listening)
    starting = asyncio.get_running_loop().create_task(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=speaking,
            env=environment,
            cwd="/",
            start_new_session=True,
        ),
        name="git start",
    )
    try:
        # Cancelled half-way, asyncio would kill the program alone, not what it has started already.
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end_unread(_started(await starting, ear))
        ear.close()
        raise
    except OSError:
        ear.close()
        raise
    finally:
        os.close(speaking)
    return _started(starting.result(), ear)


def _started(process: asyncio.subprocess.Process, ear: _Ear) -> _Started:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("pipes were asked for")
    return _Started(process, process.stdin, process.stdout, ear)


async def _follow(started: _Started, stdin: bytes, room: int, deadlines: Deadlines) -> bytes:
    """Feed a git and take its output, up to one byte more than there is room for."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadlines.patience_s
    async with asyncio.timeout_at(min(loop.time() + deadlines.quiet_s, end)) as deadline:

        def lives() -> None:
            if not deadline.expired():
                deadline.reschedule(min(loop.time() + deadlines.quiet_s, end))

        with started.ear.listening(lives):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_feed(started.stdin, stdin), name="git stdin")
                output = tasks.create_task(_take(started.stdout, room + 1), name="git stdout")
            if len(output.result()) <= room:
                await started.process.wait()
    return output.result()


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its exit code tells why it read no more
        stdin.write(data)
        await stdin.drain()
        stdin.close()


async def _take(stdout: asyncio.StreamReader, most: int) -> bytes:
    chunks, size = [], 0
    while size < most and (chunk := await stdout.read(min(_CHUNK, most - size))):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, number)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a git and all that it has started. Its output must be read meanwhile, or asyncio doesn't see its end."""
    for number in (signal.SIGTERM, signal.SIGKILL):  # the first lets it remove its locks
        _signal(process, number)
        with contextlib.suppress(TimeoutError):  # the next signal is the harder one; after that nothing helps
            async with asyncio.timeout(_GRACE_S):
                await process.wait()


async def _end_unread(started: _Started) -> None:
    """End a git whose output nobody reads any more."""
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(_drain(started.stdout), name="git stdout")
        await _end(started.process)
        draining.cancel()


async def _drain(stdout: asyncio.StreamReader) -> None:
    while await stdout.read(_CHUNK):
        continue


def _remove_locks(repository: Path) -> None:
    for pattern in ("*.lock", "refs/**/*.lock", "gc.pid", "fast_import_crash_*"):
        for left in repository.glob(pattern):
            left.unlink(missing_ok=True)
