"""The life of one embedded mesh, from claiming its state directory to the last child's end."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.cli.runtime.control import answer_requests
from services.cli.runtime.credentials import ensure_credentials, renew_peer_tokens, write_outside_credentials
from services.cli.runtime.disk import needing_room, require_room
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.identity_provider import system_authorities
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.journal import JOURNAL, Journal
from services.cli.runtime.logs import LogFile
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.nats_accounts import outside_users
from services.cli.runtime.plan import metrics_addresses, plan_of, preparing_steps
from services.cli.runtime.ports import LOOPBACK, PortAssignment, assign_ports, check_addresses, check_configured
from services.cli.runtime.preparation import Preparation
from services.cli.runtime.prepared import is_prepared, mark_prepared
from services.cli.runtime.process import end_leftovers
from services.cli.runtime.programs import check_programs
from services.cli.runtime.prometheus import write_targets
from services.cli.runtime.reporter import Reporter, SilentReporter
from services.cli.runtime.requests import request_handlers
from services.cli.runtime.settings import EDGE_TLS_VARIABLE, PROJECT, SERVICES, RuntimeSettings
from services.cli.runtime.state import StateDir
from services.cli.runtime.status import StatusFile, children_of_last_run
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.runtime.supervisor import Supervisor
from services.cli.runtime.tasks import Told
from services.cli.runtime.triage import Triage
from services.cli.runtime.used_servers import check_servers, remember_servers
from services.cli.version import tocsin_version

_LEFTOVER_BUDGET = timedelta(seconds=5)
_TOKEN_RENEWAL_SECONDS = 12 * 3600.0


def check_start(settings: RuntimeSettings) -> None:
    """Refuses what can be refused before anything is made. Raises RuntimeProblem."""
    state = StateDir(settings.state_dir)
    used = state.check()
    if used and state.in_use:
        raise state.taken()
    if used:
        check_servers(state, settings)
        check_addresses(settings.port_requests())
    else:
        # Of one that was up before, parts that were left over may still be on the ports.
        check_configured(settings.port_requests())
    check_programs(settings)
    if not settings.postgres_dsn and not state.postgres.exists():
        # Only a new mesh: one that filled its disk must come up, if only to be emptied.
        require_room(state.root)


async def run_mesh(
    settings: RuntimeSettings,
    reporter: Reporter,
    on_ready: Callable[[Instance, Callable[[], None]], None],
    preparation: Preparation | None = None,
) -> None:
    """Runs a mesh until SIGINT, SIGTERM or SIGHUP, or until the function given to `on_ready` is called.

    `on_ready` gets the addresses and that function once everything is healthy; `preparation` says what is to be done to
    database and streams (all that is missing, by default), and is told what was. Raises RuntimeProblem when the mesh
    cannot be started; nothing of it runs by then.
    """
    check_start(settings)
    state = StateDir(settings.state_dir)
    with needing_room(state.root):
        state.create()
        state.acquire()
        await _run_in(state, settings, reporter, on_ready, preparation or Preparation())


async def look_into(settings: RuntimeSettings) -> Preparation:
    """What is to be done to database and streams of the mesh that is up on the directory; changes nothing."""
    state = StateDir(settings.state_dir)
    reporter, done = SilentReporter(), Preparation(dry_run=True)
    memory = StreamMemory(state, reporter.fault, settings.names)
    mesh = _mesh(settings, state, running_instance(state).ports, memory, done, reporter.notice)
    for step in preparing_steps(mesh):
        await step.run()
    return done


async def _run_in(
    state: StateDir,
    settings: RuntimeSettings,
    reporter: Reporter,
    on_ready: Callable[[Instance, Callable[[], None]], None],
    preparation: Preparation,
) -> None:
    """`run_mesh` in a directory that has been claimed; gives it free."""
    reporter = journal = Journal(LogFile(state.logs, JOURNAL), reporter)
    assignment: PortAssignment | None = None
    try:
        await end_leftovers(children_of_last_run(state), _LEFTOVER_BUDGET)
        remembered = state.remembered_ports()
        assignment = assign_ports(settings.port_requests(), remembered)
        state.remember_ports({**remembered, **assignment.ports})
        memory = StreamMemory(state, reporter.fault, settings.names)
        mesh = _mesh(settings, state, assignment.ports, memory, preparation, reporter.notice)
        instance = _instance(mesh)
        plan = plan_of(mesh)
        triage = Triage(reporter.notice, eased=reporter.eased, turn=settings.health.restart_after)
        status = StatusFile(state, plan, reporter.fault, triage)
        supervisor = Supervisor(
            plan,
            logs=state.logs,
            directory=PROJECT,
            reporter=reporter,
            on_change=status.write,
            limits=settings.health,
            triage=triage,
        )
        reporter.starting(plan, state.root)
        if state.unstopped is not None:
            reporter.notice(
                f"the last run (process {state.unstopped}) ended without a stop: it was killed, or the machine went "
                "down; what was acknowledged is kept"
            )
        for text in (*(f"{text}; made anew" for text in state.remade), *warnings_about(settings)):
            reporter.notice(text)
        # In this order: who finds the instance finds its own parts, not those of the last run.
        status.write(supervisor.status)
        instance.write(state)
        write_targets(state, metrics_addresses(mesh, plan))
        for user in outside_users(settings.tenants):
            if login := mesh.outside_login(user):
                write_outside_credentials(state, mesh.nats_url, user, *login)
        loop = asyncio.get_running_loop()
        for wanted in ending_signals():
            loop.add_signal_handler(wanted, supervisor.stop)

        def ready() -> None:
            status.mark_ready()
            if not preparation.dry_run:
                remember_servers(state, settings)
            if settings.only is None and not mesh.prepared:
                mark_prepared(state, settings)
            journal.console(partial(on_ready, instance, supervisor.stop))

        beside = {
            "renew tokens": partial(_renew_tokens, state),
            "write status": status.keep,
            "remember streams": memory.keep,
            "answer requests": partial(answer_requests, state, request_handlers(supervisor, status, memory)),
            "serve metrics": partial(_serve_metrics, settings, mesh.ports["runtime_metrics"], status),
        }
        if settings.identity.jwks_url:
            told = Told("identity provider", reporter.fault)
            beside["watch identity provider"] = partial(_watch_provider, settings, told)
        await supervisor.run(ready, beside=beside)
    except RuntimeProblem as error:
        journal.failed(error.message)
        raise
    finally:
        if assignment is not None:
            assignment.release()
        state.instance_file.unlink(missing_ok=True)
        journal.down()
        state.release()


def ending_signals() -> list[signal.Signals]:
    """The signals that end a mesh; not SIGHUP when whoever started it had it ignored, as nohup does."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


def _mesh(
    settings: RuntimeSettings,
    state: StateDir,
    ports: dict[str, int],
    memory: StreamMemory,
    preparation: Preparation,
    tell: Callable[[str], None],
) -> Mesh:
    return Mesh(
        settings,
        state,
        ports,
        ensure_credentials(state, SERVICES, settings.tenants, own_postgres=not settings.postgres_dsn),
        tocsin_version(),
        memory,
        is_prepared(state, settings),
        preparation,
        tell,
    )


def warnings_about(settings: RuntimeSettings) -> list[str]:
    """What is not wrong, and yet not what one would want without knowing."""
    if settings.runs("envoy") and settings.edge_host not in (LOOPBACK, "::1", "localhost"):
        with_tls = bool(settings.passed_on.get(EDGE_TLS_VARIABLE))
        tls = "clients there should use the port with TLS" if with_tls else f"{EDGE_TLS_VARIABLE} adds a port with TLS"
        return [f"the edge takes plain HTTP from other machines, so tokens can be read on the way; {tls}"]
    return []


def _instance(mesh: Mesh) -> Instance:
    settings = mesh.settings
    return Instance(
        supervisor_pid=os.getpid(),
        version=mesh.version,
        edge_url=mesh.edge_url if settings.runs("envoy") else "",
        edge_port=mesh.ports["edge"],
        nats_url=mesh.nats_url if settings.nats_url or settings.runs("nats") else "",
        postgres_dsn=mesh.admin_dsn if settings.postgres_dsn or settings.runs("postgres") else "",
        external_nats=bool(settings.nats_url),
        external_postgres=bool(settings.postgres_dsn),
        nats_user=settings.nats_user,
        nats_password=settings.nats_password,
        nats_prefix=settings.names.prefix,
        issuer=settings.identity.mesh_issuer if settings.identity.mesh_tokens else "",
        audience=settings.identity.audience,
        ports=dict(mesh.ports),
    )


async def _renew_tokens(state: StateDir) -> None:
    while True:
        await asyncio.sleep(_TOKEN_RENEWAL_SECONDS)
        renew_peer_tokens(state, SERVICES)


async def _serve_metrics(settings: RuntimeSettings, port: int, status: StatusFile) -> None:
    # Here, so that the parts start while it loads.
    from services.cli.runtime.metrics import serve_metrics

    await serve_metrics(settings.metrics_host, port, status, str(settings.state_dir), settings.identity.jwks_file)


async def _watch_provider(settings: RuntimeSettings, told: Told) -> None:
    """Tells when the keys of the identity provider cannot be fetched, as the edge and the services fetch them."""
    from services.chassis.auth.keys import KeyUrl

    identity = settings.identity
    keys = KeyUrl(identity.jwks_url, refresh=identity.refresh, ca_file=Path(identity.ca_file or system_authorities()))
    while True:
        if problem := await keys.fetch():
            told.fault(f"its keys cannot be fetched from {identity.jwks_url}: {problem}; those at hand stay in force")
        else:
            told.well()
        await asyncio.sleep(identity.refresh.total_seconds())
