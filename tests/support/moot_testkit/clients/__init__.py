"""Both ends of the control socket: made-up daemons, terminals, and tables of calls."""
