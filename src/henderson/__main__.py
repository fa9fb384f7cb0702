"""`python -m henderson` is the command `henderson`."""

import sys

from henderson.app.cli import main

sys.exit(main())
