"""Real servers of Git repositories on loopback, each with the surroundings in which a user reaches it.

Everything lies in the folder given; nothing of the machine's own configuration of git and SSH is used. A server ends
with its `with` block, killed with all that it started.
"""

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

USER, PASSWORD = "alice", "s3cret/@x"
READY_S: Final = 30


class Server(NamedTuple):
    """A server that serves one bare repository."""

    address: str
    repository: Path
    environment: Mapping[str, str]
    """Of a user who may push."""
    log: Path
    """What it says of its requests."""


def needs(*programs: str) -> None:
    """Skip a test for want of a program, or fail it where all have to be there."""
    missing = [program for program in programs if program_path(program) is None]
    if missing and os.environ.get("MOOT_SCALE") == "ci":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"NOT TESTED: {', '.join(missing)} not installed")


def program_path(name: str) -> str | None:
    """Where a program is, also if it is one for administrators or one of git's own."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin:{_git_programs()}")


@functools.cache
def _git_programs() -> str:
    return subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()


def surroundings(folder: Path, config: str = "", **more: str) -> dict[str, str]:
    """The environment of a user with this configuration of git and no other."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "gitconfig").write_text(config)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **more,
    }


def bare(folder: Path, name: str = "remote.git") -> Path:
    """A new bare repository."""
    command = ["git", "init", "--quiet", "--bare", "--template=", str(folder / name)]  # without git's examples of hooks
    subprocess.run(command, check=True, env=surroundings(folder))
    return folder / name


def at_scale(few: int, many: int) -> int:
    """How many of something to try: few, or many in the long run."""
    return many if os.environ.get("MOOT_SCALE") == "ci" else few


@contextlib.contextmanager
def local(folder: Path) -> Iterator[Server]:
    """A folder of this machine, as a URL."""
    repository = bare(folder)
    yield Server(f"file://{repository}", repository, surroundings(folder), Path(os.devnull))


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[Server]:
    """`git daemon`, which lets everybody push."""
    needs("git-daemon")
    repository, port, log = bare(folder), free_port(), folder / "daemon.log"
    command = [
        "git", "daemon", "--verbose", "--log-destination=stderr", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr",
        f"--base-path={folder}", "--export-all", "--enable=receive-pack",
    ]  # fmt: skip
    with running(command, log, surroundings(folder), ready="Ready to rumble"):
        yield Server(f"git://127.0.0.1:{port}/{repository.name}", repository, surroundings(folder), log)


@contextlib.contextmanager
def web(folder: Path) -> Iterator[Server]:
    """`git http-backend` behind nginx, with a password that a credential helper knows."""
    needs("nginx", "fcgiwrap", "git-http-backend")
    repository, port, log = bare(folder), free_port(), folder / "access.log"
    backend = socket.create_server(("127.0.0.1", 0))
    (folder / "passwords").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (folder / "nginx.conf").write_text(
        NGINX.format(
            folder=folder, port=port, backend=backend.getsockname()[1], program=program_path("git-http-backend")
        )
    )
    nginx, fcgiwrap = str(program_path("nginx")), str(program_path("fcgiwrap"))
    environment = surroundings(folder, f"[credential]\n\thelper = store --file={folder}/credentials\n")
    (folder / "credentials").write_text(f"http://{USER}:s3cret%2f%40x@127.0.0.1%3a{port}\n")
    with (
        backend,
        running([fcgiwrap, "-f", "-c", "4"], folder / "fcgiwrap.log", environment, stdin=backend.fileno()),
        running([nginx, "-p", str(folder), "-c", f"{folder}/nginx.conf"], folder / "nginx.log", environment, port=port),
    ):
        yield Server(f"http://127.0.0.1:{port}/{repository.name}", repository, environment, log)


NGINX: Final = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        auth_basic "moot";
        auth_basic_user_file {folder}/passwords;
        location / {{
            fastcgi_pass 127.0.0.1:{backend};
            fastcgi_param SCRIPT_FILENAME {program};
            fastcgi_param GIT_PROJECT_ROOT {folder};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[Server]:
    """`sshd`, with a key that the user's own SSH configuration names."""
    needs("sshd", "ssh", "ssh-keygen")
    repository, port, log = bare(folder), free_port(), folder / "sshd.log"
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized_keys").write_bytes((folder / "user_key.pub").read_bytes())
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "KbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\n"
        # A shell that is not the first leaves out what the machine's own user has it do at its start.
        "SetEnv SHLVL=1\nKexAlgorithms curve25519-sha256\n"
    )
    (folder / "ssh_config").write_text(
        f"Host moot-server\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/user_key\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists, and the system makes it at start only
    environment = surroundings(folder, f'[core]\n\tsshCommand = ssh -F "{folder}/ssh_config"\n')
    command = [str(program_path("sshd")), "-D", "-e", "-f", str(folder / "sshd_config")]
    with running(command, log, environment, ready="Server listening"):
        yield Server(f"moot-server:{repository}", repository, environment, log)


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """The address of a server that accepts every connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"git://127.0.0.1:{listener.getsockname()[1]}/remote.git"


SERVERS: Final = {"file": local, "git": daemon, "http": web, "ssh": ssh}


@contextlib.contextmanager
def running(
    command: list[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    ready: str = "",
    port: int = 0,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[None]:
    """A server, from when it says that it is ready, or its port can be connected to."""
    if guard := shutil.which("setpriv"):
        command = [guard, "--pdeathsig", "KILL", *command]
    with log.open("wb") as opened:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=opened, stderr=opened, env=dict(environment), start_new_session=True
        )
    try:
        tick = threading.Event()
        for _ in range(READY_S * 50):
            if process.poll() is not None or (ready in log.read_text() and (not port or answers(port))):
                break
            tick.wait(0.02)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def is_alive(pid_file: Path) -> bool:
    """Whether the process that wrote its id there is running."""
    number = pid_file.read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", number], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in {"", "Z"}  # what has ended may wait for somebody to take notice


def is_gone(pid_file: Path) -> bool:
    """Whether the process that wrote its id there has ended, or does so at once."""
    tick = threading.Event()
    return any(not is_alive(pid_file) or tick.wait(0.02) for _ in range(100))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number
