"""What bringing a mirror into step would do: the keeper's own steps, with every write to the log taken back.

Invariant: nothing is written, neither to the log, nor to the mirror's row, nor to the file.
"""

from collections.abc import Sequence
from typing import Any

from moot_protocol.mirrors.lines import (
    Doubt,
    content_hash,
    differences,
    doubt_of,
    id_of,
    joined,
    line_key,
    split,
)
from moot_protocol.mirrors.writing import rewritten
from moot_protocol.requests.mirrors import MirrorResume, MirrorSync
from mootd.engine.commit import Committer
from mootd.engine.issues.mirroring import issues_of, mirrored_lines
from mootd.engine.machine.mirrors import MirrorRow, due_since, lines_of, nearest, seen_keys, version_of
from mootd.engine.replica import Replica
from mootd.mirror.intake import Tally, missing_pairs, problem_of_change, sort_out, take_pairs
from mootd.store.port import Reader


class Foretelling:
    """Looks at one mirror as it stands.

    Args:
        commit: carries out work in a write transaction, and takes it back.
        replica: the replica.
        row: the mirror's row.
        content: the file's.
    """

    def __init__(self, commit: Committer, replica: Replica, row: MirrorRow, content: bytes) -> None:
        self._commit = commit
        self._replica = replica
        self._row = row
        self._content = content
        self._lines = split(content)
        self._tally = Tally()
        self._base = row.current
        self._has_older = False
        self._problem = ""
        self._doubt: Doubt | None = None

    def of(self, request: MirrorSync | MirrorResume) -> dict[str, Any]:
        """What the request would do: `{"problem", "doubt", "writes"}` and the counts of an import."""
        if isinstance(request, MirrorResume):
            if request.accept:
                self._take(accepted=True)
            writes = not request.accept and self._is_rewritten(self._last_taken(), full=True)
        else:
            self._take(accepted=False, delete_missing=request.delete_missing)
            is_held_up = bool(self._problem or self._doubt)
            writes = not is_held_up and self._is_rewritten(self._lines, full=request.full)
        return {"problem": self._problem, "doubt": self._doubt, "writes": writes, **self._tally.document()}

    def _take(self, *, accepted: bool, delete_missing: bool = False) -> None:
        row = self._row
        with self._replica.read() as reader:
            before = lines_of(reader, row.scope, self._base_of(reader, accepted=accepted))
            self._problem = problem_of_change(self._lines, set(before)) or ""
            if self._problem:
                return
            found = differences(before, self._lines)
            changed = [line_key(pair.line) for pair in found.pairs if pair.number]
            self._doubt = None if accepted else doubt_of(found, seen_keys(reader, row.scope, changed))
            older, pairs = sort_out(issues_of(self._replica, reader, row.plane), row.project, found)
        if self._doubt is not None:
            return
        self._has_older = not accepted and bool(older)
        self._tally = take_pairs(self._commit, row, found.pairs if accepted else pairs, delete_missing=accepted)
        if delete_missing:
            gone = {id_of(pair.base) or "" for pair in found.gone}
            names = {*row.missing, *gone} - {"", *map(id_of, self._lines)}
            pairs = missing_pairs(sorted(names))
            self._tally.counts += take_pairs(self._commit, row, pairs, delete_missing=True).counts

    def _base_of(self, reader: Reader, *, accepted: bool) -> int:
        """The version that the file comes from."""
        row = self._row
        known = version_of(reader, row.scope, content_hash(self._content))
        if known or not accepted:
            self._base = known or nearest(reader, row.scope, set(map(line_key, self._lines)), row.current)
        return self._base

    def _last_taken(self) -> list[bytes]:
        with self._replica.read() as reader:
            return lines_of(reader, self._row.scope, self._row.current)

    def _is_rewritten(self, lines: Sequence[bytes], *, full: bool) -> bool:
        """Whether the file would be another if the log were written into some lines."""
        row = self._row
        with self._replica.read() as reader:
            owed = {row.newest: row.newest_arrival, row.current: row.arrival}.get(self._base)
            if self._has_older and not row.is_behind:
                owed = None
            elif self._base == row.newest and row.cuts != self._replica.cuts:
                full = True
            issues = issues_of(self._replica, reader, row.plane)
            due = set() if owed is None else due_since(reader, owed, *issues.planes).issues
            wanted = mirrored_lines(issues, row.project, None if full else due)
            return joined(rewritten(list(lines), wanted)) != self._content
