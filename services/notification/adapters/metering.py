"""Work that no consumer hands out (attempts, invoices, reminders), in the stages of the mesh."""

from services.chassis.handler_stage import HandlerStage, stage_of
from services.chassis.telemetry.metrics import counter
from services.notification.adapters.nats.events import SERVICE

_repeats = counter(
    "tocsin_notification_repeats",
    "Messages sent again, with the same id, because a process had ended during the attempt before.",
    ["handler"],
)


class PrometheusMeter:
    """A Meter."""

    def __init__(self) -> None:
        self._stages: dict[str, HandlerStage] = {}

    def observe(self, handler: str, seconds: float, *, error: str = "") -> None:
        """See Meter."""
        stage = self._stages.get(handler)
        if stage is None:
            stage = self._stages[handler] = stage_of(f"{SERVICE}/{handler}")
        stage.observe(seconds, processed=not error, failed=bool(error), error=error)

    def repeated(self, handler: str) -> None:
        """See Meter."""
        _repeats.labels(handler).inc()
