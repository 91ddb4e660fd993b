"""What Moot keeps in a project's folder, by its path there."""

from typing import Final

FOLDER: Final = ".moot"
WORKSPACE_FILE: Final = f"{FOLDER}/workspace"
"""Holds the id of the folder's workspace. The thin client has the name once more (`moot.facts`): it loads no module."""
