"""Beads files that follow a project: their lines, how they are written and merged."""
