"""The bytes on the control socket, and what a command asks of its client's side."""
