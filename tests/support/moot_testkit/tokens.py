"""How many tokens a text costs an agent: by o200k_base, whose vocabulary the package `bpe-openai` carries.

Counts of other encoders differ by some percent; what is compared with a limit is counted with this one everywhere.
"""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

ENCODING = "o200k_base"
PACKAGE = "bpe_openai"


@cache
def _encoder() -> Any:
    # The extension alone: the package around it first reads every vocabulary into dictionaries, which takes a second.
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None
    assert found.submodule_search_locations
    (library,) = Path(found.submodule_search_locations[0]).glob("_bindings.*so")
    spec = importlib.util.spec_from_file_location(f"{PACKAGE}._bindings", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tokenizer_for_encoding(ENCODING)


def tokens(text: Any) -> int:
    """How many tokens a text has; a document counts as JSON without blanks."""
    if not isinstance(text, str):
        text = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
    return int(_encoder().count(text))
