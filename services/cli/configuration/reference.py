"""docs/settings.md, made from what the parts declare."""

from collections.abc import Iterable

from services.cli.configuration.catalogue import all_settings
from services.cli.runtime.setting import Setting

_HEAD = """\
# Settings

Every variable that a part of Tocsin reads. `make generate` writes this file from the declarations in the code, and a
test fails when it is stale. `tocsin config check` judges all that are set; `tocsin up` does so before it starts
anything, and names variables that nobody reads.

Durations are written with their unit (`250ms`, `30s`, `5m`, `1h30m`, `7d`), sizes in bytes or with `KiB`, `MiB`,
`GiB`, lists with commas. Empty variables count as unset. A part that `tocsin up` starts inherits the environment;
addresses, logins and tokens that it needs are given to it by the runtime.
"""
_SECTIONS = {
    "The runtime and the command line": ("runtime", "commands"),
    "The edge": ("envoy",),
    "Every service": (),
    "Ingestion": ("ingestion",),
    "Aggregation": ("aggregation",),
    "Media-probe": ("media-probe",),
    "Notification": ("notification",),
    "The gateway": ("gateway",),
}
_EVERY_SERVICE = "Every service"
_SERVICES = {"ingestion", "aggregation", "media-probe", "notification"}


def reference() -> str:
    """The whole file."""
    sections: dict[str, list[Setting]] = {title: [] for title in _SECTIONS}
    for setting in all_settings():
        sections[_section(setting)].append(setting)
    return _HEAD + "".join(f"\n## {title}\n\n{_table(settings)}" for title, settings in sections.items() if settings)


def _section(setting: Setting) -> str:
    if set(setting.readers) >= _SERVICES and setting.readers[0] != "runtime":
        return _EVERY_SERVICE
    return next(title for title, readers in _SECTIONS.items() if setting.readers[0] in readers)


def _table(settings: Iterable[Setting]) -> str:
    lines = ["| variable | type | default | meaning | read by |", "|---|---|---|---|---|"]
    for setting in settings:
        readers = "all services" if set(setting.readers) >= _SERVICES else ""
        others = [name for name in setting.readers if not (readers and name in _SERVICES)]
        default = f"`{setting.default}`" if setting.default else ""
        cells = (
            f"`{setting.name}`",
            setting.type,
            default,
            setting.meaning,
            ", ".join(filter(None, [*others, readers])),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
