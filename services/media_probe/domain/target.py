"""Where a video is fetched from, and where it must not be fetched from."""

from urllib.parse import unquote, urljoin, urlsplit

from services.chassis.origins import Origin, Targets
from services.media_probe.domain.failure import Failure, ProbeFailed

MAX_URL = 2048


class TargetRule:
    """Turns the `video` of an alert into a URL on an allowed origin.

    A path is joined to `server`, below its own path; an absolute URL must have an origin that is `allowed`. Without a
    server there are no paths.
    """

    def __init__(self, server: str, allowed: Targets) -> None:
        self._base = server.rstrip("/")
        self._allowed = allowed
        _check_path(urlsplit(server).path)

    def resolve(self, video: str) -> str:
        """The URL of a video. Raises ProbeFailed(BLOCKED_TARGET)."""
        if not video or len(video) > MAX_URL or not video.isascii() or not video.isprintable() or " " in video:
            raise _blocked("the video is no path and no URL")
        path, _, query = video.partition("#")[0].partition("?")
        if "://" in path:
            return self.check(video)
        if not self._base:
            raise _blocked("no video server is configured (TOCSIN_MEDIA_PROBE_VIDEO_SERVER)")
        _check_path(path)
        # What follows the server's own path cannot change the origin, so that need not be looked at again.
        return f"{self._base}/{path.lstrip('/')}" + (f"?{query}" if query else "")

    def check(self, url: str) -> str:
        """Returns `url` without its fragment if its origin is allowed; raises ProbeFailed(BLOCKED_TARGET)."""
        try:
            origin = Origin.of(url)
        except ValueError as error:
            raise _blocked(f"the URL {error}") from None
        if origin not in self._allowed:
            raise _blocked(f"the origin {origin} is not allowed (TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS)")
        _check_path(urlsplit(url).path)
        return url.partition("#")[0]

    def redirect(self, source: str, location: str) -> str:
        """The URL that a redirect from `source` leads to (RFC 3986, 5.2). Raises ProbeFailed(BLOCKED_TARGET) for an
        origin that is not allowed."""
        if not location.isascii() or not location.isprintable() or len(location) > MAX_URL:
            raise _blocked("the server redirects to what is no URL")
        try:
            return self.check(urljoin(source, location))
        except ValueError:
            raise _blocked("the server redirects to what is no URL") from None
        except ProbeFailed as error:
            raise _blocked(f"the server redirects: {error.message}") from None


def _check_path(path: str) -> None:
    # Twice: a server behind a proxy may decode once more than the proxy does.
    decoded = unquote(unquote(path))
    if not decoded.isprintable():
        raise _blocked("the path holds characters that cannot be printed")
    if ".." in decoded.replace("\\", "/").split("/") or "\\" in decoded:
        raise _blocked("the path climbs out of the video server's folder")


def _blocked(message: str) -> ProbeFailed:
    return ProbeFailed(Failure.BLOCKED_TARGET, message)
