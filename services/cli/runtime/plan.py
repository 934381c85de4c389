"""Composes the plan of a mesh: which parts and steps, in which order."""

from dataclasses import replace

from services.cli.runtime.mesh import Mesh
from services.cli.runtime.part import Part, Plan, Step
from services.cli.runtime.parts import builders
from services.cli.runtime.prometheus import RUNTIME
from services.cli.runtime.steps import cluster_step, database_step, edge_step, streams_step


def plan_of(mesh: Mesh) -> Plan:
    """Parts and steps; where only some parts are wanted, only those and what prepares them."""
    wanted = _wanted(mesh)
    parts = tuple(build() for name, build in builders(mesh).items() if name in wanted)
    steps: list[Step] = []
    if "postgres" in wanted:
        steps.append(cluster_step(mesh))
    if "postgres" in wanted or mesh.settings.postgres_dsn:
        steps.append(database_step(mesh))
    if "nats" in wanted or mesh.settings.nats_url:
        steps.append(streams_step(mesh))
    if mesh.settings.only is None:
        steps.append(edge_step(mesh, frozenset(part.name for part in parts)))
    present = wanted | {step.name for step in steps}
    return Plan(tuple(_within(part, present) for part in parts), tuple(steps))


def preparing_steps(mesh: Mesh) -> tuple[Step, Step]:
    """What brings the database and the streams up to date, on servers that are up."""
    return database_step(mesh), streams_step(mesh)


def metrics_addresses(mesh: Mesh, plan: Plan) -> dict[str, str]:
    """Who answers `GET /metrics` on which `host:port`: the parts of the plan, and the runtime."""
    parts = {part.name: part.metrics for part in plan.parts if part.metrics}
    return {RUNTIME: mesh.metrics_address(RUNTIME), **parts}


def _wanted(mesh: Mesh) -> frozenset[str]:
    wanted = frozenset(builders(mesh)) if mesh.settings.only is None else mesh.settings.only
    replaced = {"postgres": mesh.settings.postgres_dsn, "nats": mesh.settings.nats_url}
    return wanted - {name for name, elsewhere in replaced.items() if elsewhere}


def _within(part: Part, present: frozenset[str]) -> Part:
    """The part in a mesh that has only these. What it stands on counts whole or not at all: of servers elsewhere nobody
    here knows whether they are well."""
    return replace(
        part,
        needs=part.needs & present,
        stands_on=part.stands_on if part.stands_on <= present else frozenset(),
    )
