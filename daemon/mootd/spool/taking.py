"""Taking commands out of a spool: each is checked, carried out once, answered, and only then removed.

Invariant: a file goes when what became of it is durable: the write with its key, and the answer if one is awaited. A
crash at any point leaves a file that is taken again, and found to be done. What is no command goes aside with the
reason, and a command that comes back after it was dealt with is a replay: refused, and told. What lay there when this
process began may have been carried out by the one before, and what it submitted itself may have been carried out
though something failed then: neither is a replay, and both get the answer that was kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import SPOOL_FILES
from moot_protocol.requests.base import Request
from moot_protocol.spool.files import (
    Opened,
    Outcome,
    Sealed,
    about,
    answer_name,
    check_command,
    name_parts,
    open_content,
    open_info,
    seal_answer,
)
from mootd.edges.spool_folder import SpoolFolder, Waiting
from mootd.engine.issues.checks import check_actor
from mootd.engine.replica import Replica
from mootd.engine.spools import PAIR, SpoolRow, apply_once, secret_of, was_applied
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out, once

AT_ONCE: Final = 100
"""Commands taken in one look: they are committed together."""
_KNOWN: Final = 4 * SPOOL_FILES
_log: Final = structlog.get_logger()

Submit = Callable[[Callable[[Unit], Any]], "Future[Any]"]
"""Queues a job for the writer."""
Admit = Callable[[Request[Any]], object]
"""Lets a request pass as one of the spool's owner, this daemon's own user. Raises RefusedError: `denied`."""


class _UnderWay(NamedTuple):
    name: str
    command: Opened
    future: "Future[Any]"


class Taker:
    """Takes commands out of one spool.

    Args:
        row: the spool.
        replica: the replica.
        submit: queues a job for the writer.
        admit: judges each command as the same request from the socket is judged.
    """

    def __init__(self, row: SpoolRow, replica: Replica, submit: Submit, admit: Admit) -> None:
        self._row = row
        self._replica = replica
        self._submit = submit
        self._admit = admit
        self._secret = secret_of(replica.keys, row)
        self.dealt_with = 0
        """How many files were, since it began: commands carried out, and what was put aside."""
        self._began = False
        """Whether it was noted what lay there before."""
        self._unsettled: set[bytes] = set()
        """Commands that wait and may have been carried out: found when it began, or submitted and not dealt with."""
        self._stuck: OrderedDict[str, None] = OrderedDict()
        """What can't be put aside: told once, and passed over."""

    def take(self, folder: SpoolFolder) -> bool:
        """Take what waits; gives whether more may.

        Raises:
            MootError: the writer can't write now; what isn't dealt with stays where it is.
            OSError: the folder can't be read or written.
        """
        waiting = folder.waiting()
        if waiting.overfull:
            _log.warning("spool.overfull", project=self._row.project, files=len(waiting.names))
        self._note_unsettled(waiting)
        names = [name for name in waiting.names if name not in self._stuck]
        under_way: list[_UnderWay] = []
        failures: list[Exception] = []
        try:
            self._submit_all(folder, names[:AT_ONCE], under_way)
        except Exception as error:  # whatever it is, what was submitted before is answered first
            failures.append(error)
        for each in under_way:
            try:
                self._settle(folder, each)
            except MootError as error:
                failures.append(error)
            except OSError as error:  # as for the others on this disk: the next look answers them
                failures.append(error)
                break
        if failures:
            raise failures[0]
        return len(names) > AT_ONCE

    def _note_unsettled(self, waiting: Waiting) -> None:
        """Note what may have been carried out already, and forget what waits no more."""
        if self._began and not self._unsettled:
            return
        ids = {parts[1] for name in waiting.names if (parts := name_parts(name))}
        self._unsettled = self._unsettled & ids if self._began else ids
        self._began = True

    def _submit_all(self, folder: SpoolFolder, names: Sequence[str], under_way: list[_UnderWay]) -> None:
        """Submit commands in order, as far as it goes: none overtakes one before it that can't be taken now."""
        for name in names:
            command = self._command(folder, name)
            if command is not None:
                future = self._submit(self._job(command))
                self._unsettled.add(command.id)
                under_way.append(_UnderWay(name, command, future))

    # -- Before ----------------------------------------------------------------------------------------------------
    def _command(self, folder: SpoolFolder, name: str) -> Opened | None:
        """The command that a file holds; what is none is put aside."""
        try:
            if name_parts(name) is None:
                raise RefusedError("its name is no command's")
            sealed = check_command(
                folder.read(name), name, self._row.workspace, self._secret, self._replica.wall.now_ms()
            )
            self._refuse_replayed(sealed)
            content = self._replica.keys.hpke_open(PAIR, sealed.sealed, open_info(sealed))
        except FileNotFoundError:
            return None
        except MootError as error:
            self._refuse(folder, name, error.message)
            return None
        try:
            command = open_content(sealed, content)
            self._judge(command)
        except MootError as error:
            if error.retryable:
                raise
            # Whoever wrote it holds the token and is told; it stays refused, whoever puts it back.
            self._answer(folder, sealed.id, Outcome("", "a command", error=error), awaited=True)
            self._refuse(folder, name, error.message)
            return None
        return command

    def _judge(self, command: Opened) -> None:
        """Let a command pass, once: what is already done was judged before its write."""
        check_actor(command.request.actor)
        with self._replica.read() as reader:
            is_done = was_applied(reader, command.ms, command.id)
        if not is_done:
            self._admit(command.request)

    def _refuse_replayed(self, sealed: Sealed) -> None:
        if sealed.id in self._unsettled:
            return
        with self._replica.read() as reader:
            if was_applied(reader, sealed.ms, sealed.id):
                raise RefusedError("it was carried out before: somebody has put it back")

    def _refuse(self, folder: SpoolFolder, name: str, reason: str) -> None:
        _log.warning("spool.refused", project=self._row.project, file=ascii(name), reason=reason)
        if folder.refuse(name, reason, self._replica.wall.now_ms()):
            self.dealt_with += 1
        else:
            self._stuck[name] = None
            if len(self._stuck) > _KNOWN:
                self._stuck.popitem(last=False)

    # -- The write -------------------------------------------------------------------------------------------------
    def _job(self, command: Opened) -> Callable[[Unit], Any]:
        request, key = command.request, f"spool:{command.id.hex()}"

        def forgotten(_: Unit) -> Any:
            raise RefusedError("it was carried out; its answer is no longer kept", code=Code.NOT_FOUND)

        def job(unit: Unit) -> Any:
            def carry(unit: Unit) -> Any:
                return once(unit, request, key, lambda unit: carry_out(unit, request))

            def repeat(unit: Unit) -> Any:
                return once(unit, request, key, forgotten) if command.awaited else None

            return apply_once(unit, self._row, command, carry, repeat)

        return job

    # -- After -----------------------------------------------------------------------------------------------------
    def _settle(self, folder: SpoolFolder, done: _UnderWay) -> None:
        """Answer a command and remove it.

        Raises:
            MootError: the store's, or the writer's: it stays, and may be written later.
            OSError: it can't be answered or removed now: it stays.
        """
        command = done.command
        words, actor = about(command.request), command.request.actor
        try:
            answer = done.future.result()
        except MootError as error:
            if error.code not in {Code.NOT_FOUND, Code.KEY_REUSED}:
                raise
            answer = error
        except Exception as error:  # a defect of ours: it would come again with every try
            _log.exception("spool.crashed", project=self._row.project, command=command.id.hex(), exc_info=error)
            crashed = MootError("a defect in Moot; see the daemon's log", code=Code.INTERNAL)
            self._answer(folder, command.id, Outcome(actor, words, error=crashed), awaited=command.awaited)
            self._refuse(folder, done.name, "a defect in Moot")
            self._unsettled.discard(command.id)
            return
        self.dealt_with += 1
        failed = isinstance(answer, MootError)
        if failed or command.awaited:
            outcome = Outcome(actor, words, error=answer) if failed else Outcome(actor, words, answer)
            self._answer(folder, command.id, outcome, awaited=command.awaited)
        folder.remove(done.name)
        self._unsettled.discard(command.id)

    def _answer(self, folder: SpoolFolder, command: bytes, outcome: Outcome, *, awaited: bool) -> None:
        folder.answer(answer_name(command, awaited=awaited), seal_answer(self._secret, command, outcome))
