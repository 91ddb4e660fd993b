"""The log in the store: keys of its tables, accepted events, feeds, what is held aside, what is erased."""
