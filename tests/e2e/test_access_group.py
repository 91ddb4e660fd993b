"""A system service's socket for a group, with users of the system as the kernel knows them: only root can make others.

The socket is opened by this process and handed over, as a service manager does it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

IS_ROOT = os.geteuid() == 0
pytestmark = pytest.mark.skipif(not IS_ROOT, reason="only root can become the users of the system that this is about")

MOOT, ALICE, BOB, CAROL = 64101, 64102, 64103, 64104
GROUP = 64110
RULES = f"""
[users.alice]
role = "user"
uids = [{ALICE}]
restrictions = ["no:demo-secret*"]

[users."alice/agent"]
role = "reader"
"""
BECOME = """
import os, sys
{imports}
uid, group = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([group] if group else [])
os.setgid(uid)
os.setuid(uid)
{run}
"""
"""Everything is loaded before: the interpreter may lie where only root can read."""
SERVE = """
import ctypes, os, sys
from mootd.main import main

uid = int(sys.argv[1])
os.dup2(int(sys.argv[2]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(8, 1, 0, 0, 0)  # keep capabilities
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
may_read = 1 << 2
assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(may_read, may_read)) == 0
sys.exit(main(["run"]))
"""
"""The daemon loads much when it is needed, so it keeps the one right to read whatever there is, but none to write."""
ASK = BECOME.format(
    imports="import moot.thin, moot.peer, moot.tokens, moot.effects, moot.unaided, json",
    run="moot.thin.main(['moot', *sys.argv[3:]])",
)


class System:
    """A machine with a service, in a folder that root alone writes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "moot" / "moot.sock"
        folder.chmod(0o755)
        folders = (
            ("moot", MOOT, 0o755),
            ("service", MOOT, 0o700),
            ("service/project", MOOT, 0o700),
            ("alice", ALICE, 0o700),
        )
        for name, uid, mode in folders:
            (folder / name).mkdir(mode=mode)
            os.chown(folder / name, uid, uid)
        config = folder / "service" / ".config" / "moot"
        config.mkdir(parents=True)
        (config / "access.toml").write_text(RULES)

    def serve(self) -> "subprocess.Popen[bytes]":
        """Open the socket for the group, and hand it to a daemon of the service's user."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.socket))
            os.chown(self.socket, MOOT, GROUP)
            self.socket.chmod(0o660)
            listener.listen()
            environment = {
                "HOME": str(self.folder / "service"), "XDG_RUNTIME_DIR": str(self.folder), "LISTEN_FDS": "1",
                "PATH": "/usr/bin:/bin",
            }  # fmt: skip
            return subprocess.Popen(
                [sys.executable, "-c", SERVE, str(MOOT), str(listener.fileno())],
                env=environment, pass_fds=[listener.fileno()], stderr=subprocess.PIPE, cwd="/",
            )  # fmt: skip

    def ask(
        self, uid: int, *arguments: str, in_group: str = "yes", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as a user of the system."""
        return subprocess.run(
            [sys.executable, "-c", ASK, str(uid), str(GROUP if in_group else 0), *arguments],
            env={"HOME": str(self.folder / "alice"), "MOOT_SOCKET": str(self.socket), "PATH": "/bin", **variables},
            capture_output=True, text=True, timeout=60, check=False, cwd="/",
        )  # fmt: skip


@pytest.fixture
def system() -> Iterator[System]:
    """Its folder is no temporary one: those are where anybody can write, and a socket there is nobody's."""
    system = System(Path(tempfile.mkdtemp(prefix="moot-test-", dir="/run")))
    try:
        with system.serve() as daemon:
            try:
                yield system
            finally:
                daemon.terminate()
                daemon.communicate(timeout=60)
    finally:
        shutil.rmtree(system.folder)


def test_members_of_the_group_do_what_their_rules_say_and_others_do_nothing(system: System) -> None:
    project = str(system.folder / "service" / "project")
    owner = {"MOOT_ACTOR": "keeper", "HOME": str(system.folder / "service")}
    for words in (
        ("init", "--prefix", "demo"),
        ("create", "One", "--id", "demo-one"),
        ("create", "No", "--id", "demo-secret"),
    ):
        done = system.ask(MOOT, "-C", project, *words, in_group="", **owner)
        assert done.returncode == 0, done.stderr
    listed = system.ask(ALICE, "list", "--json")
    assert [each["id"] for each in json.loads(listed.stdout)] == ["demo-one"], listed.stderr
    assert system.ask(ALICE, "comment", "demo-one", "seen").returncode == 0
    unknown = system.ask(BOB, "list")
    assert (unknown.returncode, unknown.stdout) == (4, "")
    outside = system.ask(CAROL, "list", in_group="")
    assert (outside.returncode, "may not connect" in outside.stderr) == (4, True)
    made = system.ask(MOOT, "access", "token", "create", "alice/agent", in_group="", **owner)
    token = system.folder / "alice" / "token"
    token.write_text(made.stdout)
    token.chmod(0o600)
    os.chown(token, ALICE, ALICE)
    narrowed = {"MOOT_TOKEN_FILE": str(token)}
    shown = system.ask(ALICE, "show", "demo-one", **narrowed)
    assert "alice" in shown.stdout, shown.stderr
    assert system.ask(ALICE, "comment", "demo-one", "no", **narrowed).returncode == 4


CONNECT = BECOME.format(
    imports="import moot.thin, moot.peer", run="print(bool(moot.thin.connect(moot.thin.socket_path())))"
)
FAKE = BECOME.format(
    imports="import socket",
    run="""
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[3])
os.chmod(sys.argv[3], 0o666)
listener.listen()
print(flush=True)
sys.stdin.read()
""",
)


@pytest.mark.parametrize(
    ("folder_owner", "mode", "named", "trusted"),
    [(BOB, 0o755, True, True), (BOB, 0o755, False, False), (CAROL, 0o777, True, False)],
)
def test_a_daemon_of_another_user_is_spoken_to_only_where_nobody_else_could_be(
    folder_owner: int, mode: int, named: bool, trusted: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix="moot-test-", dir="/run") as made:
        folder = Path(made, "moot")
        folder.mkdir()
        os.chown(folder, folder_owner, folder_owner)
        folder.chmod(mode)
        Path(made).chmod(0o755)
        path = str(folder / "moot.sock")
        with subprocess.Popen(
            [sys.executable, "-c", FAKE, str(BOB), "0", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        ) as fake:
            assert fake.stdout is not None
            fake.stdout.readline()
            place = {"MOOT_SOCKET": path} if named else {"XDG_RUNTIME_DIR": made, "MOOT_NO_AUTOSTART": "1"}
            done = subprocess.run(
                [sys.executable, "-c", CONNECT, str(ALICE), "0"],
                env=place, capture_output=True, text=True, timeout=60, check=False, cwd="/",
            )  # fmt: skip
            fake.communicate()
    assert (done.stdout.strip() == "True") is trusted
    assert ("belongs to user" in done.stderr) is not trusted
