"""All pictures of docs/, by file name."""

from scripts.pictures import alarms, counters, means, probes, rare, reminders, windows

_PICTURES = {
    "event-time": windows.event_time,
    "watermark": windows.watermark,
    "quiet": windows.quiet,
    "time-weighted-mean": means.time_weighted_mean,
    "level": means.level,
    "gap": means.gap,
    "rare-meter": rare.windows_between_readings,
    "completeness": means.completeness,
    "merging": means.merging,
    "counter-glitch": counters.glitch,
    "counter-held-reset": counters.held_reset,
    "counter-reset": counters.reset,
    "counter-rollover": counters.rollover,
    "counter-reject": counters.reject,
    "counter-cap": counters.cap,
    "alarm-threshold": alarms.threshold,
    "alarm-completeness": alarms.completeness,
    "alarm-no-data": alarms.no_data,
    "alarm-flat-line": alarms.flat_line,
    "alarm-rate-of-change": alarms.rate_of_change,
    "alarm-container": alarms.container,
    "reminder-frequency": reminders.frequency,
    "probe-places": probes.places,
}


def pictures() -> dict[str, str]:
    """The content of each file."""
    return {f"{name}.svg": draw().svg() for name, draw in _PICTURES.items()}
