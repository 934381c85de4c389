"""What is looked at from where clients are: the edge, what it says of the services, and whose tokens it takes."""

import ssl
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.doctor.check import Check, Outcome, failed, in_thread, ok, skipped, warning
from services.cli.doctor.deployment import Deployment
from services.cli.doctor.served_certificates import edge_certificate
from services.cli.runtime.identity_provider import system_authorities

_WITHIN_SECONDS = 4.0


def edge_checks(deployment: Deployment) -> list[Check]:
    """All of them."""
    url = deployment.edge_url
    checks = [
        Check(
            name="edge",
            looks_at=f"GET {url}/health" if url else "the edge",
            look=partial(_health, deployment),
        ),
        Check(
            name="edge asks for a token",
            looks_at="a call without one",
            look=partial(_without_token, deployment),
            after="edge",
        ),
        Check(name="identity", looks_at="the keys that tokens are verified with", look=partial(_identity, deployment)),
    ]
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        checks.append(
            Check(
                name="certificate of the edge",
                looks_at=f"the certificate that {parts.hostname} shows",
                look=partial(edge_certificate, parts.hostname, parts.port or 443),
            )
        )
    return checks


async def _health(deployment: Deployment) -> Outcome:
    if not deployment.edge_url:
        return warning("no runtime of this host tells where the edge is", "name it with --edge URL")
    import httpx

    try:
        async with httpx.AsyncClient(verify=_trust(deployment), timeout=_WITHIN_SECONDS) as client:
            answer = await client.get(f"{deployment.edge_url}/health")
    except httpx.HTTPError as error:
        return failed(
            f"it does not answer: {str(error) or type(error).__name__}",
            "see whether Envoy is up, and whether its address and certificate are those that clients use",
        )
    if answer.status_code != 200:
        return failed(
            f"it answers {answer.status_code}: {answer.text[:300].strip()}",
            "see to the parts that it names: their logs, 'tocsin status', or 'kubectl describe'",
        )
    return ok(f"it answers 200 in {answer.elapsed.total_seconds() * 1000:.0f} ms: all services are serving")


async def _without_token(deployment: Deployment) -> Outcome:
    if not deployment.edge_url:
        return skipped("no edge is known")
    import httpx

    async with httpx.AsyncClient(verify=_trust(deployment), timeout=_WITHIN_SECONDS) as client:
        answer = await client.get(f"{deployment.edge_url}/v1/buildings")
    if answer.status_code != 401:
        return failed(
            f"it is answered with {answer.status_code}",
            "clients must reach Envoy, not the gateway behind it: see what the address leads to",
        )
    return ok("it is refused (401)")


async def _identity(deployment: Deployment) -> Outcome:
    from services.chassis.auth.keys import KeyUrl, parse_jwks

    identity = deployment.settings.identity
    if identity.jwks_url:
        authorities = Path(identity.ca_file or system_authorities())
        if problem := await KeyUrl(identity.jwks_url, refresh=identity.refresh, ca_file=authorities).fetch():
            return failed(
                f"{identity.jwks_url}: {problem}",
                "see whether the provider is up and reached from here; keys at hand stay in force until a restart",
            )
        return ok(f"the keys of {identity.issuer} are fetched from {identity.jwks_url}")
    file = identity.jwks_file or deployment.mesh.credentials.jwks_file
    try:
        keys = parse_jwks(await in_thread(file.read_bytes))
    except FileNotFoundError:
        return warning(f"{file} is not there", f"'{deployment.state.command('up')}' makes it")
    except (OSError, ValueError) as error:
        return failed(
            f"{file} cannot be used: {error}", "put it back from a backup, or remove it: a start makes it anew"
        )
    if identity.provided:
        return ok(f"{len(keys)} keys of {identity.issuer} in {file}")
    return warning(
        "the mesh signs its own tokens: whoever reads the state directory may do everything",
        "name an identity provider with TOCSIN_AUTH_JWKS_URL where others than its operators use it",
    )


def _trust(deployment: Deployment) -> ssl.SSLContext | bool:
    """Authorities that the edge's certificate is from; none are loaded for plain HTTP, as that takes long."""
    if not deployment.edge_url.startswith("https:"):
        return False
    return ssl.create_default_context(cafile=deployment.edge_ca_file or system_authorities() or None)
