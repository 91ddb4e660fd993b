"""The same things from their definitions: plain, slow, and obviously right."""
