"""What can be run."""

import os
from pathlib import Path


def is_program(path: Path) -> bool:
    """Whether it is a file that this user may run."""
    return path.is_file() and os.access(path, os.X_OK)
