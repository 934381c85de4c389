"""Where the parts of a deployment are, unless variables say otherwise: each in a container, reached by its name."""

from services.cli.runtime.settings import SERVICES, part_name

POSTGRES_DSN = "postgresql://tocsin@postgres:5432/tocsin"
"""Without a password: it is one of the deployment's secrets then."""
NATS_URL = "nats://nats:4222"
GRPC_PORT = 50051
"""Of every service."""
OPERATIONS_PORT = 8009
"""Of every part: GET /metrics, and of all but Envoy /livez and /readyz."""
EDGE_PORT = 8080
EDGE_TLS_PORT = 8443
GATEWAY = "gateway:8081"
GATEWAY_GRPC = "gateway:8082"
EVERYWHERE = "0.0.0.0"
SECRETS = "/run/secrets/tocsin"
"""Where a container finds the directory of its part."""
PEERS = {service: f"{part_name(service)}:{GRPC_PORT}" for service in SERVICES}
"""Where the services answer gRPC."""
