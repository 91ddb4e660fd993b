"""Issues by how their ids and aliases begin.

Invariant: what isn't asked for is not read: the keys of ids and aliases lead to the issues, however many others there
are.
"""

from collections.abc import Iterator
from itertools import islice

from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.listing import Page
from moot_protocol.requests.queries import MOST_BEGUN, Begun
from mootd.engine.listing.filters import tests_of
from mootd.engine.listing.lists import Lists
from mootd.engine.stored import layout


class BegunLists(Lists):
    """Looks ids up in one snapshot."""

    def begun(self, request: Begun) -> Page:
        """Issues whose ids or aliases begin so, in order of id."""
        most = min(max(request.most, 1), MOST_BEGUN)
        eids: dict[int, None] = {}
        truncated = False
        for start in dict.fromkeys(request.starts):
            begun = list(islice(self._beginning(start), most + 1))
            truncated |= len(begun) > most
            eids |= dict.fromkeys(begun[:most])
        tests = tests_of(request.filter, self._issues, self._now_ms)
        tests.append(lambda c: c.facts.is_deleted == request.filter.deleted)
        found = sorted(self._matching(eids, tests), key=lambda c: c.record.entity)
        return self._page_of(found, None if truncated else len(found), truncated=truncated, texts=False)

    def _beginning(self, start: str) -> Iterator[int]:
        """Numbers of the issues whose ids begin so, then of those whose aliases do."""
        reader, views = self._issues.entities.reader, self._issues.entities.views
        data = start.encode("utf-8", "surrogatepass")
        for plane in self._issues.planes:
            key = layout.id_key(plane, ISSUE, "") + data
            yield from (int.from_bytes(eid, "big") for _, eid in reader.scan(views.ids, key, layout.after(key)))
        for plane in self._issues.planes:
            key = layout.aliases_prefix(plane, start)
            yield from (layout.eid_of(alias) for alias, _ in reader.scan(views.index, key, layout.after(key)))
