"""Puts the media-probe service together: settings to everything."""

import asyncio
from datetime import timedelta
from functools import partial

from services.chassis.app import App, Step
from services.chassis.errors import Unavailable
from services.chassis.nats import Consumer, Publisher, RetryPolicy, handler_reports, open_nats
from services.chassis.nats.broker_checks import round_trip
from services.chassis.net_guard import AddressGuard
from services.chassis.postgres import Database, Outbox, OutboxRelay, open_database, prune
from services.chassis.telemetry.logs import get_logger
from services.media_probe.adapters import metrics
from services.media_probe.adapters.events import SOURCE
from services.media_probe.adapters.grpc.servicer import VideoServicer
from services.media_probe.adapters.http.remote_file import FileBudget
from services.media_probe.adapters.http.video_source import HttpOptions, open_http_source
from services.media_probe.adapters.libav.worker_pool import PoolOptions, WorkerPool, open_pool
from services.media_probe.adapters.measured_prober import MeasuredProber
from services.media_probe.adapters.nats.alert_consumer import SERVICE, AlertHandler, StartedEvents, consumer_options
from services.media_probe.adapters.nats.attempt_answers import attempt_answers
from services.media_probe.adapters.postgres.store import PostgresVideoStore
from services.media_probe.application.alerts import HandleAlert
from services.media_probe.application.probe_places import ProbePlaces
from services.media_probe.application.prober import ProbeLimits, Prober
from services.media_probe.application.retention import VideoRetention
from services.media_probe.application.videos import Videos
from services.media_probe.domain.target import TargetRule
from services.media_probe.settings import MediaProbeSettings
from tocsin.media_probe.v1.video_service_pb2_grpc import add_VideoServiceServicer_to_server

_PRUNE_EVERY = timedelta(minutes=10)

log = get_logger(__name__)


async def bootstrap(app: App, settings: MediaProbeSettings) -> None:
    """Fills the app; see `services.chassis.app`."""
    dsn = settings.postgres_dsn.get_secret_value()
    database = await app.enter(open_database(dsn, schema=SERVICE, application_name=f"tocsin-{SERVICE}"))
    nats = await app.enter(
        open_nats(
            settings.nats_url,
            name=f"tocsin-{SERVICE}",
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            prefix=settings.nats_prefix,
        )
    )
    publisher = Publisher(nats, source=SOURCE)
    await app.enter(handler_reports.answering(nats, SERVICE))
    pool = await app.enter(open_pool(pool_options(settings)))
    prober = await open_prober(app, settings, pool)
    store = await app.enter(PostgresVideoStore(database, Outbox(source=SOURCE)))
    progress = await app.enter(StartedEvents(publisher))

    app.check("postgres", database.ping)
    app.check("nats", partial(round_trip, nats))
    app.check("workers", pool.alive, own=True)

    # The consumer's own count of failures starts anew with each process; the durable one in the row decides.
    retry = RetryPolicy(max_attempts=settings.max_attempts + 1, base=settings.retry_base, cap=settings.retry_cap)
    places = ProbePlaces(settings.concurrent_probes)
    handle = HandleAlert(store, prober, progress, places, max_attempts=settings.max_attempts)
    options = consumer_options(
        concurrent=settings.concurrent_probes,
        ack_wait=settings.ack_wait,
        retry=retry,
        stop_budget=settings.stop_grace,
    )
    consumer = Consumer(nats, options, AlertHandler(handle, retry), publisher=publisher)
    relay = OutboxRelay(dsn, schema=SERVICE, publisher=publisher)
    patience = settings.stop_grace + timedelta(seconds=1)
    app.task("outbox", relay.run(app.stopping), until=Step.FINISH, patience=timedelta(seconds=3))
    app.task("alerts", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=patience)
    app.task("workers", pool.keep_warm(app.stopping), until=Step.FINISH, patience=timedelta(seconds=1))
    app.task("nats connection", nats.wait_lost(), until=Step.DRAIN_NATS)
    app.task("upkeep", _upkeep(database), until=Step.FINISH)
    retention = VideoRetention(store, settings.alert_retention, metrics.REMOVED.inc)
    app.task("retention of videos", retention.run(), until=Step.FINISH)

    answers = attempt_answers(nats, store)
    await answers.start()
    app.at_stop(Step.STOP_PULLING, "attempts", answers.stop)
    videos = Videos(store, prober, on_demand=settings.on_demand_probes)
    add_VideoServiceServicer_to_server(VideoServicer(videos), app.server.registrar)


def pool_options(settings: MediaProbeSettings) -> PoolOptions:
    """The workers that the settings describe."""
    return PoolOptions(workers=settings.workers, job_within=settings.inspect_within, memory=settings.worker_memory)


async def open_prober(app: App, settings: MediaProbeSettings, pool: WorkerPool) -> Prober:
    """The prober that the settings describe; its connections are closed with the app."""
    private = settings.private_targets()
    target = TargetRule(settings.video_server, private | settings.targets("allowed_origins"))
    guard = AddressGuard(private, mesh=settings.mesh_addresses())
    budget = FileBudget(max_bytes=settings.max_bytes, max_requests=settings.max_requests)
    options = HttpOptions(connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout)
    source = await app.enter(open_http_source(guard, target, budget, options))
    limits = ProbeLimits(first_bytes=settings.first_bytes, max_index=settings.max_index, within=settings.probe_within)
    return MeasuredProber(source, pool, target, limits)


async def _upkeep(database: Database) -> None:
    while True:
        await asyncio.sleep(_PRUNE_EVERY.total_seconds())
        try:
            async with database.transaction() as connection:
                pruned = await prune(connection)
        except Unavailable as error:
            log.warning("inbox not pruned", error=error.message)
        else:
            log.debug("inbox pruned", marks=pruned)
