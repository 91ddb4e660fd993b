"""The console's `Api` where no socket can be had: reads from the snapshot, writes into the spool.

Under a key a command has the id that follows from key and actor, and new issues have theirs from the same: the daemon
knows a command that comes again by its id, and gives the answer of the first time.

Invariant: nothing is said to be done that the daemon hasn't answered. A write that isn't waited for, or not answered in
time, is queued; its answer is what is expected, marked so, and the terminal holds back what speaks of it as done.
"""

from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from moot.spool.expected import Expectation, given_fields, steps_of
from moot.spool.files import UNTAKEN, UNTAKEN_MS, SpoolFiles
from moot.spool.filter import age_of, cannot, find, is_whole_id, lasted
from moot.spool.reads import SNAPSHOT_READS, Reading
from moot_protocol.checks import checked
from moot_protocol.control.rpc import decode_result
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.ids import ID_ENTROPY_BYTES, issue_id
from moot_protocol.issues.claiming import check_beside_claim
from moot_protocol.limits import JSON_NESTING, SPOOL_FILES
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim
from moot_protocol.requests.issues import Create, Script, Show, Update, WorkspaceInfo
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.machine import Doctor
from moot_protocol.spool.files import ID_BYTES, about, check_allowed, keyed, seal_command
from moot_protocol.spool.snapshot_file import Snapshot
from moot_protocol.time_units import MINUTE_MS

R = TypeVar("R")

_STALE_MS: Final = 30 * MINUTE_MS
"""Age from which on no daemon seems to keep a snapshot: one that does writes it more often."""
_KEYED_DOMAIN: Final = b"moot/spool-keyed/1\0"


class Queued(NamedTuple):
    """A command that waits in the spool."""

    command: str
    about: str
    made: tuple[str, ...]
    """The ids of the issues that it makes."""


class SpoolApi:
    """An `Api` over a spool and its snapshot.

    Args:
        files: the spool.
        now_ms: the wall clock.
        entropy: gives random bytes.
        wait_s: how long an answer is waited for; None: not at all.
        queueing: called when a command has been queued that isn't answered.
        reason: why the daemon can't be asked.
        called: the name of the command that asks.
    """

    def __init__(
        self,
        files: SpoolFiles,
        now_ms: int,
        entropy: Callable[[int], bytes],
        wait_s: float | None,
        queueing: Callable[[], None],
        reason: str = "",
        called: str = "",
    ) -> None:
        self._files = files
        self._now_ms = now_ms
        self._last_ms = 0
        self._entropy = entropy
        self._wait_s = wait_s
        self._queueing = queueing
        self._reason = reason
        self._called = called
        self._snapshot: Snapshot | None = None
        self._is_settled = False
        """Whether a snapshot that has the last command in it was waited for."""
        self._made: dict[str, IssueDoc] = {}
        self.queued: list[Queued] = []
        """What was queued and not answered, in order."""
        self.was_read = False
        """Whether an answer came out of the snapshot, which could be read then."""

    @property
    def age(self) -> str:
        """How old the snapshot is that answers came out of, in words."""
        return age_of(self._held(), self._now_ms)

    @property
    def open_left_out(self) -> int:
        """How many issues that aren't closed the snapshot has no room for: lists are short of them."""
        return self._held().open_left_out

    @property
    def is_behind(self) -> bool:
        """Whether commands were carried out since that was made."""
        return self._files.is_behind(self._held(), self._now_ms)

    def call(self, request: Request[R]) -> R:
        """Carry out a request, or queue it.

        Raises:
            RefusedError: `denied`: it doesn't go through a spool; `busy`: the spool is full; `unreachable`: the
                snapshot can't answer it; `not_ready`: there is none; `timeout`: what was claimed isn't known yet.
            MootError: what the daemon answered, where it was waited for.
        """
        return self.call_keyed(request, "")

    def call_keyed(self, request: Request[R], key: str) -> R:
        """The same under an idempotency key: an actor's command that comes again under one key is not done again.

        Raises:
            RefusedError: `key_reused`: where the answer is waited for, the key came with another command before;
                besides what `call` raises.
        """
        if isinstance(request, WorkspaceInfo):
            answer: Any = self._workspace(request)
        elif isinstance(request, Doctor):
            answer = self._doctor()
        elif isinstance(request, ClaimsTold):
            answer = self._told(request)
        elif type(request).writes:
            answer = self._write(request, key)
        else:
            answer = self._read(request)
        typed: R = answer  # each request's class says what its answer is
        return typed

    # -- Claims --------------------------------------------------------------------------------------------------
    def _workspace(self, request: WorkspaceInfo) -> dict[str, Any] | None:
        """What is known of the workspace, and which of the actor's claims others took, until the daemon hears of it."""
        token = self._files.token
        if request.workspace != token.workspace:
            return None
        known: dict[str, Any] = {"project": token.project, "folder": "", "plane": token.plane}
        try:
            lost = [
                {"id": issue, "holder": holder} for actor, issue, holder in self._held().lost if actor == request.actor
            ]
        except MootError:
            return known  # whoever reads is told what is wrong with the snapshot
        if lost and not self._files.holds(self._telling(request.actor)):
            known["claims"] = {"lost": lost, "due": 0}
        return known

    def _telling(self, actor: str) -> bytes:
        """The id of the command that says that an actor was told what one snapshot says of their claims."""
        held = self._held()
        said = msgspec.msgpack.encode([self._files.token.workspace, held.made_ms, actor, held.lost])
        return sha256(b"moot/claims-told/1\0" + said).digest()[:ID_BYTES]

    def _told(self, request: ClaimsTold) -> dict[str, Any]:
        """Have it noted that the actor was told. Nobody asked for it, so nothing is said of it either."""
        command = self._telling(request.actor)
        self._last_ms = max(self._now_ms, self._last_ms + 1)
        self._files.put(
            self._last_ms, command, seal_command(self._files.token, command, self._last_ms, request, awaited=False)
        )
        return {}

    # -- Reading -------------------------------------------------------------------------------------------------
    def _read(self, request: Request[Any]) -> Any:
        if isinstance(request, Show) and request.as_of is None and set(request.ids) <= self._made.keys():
            return [dict(self._made[name]) for name in request.ids]
        work = SNAPSHOT_READS.get(type(request))
        if work is None:
            raise cannot("this")
        snapshot = self._settled()
        self.was_read = True
        return work(Reading(snapshot, self._now_ms), request)

    def _settled(self) -> Snapshot:
        """The snapshot, with what was written before in it if the daemon soon writes one: it is read by who wrote."""
        if not self._is_settled:
            self._snapshot = self._files.settled(self._held(), self._now_ms)
            self._is_settled = True
        return self._held()

    def _held(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = self._files.snapshot()
        return self._snapshot

    def _known(self, typed: str) -> IssueDoc | None:
        """An issue as it was when the snapshot was made; None where that isn't known."""
        if typed in self._made:
            return self._made[typed]
        try:
            return find(self._held(), typed, self._now_ms)
        except MootError:
            return None

    # -- Writing -------------------------------------------------------------------------------------------------
    def _write(self, request: Request[Any], key: str) -> Any:
        check_allowed(request)
        if not isinstance(request, Mutation):
            raise cannot("this")
        if request.dry_run and self._wait_s is None:
            raise RefusedError(
                "what a command would do only the daemon knows", code=Code.USAGE, hint="add --wait to hear its answer"
            )
        if isinstance(request, Heartbeat) and not request.id:
            return self._renew_all(request, key)
        if isinstance(request, ClaimReady):
            request = self._ready_here(request)
        _check_claims(request)
        self._check_known(request)
        command, entropy = self._entropy(ID_BYTES), self._entropy
        if key:
            command, entropy = _following(self._files.token.secret, request, key)
            self._files.forget_answer(command)
        request = self._named(request, entropy)
        self._last_ms = max(self._now_ms, self._last_ms + 1)  # commands of one run are carried out in their order
        try:
            data = seal_command(self._files.token, command, self._last_ms, request, awaited=self._wait_s is not None)
        except RecursionError as error:
            raise RefusedError(f"what is given is nested deeper than {JSON_NESTING} levels") from error
        self._files.put(self._last_ms, command, data)
        outcome = None if self._wait_s is None else self._files.wait(command, self._wait_s)
        if outcome is None:
            if self._wait_s is not None:
                _check_answerless(request, command, key)
            return self._queue(request, command)
        self._is_settled = False
        if outcome.error is not None:
            raise outcome.error
        return decode_result(request, msgspec.Raw(msgspec.msgpack.encode(outcome.result)))

    def _queue(self, request: Mutation[Any], command: bytes) -> Any:
        expected = Expectation(self._known, self._now_ms, command.hex()).of(request)
        made = tuple(_made_by(request))
        for issue in expected if isinstance(expected, list) else [expected]:
            if issue.get("id") in made:
                self._made[issue["id"]] = issue
        self._queueing()
        self.queued.append(Queued(command.hex(), about(request, self._called), made))
        return expected

    def _renew_all(self, request: Heartbeat, key: str) -> list[Any]:
        """Renew every claim that ends by itself; of what nobody answered the first is told once all are queued."""
        renewed, unanswered = list[Any](), None
        for claim in self._ending(request.actor):
            try:
                renewed += self._renew(request, claim, key)
            except RefusedError as error:
                if error.code is not Code.TIMEOUT:
                    raise
                unanswered = unanswered or error
        if unanswered is not None:
            raise unanswered
        return renewed

    def _renew(self, request: Heartbeat, issue: str, key: str) -> Any:
        return self._write(msgspec.structs.replace(request, id=issue), f"{key}/{issue}" if key else "")

    def _ending(self, actor: str) -> list[str]:
        """The actor's claims that end by themselves, as the snapshot tells them."""
        issues = self._held().issues.values()
        self.was_read = True
        return [issue["id"] for issue in issues if issue.get("_claim", {}).get("holder") == actor]

    def _ready_here(self, request: ClaimReady) -> ClaimReady:
        """The claim of what is ready in this project. Which issue that is only the daemon's answer tells."""
        if self._wait_s is None:
            raise RefusedError(
                "which issue is to be had only the daemon knows", code=Code.USAGE, hint="add --wait to hear its answer"
            )
        token = self._files.token
        place = msgspec.structs.replace(request.filter, projects=(token.project,), plane=token.plane)
        if set(request.filter.projects) - {token.project}:
            raise cannot(f"what other projects than {token.project} hold")
        return msgspec.structs.replace(request, filter=place)

    def _check_known(self, request: Mutation[Any]) -> None:
        """Refuse at once what surely isn't there: where nobody waits, a wrong id would be noticed late.

        Raises:
            RefusedError: `not_found`, `ambiguous`.
        """
        typed = getattr(request, "id", "")
        if isinstance(request, Create | Script) or not typed or typed in self._made:
            return
        try:
            if not is_whole_id(self._held().project, typed) and self._known(typed) is None:
                find(self._settled(), typed, self._now_ms)
        except RefusedError as error:
            snapshot = self._snapshot
            is_sure = snapshot is not None and not snapshot.left_out and not self.is_behind
            if error.code is Code.AMBIGUOUS or is_sure:
                self.was_read = True
                raise

    def _named(self, request: Mutation[Any], entropy: Callable[[int], bytes]) -> Mutation[Any]:
        """A request whose new issues have ids: made here, so that they can be told and used at once."""
        project = self._files.token.project
        if isinstance(request, Create) and not request.id:
            return msgspec.structs.replace(request, id=issue_id(project, entropy(ID_ENTROPY_BYTES)))
        if isinstance(request, Script):
            steps = tuple(
                {**step, "params": {**step["params"], "id": issue_id(project, entropy(ID_ENTROPY_BYTES))}}
                if step["method"] == Create.method and not step["params"].get("id")
                else step
                for step in request.steps
            )
            return msgspec.structs.replace(request, steps=steps)
        return request

    # -- For people ----------------------------------------------------------------------------------------------
    def _doctor(self) -> list[dict[str, Any]]:
        """What can be checked from inside a sandbox."""
        waiting = self._files.waiting()
        lasted_ms = waiting.lasted_ms(self._now_ms)
        oldest = f"the oldest has waited for {lasted(lasted_ms)}" if waiting.files else "none waits"
        room = f"{waiting.files:,} of {SPOOL_FILES:,} commands wait"
        checks = [
            checked("the daemon can be asked", ok=False, detail=self._reason, hint="see docs/sandboxes.md"),
            checked("the spool has room", ok=waiting.files < SPOOL_FILES, detail=room, hint="start the daemon"),
            checked("commands are taken", ok=lasted_ms <= UNTAKEN_MS, detail=oldest, hint=UNTAKEN),
        ]
        try:
            made_ms = self._held().made_ms
        except MootError as error:
            return [*checks, checked("there is a snapshot", ok=False, detail=error.message, hint=error.hint)]
        seconds = max(self._now_ms - made_ms, 0) // 1000
        is_fresh = self._now_ms - made_ms < _STALE_MS
        told = f"{seconds} seconds old"
        return [*checks, checked("the snapshot is fresh", ok=is_fresh, detail=told, hint="start the daemon outside")]


def _check_answerless(request: Mutation[Any], command: bytes, key: str) -> None:
    """Refuse to go on where only the answer that didn't come in time says who has an issue, or what would be done.

    Whatever else waits in the spool will be done as it was asked for, and is told as queued: were it refused, it would
    be given again, and be done twice.

    Raises:
        RefusedError: `timeout`.
    """
    queued = f"stays queued (command {command.hex()[:12]})"
    again = "ask again under the same --request-id only" if key else "don't ask again"
    if isinstance(request, ClaimReady):
        what, hint = "the claim", f"{again}: `list --assignee` with your name tells later what it took"
    elif request.dry_run:
        what, hint = "the question what would be done", "nothing will be changed by it: ask again once a daemon runs"
    elif ids := [_named(each.id) for each in _each_of(request) if _is_about_holding(each)]:
        what = "what was asked for" if isinstance(request, Script) else f"the {_HOLDING[type(request)]} of {ids[0]}"
        hint = f"don't count {' and '.join(ids)} as yours, and {again}: `show` tells later who has it"
    else:
        return
    message = f"the daemon hasn't answered in time; {what} {queued}"
    raise RefusedError(message, code=Code.TIMEOUT, hint=hint, retryable=bool(key) or request.dry_run)


_HOLDING: Final = {Update: "claim", Heartbeat: "renewal", Unclaim: "giving back"}
"""What requests about who has an issue ask for."""


def _is_about_holding(request: Request[Any]) -> bool:
    """Whether somebody else's claim may stand in the way of a request, so that its answer says who has the issue."""
    return isinstance(request, Heartbeat) or bool(
        (isinstance(request, Update) and request.claim) or (isinstance(request, Unclaim) and request.if_holder)
    )


def _named(typed: str) -> str:
    return "what it makes" if typed.startswith("$") else typed


def _each_of(request: Mutation[Any]) -> list[Any]:
    return [*steps_of(request)] if isinstance(request, Script) else [request]


def _check_claims(request: Mutation[Any]) -> None:
    """Refuse at once a claim that contradicts what is asked for beside it: the daemon would, and it would be late.

    Raises:
        RefusedError: `usage`.
    """
    for update in _each_of(request):
        if isinstance(update, Update) and update.claim:
            check_beside_claim(given_fields(update.fields), update.actor)


def _following(secret: bytes, request: Mutation[Any], key: str) -> tuple[bytes, Callable[[int], bytes]]:
    """The id of an actor's command under a key, and what takes the place of entropy for those of new issues.

    These follow from the request as well: a key that comes again with something else, long after, names no issue that
    is there.
    """
    seed = keyed(secret, _KEYED_DOMAIN + msgspec.msgpack.encode([request.actor, key]))
    content = keyed(seed, msgspec.msgpack.encode([request.method, request]))
    numbers = count()
    return seed[:ID_BYTES], lambda size: keyed(content, next(numbers).to_bytes(4, "big"))[:size]


def _made_by(request: Mutation[Any]) -> list[str]:
    if isinstance(request, Create):
        return [request.id]
    if isinstance(request, Script):
        return [step["params"]["id"] for step in request.steps if step["method"] == Create.method]
    return []
