"""`python -m brain3d`, the same as `brain3d`."""

import sys

from brain3d.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
