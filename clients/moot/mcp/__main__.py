"""`python -m moot.mcp`."""

import sys

from moot.mcp.main import main

sys.exit(main())
