"""`python -m scripts.pictures`: writes docs/pictures anew."""

from pathlib import Path

from scripts.pictures.gallery import pictures

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, svg in pictures().items():
        (FOLDER / name).write_text(svg, encoding="utf-8")
