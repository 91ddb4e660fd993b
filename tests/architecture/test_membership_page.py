"""`docs/membership.md` can't name a test that isn't there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+){3,}…?)`")
"""A test's name without its `test_`, or the beginning of it."""


def test_each_test_that_the_page_names_is_there() -> None:
    named = NAME.findall((ROOT / "docs" / "membership.md").read_text(encoding="utf-8"))
    sources = (ROOT / "tests").rglob("test_*.py")
    tests = re.findall(r"def test_(\w+)\(", "".join(path.read_text(encoding="utf-8") for path in sources))
    assert len(named) > 150
    missing = [
        each
        for each in named
        if not (any(test.startswith(each[:-1]) for test in tests) if each.endswith("…") else each in tests)
    ]
    assert missing == []
