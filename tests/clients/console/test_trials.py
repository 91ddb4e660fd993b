"""`--dry-run`: every command that changes something takes it, answers as if done, and leaves all as it was."""

import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from moot.console import main
from moot.console.main import GRAMMAR
from moot.console.trials import TRIED, TrialApi, TrialTerminal
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.access import CreateToken
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.exchange import AddRemote, CreatePlane, Invite
from moot_protocol.requests.issues import (
    AddEdge,
    Close,
    Create,
    Delete,
    Edge,
    InitProject,
    IssueFields,
    ListIssues,
    Reopen,
    Update,
)
from moot_protocol.requests.leases import AcquireLease
from moot_protocol.requests.mail import Nudge, SendMail
from moot_protocol.requests.memories import Remember
from moot_protocol.requests.methods import REQUESTS
from moot_protocol.requests.shares import Share
from moot_testkit.bytes.feeds import seed
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import issue, run_console
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal
from moot_testkit.reaching import changes
from moot_testkit.towns.carrying import founder, newcomer
from moot_testkit.towns.federating import federation, machine, town_key
from moot_testkit.towns.town import PROJECT, Api, make_api
from moot_testkit.towns.trying import Kept, kept
from mootd.edges.recovery import recovery_words

FORMULA = 'formula = "ship"\nversion = 1\n\n[[steps]]\nid = "one"\ntitle = "One"\n'
FILES = {
    "issues.jsonl": b'{"id":"demo-x1","title":"Imported"}\n',
    "rules.yaml": b"users:\n  - name: alice\n    role: user\n",
    "role.md": b"Be kind.\n",
    "CLAUDE.md": b"# Mine\n",
}


class World:
    """A machine with some of everything, and the console beside it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        (folder / "access.toml").write_text('[users.alice]\nrole = "admin"\n')
        (folder / "access.toml").chmod(0o600)
        self.folder = folder
        self.plane, (one, two) = federation(Role.WRITER)
        self.api = Api(one, folder)
        (folder / ".moot").mkdir()
        (folder / ".moot" / "workspace").write_text("w1\n")
        self.call(InitProject(actor="alice", prefix=PROJECT, workspace="w1", folder=str(folder)))
        self.names = {
            "two": key_text(town_key(two)),
            "there": key_text(machine(one, self.plane).id),
            "ticket": Api(founder("elsewhere")).call(Invite(actor="carol"))["ticket"],
            "words": recovery_words(seed("town 0 recovery")),
        }
        self._issues()
        self._others()
        self.last: Kept = kept(self.api.member, folder)
        """What there was after the last call."""

    def call(self, request: Any) -> Any:
        return self.api.call(request)

    def create(self, name: str, issue_type: str = "task", *labels: str, parent: str = "") -> str:
        fields = IssueFields(title=name, issue_type=issue_type)
        made = self.call(Create(actor="alice", project=PROJECT, fields=fields, labels=labels, parent=parent))
        self.names[name] = made["id"]
        return str(made["id"])

    def _issues(self) -> None:
        for name in ("a", "b"):
            self.create(name, "task", "human", "x")
        self.call(Update(actor="alice", id=self.create("mine"), claim=True, ttl_ms=60_000))
        self.call(AddEdge(actor="alice", id=self.names["b"], edge=Edge(self.names["a"])))
        for one, other in (("a", "mine"), ("mine", "a")):
            self.call(AddEdge(actor="alice", id=self.names[one], edge=Edge(self.names[other], "relates-to")))
        self.call(Close(actor="alice", id=self.create("closed")))
        self.call(Delete(actor="alice", id=self.create("deleted")))
        self.create("gate", "gate")
        epic = self.create("epic", "epic")
        self.call(Close(actor="alice", id=self.create("child", parent=epic)))
        passing = Create(actor="alice", project=PROJECT, fields=IssueFields(title="passing", ephemeral=True))
        self.names["passing"] = self.call(passing)["id"]
        step = Create(actor="alice", project=PROJECT, fields=passing.fields, parent=self.names["passing"])
        self.call(step)
        self.run("merge-slot create")
        self.run("merge-slot acquire")

    def _others(self) -> None:
        self.call(CreatePlane(actor="alice", name="partner", kind="federation"))
        self.call(NewDocument(actor="alice", kind="role", name="helper", text="Help."))
        self.call(NewDocument(actor="alice", kind="formula", name="ship", text=FORMULA))
        self.call(Remember(actor="alice", project=PROJECT, key="k", text="v"))
        self.names["message"] = self.call(SendMail(actor="bob", to="alice", text="Hello"))["id"]
        self.call(Nudge(actor="bob", to="alice", text="Look"))
        self.names["epoch"] = str(self.call(AcquireLease(actor="alice", name="held"))["epoch"])
        self.call(AddRemote(actor="alice", name="origin", kind="git", url="/srv/moot.git"))
        self.names["invite"] = self.call(Invite(actor="alice"))["invite"]
        self.names["token"] = self.call(CreateToken(actor="alice", user="alice"))["id"]
        self.names["share"] = self.call(Share(actor="alice", id=self.names["a"], to="partner"))["share"]

    def run(self, argv: str, typed: str = "") -> tuple[int, RecordingTerminal]:
        words = tuple(shlex.split(argv.format(**self.names)))
        facts = FACTS._replace(argv=words, folder=str(self.folder), environment={"HOME": "/home/alice"})
        facts = facts._replace(environment={**facts.environment, "MOOT_ACTOR": "alice"})
        stdin = [f"{typed.format(**self.names)}\n".encode()] if typed else []
        commits = self.names["a"].join(("abc1234\tClose ", "\n"))
        terminal = RecordingTerminal(facts, stdin=stdin, files=FILES, edited="title: t\n", commits=commits)
        terminal.tools = {"git-hooks": ".git/hooks"}
        code = main.run(self.api, terminal, self.api.clock.now_ms(), _not_expected)
        return code, terminal


def _not_expected(error: Exception) -> str:
    raise error


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("machine"))


ELSEWHERE = {
    "backup",  # a store on a disk; tests of `mootd.service.machine.backups`
    "mirror on", "mirror off", "mirror sync", "mirror resume",  # a daemon with files; tests of `mootd.mirror`
    "town create",  # below, on a machine without a town
    "fork settle", "resolve",  # what is forked or in conflict; tests of the requests
}  # fmt: skip
"""Commands that this world has nothing for."""
TYPED = {"batch": "label add {a} y", "create-form": "Title", "join -": "{ticket}", "recover": "{words}"}
"""Call → what it reads from standard input."""
CALLS = """
access import rules.yaml --replace
access token create alice
access token revoke {token}
assign {a} bob
batch
claim {a}
close {a}
comment {a} text
config set status.custom later:wip
config set-many status.custom=later:wip agent.profile=minimal
config unset status.custom
cook ship
create One
create-form
defer {a} --until 2099-01-01
delete {a} --force
dep {a} --blocks {b}
dep add {a} {epic}
dep relate {a} {b}
dep remove {b} {a}
dep unrelate {a} {mine}
doc adopt helper
doc edit helper
doc new role other --from role.md
doc publish helper --from role.md
doctor --check pollution --clean
duplicate {a} --of {b}
duplicates --auto-merge
edit {a}
epic close-eligible
erase {a} --field title --force
forget k
forget k --erase
gate add-waiter {gate} alice
gate check
gate create --blocks {a}
gate discover
gate resolve {gate}
handoff write {mine} --next y
heartbeat {mine}
hooks install --yes
hooks uninstall --yes
human dismiss {a}
human respond {a} yes
import issues.jsonl
init --prefix demo --spool
invite
invite --town
invite close {invite}
join -
kv clear k
kv set k v
label add {a} y
label propagate {epic} y
label remove {a} x
lease acquire fresh
lease release held {epoch}
link {a} {epic}
mail ack {message}
mail reply {message} Fine
mail send bob Hello
member remove {two}
merge-slot acquire
merge-slot create
merge-slot release
mol burn {epic} --force
mol bond {epic} {a}
mol distill {epic} made
mol pour ship
mol squash {passing}
mol wisp ship
mol wisp gc
note {a} text
nudge bob now
nudge broadcast now
orphans
plane create fresh
plane isolate ledger --to origin
plane rotate-key ledger
plane set ledger --remote origin --mode manual
priority {a} 1
promote {passing}
prune --pattern *
purge
q Quick
ready --claim
recover
remember 'some words'
remote add git /srv/other.git
remote remove origin
rename {a} other
rename-prefix other
reopen {closed}
repair-deps --fix
replica retire {there}
salvage --copied
set-state {a} phase=one
setup claude --yes
share {b} --to partner
share follow {share}
supersede {a} --with {b}
swarm create {epic}
tag {a} y
todo add Thing
todo done {a}
town promote --force
town rebalance --from {two}
town rotate-key
unclaim {mine}
undefer {a}
undelete {deleted}
undo
unshare {a}
update {a} --title Two
"""
"""A call of each command that changes something."""
EACH = [line for line in CALLS.split("\n") if line]


def name_of(call: str) -> str:
    """The command that a call names: the longest name that it begins with."""
    words = call.split()
    return next(name for end in (3, 2, 1) if (name := " ".join(words[:end])) in GRAMMAR._commands)


@cache
def changing() -> frozenset[str]:
    return frozenset(name for name, command in GRAMMAR._commands.items() if changes(command))


def flags(name: str) -> set[str]:
    return set(GRAMMAR._parser(GRAMMAR._commands[name])._option_string_actions)


ITS_FILE = "it changes nothing but the file that it is told to write"
EXCHANGES = "what an exchange brings is known only when it has come"
UNTRIED = {
    "export": ITS_FILE,
    "man": ITS_FILE,
    "prove": ITS_FILE,
    "merge-file": "git calls it, and has it write into a file of git's own",
    "sync": EXCHANGES,
    "federation pull": EXCHANGES,
    "federation push": "`--review` shows what would leave, and asks",
    "hooks run": "git's hooks call it; it begins an exchange as `sync` does",
    "rebuild": "it makes anew what follows from the log, and says whether that came out the same",
    "daemon stop": "it ends a process and changes nothing that is kept",
}
"""Commands that change something and have no `--dry-run` → why."""


def test_a_command_that_changes_something_takes_dry_run_unless_it_is_known_why_not() -> None:
    assert {name for name in changing() if "--dry-run" not in flags(name)} == UNTRIED.keys()
    assert changing() >= TRIED


def test_a_request_that_writes_can_be_tried() -> None:
    writing = {request for request in REQUESTS.values() if request.writes}
    assert [each.__name__ for each in writing if "dry_run" not in each.__struct_fields__] == []


def test_every_such_command_is_called_below() -> None:
    assert {name for name in changing() if "--dry-run" in flags(name)} - set(map(name_of, EACH)) == ELSEWHERE


@pytest.mark.parametrize("call", EACH)
def test_nothing_is_changed_by_a_dry_run(world: World, call: str) -> None:
    before = world.last
    code, terminal = world.run(f"{call} --dry-run --json", TYPED.get(call, ""))
    assert code == 0, terminal.written + terminal.complaints
    document = json.loads(terminal.written)
    assert isinstance(document, list) or document is None or document["dry_run"]
    assert terminal.files == FILES
    world.last = kept(world.api.member, world.folder)
    assert world.last == before


@pytest.mark.parametrize("call", ["town create hill", "init --prefix demo"])
def test_nothing_is_changed_on_a_machine_without_a_town_either(call: str, tmp_path: Path) -> None:
    member = newcomer()
    member.commit(lambda unit: None)
    before = kept(member, tmp_path)
    terminal = RecordingTerminal(FACTS._replace(argv=(*call.split(), "--dry-run", "--json"), workspace=""))
    assert main.run(Api(member, tmp_path), terminal, NOW_MS, _not_expected) == 0
    assert json.loads(terminal.written)["dry_run"]
    assert "recovery" not in terminal.written + terminal.complaints
    assert terminal.files == {}
    assert kept(member, tmp_path) == before


# -- How it is said ----------------------------------------------------------------------------------------------
def test_what_would_be_said_is_said_and_the_mutation_is_one_on_trial() -> None:
    ran = run_console("reopen a1b2 --dry-run", {"reopen": issue()})
    assert ran.request == Reopen(actor="unknown", id="a1b2", dry_run=True)
    assert ran.out == "Dry run: nothing is written. It would say:\n↻ Reopened bd-000000000001 — Issue 1\n"
    assert run_console("reopen a1b2", {"reopen": issue()}).request.dry_run is False


def test_several_are_one_script_on_trial_and_json_stays_one_document() -> None:
    ran = run_console("defer a b --dry-run --json", {"script": [issue(1), issue(2)]})
    assert ran.request.dry_run
    assert len(ran.document) == 2


def test_a_script_of_a_batch_is_tried_as_a_whole_only() -> None:
    ran = run_console("batch", {"script": []}, stdin=[b"label add a x --dry-run\n"])
    assert (ran.code, ran.asked) == (2, [])


def test_a_trial_reads_as_always_and_leaves_nothing() -> None:
    api = make_api()
    trial = TrialApi(api)
    made = trial.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title="One")))
    assert made["title"] == "One"
    assert trial.call(ListIssues()).issues == api.call(ListIssues()).issues == []


def test_what_waits_to_be_told_waits_on_since_telling_it_would_be_written_down() -> None:
    waiting = {"project": "bd", "folder": "/", "nudges": [{"id": "n", "text": "t", "actor": "a"}], "claims": {"due": 1}}
    ran = run_console("reopen a1b2 --dry-run --json", {"workspace_info": waiting, "reopen": issue()})
    assert ran.request.method == "reopen"


def test_a_ticket_and_a_token_are_not_shown() -> None:
    until = {"expires_ms": NOW_MS, "remotes": [], "plane": "ledger", "role": "writer", "ticket": ""}
    ran = run_console("invite --dry-run", {"invite": until, "remotes": []})
    assert ran.out == "Dry run: nothing is written. It would say:\n"
    token = {"id": "t1", "user": "alice", "expires_ms": None, "token": ""}
    ran = run_console("access token create alice --dry-run", {"create_token": token})
    assert ran.out == "Dry run: nothing is written. It would say:\n"


def test_files_are_named_and_not_written_and_one_that_may_not_be_there_is_refused() -> None:
    token = {"id": "t1", "user": "alice", "expires_ms": None, "token": ""}
    call = "access token create alice --out ci.token --dry-run"
    ran = run_console(call, {"create_token": token})
    assert "Would write ci.token\n" in ran.err
    assert ran.terminal.files == {}
    assert "Would" not in run_console(f"{call} -q", {"create_token": token}).err
    refused = run_console(call, {"create_token": token}, files={"ci.token": b"old"})
    assert refused.code == 5
    assert "ci.token: it exists already" in refused.err


def test_setup_shows_what_would_stand_in_the_file_and_asks_nothing() -> None:
    ran = run_console("setup claude --dry-run", facts=at_terminal())
    assert "This would be written to CLAUDE.md" in ran.err
    assert "Would write CLAUDE.md" in ran.err
    assert "[y/N]" not in ran.err
    assert ran.terminal.files == {}
    assert ran.out == "Dry run: nothing is written. It would say:\nWould write the section of CLAUDE.md\n"
    assert run_console("setup claude --dry-run --json").document["written"] is False


def test_taking_a_section_out_shows_which_file_would_go() -> None:
    files = {"CLAUDE.md": b"<!-- moot: begin -->\nold\n<!-- moot: end -->\n"}
    ran = run_console("setup claude --remove --dry-run", files=files)
    assert ran.terminal.files == files
    assert "Would remove CLAUDE.md\n" in ran.err
    assert "Would remove CLAUDE.md, in which nothing else stood\n" in ran.out


def test_a_client_that_can_not_tell_what_is_there_is_told_of_no_file_that_would_be_written() -> None:
    class Earlier(RecordingTerminal):
        def file_mode(self, path: str) -> int:
            raise RefusedError("an earlier client", code=Code.BAD_VERSION)

    with pytest.raises(RefusedError, match="earlier"):
        TrialTerminal(Earlier(FACTS), quiet=False).write_file("x", [b""], exclusive=True)
