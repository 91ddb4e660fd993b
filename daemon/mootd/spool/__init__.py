"""Spools at work: commands that come through files of a workspace, their answers, and the snapshot beside them."""
