"""The Firebase Cloud Messaging channel (HTTP v1)."""

import json
from datetime import UTC, datetime
from typing import Any

from services.notification.adapters.channels.fcm_token import AccessTokens, ServiceAccount, TokenRefused
from services.notification.adapters.channels.http import Answer, HttpClient, NotReached
from services.notification.application.claimed_delivery import EventMessage
from services.notification.domain.delivery import Endpoint, Failure, FailureKind, Outcome, Outgoing, Sent
from services.notification.domain.fcm_errors import BACKOFF_FLOOR, MAX_PAYLOAD, OPERATOR_FLOOR, classify_fcm
from services.notification.domain.notification import Type
from services.notification.domain.retry_schedule import parse_retry_after

DEFAULT_BASE_URL = "https://fcm.googleapis.com"
_ELLIPSIS = "\u2026"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_THIRD_PARTY = "THIRD_PARTY_AUTH_ERROR"
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class FcmChannel:
    """Pushes to registration tokens of one Firebase project."""

    def __init__(self, account: ServiceAccount, base_url: str, client: HttpClient) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._client = client
        self._tokens = AccessTokens(account, client)

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt; a token that is refused is renewed once within it."""
        if isinstance(message, EventMessage):
            return Failure(kind=FailureKind.PERMANENT, code="NOT_FOR_FCM", message="events go to webhooks only")
        content = payload(message, endpoint.address)
        if content is None:
            return Failure(
                kind=FailureKind.PERMANENT,
                code="FCM_TOO_LARGE",
                message=f"title and data alone have more than the {MAX_PAYLOAD} bytes that FCM takes",
            )
        body = _to_json(content).encode()
        refused = ""
        while True:
            try:
                token = await self._tokens.get(instead_of=refused)
                headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
                answer = await self._client.post(self._url, headers, body)
            except TokenRefused as error:
                return _no_token(error)
            except NotReached as error:
                return Failure(
                    kind=FailureKind.TRANSIENT, code=f"FCM_{error.code}", message=str(error), unknown=error.unknown
                )
            if answer.status == 200:
                return _taken(answer)
            code, text, field = _error(answer)
            if answer.status == 401 and code != _THIRD_PARTY and not refused:
                refused = token
                continue
            asked = parse_retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
            return classify_fcm(answer.status, code, message=text, field=field, retry_after=asked)


def payload(message: Outgoing, token: str) -> dict[str, Any] | None:
    """The request body; None when the message is too large for FCM even without its text.

    Data values are strings, as FCM demands. `data.id`, the tag and the collapse id are the notification's: where an
    attempt is repeated, the second one takes the place of the first on the screen. A text that does not fit is cut, and
    `data.cut` says so: the app can fetch the whole by the id.
    """
    data = {"id": message.id, "tenant": message.tenant, "type": message.type.value}
    if message.data:
        data["data"] = message.data
    if message.link:
        data["link"] = message.link
    shown = {"title": message.title, "body": message.body}
    if (over := _size(shown) + _size(data) - MAX_PAYLOAD) > 0:
        data["cut"] = "true"
        kept = len(message.body.encode()) - over - _size({"cut": "true"}) - len(_ELLIPSIS.encode())
        if kept < 0:
            return None
        shown["body"] = message.body.encode()[:kept].decode(errors="ignore") + _ELLIPSIS
    return {
        "message": {
            "token": token,
            "notification": shown,
            "data": data,
            "android": {
                "priority": "HIGH" if message.type is Type.ALERT else "NORMAL",
                "notification": {"tag": message.id},
            },
            "apns": {"headers": {"apns-collapse-id": message.id}},
            "webpush": {"notification": {"tag": message.id}},
        }
    }


def _size(values: dict[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in values.items())


def _taken(answer: Answer) -> Outcome:
    """FCM has taken a message when it gives it a name. What else comes with 200 is a proxy's."""
    try:
        name = json.loads(answer.body)["name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        name = None
    if isinstance(name, str) and name:
        return Sent(name[:200])
    return Failure(
        kind=FailureKind.TRANSIENT,
        code="FCM_ANSWER_200",
        message="the answer names no message: it is not FCM's",
        floor=BACKOFF_FLOOR,
        unknown=True,
    )


def _error(answer: Answer) -> tuple[str, str, str]:
    """The FcmError code, the text, and the first field that is violated; empty where the answer has none."""
    code = text = field = ""
    try:
        error = json.loads(answer.body)["error"]
        text = str(error.get("message", ""))
        for detail in error.get("details", []):
            if detail.get("@type") == _FCM_ERROR:
                code = code or str(detail.get("errorCode", ""))
            for violation in detail.get("fieldViolations", []):
                field = field or str(violation.get("field", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return code, text, field
    return code, text, field


def _no_token(error: TokenRefused) -> Failure:
    refused = 400 <= error.status < 500 and error.status != 429
    return Failure(
        kind=FailureKind.TRANSIENT,
        code=f"FCM_TOKEN_{error.status}",
        message=str(error),
        floor=OPERATOR_FLOOR if refused else None,
        critical=refused,
    )
