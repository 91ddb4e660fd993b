"""What can be asked of a daemon, as typed values, a module for each subject; `methods.py` lists all."""
