"""The issuer's logo, as a PDF holds a picture."""

import zlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from services.notification.adapters.rendering.pdf_file import Picture

_MOST = 600
"""Points across and down: more is not seen at its size, and goes into every invoice."""


def load_logo(path: Path) -> Picture:
    """Raises ValueError for what is no picture."""
    try:
        with Image.open(path) as opened:
            seen = opened.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no picture that can be read: {error}") from None
    seen.thumbnail((_MOST, _MOST))
    return Picture(
        seen.width,
        seen.height,
        zlib.compress(seen.convert("RGB").tobytes(), 9),
        zlib.compress(seen.getchannel("A").tobytes(), 9),
    )
