"""The command line where no socket can be had: commands over files, reads from a snapshot."""
