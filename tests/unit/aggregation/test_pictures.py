"""docs/pictures is what the code draws, and the docs show all of it."""

from pathlib import Path
from xml.etree import ElementTree

from scripts.pictures.gallery import pictures


def test_the_pictures_are_fresh(repository: Path) -> None:
    """Anew: `python -m scripts.pictures`."""
    folder = repository / "docs" / "pictures"
    drawn = pictures()
    assert {path.name for path in folder.iterdir()} == set(drawn)
    text = "".join(path.read_text(encoding="utf-8") for path in folder.parent.glob("*.md"))
    for name, svg in drawn.items():
        assert (folder / name).read_text(encoding="utf-8") == svg, f"{name} is stale"
        assert f"(pictures/{name})" in text
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
