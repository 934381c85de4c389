"""Judges certificates and keys by loading them, as the parts that use them will."""

import ssl
from collections.abc import Mapping

_EDGE = ("TOCSIN_EDGE_TLS_CERT_FILE", "TOCSIN_EDGE_TLS_KEY_FILE")
_GRPC = ("TOCSIN_GRPC_TLS_CERT_FILE", "TOCSIN_GRPC_TLS_KEY_FILE")
_AUTHORITIES = "TOCSIN_GRPC_TLS_CA_FILE"
TLS_FILE_VARIABLES = (_EDGE[0], _GRPC[0], _AUTHORITIES)
"""The variables that name files of certificates."""


def tls_problems(environment: Mapping[str, str], *, edge: bool) -> list[str]:
    """What is wrong with the files that variables name, a line each; those of the `edge` only where it runs here."""
    found: list[str] = []
    for certificate, key in (_EDGE, _GRPC) if edge else (_GRPC,):
        files = {name: environment.get(name, "") for name in (certificate, key)}
        unreadable = [problem for name, file in files.items() if file and (problem := _unreadable(name, file))]
        found += unreadable
        if all(files.values()) and not unreadable:
            try:
                # A password would be asked for on the terminal; no part could be given one.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files[certificate], files[key], password="")
            except (ssl.SSLError, ValueError):
                named = " and ".join(f"{name}={file}" for name, file in files.items())
                found.append(f"{named} are not a certificate (PEM) and its key")
    if file := environment.get(_AUTHORITIES, ""):
        found += filter(None, [_unreadable(_AUTHORITIES, file) or _no_authorities(file)])
    return found


def _unreadable(name: str, file: str) -> str:
    try:
        with open(file, "rb"):
            return ""
    except OSError as error:
        return f"{name}={file} cannot be read: {error.strerror}"


def _no_authorities(file: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        return f"{_AUTHORITIES}={file} holds no certificate (PEM)"
    return ""
