"""Refuses videos that the mesh itself would have to answer; what else must not be called, media-probe knows."""

from services.chassis.net_guard import AddressGuard, MeshBlocked, NameUnresolved
from services.chassis.origins import Origin
from services.ingestion.domain.errors import VideoNotAllowed


class MeshVideoGuard:
    """The VideoGuard."""

    def __init__(self, addresses: AddressGuard) -> None:
        self._addresses = addresses

    async def check(self, url: str) -> None:
        """See the port."""
        origin = Origin.of(url)
        try:
            await self._addresses.refuse_mesh(origin.host, origin.port)
        except NameUnresolved:
            return
        except MeshBlocked as error:
            raise VideoNotAllowed(url, error.message) from error
