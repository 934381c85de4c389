"""What is looked at on this host: settings, secrets, disk, certificates, the services' tokens, the parts of a mesh."""

import os
import stat
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from services.cli.configuration.check import unknown_variables
from services.cli.configuration.tls_files import TLS_FILE_VARIABLES, tls_problems
from services.cli.doctor.certificates import earliest_end, until_outcome
from services.cli.doctor.check import Check, Outcome, failed, in_thread, ok, warning
from services.cli.doctor.deployment import Deployment
from services.cli.runtime.credentials import missing_secrets, peer_token_files
from services.cli.runtime.disk import LEAST_ROOM_BYTES, MIB
from services.cli.runtime.settings import SERVICES, part_name
from services.cli.runtime.status import read_report
from services.cli.runtime.stream_memory import read_losses

_LITTLE_SHARE, _LITTLE_BYTES = 0.1, 2048 * MIB
_TOKEN_SOON = timedelta(days=7)


def host_checks(deployment: Deployment) -> list[Check]:
    """All of them."""
    environment = deployment.settings.passed_on
    checks = [
        Check(name="settings", looks_at="variables TOCSIN_... of this shell", look=partial(_settings, deployment)),
        Check(
            name="secrets",
            looks_at=f"{deployment.state.secrets_file}: there, whole, closed to others",
            look=partial(_secrets, deployment),
        ),
        *(
            Check(
                name=f"peer token of {part_name(service)}",
                looks_at="until when it is good",
                look=partial(_peer_token, file, deployment),
            )
            for service, file in peer_token_files(deployment.state, SERVICES).items()
        ),
        *(
            Check(name=f"disk of {what}", looks_at=f"free room on the disk of {path}", look=partial(_disk, path))
            for what, path in _disks(deployment).items()
        ),
        *(
            Check(name=f"certificate {variable}", looks_at=file, look=partial(_certificate, variable, file))
            for variable in TLS_FILE_VARIABLES
            if (file := environment.get(variable, ""))
        ),
    ]
    if not deployment.absent and deployment.state.in_use:
        checks.append(
            Check(name="parts", looks_at="what the supervisor says of its parts", look=partial(_parts, deployment))
        )
    elif deployment.absent:
        checks.append(Check(name="parts", looks_at="whether the mesh is up", look=partial(_absent, deployment)))
    return checks


async def _absent(deployment: Deployment) -> Outcome:
    return failed(
        deployment.absent,
        "'tocsin up --detach' starts it; for servers of yours set TOCSIN_POSTGRES_DSN and TOCSIN_NATS_URL as its parts "
        "have them",
    )


async def _settings(deployment: Deployment) -> Outcome:
    found = unknown_variables(os.environ) + tls_problems(deployment.settings.passed_on, edge=True)
    if found:
        return warning("; ".join(found), "'tocsin config check' judges all settings, where the parts run")
    return ok("can be read; 'tocsin config check' judges them closely")


async def _secrets(deployment: Deployment) -> Outcome:
    state = deployment.state
    missing = missing_secrets(state, SERVICES, deployment.settings.tenants)
    if missing:
        return failed(
            f"does not hold {', '.join(missing)}",
            "copy secrets.json and auth/ of the host that prepared the deployment here, or name its state directory "
            "with --state-dir; a backup has both",
        )
    keys = (state.auth / "dev-issuer.pem", state.credentials / "links.keys", state.credentials / "uploads.keys")
    open_to_others = [
        path.name
        for path in (state.secrets_file, *keys)
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if open_to_others:
        return failed(f"others may read {', '.join(open_to_others)}", "'chmod 600' them, and rotate what they hold")
    return ok("whole, and closed to others")


async def _peer_token(file: Path, deployment: Deployment) -> Outcome:
    # Only when needed: it takes a while to load.
    import jwt

    try:
        token = (await in_thread(file.read_bytes)).decode().strip()
        claims = jwt.decode(token, options={"verify_signature": False})
        ends = datetime.fromtimestamp(claims["exp"], UTC)
    except FileNotFoundError:
        return warning(f"{file} is not there", f"'{deployment.state.command('up')}' makes it")
    except (jwt.InvalidTokenError, KeyError, UnicodeDecodeError):
        return failed(f"{file} holds no token", f"remove it; '{deployment.state.command('up')}' makes another")
    advice = (
        "a mesh that is up signs new ones twice a day: see 'tocsin logs'; elsewhere 'tocsin deployment secrets' does"
    )
    return until_outcome("it", ends, advice, soon=_TOKEN_SOON)


def _disks(deployment: Deployment) -> dict[str, Path]:
    """The directories of this host that a mesh fills, each file system once."""
    found = {"the state directory": deployment.state.root}
    if deployment.own_postgres:
        found["PostgreSQL"] = deployment.state.postgres
    if deployment.own_nats:
        found["NATS"] = deployment.state.nats
    by_file_system: dict[int, tuple[str, Path]] = {}
    for what, path in found.items():
        if path.exists():
            by_file_system.setdefault(path.stat().st_dev, (what, path))
    return dict(by_file_system.values())


async def _disk(path: Path) -> Outcome:
    found = await in_thread(partial(os.statvfs, path))
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    said = f"{free // MIB:,} of {size // MIB:,} MiB are free"
    advice = "free some, or give it a larger one: with a full disk nothing is taken any more"
    if free < LEAST_ROOM_BYTES:
        return failed(said, advice)
    if free < _LITTLE_BYTES or free < size * _LITTLE_SHARE:
        return warning(said, advice)
    return ok(said)


async def _certificate(variable: str, file: str) -> Outcome:
    try:
        subject, ends = earliest_end(await in_thread(Path(file).read_bytes))
    except OSError as error:
        return failed(f"{file} cannot be read: {error.strerror}", f"see {variable}")
    except ValueError:
        return failed(f"{file} holds no certificate (PEM)", f"see {variable}")
    return until_outcome(subject, ends, f"renew it, put it at {file}, and restart the parts that use it")


async def _parts(deployment: Deployment) -> Outcome:
    report = read_report(deployment.state)
    ill = [f"{part.name}: {part.state} {part.reason}".rstrip() for part in report.parts if not part.healthy]
    if ill or report.machine:
        return failed(
            "; ".join([*ill, *filter(None, [report.machine])]), "'tocsin status' and 'tocsin logs PART' tell more"
        )
    if losses := read_losses(deployment.state):
        return warning(
            f"stream {losses[-1].stream} {losses[-1].what}", "'tocsin status --acknowledge' shows it a last time"
        )
    return ok(f"{len(report.parts)} parts are healthy")
