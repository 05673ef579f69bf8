"""``python -m chord_adapters`` is ``chord``."""

import sys

from chord_adapters.cli import main

if __name__ == "__main__":
    sys.exit(main())
