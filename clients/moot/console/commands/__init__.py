"""The commands, by subject. Each module has a `COMMANDS` tuple; `grammar.py` collects them."""
