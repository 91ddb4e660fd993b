"""Real processes and servers: daemons, Git, brokers, networks, sandboxes."""
