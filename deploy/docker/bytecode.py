"""Imports all of the services and the command, so that Python keeps bytecode of what containers load (they cannot keep
what they compile), and of nothing else: a third of what the packages have."""

import importlib
import pkgutil

import services

# What is imported where it is first used.
LATER = (
    "httpx",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.trace.sampling",
    "prometheus_client.multiprocess",
    "uvloop",
)

for module in pkgutil.walk_packages(services.__path__, "services."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
for name in LATER:
    importlib.import_module(name)
