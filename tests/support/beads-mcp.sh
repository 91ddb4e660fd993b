#!/bin/sh
# Installs beads-mcp into an environment of its own inside the one named: what it needs it pins to the last digit,
# and it is a program of others that the tests run, nothing that anything here imports.
set -eu
python=$1/bin/python
own=$1/beads-mcp
exec 9>"$1/beads-mcp.lock"
flock 9
[ -x "$own/bin/beads-mcp" ] && exit
"$python" -m venv "$own"
"$own/bin/python" -m pip install -qq --disable-pip-version-check 'beads-mcp>=1.3,<1.4'
