"""What one variable means: the entries of the settings reference that the runtime itself reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A variable, as docs/settings.md describes it. An empty `default` is none."""

    name: str
    type: str
    default: str = ""
    meaning: str
    readers: tuple[str, ...]
    """Parts that read it."""
