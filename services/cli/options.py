"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where the mesh keeps its state. [env: TOCSIN_STATE_DIR; default: .tocsin]"),
]
