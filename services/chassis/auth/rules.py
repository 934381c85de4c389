"""Which token a method needs, read from its option `(tocsin.options.v1.auth)`. Default deny."""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor

from tocsin.options.v1 import options_pb2

HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


@dataclass(frozen=True, slots=True)
class Rule:
    """`public`: no token. `any_token`: any valid one. Otherwise one that holds at least one of `scopes`; no scopes
    means that nobody may call."""

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
    declared = option(descriptor, options_pb2.auth)
    return DENY if declared is None else Rule(frozenset(declared.scopes), declared.public)


def validates_items(descriptor: MethodDescriptor | None) -> bool:
    """Whether the method judges each request message itself, by the option `(tocsin.options.v1.validates_items)`."""
    return descriptor is not None and bool(option(descriptor, options_pb2.validates_items))


def option(descriptor: MethodDescriptor, extension: Any) -> Any:
    """The value of the method's option `extension`; None when the contract does not set it. (The stubs of protobuf and
    of generated code disagree about the type of extensions, hence Any.)"""
    options = descriptor.GetOptions()
    return options.Extensions[extension] if options.HasExtension(extension) else None
