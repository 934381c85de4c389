"""`ReceiptStore` in memory: the same promises as the one on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

from services.notification.adapters.memory.endpoints import contacts_of
from services.notification.adapters.memory.plan_steps import go_on
from services.notification.adapters.memory.state import Letter, State
from services.notification.domain.channel_plan import legs_from
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound
from services.notification.domain.lane import priority_of_type
from services.notification.domain.notification import Notification, Status
from services.notification.domain.receipt import Effect, Receipt, judge


class InMemoryReceipts:
    """Receipts in `state`, by tenant and id."""

    def __init__(self, state: State, *, patience: timedelta) -> None:
        self._state = state
        self._patience = patience
        self._receipts: dict[tuple[str, str], Receipt] = {}

    async def apply(self, receipt: Receipt) -> tuple[Effect, Notification]:
        """See ReceiptStore."""
        key = receipt.tenant, receipt.notification
        before = self._state.notifications.get(key)
        if before is None:
            raise NotificationNotFound(metadata={"id": receipt.notification})
        if (repeated := self._receipts.get((receipt.tenant, receipt.id))) is not None:
            if not receipt.same(repeated):
                raise IdempotencyConflict(receipt.id)
            return Effect.REPEATED, before
        receipt.check_time(self._state.now())
        known = [one for one in self._receipts.values() if (one.tenant, one.notification) == key]
        judgement = judge(before, receipt, known, patience=self._patience)
        self._receipts[receipt.tenant, receipt.id] = receipt
        after = self._state.notifications[key] = judgement.notification
        if before.status is not Status.SENT and after.status is Status.SENT:
            self._call_off(after)
        if judgement.unreached:
            self._go_on(after, receipt)
        after = self._state.notifications[key]
        if after.status is not before.status:
            self._state.told.append(after)
        if after.status is Status.FAILED and before.status is not Status.FAILED:
            failures = tuple(one for one in after.history if one.code)
            self._state.letters.append(Letter(f"notification/{after.tenant}/{after.id}", failures))
        return judgement.effect, after

    def _call_off(self, notification: Notification) -> None:
        legs = self._state.legs_of(notification.id)
        alone = sum(one.lane.value == notification.channel for one in legs) == 1
        for leg in legs:
            if not leg.lease and (leg.standby or leg.lane.value != notification.channel or alone):
                del self._state.deliveries[leg.id, ""]

    def _go_on(self, notification: Notification, receipt: Receipt) -> None:
        state, key = self._state, (notification.tenant, notification.id)
        if state.legs_of(notification.id):
            return
        kept = state.plans[notification.id]
        steps = [step.channel for step in kept.plan]
        step = steps.index(receipt.channel) if receipt.channel in steps else kept.step
        addresses = contacts_of(state, (notification.tenant, notification.user)).addresses
        if legs := legs_from(kept.plan, step + 1, addresses):
            go_on(state, notification, legs, priority_of_type(notification.type))
        else:
            state.notifications[key] = replace(notification, status=Status.FAILED)
