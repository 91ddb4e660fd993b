"""Which document is meant by what was typed, and which plane.

Invariant: nothing is guessed. Without a plane it is the machine's only federation plane, else the plane of the project;
where a name stands for documents of several kinds, who asks says which.
"""

from moot_protocol.documents.document import DOCUMENT_KINDS, Named, is_set, read_name
from moot_protocol.errors import Code, RefusedError
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.documents.reading import Document, Documents, Version
from mootd.engine.planes import issue_plane_meant, issue_planes, labels_of
from mootd.engine.state import no_town
from mootd.engine.stored.log import PlaneRow


def plane_for(documents: Documents, plane: str, home: str) -> PlaneRow:
    """The plane that documents are looked for on, and written to.

    Args:
        documents: where to read.
        plane: the plane that was named, or empty.
        home: the plane of the workspace's project, or empty.

    Raises:
        RefusedError: `not_found`, `ambiguous`; `not_ready`, where there is no town.
    """
    if plane:
        return issue_plane_meant(documents.planes, plane)
    rows = issue_planes(documents.planes)
    shared = [row for row in rows if row.kind == PlaneKind.FEDERATION]
    if len(shared) > 1:
        labels = labels_of(rows)
        several = ", ".join(labels[row.number] for row in shared)
        raise RefusedError(
            f"there are several federation planes: {several}",
            code=Code.AMBIGUOUS,
            hint="name one with --plane",
            discreet="there are several federation planes; name one with --plane",
        )
    if shared:
        return shared[0]
    if home:
        return issue_plane_meant(documents.planes, home)
    if not rows:
        raise no_town("run `moot init` in your project")
    return rows[0]


def planes_for(documents: Documents, plane: str) -> list[PlaneRow]:
    """The plane that was named; every plane that holds documents, if none was."""
    return [issue_plane_meant(documents.planes, plane)] if plane else issue_planes(documents.planes)


def documents_named(documents: Documents, plane: PlaneRow, named: Named) -> list[Document]:
    """The documents of a plane that a name stands for: at most one of each kind."""
    kinds = (named.kind,) if named.kind else DOCUMENT_KINDS
    found = (documents.find(plane, kind, named.name) for kind in kinds)
    return [document for document in found if document is not None]


def find_document(documents: Documents, plane: PlaneRow, typed: str) -> Document:
    """The document of a plane that was meant.

    Raises:
        RefusedError: `not_found`, `ambiguous`; `invalid` for what can't name one.
    """
    named = read_name(typed)
    found = documents_named(documents, plane, named)
    if len(found) > 1:
        several = ", ".join(document.id for document in found)
        unsure = f"{typed} may mean several documents"
        raise RefusedError(
            f"{unsure}: {several}",
            code=Code.AMBIGUOUS,
            hint="write its kind before its name",
            discreet=f"{unsure}; write its kind before its name",
        )
    if not found:
        raise RefusedError(
            f"no document {typed} on plane {plane.name}",
            code=Code.NOT_FOUND,
            hint=_elsewhere(documents, plane, named),
            discreet=f"no document {typed}",
        )
    return found[0]


def _elsewhere(documents: Documents, plane: PlaneRow, named: Named) -> str:
    rows = [row for row in issue_planes(documents.planes) if row != plane and documents_named(documents, row, named)]
    labels = labels_of(issue_planes(documents.planes))
    if rows:
        return f"plane {labels[rows[0].number]} has it: name it with --plane"
    return "see `moot doc list`; `moot doc new KIND NAME` begins one"


def meant_version(document: Document, typed: str) -> Version:
    """The version of a document that was meant: what is shown, of a template the one that is named.

    Raises:
        RefusedError: `conflict`, where nothing is agreed; `not_found`, `ambiguous` for a version of a template.
    """
    leaf = read_name(typed).leaf
    if not document.shown:
        raise RefusedError(
            f"nothing is agreed on {document.id} yet",
            code=Code.CONFLICT,
            hint="`moot conflicts` shows what was written",
        )
    found = [version for version in document.shown if version.leaf8.hex().startswith(leaf)]
    if not found or (leaf and not is_set(document.kind)):
        raise RefusedError(f"{document.id} has no version {typed}", code=Code.NOT_FOUND, hint="see `moot doc list`")
    if leaf and len(found) > 1:
        raise RefusedError(f"{typed} may mean several versions", code=Code.AMBIGUOUS, hint="type more of it")
    return found[0]
