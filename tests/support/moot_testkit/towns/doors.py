"""A gate before a real service, with a file of rules."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moot_protocol.access.rules import Asker
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Create, IssueFields
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.edges.access_file import AccessFile
from mootd.engine.unit import Unit
from mootd.service.access.audit_gathering import AuditGathering
from mootd.service.access.gate import Gate
from mootd.service.access.tokens import Tokens

OWNER, ALICE, BOB, STRANGER = 1, 1000, 1001, 1002
RULES = f"""
[users.alice]
role = "user"
uids = [{ALICE}]
permissions = ["issue:*"]
restrictions = ["no:secret-*", "no:*polecat*"]

[users.bob]
role = "reader"
uids = [{BOB}]

[users.carol]
role = "admin"
"""


class Door:
    """A gate before a service, with a file of rules."""

    def __init__(self, folder: Path) -> None:
        self.api: Api = make_api()
        self.file = AccessFile(folder / "access.toml")
        self.asked: list[Request[Any]] = []
        tokens = Tokens(self.api.member.replica)
        self.commits = 0
        """Transactions that the gate wrote in."""
        self.gathering = AuditGathering(self._submit, self.api.clock)
        self.gate = Gate(self.file, OWNER, self._read, self.gathering, ThreadPoolExecutor(1), tokens)

    def _submit(self, work: Callable[[Unit], object]) -> "Future[object]":
        done: Future[object] = Future()
        self.commits += 1
        try:
            done.set_result(self.api.member.commit(work))
        except Exception as error:
            done.set_exception(error)
        return done

    def _read(self, request: Request[Any]) -> object:
        self.asked.append(request)
        return self.api.call(request)

    def write(self, text: str) -> None:
        """Change the rules."""
        self.file.path.write_text(text)
        self.file.path.chmod(0o600)

    def code(self, uid: int, request: Request[Any]) -> Code | None:
        """How a request is refused; None where it is let pass."""
        try:
            self.gate.admit(Asker(uid), request)
        except RefusedError as error:
            return error.code
        return None

    def records(self) -> list[tuple[str, str, str, str, str]]:
        """The audit stream, oldest first: event type, actor, action, resource, result. What waits is written first."""
        self.gathering.write()
        found = self.api.call(ListAudit())["records"]
        names = ("event_type", "actor", "action", "resource", "result")
        return [tuple(each[name] for name in names) for each in reversed(found)]


def make_door(folder: Path) -> Door:
    """One with these rules before an issue that all of them may see, and one that alice may not."""
    folder.chmod(0o700)
    door = Door(folder)
    door.write(RULES)
    door.file.rules()
    for name in ("demo-1", "secret-7xyz"):
        fields = IssueFields(title=name)
        door.api.call(Create(actor="ada", project=PROJECT, id=name, fields=fields))
    return door
