"""Lines of Beads' files, to and from what issues hold."""
