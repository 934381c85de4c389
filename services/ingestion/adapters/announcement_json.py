"""What was said of an announced file, as it is stored."""

import json
from dataclasses import asdict

from services.ingestion.domain.debts.announced_upload import Announcement
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.debts.reject_limit import RejectLimit


def written(said: Announcement) -> str:
    """As JSON."""
    return json.dumps(asdict(said))


def read(text: str) -> Announcement:
    """What `written` wrote."""
    found = json.loads(text)
    found["declared"] = Declared(**found["declared"])
    found["reject_limit"] = RejectLimit(**found["reject_limit"])
    return Announcement(**found)
