"""Which token a method needs, read from its option `(tocsin.options.v1.auth)`. Default deny."""

from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor
from tocsin.options.v1 import options_pb2

HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


@dataclass(frozen=True, slots=True)
class Rule:
    """`public`: no token. `any_token`: any valid one. Otherwise one that holds at least one of `scopes`; no scopes means
    that nobody may call."""

    scopes: frozenset[str] = frozenset()
    public: bool = False
    any_token: bool = False


DENY: Final = Rule()


def rule_of(service: str, descriptor: MethodDescriptor | None) -> Rule:
    """The rule of a method of `service`. Methods without the option, or without a descriptor, are denied to everybody;
    health is public and reflection needs any valid token, for their contracts are not ours to annotate."""
    if service == HEALTH:
        return Rule(public=True)
    if service in REFLECTION:
        return Rule(any_token=True)
    if descriptor is None:
        return DENY
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.auth):
        return DENY
    declared = options.Extensions[options_pb2.auth]
    return Rule(frozenset(declared.scopes), declared.public)
