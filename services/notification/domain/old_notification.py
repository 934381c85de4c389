"""What a document of a former system says, as a notification: both of its shapes, and what is missing in either."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.chassis.ids import derived_id
from services.notification.domain.notification import ChannelName, Status, Type
from services.notification.domain.old_values import Unusable, read_data, read_time, shown, storable

MAX_TITLE = 200
MAX_BODY = 4000
WAS_PENDING = "MIGRATED: it was still to be sent when it was migrated"
"""The error of what the former system had not sent: nobody is told anything by a migration."""

_NAMES = {
    "user": ("userId", "user_id"),
    "type": ("type", "kind"),
    "title": ("title", "subject"),
    "body": ("body", "message"),
    "tenant": ("serviceName", "service_name", "service"),
    "created": ("createdAt", "created_at"),
    "sent": ("sentAt", "sent_at"),
    "read": ("readAt", "read_at"),
}
_READ = "READ"
_STATUSES = {
    **dict.fromkeys(("SENT", "DELIVERED", _READ), Status.SENT),
    **dict.fromkeys(("PENDING", "QUEUED", "NEW"), Status.PENDING),
    **dict.fromkeys(("FAILED", "ERROR"), Status.FAILED),
}
_USER = re.compile("[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff/\\\\]{1,255}")
"""As the contract has it (`user_id`)."""
_BREAKS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
"""What no title may hold (`one_line`): it becomes a blank."""
_SEEN = re.compile(
    "[^\\s\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b-\\u200f\\u2060-\\u2064\\u2800\\u3164\\ufeff\\uffa0]"
)
_KEYS = json.JSONEncoder(sort_keys=True, default=str)
_CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """How documents are read. `tenants`: those that are wanted; `others`: there may be documents of more than these;
    `tenant_names` and `types`: what old names mean."""

    tenants: frozenset[str]
    others: bool
    now: datetime
    tenant_names: Mapping[str, str]
    types: Mapping[str, Type]


@dataclass(frozen=True, slots=True, kw_only=True)
class OldNotification:
    """A notification as it is to be stored. `pending`: the former system had still to send it."""

    id: str
    tenant: str
    user: str
    type: Type
    title: str
    body: str
    data: str | None
    channel: ChannelName
    status: Status
    pending: bool
    error: str
    created_at: datetime
    sent_at: datetime | None
    read_at: datetime | None


def read_document(document: Mapping[str, Any], rules: Rules) -> OldNotification | None:
    """The notification; None when it is of a tenant that is not wanted. Raises Unusable.

    `document` has text, numbers, booleans, aware datetimes, None, lists and objects. When it was created follows from
    the time in an ObjectId (`_id_time`, which the reader of the file adds) or from the other times, where it is not
    said. Then there is no `sent_at` without an ObjectId: nobody knows how long it took.
    """
    tenant = _tenant(document, rules)
    if tenant is None:
        return None
    key = document.get("_id")
    if key is None or isinstance(key, bool) or key == "":
        raise Unusable("has no _id, so it could not be told from others when it comes again")
    created, sent, read = _times(document, rules.now)
    status = _status(document, bool(_first(document, "sent") or read))
    pending = status is Status.PENDING
    title, body = _content(document)
    return OldNotification(
        id=derived_id(created, f"migrated/{tenant}/{_KEYS.encode(key)}"),
        tenant=tenant,
        user=_user(document),
        type=_type(document, rules),
        title=title,
        body=body,
        data=read_data(document.get("data")),
        channel=_channel(document),
        status=Status.FAILED if pending else status,
        pending=pending,
        error=WAS_PENDING if pending else _text(document, "error")[:1000] if status is Status.FAILED else "",
        created_at=created,
        sent_at=sent if status is Status.SENT else None,
        read_at=read if status is Status.SENT else None,
    )


def _times(document: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime | None, datetime | None]:
    said = read_time(_first(document, "created"), "createdAt") or document.get("_id_time")
    sent = read_time(_first(document, "sent"), "sentAt")
    read = read_time(_first(document, "read"), "readAt")
    created = said or sent or read
    if created is None:
        raise Unusable("has no createdAt, no sentAt, no readAt and no ObjectId: nothing says when it was")
    for name, at in (("createdAt", created), ("sentAt", sent), ("readAt", read)):
        if at is not None and at > now + _CLOCKS_DIFFER:
            raise Unusable(f"{name} lies in the future: {at.isoformat()}")
    if read is None and _text(document, "status").strip().upper() == _READ:
        read = sent or created
    return created, max(sent, created) if sent and said else None, read


def _tenant(document: Mapping[str, Any], rules: Rules) -> str | None:
    name = _text(document, "tenant").strip()
    if not name:
        if len(rules.tenants) == 1:
            return next(iter(rules.tenants))
        raise Unusable("has no serviceName, which says whose it is when there are several tenants")
    tenant = rules.tenant_names.get(name, name)
    found = next((one for one in (tenant, tenant.lower()) if one in rules.tenants), None)
    if found is None and not rules.others:
        meant = shlex.quote(f"{name[:40]}=TENANT")
        raise Unusable(f"serviceName {shown(name)} is no tenant; --service {meant} says whose it is")
    return found


def _user(document: Mapping[str, Any]) -> str:
    value = _first(document, "user")
    # A shell of MongoDB writes 12 as 12.0.
    number = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    user = str(int(value)) if number else _text(document, "user")
    if not user:
        raise Unusable("has no userId")
    if not _USER.fullmatch(user) or user in (".", "..") or user != user.strip(" "):
        raise Unusable(f"userId is none that this system takes: {shown(user)}")
    return user


def _type(document: Mapping[str, Any], rules: Rules) -> Type:
    name = _text(document, "type").strip()
    if not name:
        return Type.INFO
    if (known := rules.types.get(name)) is not None:
        return known
    if name.upper() in Type.__members__:
        return Type(name.upper())
    raise Unusable(f"type {shown(name)} is none of {', '.join(Type)}; --type {name[:40]}=INFO would read it so")


def _status(document: Mapping[str, Any], was_sent: bool) -> Status:
    name = _text(document, "status").strip().upper()
    if not name:
        return Status.SENT if was_sent else Status.PENDING
    if name not in _STATUSES:
        raise Unusable(f"status {shown(name)} is none of {', '.join(_STATUSES)}")
    return _STATUSES[name]


def _channel(document: Mapping[str, Any]) -> ChannelName:
    name = _text(document, "channel").strip().upper()
    return ChannelName(name) if name in ChannelName.__members__ else ChannelName.CONSOLE


def _content(document: Mapping[str, Any]) -> tuple[str, str]:
    title, body = _text(document, "title"), _text(document, "body")
    if not _SEEN.search(title):
        # The older shape has but a message.
        line = next((one.strip() for one in body.splitlines() if _SEEN.search(one)), "")
        if not line:
            raise Unusable("has neither title nor body")
        title = line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"
    for name, text, most in (("title", title, MAX_TITLE), ("body", body, MAX_BODY)):
        if len(text) > most:
            raise Unusable(f"{name} has {len(text):,} characters; {most:,} are the most")
    return _BREAKS.sub(" ", title).strip(), body


def _first(document: Mapping[str, Any], field: str) -> Any:
    for name in _NAMES[field]:
        if (value := document.get(name)) is not None:
            return value
    return None


def _text(document: Mapping[str, Any], field: str) -> str:
    value = _first(document, field) if field in _NAMES else document.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable(f"{_NAMES.get(field, (field,))[0]} is no text: {shown(value)}")
    return storable(value, _NAMES.get(field, (field,))[0])
