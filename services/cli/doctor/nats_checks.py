"""What is looked at of NATS: the server, each part's login, the streams, what is promised to the disk."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from services.cli.doctor.check import Check, Outcome, failed, in_thread, ok, skipped, warning
from services.cli.doctor.clock import clock_outcome
from services.cli.doctor.deployment import Deployment
from services.cli.doctor.served_certificates import nats_certificate, servers_of
from services.cli.runtime import own_nats
from services.cli.runtime.nats_accounts import RUNTIME_USER, SYSTEM_USER, outside_users
from services.cli.runtime.nats_monitor import nats_monitor
from services.cli.runtime.nats_server import MAX_PAYLOAD_BYTES
from services.cli.runtime.settings import NATS_REPLICAS_VARIABLE, SERVICES, part_name
from services.cli.runtime.steps import SYNC_NOTE, topology_options

if TYPE_CHECKING:
    from services.chassis.nats.connection import NatsConnection

REACHED = "nats"
_PATIENCE = timedelta(seconds=4)
_FULL, _NEARLY_FULL = 0.95, 0.8
_PERMISSIONS = "give the server what 'tocsin nats permissions' prints, and let it read that anew"


def nats_checks(deployment: Deployment) -> list[Check]:
    """All of them, of the server that the settings name or of the mesh's own."""
    url = deployment.mesh.nats_url
    checks = [
        Check(name=REACHED, looks_at=f"{url}: login, version, JetStream", look=partial(_reached, deployment)),
        *(
            Check(
                name=f"nats login of {part_name(service)}",
                looks_at="login, and whether JetStream answers it",
                look=partial(_service_login, deployment, service),
                after=REACHED,
            )
            for service in SERVICES
        ),
        *(
            Check(
                name=f"nats login {user}",
                looks_at="login that is handed on, and that it may do nothing else",
                look=partial(_outside_login, deployment, user, login),
                after=REACHED,
            )
            for user in outside_users(deployment.settings.tenants)
            if (login := deployment.mesh.outside_login(user))
        ),
        Check(
            name="streams",
            looks_at="configuration of each stream against this version's topology",
            look=partial(_streams, deployment),
            after=REACHED,
        ),
        Check(
            name="stream replicas",
            looks_at=f"replicas of each stream against {NATS_REPLICAS_VARIABLE}, and whether all are up to date",
            look=partial(_replicas, deployment),
            after=REACHED,
        ),
        Check(name="stream room", looks_at="how full each stream is", look=partial(_room, deployment), after=REACHED),
        Check(
            name="nats durability",
            looks_at="whether the disk has what is acknowledged",
            look=partial(_durability, deployment),
            after=REACHED,
        ),
        Check(
            name="nats clock", looks_at="its clock against this host's", look=partial(_clock, deployment), after=REACHED
        ),
    ]
    if not deployment.own_nats:
        checks += [
            Check(
                name=f"certificate of {host}:{port}",
                looks_at="the certificate that NATS shows",
                look=partial(nats_certificate, host, port),
            )
            for host, port in servers_of(url, 4222)
        ]
    return checks


async def _reached(deployment: Deployment) -> Outcome:
    url, login = deployment.mesh.nats_url, deployment.mesh.nats_login(RUNTIME_USER)
    server = await own_nats.look_at_server(url, *login)
    least = ".".join(map(str, own_nats.MINIMUM_VERSION))
    said = f"NATS {server.version} (needed: {least} or newer), {server.round_trip_seconds * 1000:.1f} ms away"
    if server.release < own_nats.MINIMUM_VERSION:
        return failed(said, f"install {least} or newer")
    if reason := await own_nats.without_jetstream(url, *login):
        return failed(f"{said}; no JetStream for user {login[0]}: {reason}", "enable jetstream for the account")
    if server.max_payload < MAX_PAYLOAD_BYTES:
        return warning(
            f"{said}; takes messages of {server.max_payload:,} bytes at the most",
            f"set max_payload: {MAX_PAYLOAD_BYTES // 1024 // 1024}MB, as bundles of events may be so large",
        )
    return ok(said)


async def _service_login(deployment: Deployment, service: str) -> Outcome:
    user, password = deployment.mesh.nats_login(service)
    reason = await own_nats.without_jetstream(deployment.mesh.nats_url, user, password)
    return (
        failed(f"JetStream does not answer user {user}: {reason}", _PERMISSIONS) if reason else ok(f"{user} is let in")
    )


async def _outside_login(deployment: Deployment, user: str, login: tuple[str, str]) -> Outcome:
    problem = await own_nats.check_outside_login(deployment.mesh.nats_url, user, *login)
    return failed(problem, _PERMISSIONS) if problem else ok(f"{login[0]} is let in, and may publish nothing else")


async def _streams(deployment: Deployment) -> Outcome:
    from services.chassis.nats.topology import ensure_streams

    options = topology_options(deployment.settings)
    if deployment.own_nats:
        from services.cli.runtime.disk import streams_on_disk

        options, _ = await in_thread(partial(streams_on_disk, options, deployment.state.nats))
    async with _connection(deployment) as connection:
        # Replicas have a check of their own.
        touched = await ensure_streams(
            connection, replace(options, replicas=await _replicas_of(connection)), dry_run=True
        )
    if touched:
        return failed(
            f"missing, or other than they should be: {', '.join(touched)}", "'tocsin migrate' makes or changes them"
        )
    return ok("as they should be")


async def _replicas(deployment: Deployment) -> Outcome:
    async with _connection(deployment) as connection:
        infos = await _own_streams(connection, deployment)
    wanted = deployment.settings.replicas
    others = [
        f"{info.config.name} has {info.config.num_replicas}" for info in infos if info.config.num_replicas != wanted
    ]
    if others:
        return failed(
            f"{wanted} are wanted; {', '.join(others)}",
            f"'tocsin migrate' changes them; or set {NATS_REPLICAS_VARIABLE} to what they are to have",
        )
    behind = [
        f"{info.config.name} on {peer.name}"
        for info in infos
        for peer in (info.cluster.replicas if info.cluster and info.cluster.replicas else [])
        if peer.offline or not peer.current
    ]
    leaderless = [str(info.config.name) for info in infos if wanted > 1 and not (info.cluster and info.cluster.leader)]
    if leaderless:
        return failed(f"without a leader: {', '.join(leaderless)}", "see that a majority of the NATS servers is up")
    if behind:
        return warning(f"not up to date: {', '.join(behind)}", "see whether that server is up; it catches up by itself")
    return ok(f"{len(infos)} streams, each with {wanted}")


async def _room(deployment: Deployment) -> Outcome:
    async with _connection(deployment) as connection:
        infos = await _own_streams(connection, deployment)
    filled = {
        str(info.config.name): info.state.bytes / info.config.max_bytes
        for info in infos
        if info.config.max_bytes and info.config.max_bytes > 0 and info.config.discard != "old"
    }
    tight = {name: share for name, share in filled.items() if share > _NEARLY_FULL}
    told = ", ".join(f"{name} {share:.0%}" for name, share in sorted(tight.items(), key=lambda item: -item[1]))
    advice = (
        "'tocsin status' tells which consumer does not keep up; a stream that is full refuses what is new. "
        "TOCSIN_NATS_STREAM_BYTES gives it more room"
    )
    if any(share > _FULL for share in tight.values()):
        return failed(told, advice)
    if tight:
        return warning(told, advice)
    most = max(filled, key=lambda name: filled[name], default="")
    return ok(f"the fullest is {most}, {filled[most]:.0%}" if most else "none has a limit")


async def _durability(deployment: Deployment) -> Outcome:
    if deployment.own_nats:
        async with nats_monitor(deployment.mesh.nats_url, deployment.mesh.credentials.nats[SYSTEM_USER]) as monitor:
            told = await monitor.streams(within=_PATIENCE.total_seconds())
    elif deployment.nats_monitor_url:
        told = await _monitored(deployment.nats_monitor_url)
    elif deployment.settings.replicas >= 3:
        return skipped("cannot be seen from here; with three replicas a single server may lose what it has not synced")
    else:
        return warning(SYNC_NOTE, "name the server's monitoring port with --nats-monitor, and it is looked at")
    config: dict[str, Any] = told.get("config") or {}
    if config.get("sync_always"):
        return ok("sync_interval: always")
    interval = timedelta(microseconds=config.get("sync_interval", 0) / 1000)
    said = f"what is acknowledged reaches the disk within {interval.total_seconds():g} s only"
    if deployment.settings.replicas >= 3:
        return warning(said, "set jetstream { sync_interval: always }, or a power cut at all servers costs that")
    return failed(said, "set jetstream { sync_interval: always }: a single server must not acknowledge before that")


async def _monitored(url: str) -> dict[str, Any]:
    import httpx

    async with httpx.AsyncClient(timeout=_PATIENCE.total_seconds()) as client:
        answer = await client.get(f"{url.rstrip('/')}/jsz")
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content


async def _clock(deployment: Deployment) -> Outcome:
    from services.chassis.nats.topology import HEALTH

    async with _connection(deployment) as connection:
        subject = f"$JS.API.STREAM.INFO.{connection.names.stream(HEALTH)}"
        looks: list[tuple[float, float, str]] = []
        for _ in range(3):
            before = time.time()
            answer = json.loads((await connection.nc.request(subject, timeout=_PATIENCE.total_seconds())).data)
            looks.append((time.time() - before, before, answer.get("ts", "")))
    took, before, told = min(looks)
    if not told:
        return skipped("its version does not tell the time")
    return clock_outcome("NATS", datetime.fromisoformat(told).timestamp(), before, before + took)


async def _own_streams(connection: "NatsConnection", deployment: Deployment) -> list[Any]:
    from services.chassis.nats.topology import stream_specs

    names = {connection.names.stream(spec.name) for spec in stream_specs(topology_options(deployment.settings))}
    return [info for info in await connection.js.streams_info() if info.config.name in names]


async def _replicas_of(connection: "NatsConnection") -> int:
    from services.chassis.nats.topology import READINGS

    infos = {info.config.name: info for info in await connection.js.streams_info()}
    found = infos.get(connection.names.stream(READINGS))
    return (found.config.num_replicas or 1) if found else 1


@asynccontextmanager
async def _connection(deployment: Deployment) -> "AsyncGenerator[NatsConnection]":
    from services.chassis.nats.connection import open_nats

    user, password = deployment.mesh.nats_login(RUNTIME_USER)
    async with open_nats(
        deployment.mesh.nats_url,
        name="tocsin-doctor",
        user=user or None,
        password=password or None,
        prefix=deployment.settings.names.prefix,
        wait_until_up=_PATIENCE,
    ) as connection:
        yield connection
