"""One long text of an issue, for those that look through many: nothing else of its event or of the issue is decoded."""

from mootd.engine.issues.reading import Issues
from mootd.engine.views.record import Record, groups_of


def text_of(issues: Issues, record: Record, field: str) -> str:
    """What is shown of a text field; empty where there is nothing, or it is withheld or erased."""
    live = list(groups_of(record, field))
    if len(live) == 1:
        value = issues.entities.log.said(live[0].arrival)[0].get(field)
    else:
        value = issues.read(record).values.get(field) if live else ""
    return value if isinstance(value, str) else ""
