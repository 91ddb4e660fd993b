"""`python -m mootd`."""

import sys

from mootd.main import main

sys.exit(main())
