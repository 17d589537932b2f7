"""``python -m seedcore_ray``."""

import sys

from seedcore_ray.cli import main

if __name__ == "__main__":
    sys.exit(main())
