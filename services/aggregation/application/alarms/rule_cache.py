"""The rules as this process evaluates by them, in memory."""

from collections.abc import Sequence

from services.aggregation.application.alarms.ports import AlarmRuleStore
from services.aggregation.domain.alarms.rule import AlarmRule


class RuleCache:
    """`reload` brings it up to date: it is called after each change, whichever replica made it."""

    def __init__(self, store: AlarmRuleStore) -> None:
        self._store = store
        self.rules: Sequence[AlarmRule] = ()
        self.version = 0
        """Grows with each change."""

    async def reload(self) -> None:
        """Reads the rules anew. Raises Unavailable."""
        rules = await self._store.all_rules()
        if rules != self.rules:
            self.rules = rules
            self.version += 1
