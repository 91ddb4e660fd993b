"""Other machines and towns: remotes, planes, invites, shares, messages, forks, recovery, leases."""
