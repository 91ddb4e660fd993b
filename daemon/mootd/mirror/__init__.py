"""Mirrors at work: each file of a user's that follows a project, and is followed by it."""
