"""Documents: roles, formulas and templates, as people write them in files and as they stand in the log.

A role and a template are text with TOML front matter between two lines `+++`; a formula is TOML (`formula.py`). In the
log a document is one entity, named as people name it, with one key, `document`: the text, of a formula
`[version, text]`. Every function here is total: texts and values that are something else are refused in words, or none.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias

from moot_protocol.documents.formula import Formula, parse_formula
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import DOCUMENT_NAME_CHARS, LOWEST_PRIORITY, TEXT_BYTES
from moot_protocol.merge.kinds import Policy, field_of
from moot_protocol.text.toml_text import DocumentError, Table, read_toml

ROLE: Final = "role"
FORMULA: Final = "formula"
TEMPLATE: Final = "template"
DOCUMENT_KINDS: Final = (ROLE, FORMULA, TEMPLATE)
DOCUMENT: Final = "document"
"""The one key that a document has."""
FENCE: Final = "+++"
_NAME: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{DOCUMENT_NAME_CHARS - 1}}}", re.ASCII)
_LEAST_LEAF_CHARS: Final = 4
"""Hexadecimal characters of a leaf in the name of one version of a template; more where they don't tell it apart."""
_LEAF: Final = re.compile(r"[0-9a-f]{4,16}", re.ASCII)


class RoleText(NamedTuple):
    """What an agent is told to be and do."""

    title: str
    description: str
    labels: tuple[str, ...]
    commands: dict[str, str]
    """Name -> what a shell runs, for the agent to use."""
    hooks: dict[str, str]
    """Event -> what a shell runs when it happens."""
    body: str


class TemplateText(NamedTuple):
    """A text to start an issue from."""

    title: str
    description: str
    type: str
    priority: int | None
    labels: tuple[str, ...]
    body: str


Content: TypeAlias = RoleText | TemplateText | Formula


# -- Texts -------------------------------------------------------------------------------------------------------
def parse_document(kind: str, text: str) -> Content:
    """Read a document's text.

    Raises:
        DocumentError: it is not what its kind asks for; says the line or the field.
    """
    if not text.strip():
        raise DocumentError(f"an empty text is no {kind}")
    return _READERS[kind](text)


def _role(text: str) -> RoleText:
    table, body = _parts(text)
    role = RoleText(
        table.text("title"),
        table.text("description"),
        table.texts("labels"),
        table.named_texts("commands"),
        table.named_texts("hooks"),
        body,
    )
    _refuse_others(table)
    return role


def _template(text: str) -> TemplateText:
    table, body = _parts(text)
    priority = table.number("priority")
    if priority is not None and not 0 <= priority <= LOWEST_PRIORITY:
        raise table.error("priority", f"it must be 0 to {LOWEST_PRIORITY}")
    template = TemplateText(
        table.text("title"), table.text("description"), table.text("type"), priority, table.texts("labels"), body
    )
    _refuse_others(table)
    return template


_READERS: Final[dict[str, Callable[[str], Content]]] = {ROLE: _role, FORMULA: parse_formula, TEMPLATE: _template}


def _parts(text: str) -> tuple[Table, str]:
    """Front matter and the text after it; a text that begins without a fence has no front matter."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return Table({}), text
    end = next((place for place, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise DocumentError(f"the front matter that begins here has no end: a line {FENCE}", line=1)
    return Table(read_toml("\n".join(lines[1:end]), lines_before=1)), "\n".join(lines[end + 1 :]).lstrip("\n")


def _refuse_others(table: Table) -> None:
    """A key that means nothing here may mean something to another release: what isn't understood is not accepted."""
    others = list(table.others())
    if others:
        raise table.error(others[0], "no front matter has such a key")


def check_text(kind: str, name: str, text: str, read: Callable[[str, str], Content] = parse_document) -> Content:
    """Read a text that is to become a document.

    Args:
        kind: the document's.
        name: what it is called.
        text: the text.
        read: as `parse_document`: for whoever keeps what has been read.

    Raises:
        DocumentError: it is not what its kind asks for, or a formula of another name.
        RefusedError: `limit`.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > TEXT_BYTES:
        raise RefusedError(f"a {kind} of {size} bytes; at most {TEXT_BYTES}", code=Code.LIMIT)
    content = read(kind, text)
    if isinstance(content, Formula) and content.name != name:
        raise DocumentError(f"it says {content.name!r}, and the document is called {name}", field="formula")
    return content


def problem_of(kind: str, name: str, text: str, read: Callable[[str, str], Content] = parse_document) -> str:
    """Why a text can't be used as a document, in words; empty where it can. The arguments are those of `check_text`."""
    try:
        check_text(kind, name, text, read)
    except RefusedError as error:
        return error.message
    return ""


def title_of(content: Content) -> str:
    """What a list says of a document: its title, or the first line of its description."""
    title = "" if isinstance(content, Formula) else content.title
    return title or content.description.strip().partition("\n")[0]


def starting_text(kind: str, name: str) -> str:
    """A text of this kind to begin writing from."""
    return _STARTS[kind].replace("NAME", name)


_STARTS: Final = {
    ROLE: f"""{FENCE}
title = "NAME"
description = ""

[commands]
# test = "make test"
{FENCE}
What an agent in this role is to do.
""",
    FORMULA: """formula = "NAME"
version = "1.0.0"
type = "workflow"
description = ""

[vars.subject]
description = "What it is about"
required = true

[[steps]]
id = "first"
title = "Begin with {{subject}}"
description = ""

[[steps]]
id = "second"
title = "Go on"
needs = ["first"]
""",
    TEMPLATE: f"""{FENCE}
title = "NAME"
type = "task"
labels = []
{FENCE}
What an issue made from this begins with.
""",
}


# -- Values ------------------------------------------------------------------------------------------------------
def value_of(content: Content, text: str) -> Any:
    """What stands in the log for a document's text."""
    return [content.version, text] if isinstance(content, Formula) else text


def text_in(kind: str, value: Any) -> str | None:
    """The text of a value in the log; None where it isn't here, was cleared or is nothing of the kind."""
    if kind == FORMULA:
        is_pair = isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)
        value = value[1] if is_pair else None
    return value if isinstance(value, str) and value else None


def version_in(kind: str, value: Any) -> str:
    """The version that a value in the log gives; empty where it gives none."""
    return value[0] if kind == FORMULA and text_in(kind, value) is not None else ""


def content_hash(text: str) -> bytes:
    """SHA-256 of a document's text: what is adopted."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


# -- Names -------------------------------------------------------------------------------------------------------
class Named(NamedTuple):
    """What people type for a document, taken apart."""

    kind: str
    """Empty where none was typed."""
    name: str
    leaf: str
    """Of one of several versions of a template: how its leaf begins, in hexadecimal; else empty."""


def is_name(text: str) -> bool:
    """Whether a document can be called so. Entities called otherwise are shown nowhere: they could pass for others."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return the name of a document.

    Raises:
        RefusedError: it can't be one.
    """
    if not is_name(name):
        raise RefusedError(
            f"{name!r} can't name a document",
            hint=f"begin with a lowercase letter; letters, digits and hyphens, {DOCUMENT_NAME_CHARS} at most",
        )
    return name


def read_name(typed: str) -> Named:
    """Take apart what was typed: `NAME`, `KIND/NAME`, and `NAME~LEAF` for one of several versions.

    Raises:
        RefusedError: it can't mean a document.
    """
    kind, slash, rest = typed.rpartition("/")
    name, tilde, leaf = rest.partition("~")
    if slash and kind not in DOCUMENT_KINDS:
        raise RefusedError(f"{kind!r} is no kind of document; there are {', '.join(DOCUMENT_KINDS)}")
    if tilde and not _LEAF.fullmatch(leaf):
        raise RefusedError(f"{typed!r} names no version", hint="after ~ stand 4 or more hexadecimal characters")
    return Named(kind, check_name(name), leaf)


def version_names(name: str, leaves: Sequence[bytes]) -> list[str]:
    """What to call each of the versions that live side by side: the same on every replica that holds them.

    Args:
        name: the document's.
        leaves: the leaves of the writes, at least 8 bytes of each, in ascending (hlc, author, n): the first has the
            name alone.
    """
    texts = [leaf.hex() for leaf in leaves]
    chars = _LEAST_LEAF_CHARS
    while chars < 16 and len({text[:chars] for text in texts}) < len(texts):
        chars += 1
    return [name if place == 0 else f"{name}~{text[:chars]}" for place, text in enumerate(texts)]


def is_set(kind: str) -> bool:
    """Whether several versions of a document live side by side."""
    return field_of(kind, DOCUMENT).policy is Policy.KEEP_BOTH
