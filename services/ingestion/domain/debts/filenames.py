"""The name of an upload, for people."""

import re
import unicodedata
from typing import Final

MAX_FILENAME: Final = 255
_FOLDERS: Final = re.compile(r".*[/\\]", re.DOTALL)
_SHORT_ENDING: Final = 16


def shown_filename(name: str) -> str:
    """The name without folders, of any system; what cannot be shown is replaced; one that is too long loses its middle
    and keeps its ending."""
    name = unicodedata.normalize("NFC", _FOLDERS.sub("", name)).strip()
    name = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign)[0] == "C" else sign for sign in name)
    if len(name) <= MAX_FILENAME:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = f"…{dot}{ending}" if dot and stem and len(ending) <= _SHORT_ENDING else "…"
    return name[: MAX_FILENAME - len(tail)] + tail
