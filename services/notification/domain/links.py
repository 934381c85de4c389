"""Where the links of notifications may lead."""

from dataclasses import dataclass, field

from services.chassis.origins import Origin, Targets
from services.notification.domain.errors import LinkForbidden


@dataclass(frozen=True, slots=True)
class LinkOrigins:
    """The origins that the operator has named; none by default."""

    allowed: Targets = field(default_factory=Targets)

    def check(self, link: str, name: str = "link") -> None:
        """Raises LinkForbidden about the field of a request; an empty link is none."""
        if (refusal := self.refusal(link, name)) is not None:
            raise refusal

    def refusal(self, link: str, name: str = "link") -> LinkForbidden | None:
        """What `check` raises."""
        if not link:
            return None
        try:
            origin = Origin.of(link)
        except ValueError as error:
            return LinkForbidden(name, "", f"the URL {error}")
        if origin in self.allowed:
            return None
        return LinkForbidden(
            name,
            str(origin),
            f"links may not lead to {origin}; the operator may name it in TOCSIN_NOTIFICATION_LINK_ORIGINS",
        )
