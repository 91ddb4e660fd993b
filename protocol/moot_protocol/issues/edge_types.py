"""What edges between issues are called: the types that anything here follows from. Others are the writer's choice."""

from typing import Final

BLOCKS: Final = "blocks"
CONDITIONAL_BLOCKS: Final = "conditional-blocks"
WAITS_FOR: Final = "waits-for"
"""Leads to an issue for whose children its source waits: for all, or for any one."""
PARENT: Final = "parent-child"
"""Leads from a child to what it is part of."""
EXTERNAL: Final = "external:"
"""What the target of an edge to something outside begins with: such an edge holds nothing up."""

BLOCKING: Final = frozenset({BLOCKS, CONDITIONAL_BLOCKS})
"""Their source waits for their target."""
HOLDING: Final = BLOCKING | {WAITS_FOR}
"""What an issue waits for by itself; a blocked parent holds its children up, too."""
TELLING: Final = frozenset(
    (
        "related", "discovered-from", "replies-to", "relates-to", "duplicates", "supersedes", "authored-by",
        "assigned-to", "approved-by", "attests", "tracks", "until", "caused-by", "validates", "delegated-from",
    )
)  # fmt: skip
"""What other programs write as well, to tell of something: they hold nothing up."""
