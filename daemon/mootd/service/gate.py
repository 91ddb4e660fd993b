"""The gate: whether a request of somebody else than the daemon's user is carried out, and the record of it.

Invariants: nobody but the daemon's own user gets in where no rules stand, or none that can be read. A decision that is
to be recorded is durable before anything is answered. Whom no rule binds passes without a look at any rule.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NoReturn

from moot_protocol.access import EVERYTHING, Audit, Decision, Rules, acts_for, decide, user_of
from moot_protocol.access_table import permissions_of, resources_of
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import AUDIT_RESOURCES
from moot_protocol.request_base import Request
from moot_protocol.requests import ResolveIds
from mootd.edges.access_file import AccessFile
from mootd.engine.audit import Entry, note
from mootd.engine.unit import Unit


class Gate:
    """Decides on requests by the user id they come from.

    Args:
        file: the rules.
        owner: the daemon's own user id.
        read: answers a reading request.
        commit: carries out work in one write transaction, durably.
        executor: threads for what touches the disk.
    """

    def __init__(
        self,
        file: AccessFile,
        owner: int,
        read: Callable[[Request[Any]], Any],
        commit: Callable[[Callable[[Unit], object]], object],
        executor: Executor,
    ) -> None:
        self._file = file
        self._owner = owner
        self._read = read
        self._commit = commit
        self._executor = executor

    def lets_in(self, uid: int) -> bool:
        """Whether a user id may connect, by the rules as they were last read. Touches no disk."""
        rules = self._file.last
        return uid == self._owner or (rules is not None and user_of(rules, uid) is not None)

    def binds(self, uid: int) -> bool:
        """Whether requests of a user id have to pass `admit`. Touches no disk."""
        rules = self._file.last
        return uid != self._owner or (rules is not None and rules.audit is Audit.ALL)

    async def admit_async(self, uid: int, request: Request[Any]) -> None:
        """As `admit`, from the loop."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self.admit, uid, request)

    def admit(self, uid: int, request: Request[Any]) -> None:
        """Let a request pass, or refuse it. Blocks until the record is durable, where there is one.

        Raises:
            RefusedError: `denied`.
        """
        if uid == self._owner:
            self._note_own(request)
            return
        try:
            rules = self._file.rules()
        except MootError:
            rules = None
        if rules is None:
            self._deny(f"uid {uid}", request, "there are no rules that can be read")
        user = user_of(rules, uid)
        if user is None:
            self._deny(f"uid {uid}", request, f"no user is user id {uid}")
        actor = getattr(request, "actor", "") or user
        if not acts_for(actor, user):
            self._deny(user, request, f"{user} can't act as {actor}")
        decision = self._decided(rules, actor, request)
        if not decision.allowed:
            self._deny(actor, request, decision.rule)
        if rules.audit is not Audit.WRITES or type(request).writes:
            self._note("access_granted", actor, request, "allowed", decision.rule)

    def _decided(self, rules: Rules, subject: str, request: Request[Any]) -> Decision:
        resources = list(self._resources(request)) or [EVERYTHING]
        if len(resources) > AUDIT_RESOURCES:
            return Decision(False, f"it names more than {AUDIT_RESOURCES} things at once")
        decision = Decision(False, "")
        for permission in permissions_of(request):
            for resource in resources:
                decision = decide(rules, subject, permission, resource)
                if not decision.allowed:
                    return decision
        return decision

    def _resources(self, request: Request[Any]) -> Iterator[str]:
        """What a request is about: ids in full, since a rule about `secret-*` means the beginning of one as well."""
        for named in resources_of(request):
            full = named.text
            if named.is_id:
                with suppress(MootError):  # it is none, or is made by this request: then it counts as it was typed
                    full = self._read(ResolveIds(ids=(named.text,)))[0]
            yield full

    def _note_own(self, request: Request[Any]) -> None:
        rules = self._file.last
        if rules is not None and rules.audit is Audit.ALL:
            actor = getattr(request, "actor", "")
            self._note("requested", actor, request, "allowed", "the daemon's own user: no rule binds")

    def _deny(self, subject: str, request: Request[Any], rule: str) -> NoReturn:
        self._note("access_denied", subject, request, "denied", rule)
        raise RefusedError(
            f"{subject} may not `{request.method}`: {rule}",
            code=Code.DENIED,
            hint="whoever keeps access.toml on this machine can change that",
        )

    def _note(self, event_type: str, subject: str, request: Request[Any], result: str, rule: str) -> None:
        resource = ", ".join(each.text for each in resources_of(request)) or EVERYTHING
        entry = Entry(event_type, subject, request.method, resource, result, {"rule": rule})
        self._commit(lambda unit: note(unit, entry))
