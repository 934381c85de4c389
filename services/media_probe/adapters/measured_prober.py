"""A prober that counts."""

from services.media_probe.adapters import metrics
from services.media_probe.application.prober import Outcome, Prober


class MeasuredProber(Prober):
    """Counts what probes take and how they end."""

    async def probe(self, video: str) -> Outcome:
        """See Prober."""
        outcome = await super().probe(video)
        effort = outcome.effort
        ended = outcome.error.failure.value if outcome.error is not None else "PROBED"
        metrics.PROBE_SECONDS.labels(ended).observe(effort.took.total_seconds())
        metrics.PROBE_BYTES.observe(effort.bytes_fetched)
        metrics.PROBE_REQUESTS.observe(effort.requests)
        if outcome.error is not None:
            metrics.FAILURES.labels(outcome.error.failure.value).inc()
        return outcome
