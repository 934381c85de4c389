"""What the subjects, streams and buckets of one mesh are called at its NATS server.

Code speaks of `tocsin.videos.v1.probed` and `VIDEOS`. In a mesh with the prefix `stage` the server has them as
`stage.tocsin.videos.v1.probed` and `STAGE_VIDEOS`, so that several meshes can live in one account. Names are turned
into the server's where they are handed to it, and back where they come from it. Consumers are named within their
stream, and need nothing.
"""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nats.js.api import ConsumerConfig

_PREFIX = re.compile(r"[a-z0-9_-]{1,32}")
ROOT = "tocsin"
"""The first token of every subject."""


def prefix_problem(prefix: str) -> str:
    """What is wrong with a prefix, to be said after the name of its variable; empty when it can be used."""
    # Streams have it in capitals: prefixes that differ in case alone would share them.
    if prefix and not _PREFIX.fullmatch(prefix):
        return f"must be 1 to 32 lower-case letters, digits, '_' and '-', not {prefix!r}"
    if prefix == ROOT:
        return f"must not be {ROOT!r}: a mesh without a prefix takes all subjects below that for its own"
    return ""


@dataclass(frozen=True, slots=True)
class MeshNames:
    """The names of a mesh with this prefix; without one (the default) they are the same in code and at the server."""

    prefix: str = ""

    def subject(self, name: str) -> str:
        """A subject (with wildcards or without) at the server."""
        return f"{self.prefix}.{name}" if self.prefix else name

    def stream(self, name: str) -> str:
        """A stream or a bucket at the server."""
        return f"{self.prefix.upper()}_{name}" if self.prefix else name

    def consumer(self, config: "ConsumerConfig") -> "ConsumerConfig":
        """A consumer that reads the same subjects at the server."""
        one, several = config.filter_subject, config.filter_subjects
        return replace(
            config,
            filter_subject=self.subject(one) if one else one,
            filter_subjects=[self.subject(each) for each in several] if several else several,
        )

    def plain_subject(self, found: str) -> str:
        """The subject in code of one at the server."""
        return found.removeprefix(self.subject(""))

    def plain_stream(self, found: str) -> str:
        """The stream in code of one at the server."""
        return found.removeprefix(self.stream(""))
