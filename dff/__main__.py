"""`python -m dff` is `dff`."""

import sys

from dff.cli import main

sys.exit(main())
