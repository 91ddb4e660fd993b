"""The gate: whether a request that rules bind is carried out, what is seen of its answer, and the record of it.

Invariants: nobody but the daemon's own user gets in where no rules stand, or none that can be read. An API token only
takes away: whoever presents one may do what its user may, if their user id may it too. The record of a denial, or of a
write, is durable before anything is answered; those of allowed reads are written together, a little later. Whom no rule
binds passes without a look at any rule.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from moot_protocol.access.rows import (
    ALWAYS_NARROWED,
    NARROWED,
    WRITTEN,
    among,
    cut,
    is_passed_over,
    ready_for,
    widened,
)
from moot_protocol.access.rules import (
    EVERYTHING,
    Asker,
    Audit,
    Rules,
    acts_for,
    user_of,
)
from moot_protocol.access.table import PERMISSIONS, permissions_of, resources_of
from moot_protocol.access.tokens import bad_token, token_id
from moot_protocol.control.rpc import AUTHENTICATE
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import ACCESS_ROWS
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.machine import Ping
from mootd.edges.access_file import AccessFile
from mootd.engine.audit import Entry, note
from mootd.engine.issues.names import no_issue
from mootd.engine.machine.access_tokens import Flaw, Token, note_use
from mootd.engine.unit import Unit
from mootd.service.access.audit_gathering import AuditGathering
from mootd.service.access.deciding import SHOWN, Deciding
from mootd.service.access.tokens import Tokens

_NAMED_IN_REFUSALS: Final = (SHOWN, "plane:read", "document:read")
"""What one has to see all of to hear every name that a refusal may hold."""
_UNREADABLE: Final = "there are no rules that can be read"


class Grant(NamedTuple):
    """What becomes of a request that was let pass."""

    request: Request[Any]
    """What is to be carried out: with the actor filled in, and room for rows that will be hidden."""
    asked: Request[Any]
    narrowing: Callable[[Any], Any] | None = None
    """What of its answer is shown; None where all is."""
    is_discreet: bool = False
    """Whether a refusal must not name what wasn't asked with, since some of it may be hidden."""


class _Bound(NamedTuple):
    """Who asks, by the rules."""

    rules: Rules
    users: tuple[str, ...]
    """All whose rules bind: the user of the user id, and the token's."""
    token: Token | None

    @property
    def user(self) -> str:
        """Who acts where nobody is named: of `alice` and `alice/claude-3` the latter."""
        return max(self.users, key=len)


class Gate:
    """Decides on requests by the user id they come from, and by the API token that was presented.

    Args:
        file: the rules.
        owner: the daemon's own user id.
        read: answers a reading request.
        records: writes what is recorded.
        executor: threads for what touches the disk.
        tokens: the API tokens.
        until_loaded: waits until `read` answers at once; None where it always does.
    """

    def __init__(
        self,
        file: AccessFile,
        owner: int,
        read: Callable[[Request[Any]], Any],
        records: AuditGathering,
        executor: Executor,
        tokens: Tokens,
        until_loaded: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._until_loaded = until_loaded
        self._file = file
        self._owner = owner
        self._read = read
        self._records = records
        self._executor = executor
        self._tokens = tokens

    def lets_in(self, uid: int) -> bool:
        """Whether a user id may connect, by the rules as they were last read. Touches no disk."""
        rules = self._file.last
        return uid == self._owner or (rules is not None and user_of(rules, uid) is not None)

    def binds(self, uid: int) -> bool:
        """Whether requests of a user id have to pass `admit` also without a token. Touches no disk."""
        rules = self._file.last
        return uid != self._owner or (rules is not None and rules.audit is Audit.ALL)

    # -- From the loop -------------------------------------------------------------------------------------------
    async def user_async(self, asker: Asker) -> str:
        """As `user`, from the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.user, asker)

    async def admit_async(self, asker: Asker, request: Request[Any], *, again: bool = False) -> Grant:
        """As `admit`, from the loop. All but a ping waits first for what is loaded in the same threads."""
        if self._until_loaded is not None and not isinstance(request, Ping):
            await self._until_loaded()
        admit = partial(self.admit, asker, request, again=again)
        return await asyncio.get_running_loop().run_in_executor(self._executor, admit)

    async def narrow_async(self, grant: Grant, answer: Any) -> Any:
        """As `narrow`, from the loop."""
        if grant.narrowing is None:
            return answer
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.narrow, grant, answer)

    # -- Decisions -----------------------------------------------------------------------------------------------
    def user(self, asker: Asker) -> str:
        """The user as whom somebody acts who says nothing else; empty for the daemon's own user without a token.

        Raises:
            RefusedError: `denied`; `bad_token`.
        """
        bound = self._bound(asker, AUTHENTICATE, EVERYTHING)
        return bound.user if bound else ""

    def admit(self, asker: Asker, request: Request[Any], *, again: bool = False) -> Grant:
        """Let a request pass, or refuse it. Blocks until the record of a denial or a write is durable.

        Args:
            asker: who asks.
            request: what for.
            again: whether it is another look of a subscription, of which only a denial is recorded. Else the record of
                each look, an event too, would be what the next one finds.

        Raises:
            RefusedError: `denied`; `bad_token`.
        """
        bound = self._bound(asker, request.method, _told(request))
        if bound is None:
            self._note_own(request, again=again)
            return Grant(request, request)
        asked = _with_actor(request, bound.user)
        actor = getattr(asked, "actor", "") or bound.user
        stranger = next((user for user in bound.users if not acts_for(actor, user)), None)
        if stranger is not None:
            self._deny(stranger, request, f"{stranger} can't act as {actor}", bound.token)
        deciding = Deciding(bound.rules, actor, self._read)
        scoped = deciding.is_scoped(request)
        decision = deciding.on(asked, scoped=scoped)
        if not decision.allowed:
            if decision.unseen:
                self._note(_denial(actor, request, decision.rule), bound.token)
                raise no_issue(decision.unseen)
            self._deny(actor, request, decision.rule, bound.token)
        if not again and (bound.rules.audit is not Audit.WRITES or type(request).writes):
            entry = Entry("access_granted", actor, request.method, _told(request), "allowed", {"rule": decision.rule})
            self._note_allowed(request, _with_token(entry, bound.token))
        if scoped and isinstance(asked, ClaimReady):
            asked = among(asked, self._read(ready_for(asked, ACCESS_ROWS)), deciding.sight())
        narrowing = NARROWED.get(request.method) or WRITTEN.get(request.method)
        is_discreet = scoped or not deciding.sees_all_of(*_NAMED_IN_REFUSALS)
        if narrowing is None or not (scoped or request.method in ALWAYS_NARROWED):
            return Grant(asked, asked, None, is_discreet)
        sees = deciding.sight()
        return Grant(widened(asked, ACCESS_ROWS), asked, lambda answer: narrowing(answer, sees), is_discreet)

    def narrow(self, grant: Grant, answer: Any) -> Any:
        """What of an answer is shown to whom its request was granted."""
        if grant.narrowing is None:
            return answer
        request, shown = grant.request, grant.narrowing(answer)
        while is_passed_over(request, shown):
            request = msgspec.structs.replace(request, since=answer["next"], wait_ms=0)
            answer = self._read(request)
            shown = grant.narrowing(answer)
        return cut(shown, getattr(grant.asked, "limit", 0))

    @contextmanager
    def telling(self, grant: Grant) -> Iterator[None]:
        """Carrying out, in the `with` block, what was granted: a refusal names nothing that may be hidden."""
        try:
            yield
        except MootError as error:
            if not (grant.is_discreet and error.discreet):
                raise
            raise RefusedError(error.discreet, code=error.code, retryable=error.retryable) from None

    def _bound(self, asker: Asker, method: str, resource: str) -> _Bound | None:
        """Who asks; None for whom no rule binds."""
        is_own = asker.uid is None or asker.uid == self._owner
        if is_own and not asker.token:
            return None
        whoever = f"uid {self._owner if asker.uid is None else asker.uid}"
        denied = Entry("access_denied", whoever, method, resource, "denied")
        token = self._token(asker.token, denied) if asker.token else None
        try:
            rules = self._file.rules()
        except MootError:
            rules = None
        user = None if rules is None or is_own or asker.uid is None else user_of(rules, asker.uid)
        users = (*(() if user is None else (user,)), *(() if token is None else (token.user,)))
        if rules is None:
            self._deny_as(denied, _UNREADABLE, token)
        if not is_own and user is None:
            self._deny_as(denied, f"no user is user id {asker.uid}", token)
        return _Bound(rules, users, token)

    def _token(self, text: str, denied: Entry) -> Token:
        """The token that was presented, its use noted where that is due.

        Raises:
            RefusedError: `bad_token`.
        """
        found = self._tokens.presented(text)
        if isinstance(found, Flaw):
            rule = f"token {token_id(text) or 'of no form'}: {found}"
            self._note(denied._replace(details={"rule": rule}), None)
            raise bad_token()
        if self._tokens.is_use_due(found):
            used = Entry("token_used", found.user, denied.action, found.id, "allowed", {"token": found.id})

            def noting(unit: Unit) -> None:
                note_use(unit, found.id)
                note(unit, used)

            self._records.at_once(noting)
        return found

    # -- Records -------------------------------------------------------------------------------------------------
    def _note_own(self, request: Request[Any], *, again: bool) -> None:
        rules = self._file.last
        if not again and rules is not None and rules.audit is Audit.ALL:
            actor = getattr(request, "actor", "")
            details = {"rule": "the daemon's own user: no rule binds"}
            self._note_allowed(request, Entry("requested", actor, request.method, _told(request), "allowed", details))

    def _note_allowed(self, request: Request[Any], entry: Entry) -> None:
        if type(request).writes:
            self._note(entry, None)
        else:
            self._records.gather(entry)

    def _deny(self, subject: str, request: Request[Any], rule: str, token: Token | None) -> NoReturn:
        self._deny_as(_denial(subject, request), rule, token, *permissions_of(request))

    def _deny_as(self, denied: Entry, rule: str, token: Token | None, *needed: str) -> NoReturn:
        """Refuse in the words of rules: what is needed, not the request that a command happens to make."""
        self._note(denied._replace(details={"rule": rule}), token)
        permissions = needed or (PERMISSIONS.get(denied.action, denied.action),)
        raise RefusedError(
            f"{denied.actor} may not {', '.join(f'`{each}`' for each in permissions)}: {rule}",
            code=Code.DENIED,
            hint="whoever keeps access.toml on this machine can change that",
        )

    def _note(self, entry: Entry, token: Token | None) -> None:
        told = _with_token(entry, token)
        self._records.at_once(lambda unit: note(unit, told))


def _with_token(entry: Entry, token: Token | None) -> Entry:
    return entry if token is None else entry._replace(details={**entry.details, "token": token.id})


def _denial(subject: str, request: Request[Any], rule: str = "") -> Entry:
    return Entry("access_denied", subject, request.method, _told(request), "denied", {"rule": rule})


def _with_actor(request: Request[Any], user: str) -> Request[Any]:
    """A request in which it stands who acts."""
    if getattr(request, "actor", None) != "":
        return request
    return msgspec.structs.replace(request, actor=user)


def _told(request: Request[Any]) -> str:
    return ", ".join(each.text for each in resources_of(request)) or EVERYTHING
