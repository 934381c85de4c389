"""`InvoiceStore` in memory: the same promises as the one on PostgreSQL."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from services.notification.adapters.memory.state import Letter, utc_now
from services.notification.application.claimed_delivery import (
    ClaimedInvoice,
    Deferred,
    InvoiceChange,
    InvoiceClaims,
    Mailed,
    Sending,
)
from services.notification.application.ports.notifications import Position
from services.notification.domain.delivery import Failure
from services.notification.domain.errors import InvoiceNotFound
from services.notification.domain.invoice import (
    Debt,
    DebtDecision,
    DebtorData,
    Erased,
    Invoice,
    InvoiceFilter,
    InvoiceState,
    Place,
    StateChange,
)
from services.notification.domain.notification import HISTORY_LIMIT, Attempt

_LAST = 2**62
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Row:
    invoice: Invoice
    due: datetime | None
    """None once nothing is left to do."""
    lease: str = ""
    sending: bool = False
    history: tuple[Attempt, ...] = ()
    version: int = 1
    closed: bool = False
    decided: int = 0
    """The version of the debt that the last decision had."""


class InMemoryInvoices:
    """Invoices by debt. `letters` are the dead letters that would leave through the outbox, `told` the changes."""

    def __init__(self, now: Callable[[], datetime] = utc_now, *, lease: timedelta = timedelta(minutes=2)) -> None:
        self.letters: list[Letter] = []
        self.told: list[StateChange] = []
        self._now = now
        self._lease = lease
        self._rows: dict[str, _Row] = {}
        self._marks: set[str] = set()
        self._cancelled: set[str] = set()

    async def register(self, event: str, debts: Sequence[Debt]) -> int:
        """See InvoiceStore."""
        if event in self._marks:
            return 0
        self._marks.add(event)
        new = {
            debt.id: debt
            for debt in debts
            if debt.debt_file not in self._cancelled
            and (debt.id not in self._rows or self._may_be_replaced(self._rows[debt.id], debt))
        }
        for debt in new.values():
            self._add(debt, InvoiceState.PENDING)
        return len(new)

    @staticmethod
    def _may_be_replaced(row: _Row, debt: Debt) -> bool:
        one = row.invoice
        return one.state is InvoiceState.CANCELLED and not (row.closed and one.debt.debt_file == debt.debt_file)

    def _add(self, debt: Debt, state: InvoiceState) -> _Row:
        now = self._now()
        made = Invoice(debt=debt, state=state, attempts=0, error="", created_at=now)
        before = self._rows.get(debt.id)
        due = None if state is InvoiceState.CANCELLED else now
        row = self._rows[debt.id] = _Row(made, due, version=1 if before is None else before.version + 1)
        return row

    async def erase(
        self, wanted: DebtorData, limit: int, overwrite: Callable[[Sequence[Place]], Awaitable[None]]
    ) -> Erased:
        """See InvoiceErasures."""
        for debt, debt_file in wanted.debts.items():
            row = self._rows.get(debt)
            if debt_file and (
                row is None or (row.invoice.state is InvoiceState.CANCELLED and row.invoice.debt.debt_file < debt_file)
            ):
                row = self._add(_blank(debt, debt_file), InvoiceState.CANCELLED)
                row.closed, row.decided = True, _LAST
        found = [row for row in self._rows.values() if row.invoice.debt.name and _is_of(row.invoice.debt, wanted)]
        found = sorted(found, key=lambda row: (row.sending, row.invoice.debt.id))[:limit]
        going = [row for row in found if not row.sending]
        places = [row.invoice.place for row in going if row.invoice.place is not None]
        for row in found:
            row.closed = True
        await overwrite(places)
        for row in going:
            one, before = row.invoice, row.invoice.state
            state = before if before is InvoiceState.MAILED else InvoiceState.CANCELLED
            blank = replace(one.debt, name="", government_id="", email="", language="")
            row.invoice = replace(one, debt=blank, state=state, error="", place=None)
            row.history, row.due, row.lease, row.decided = (), None, "", _LAST
            if state is not before:
                self._tell(row)
        return Erased(
            invoices=len(going),
            documents=len(places),
            letters=0,
            more=len(found) == limit and bool(going),
            waiting=len(going) < len(found),
        )

    async def decide(self, decision: DebtDecision) -> bool:
        """See DebtDecisions."""
        debt, row = decision.debt, self._rows.get(decision.debt.id)
        rolled_back = debt.debt_file in self._cancelled
        if row is None or (row.invoice.state is InvoiceState.CANCELLED and row.invoice.debt.debt_file < debt.debt_file):
            if decision.closed or not rolled_back:
                row = self._add(debt, InvoiceState.CANCELLED if decision.closed else InvoiceState.PENDING)
                row.closed, row.decided = decision.closed, decision.version
            return True
        if row.invoice.debt.debt_file != debt.debt_file or row.decided > decision.version:
            return True
        row.closed, row.decided = decision.closed, decision.version
        state = row.invoice.state
        if not decision.closed and state is InvoiceState.CANCELLED and not rolled_back:
            state = InvoiceState.PENDING if row.invoice.place is None else InvoiceState.STORED
            row.invoice, row.due = replace(row.invoice, state=state, attempts=0, error=""), self._now()
            self._tell(row)
        if decision.closed and not row.sending and state not in (InvoiceState.MAILED, InvoiceState.CANCELLED):
            row.invoice, row.due, row.lease = replace(row.invoice, state=InvoiceState.CANCELLED), None, ""
            self._tell(row)
        return not (decision.closed and row.sending)

    async def cancel(self, debt_file: str, after: str, limit: int) -> str:
        """See InvoiceStore."""
        self._cancelled.add(debt_file)
        found = [
            row
            for row in self._of_file(debt_file, after)
            if row.invoice.state in (InvoiceState.PENDING, InvoiceState.STORED, InvoiceState.FAILED)
            and not row.sending
            and not row.invoice.doubtful
        ][:limit]
        for row in found:
            row.invoice = replace(row.invoice, state=InvoiceState.CANCELLED)
            row.due, row.lease = None, ""
        return found[-1].invoice.debt.id if found else ""

    async def in_dialogue(self, debt_file: str) -> bool:
        """See InvoiceStore."""
        return any(
            row.sending and row.invoice.state is InvoiceState.STORED and not row.invoice.doubtful
            for row in self._of_file(debt_file, "")
        )

    async def kept(self, debt_file: str, after: str, limit: int) -> Sequence[str]:
        """See InvoiceStore."""
        found = [row.invoice for row in self._of_file(debt_file, after)]
        return [one.debt.id for one in found if one.state is not InvoiceState.CANCELLED or one.doubtful][:limit]

    def _of_file(self, debt_file: str, after: str) -> list[_Row]:
        """Newest first, behind the debt `after`."""
        found = [row for row in self._rows.values() if row.invoice.debt.debt_file == debt_file]
        found.sort(key=lambda row: (row.invoice.created_at, row.invoice.debt.id), reverse=True)
        ids = [row.invoice.debt.id for row in found]
        return found[ids.index(after) + 1 if after else 0 :]

    async def counts(self, debt_file: str) -> Mapping[InvoiceState, int]:
        """See InvoiceStore."""
        found = (row.invoice for row in self._rows.values())
        return Counter(one.state for one in found if debt_file in ("", one.debt.debt_file))

    async def retry(self, wanted: InvoiceFilter, limit: int, by: str) -> int:
        """See InvoiceStore."""
        found = self._wanted(wanted)[:limit]
        for row in found:
            row.due = self._now()
            if row.invoice.state is InvoiceState.FAILED:
                state = InvoiceState.PENDING if row.invoice.place is None else InvoiceState.STORED
                row.invoice, row.history = replace(row.invoice, state=state, attempts=0), ()
                self._tell(row)
        return len(found)

    async def count(self, wanted: InvoiceFilter, limit: int) -> int:
        """See InvoiceStore."""
        return len(self._wanted(wanted)[:limit])

    def _wanted(self, wanted: InvoiceFilter) -> list[_Row]:
        def waits(row: _Row) -> bool:
            one = row.invoice
            return (
                one.state is wanted.state
                and (one.state is not InvoiceState.STORED or (not row.lease and (row.due or _NEVER) > self._now()))
                and wanted.debt in ("", one.debt.id)
                and wanted.debt_file in ("", one.debt.debt_file)
                and one.error.startswith(wanted.code)
                and (wanted.since is None or one.created_at >= wanted.since)
                and (wanted.until is None or one.created_at < wanted.until)
            )

        return sorted(filter(waits, self._rows.values()), key=lambda row: (row.invoice.created_at, row.invoice.debt.id))

    async def claim(self, limit: int, *, mail: bool) -> InvoiceClaims:
        """See InvoiceStore."""
        now = self._now()
        waiting = [
            (row.due, id_, row)
            for id_, row in self._rows.items()
            if row.due is not None and (mail or row.invoice.state is InvoiceState.PENDING)
        ]
        due = sorted(entry for entry in waiting if entry[0] <= now)[:limit]
        if not due:
            next_due = min((at for at, _, _ in waiting), default=None)
            return InvoiceClaims((), None if next_due is None else max(next_due - now, timedelta(0)))
        lease = str(uuid4())
        for _, _, row in due:
            row.lease, row.due = lease, now + self._lease
        return InvoiceClaims(tuple(_claimed(row) for _, _, row in due), None)

    async def stored(self, places: Sequence[tuple[ClaimedInvoice, Place]]) -> None:
        """See InvoiceStore."""
        for claimed, place in places:
            row = self._held(claimed)
            if row is not None and row.invoice.state is InvoiceState.PENDING:
                row.invoice = replace(row.invoice, state=InvoiceState.STORED, place=place)
                row.due = self._now() + self._lease
                self._tell(row)

    async def change(self, changes: Sequence[InvoiceChange]) -> Sequence[bool]:
        """See InvoiceStore."""
        return [self._change(change) for change in changes]

    def _change(self, change: InvoiceChange) -> bool:
        row = self._held(change.invoice)
        if row is None:
            return False
        match change:
            case Sending():
                if row.invoice.state is not InvoiceState.STORED or row.closed:
                    return False
                row.sending, row.due = True, self._now() + self._lease
            case Mailed(failure=Failure() as failure, wait=wait):
                self._fail(row, failure, wait)
            case Deferred(failure=failure, wait=wait):
                row.lease, row.due, row.sending = "", self._now() + wait, False
                row.invoice = replace(row.invoice, error=failure.text)
            case Mailed():
                attempts = row.invoice.attempts + 1
                row.invoice = replace(
                    row.invoice, state=InvoiceState.MAILED, attempts=attempts, error="", mailed_at=self._now()
                )
                row.lease, row.due, row.sending = "", None, False
                self._tell(row)
        return True

    def _fail(self, row: _Row, failure: Failure, wait: timedelta | None) -> None:
        now = self._now()
        told = wait is None or (failure.unknown and not row.invoice.doubtful)
        state = InvoiceState.FAILED if wait is None else row.invoice.state
        row.invoice = replace(
            row.invoice,
            state=state,
            attempts=row.invoice.attempts + 1,
            error=failure.text,
            doubtful=row.invoice.doubtful or failure.unknown,
        )
        row.history = (*row.history, Attempt(now, failure.code, failure.message))[-HISTORY_LIMIT:]
        row.lease, row.sending = "", False
        row.due = None if wait is None else now + wait
        if told:
            self._tell(row, failure.code)
        if wait is None:
            self.letters.append(Letter(f"invoice/{row.invoice.debt.id}", row.history))

    def _tell(self, row: _Row, code: str = "") -> None:
        row.version += 1
        one = row.invoice
        self.told.append(
            StateChange(
                debt=one.debt.id,
                debt_file=one.debt.debt_file,
                version=row.version,
                state=one.state,
                doubtful=one.doubtful,
                code=code,
            )
        )

    async def renew(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """See InvoiceStore."""
        for claimed in invoices:
            if (row := self._held(claimed)) is not None:
                row.due = self._now() + self._lease

    async def release(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """See InvoiceStore."""
        for claimed in invoices:
            if (row := self._held(claimed)) is not None:
                row.lease, row.due = "", self._now()
                row.sending = row.sending and claimed.crashed

    def _held(self, claimed: ClaimedInvoice) -> _Row | None:
        row = self._rows.get(claimed.debt.id)
        return row if row is not None and row.lease == claimed.lease else None

    async def get(self, debt: str) -> Invoice:
        """See InvoiceStore."""
        if (row := self._rows.get(debt)) is None:
            raise InvoiceNotFound(metadata={"id": debt})
        return _shown(row)

    async def page(
        self, *, debt_file: str, state: InvoiceState | None, limit: int, after: Position | None
    ) -> Sequence[Invoice]:
        """See InvoiceStore."""
        found = [
            _shown(row)
            for id_, row in self._rows.items()
            if (not debt_file or row.invoice.debt.debt_file == debt_file)
            and (state is None or row.invoice.state is state)
            and (after is None or (row.invoice.created_at, id_) < after)
        ]
        return sorted(found, key=lambda one: (one.created_at, one.debt.id), reverse=True)[:limit]

    async def knows_file(self, debt_file: str) -> bool:
        """See InvoiceStore."""
        return any(row.invoice.debt.debt_file == debt_file for row in self._rows.values())


def _is_of(debt: Debt, wanted: DebtorData) -> bool:
    if wanted.government_id:
        return debt.government_id == wanted.government_id
    if wanted.email:
        return debt.email.lower() == wanted.email.lower()
    return debt.id in wanted.debts and wanted.debts[debt.id] in ("", debt.debt_file)


def _blank(debt: str, debt_file: str) -> Debt:
    return Debt(id=debt, debt_file=debt_file, name="", government_id="", email="", amount="", due_date="")


def _shown(row: _Row) -> Invoice:
    waits = not row.lease and bool(row.invoice.error)
    return replace(row.invoice, next_attempt_at=row.due if waits else None)


def _claimed(row: _Row) -> ClaimedInvoice:
    return ClaimedInvoice(
        debt=row.invoice.debt,
        lease=row.lease,
        state=row.invoice.state,
        attempts=row.invoice.attempts,
        place=row.invoice.place,
        crashed=row.sending,
        doubtful=row.invoice.doubtful,
    )
