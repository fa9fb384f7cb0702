"""`python -m henderson` is the command `henderson`."""

import sys

from .cli import main

sys.exit(main())
