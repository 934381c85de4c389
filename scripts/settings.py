"""Writes docs/settings.md from what the parts declare."""

from services.cli.configuration.reference import reference
from services.cli.runtime.settings import PROJECT

(PROJECT / "docs" / "settings.md").write_text(reference())
