"""Many issues, gone through page by page: nobody holds all of them at once."""

from collections.abc import Iterator

import msgspec

from moot.console.command import Context
from moot_protocol.errors import Code, MootError
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.transfer import Export


def issue_pages(context: Context, wanted: Filter) -> Iterator[list[IssueDoc]]:
    """The issues of a filter with all their texts, closed ones too, in order of id.

    Each page shows the issues as they are when it is asked for.

    Raises:
        MootError: as the daemon refuses.
    """
    after = ""
    try:
        while True:
            page = context.api.call(Export(filter=wanted, after=after, tombstones=False, exact=False))
            yield [msgspec.json.decode(line) for line in page["lines"]]
            after = page["next"]
            if not after:
                return
    except MootError as error:
        if error.code is not Code.UNREACHABLE or after:
            raise
    # What a sandbox has of its project tells no exports; it is small.
    yield context.api.call(ListIssues(filter=wanted, all=True, limit=0, sort="id", texts=True)).issues
