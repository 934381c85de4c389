"""What the image leaves out of its packages (deploy/docker/slim.sh) is nothing that the code asks for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from services.notification.domain.issuer import LANGUAGES

_ROOT = Path(__file__).parents[3]
_OF_LINEAR_ALGEBRA = {
    "convolve", "corrcoef", "correlate", "cov", "dot", "einsum", "inner", "linalg", "matmul", "polyfit", "tensordot",
    "vdot", "vecdot",
}  # fmt: skip
_REMOVED = {"f2py", "fft", "polynomial", "random", "testing"}


def _uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.MatMult):
            yield "@"
        elif isinstance(node, ast.Attribute):
            of_numpy = isinstance(node.value, ast.Name) and node.value.id in {"np", "numpy"}
            if node.attr == "dot" or (of_numpy and node.attr in _OF_LINEAR_ALGEBRA | _REMOVED):
                yield node.attr


def test_nobody_multiplies_matrices() -> None:
    """Numpy's linear algebra ends the process there."""
    services = _ROOT / "services"
    found = {
        f"{path.relative_to(services)}: {use}"
        for path in services.rglob("*.py")
        if "numpy" in (text := path.read_text())
        for use in _uses(ast.parse(text))
    }
    assert not found
    assert set(_uses(ast.parse("a @ b\nx.dot(y)\nnp.linalg.inv(m)\nnp.random.rand()"))) == {
        "@", "dot", "linalg", "random"
    }  # fmt: skip


def test_languages_of_invoices_are_kept_whole() -> None:
    kept = re.search(r"^WRITTEN = (.*)$", (_ROOT / "deploy/docker/locales.py").read_text(), re.MULTILINE)
    assert kept is not None
    assert set(ast.literal_eval(kept[1])) == {"root", *LANGUAGES}
