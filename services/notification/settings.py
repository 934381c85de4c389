"""Settings of the notification service, from TOCSIN_NOTIFICATION_... and the shared variables."""

import re
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from standardwebhooks import Webhook

from services.chassis import signed_urls
from services.chassis.bucket_settings import ObjectStorageSettings
from services.chassis.origins import Origin
from services.chassis.settings import Duration, Refused, own_prefix, parse_duration, require
from services.chassis.signed_urls import SignedUrls
from services.chassis.tenants import DEFAULT_TENANTS, tenant_names, tenants_problem
from services.notification.domain.channel_plan import Plan, load_plan
from services.notification.domain.delivery import UnknownOutcome
from services.notification.domain.invoice_urls import PATH, InvoiceUrls, MailedLinks
from services.notification.domain.issuer import ADDRESS, LANGUAGE, LANGUAGE_RULE, Issuer, Issuers, load_issuers
from services.notification.domain.lane import Lane
from services.notification.domain.open_tokens import OpenTokens, read_keys
from services.notification.domain.retry_schedule import RetrySchedule
from services.notification.domain.smtp_timeouts import SmtpTimeouts

_BUCKET = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)
_UNSUBSCRIBE = re.compile(r"((mailto:|https://)[!-;=?-~]{1,500})?", re.ASCII)
_CURRENCY = re.compile(r"([A-Z]{3})?", re.ASCII)
MIN_RETENTION = timedelta(days=1)
"""Idempotency keys are remembered for as long."""
MAX_CHECK_ORIGINS = 32


class NotificationSettings(ObjectStorageSettings):
    """Lists are separated by commas."""

    model_config = own_prefix("TOCSIN_NOTIFICATION_")

    tenants: str = DEFAULT_TENANTS
    """The tenants of the deployment; each has a schema of its own, `notification_<tenant>`, and a login at NATS for its
    trusted publisher."""
    retention: Duration = timedelta(days=90)
    """Notifications are kept for this long after they were accepted (they go by whole weeks), longer while they are
    still to be delivered."""
    tenant_retention: str = ""
    """The same for tenants for whom it is different: diabetes=365d,test=14d."""
    database_pool: int = 10
    """Sessions at the database, at most."""

    rate_limit: int = 10
    """Notifications that are sent to one user in any TOCSIN_NOTIFICATION_RATE_PERIOD."""
    rate_period: Duration = timedelta(minutes=1)
    """The period of TOCSIN_NOTIFICATION_RATE_LIMIT."""

    last_try_after: Duration = timedelta(hours=1)
    """A dead letter that nobody has retried or archived is tried a last time by itself after this long; 0s: never."""
    operator_emails: str = ""
    """Who is told of dead letters: addresses."""
    operator_webhook: str = ""
    """Where a signed post tells of dead letters: an http(s) URL. TOCSIN_NOTIFICATION_ALLOWED_TARGETS holds for it."""
    operator_webhook_secret: SecretStr = SecretStr("")
    """Signs it as Standard Webhooks says: whsec_ and base64."""
    operator_pause: Duration = timedelta(minutes=15)
    """After operators were told of dead letters, the next ones wait this long to be told together."""

    retry_schedule: str = "2s,4s,8s"
    """Delays before the retries of notifications; a provider's wish for more wins."""
    webhook_retry_schedule: str = "2s,4s,8s"
    """The same for events to subscribers; may span days, for example 2s,4s,8s,1m,10m,1h,6h,24h."""
    retry_cap: Duration = timedelta(hours=24)
    """The longest that a provider may ask us to wait."""
    retry_jitter: float = 0.1
    """The share by which delays are made longer or shorter at random."""
    webhook_disable_after: Duration = timedelta(days=5)
    """A subscription with nothing but failures for this long is disabled."""

    concurrency: int = 128
    """Deliveries of each kind (events, FCM, e-mail, webhooks, console) attempted at the same time by this process;
    e-mails at most TOCSIN_NOTIFICATION_SMTP_CONNECTIONS."""
    channel_plan: str = "FCM,EMAIL,WEBHOOK"
    """The order in which a user's channels are tried, where neither the user nor the tenant has a plan. The next one
    is tried when one has failed for good, with a time (FCM:30s,EMAIL) also when it has not delivered by then. CONSOLE
    counts as delivered: name it for demonstrations only."""
    tenant_channel_plans: str = ""
    """Plans of tenants, separated by semicolons: wellness=EMAIL,FCM;maternity=FCM:1m,EMAIL."""
    unknown: str = "resend"
    """What to do with a delivery that may have arrived (a crash, or no answer): resend it with the same id, or hold it
    for a person to decide (dead letter). One word, or one for each kind: EMAIL=hold,FCM=resend,EVENT=resend."""
    attempt_timeout: Duration = timedelta(seconds=20)
    """How long one attempt at a delivery may take."""
    lease: Duration = timedelta(seconds=30)
    """After this long what a crashed process had claimed is taken up by another."""
    poll: Duration = timedelta(seconds=5)
    """Work is announced; this is how often it is looked for all the same."""

    webhook_timeout: Duration = timedelta(seconds=15)
    """How long the receiver of a webhook may take to answer."""
    allowed_targets: str = ""
    """Origins (http://receiver.internal:9000) and networks (10.1.0.0/16) that webhooks may go to although they are not
    public: loopback ones, too."""

    smtp_host: str = ""
    """The mail server; without one there is no e-mail channel, and invoices wait."""
    smtp_port: int = 25
    """Its port."""
    smtp_tls: Literal["none", "starttls", "tls"] = "none"
    """Plain text, TLS on demand, or TLS from the start."""
    smtp_user: str = ""
    """The login at the mail server; user and password, or neither."""
    smtp_password: SecretStr = SecretStr("")
    """The login at the mail server."""
    smtp_connections: int = 16
    """Connections to the mail server at the same time, for notifications; invoices have their own."""
    smtp_timeout: Duration = timedelta(seconds=15)
    """How long one command of the mail server may take, for notifications."""
    mail_from: str = "tocsin@localhost"
    """Who e-mails are from: the address."""
    mail_from_name: str = "Tocsin"
    """Who e-mails are from: the name."""

    public_url: str = ""
    """The address at which people reach the edge, like https://tocsin.example: with it e-mails carry a signed link and
    a signed pixel, which tell that they were opened. Without it they carry neither."""
    link_origins: str = ""
    """Origins (https://app.example) that notifications may lead to; none by default."""
    link_key_file: Path | None = None
    """What links and pixels are signed with: random texts of 32 characters or more, one a line. The first signs, all of
    them are good. The same for all replicas; the runtime makes one."""
    link_ttl: Duration = timedelta(days=30)
    """How long links and pixels are good after their notification was accepted."""

    fcm_account_file: Path | None = None
    """The key file of a service account; without one there is no FCM channel."""
    fcm_base_url: str = "https://fcm.googleapis.com"
    """Where FCM is."""

    invoice_issuer: str = "Tocsin"
    """Who the invoices are from, as printed on them: the name."""
    invoice_issuer_file: Path | None = None
    """All of that, and other issuers that files of debts may name: a TOML file (docs/invoices.md), in place of the name
    alone."""
    invoice_unsubscribe: str = ""
    """Where people say that they want no e-mails of invoices (mailto: or https:): List-Unsubscribe in their header."""
    invoice_mail: Literal["attachment", "link"] = "attachment"
    """How the e-mail of an invoice brings the PDF: attached, or as a signed link (TOCSIN_NOTIFICATION_PUBLIC_URL)."""
    invoice_link_ttl: Duration = timedelta(days=90)
    """How long a link to an invoice is good; in e-mails from the invoice's date of issue on."""
    invoice_language: str = "en"
    """The language of debtors whose debt names none: de, en, fr or pt, with a country if that matters (pt-BR)."""
    debt_currency: str = Field("", validation_alias="TOCSIN_DEBT_CURRENCY")
    """Currency (ISO 4217) of debts whose file and profile name none; the same for all processes of a mesh."""
    invoice_bucket: str = "TOCSIN_INVOICES"
    """The broker's object store for PDFs."""
    invoice_s3_bucket: str = ""
    """A bucket of an S3-compatible object storage (`TOCSIN_S3_...`) that keeps invoices in place of JetStream."""
    invoice_ttl: Duration = timedelta(days=30)
    """PDFs are kept for this long."""
    invoice_replicas: int = Field(1, validation_alias="TOCSIN_NATS_REPLICAS")
    """Copies of each stream in a cluster of brokers, the object store included."""
    invoice_batch: int = 200
    """Invoices that are taken up together."""
    invoice_mailers: int = 16
    """Connections over which invoices are mailed at the same time."""
    invoice_mails_together: int = 2
    """E-mails of invoices that follow each other on a connection as a group. After a crash nobody knows of a group's
    e-mails whether they were taken, so 1 has the fewest of those, and more is quicker."""
    invoice_lease: Duration = timedelta(seconds=10)
    """After this long what a crashed process had taken up is taken by another."""
    invoice_retry_schedule: str = "1m,5m,15m,30m,1h,2h"
    """Delays before an invoice that the mail server refuses for now is mailed again; the last one is repeated. A mail
    server that cannot be reached at all uses up none of them."""
    invoice_give_up_after: Duration = timedelta(days=5)
    """How long it is tried, by these delays."""
    invoice_smtp_timeouts: str = "connect=5m,mail=5m,rcpt=5m,data=10m"
    """How long the mail server may take for the steps of an invoice's dialogue: the connection and its greeting, MAIL,
    RCPT, and its word on the message. What RFC 5321 asks clients to wait, unless named."""
    invoice_unknown: Literal["resend", "hold"] = "resend"
    """What to do with an e-mail that the mail server may have taken: send it again with the same Message-ID, or leave
    it to a person (dead letter)."""
    invoice_unknown_wait: Duration = timedelta(minutes=10)
    """An e-mail that may have been taken is sent again after this long: the mail server may still be at it."""
    render_processes: int = 1
    """Processes that write PDFs."""
    render_idle: Duration = timedelta(seconds=30)
    """After this long without work such a process ends."""

    reminder_check_origins: str = ""
    """Origins (https://adherence.example) that reminders may ask whether they are needed; 32 at most. One may be
    loopback or private."""
    reminder_check_concurrency: int = 64
    """Questions to each of them at the same time."""
    reminder_hold: Duration = timedelta(minutes=1)
    """How often one is asked again about a reminder that is held for want of an answer."""
    reminder_lease: Duration = timedelta(seconds=30)
    """After this long what a crashed process had taken up is taken by another."""
    reminders_of_user: int = 100
    """Reminders that a user may have."""
    reminders_of_tenant: int = 100_000
    """Reminders that a tenant may have."""

    def tenant_names(self) -> tuple[str, ...]:
        """The tenants, in the order given."""
        return tenant_names(self.tenants)

    def operator_addresses(self) -> tuple[str, ...]:
        """Who is told of dead letters by e-mail."""
        return tuple(filter(None, map(str.strip, self.operator_emails.split(","))))

    def retentions(self) -> dict[str, timedelta]:
        """How long the notifications of each tenant are kept. Raises Refused."""
        kept = dict.fromkeys(self.tenant_names(), self.retention)
        for entry in filter(None, map(str.strip, self.tenant_retention.split(","))):
            name, _, text = map(str.strip, entry.partition("="))
            if name not in kept:
                raise Refused(self.env("tenant_retention"), f"has {name!r}, which is no tenant")
            try:
                time = parse_duration(text)
            except ValueError as error:
                raise Refused(self.env("tenant_retention"), f"has {text!r}, which {error}") from None
            assert isinstance(time, timedelta)
            kept[name] = time
        return kept

    def schedule(self, field: str) -> RetrySchedule:
        """The retry schedule in `field`. Raises Refused."""
        delays: list[timedelta] = []
        for text in str(getattr(self, field)).split(","):
            try:
                delay = parse_duration(text.strip())
            except ValueError as error:
                raise Refused(self.env(field), f"has {text.strip()!r}, which {error}") from None
            assert isinstance(delay, timedelta)
            delays.append(delay)
        return RetrySchedule(delays=tuple(delays), cap=self.retry_cap, jitter=self.retry_jitter)

    def issuers(self) -> Issuers:
        """Who the invoices are from. Raises Refused."""
        if self.invoice_issuer_file is None:
            return {"": Issuer(name=self.invoice_issuer)}
        try:
            return load_issuers(self.invoice_issuer_file)
        except (OSError, ValueError) as error:
            raise Refused(self.env("invoice_issuer_file"), f"cannot be used: {error}") from None

    def invoice_schedule(self) -> RetrySchedule:
        """When invoices are mailed again. Raises Refused."""
        return self.schedule("invoice_retry_schedule").lasting(self.invoice_give_up_after)

    def invoice_timeouts(self) -> SmtpTimeouts:
        """How long the mail server may take for an invoice. Raises Refused."""
        times, name = SmtpTimeouts(), self.env("invoice_smtp_timeouts")
        steps = [step.name for step in fields(times)]
        for part in filter(None, map(str.strip, self.invoice_smtp_timeouts.split(","))):
            step, _, text = map(str.strip, part.partition("="))
            require(step in steps, name, f"has {part!r}; write STEP=TIME with {', '.join(steps)}")
            try:
                time = parse_duration(text)
            except ValueError as error:
                raise Refused(name, f"has {text!r}, which {error}") from None
            assert isinstance(time, timedelta)
            require(time > timedelta(0), name, "must be above 0s")
            times = replace(times, **{step: time})
        return times

    def plans(self) -> tuple[Plan, dict[str, Plan]]:
        """The default plan, and those of tenants. Raises Refused."""
        tenants: dict[str, Plan] = {}
        for part in filter(None, map(str.strip, self.tenant_channel_plans.split(";"))):
            tenant, _, plan = part.partition("=")
            if tenant not in self.tenant_names():
                raise Refused(self.env("tenant_channel_plans"), f"has a plan for {tenant!r}, which is no tenant")
            tenants[tenant] = self._plan("tenant_channel_plans", plan)
        return self._plan("channel_plan", self.channel_plan), tenants

    def _plan(self, field: str, text: str) -> Plan:
        try:
            return load_plan(text)
        except ValueError as error:
            raise Refused(self.env(field), f"has {text!r}: {error}") from None

    def unknown_outcomes(self) -> dict[Lane, UnknownOutcome]:
        """What to do with unknown outcomes, by lane. Raises Refused."""
        chosen: dict[Lane, UnknownOutcome] = {}
        for part in self.unknown.split(","):
            name, named, word = part.strip().rpartition("=")
            try:
                outcome = UnknownOutcome(word)
                chosen |= {Lane(name): outcome} if named else dict.fromkeys(Lane, outcome)
            except ValueError:
                kinds = ", ".join(Lane)
                raise Refused(
                    self.env("unknown"), f"has {part.strip()!r}; write resend or hold, or KIND=hold with {kinds}"
                ) from None
        return chosen

    def verify(self) -> None:
        """See ChassisSettings."""
        super().verify()
        names = self.tenant_names()
        problem = tenants_problem(names)
        require(problem is None, self.env("tenants"), problem or "")
        for name, time in self.retentions().items():
            require(time >= MIN_RETENTION, self.env("retention"), f"must be at least 1d for {name}")
        for field in (
            "database_pool",
            "rate_limit",
            "concurrency",
            "invoice_batch",
            "invoice_mailers",
            "invoice_mails_together",
        ):
            require(1 <= getattr(self, field) <= 10_000, self.env(field), "must be from 1 to 10000")
        for field in ("smtp_connections", "render_processes", "invoice_replicas"):
            require(1 <= getattr(self, field) <= 256, self.env(field), "must be from 1 to 256")
        require(0 <= self.retry_jitter <= 1, self.env("retry_jitter"), "must be from 0 to 1")
        for field in ("retry_schedule", "webhook_retry_schedule", "invoice_retry_schedule"):
            self.schedule(field)
        delays, give_up = self.schedule("invoice_retry_schedule").delays, self.invoice_give_up_after
        require(min(delays) > timedelta(0), self.env("invoice_retry_schedule"), "must be above 0s")
        require(give_up <= timedelta(days=30), self.env("invoice_give_up_after"), "must be at most 30d")
        self.invoice_timeouts()
        self.issuers()
        way = _UNSUBSCRIBE.fullmatch(self.invoice_unsubscribe) is not None
        require(way, self.env("invoice_unsubscribe"), "must be a mailto: or https: URL")
        known = LANGUAGE.fullmatch(self.invoice_language) is not None
        require(known, self.env("invoice_language"), LANGUAGE_RULE)
        require(_CURRENCY.fullmatch(self.debt_currency) is not None, self.env("debt_currency"), "must be one like EUR")
        self.plans()
        self.unknown_outcomes()
        self.targets("allowed_targets")
        positive = ("rate_period", "retry_cap", "attempt_timeout", "poll", "webhook_timeout", "smtp_timeout")
        for field in (*positive, "invoice_unknown_wait", "invoice_give_up_after"):
            require(getattr(self, field) > timedelta(0), self.env(field), "must be above 0s")
        require(
            self.webhook_timeout < self.attempt_timeout,
            self.env("attempt_timeout"),
            "must be above TOCSIN_NOTIFICATION_WEBHOOK_TIMEOUT",
        )
        require(
            self.attempt_timeout * 1.5 <= self.lease,
            self.env("lease"),
            "must be at least one and a half times TOCSIN_NOTIFICATION_ATTEMPT_TIMEOUT, or work would be done twice",
        )
        require(self.invoice_lease >= timedelta(seconds=1), self.env("invoice_lease"), "must be at least 1s")
        require(self.invoice_ttl >= timedelta(minutes=1), self.env("invoice_ttl"), "must be at least 1m")
        self.object_storage(self.invoice_s3_bucket)
        require(_BUCKET.fullmatch(self.invoice_bucket) is not None, self.env("invoice_bucket"), "is no bucket name")
        self._verify_links()
        self._verify_reminders()
        self._verify_providers()
        self._verify_operators()

    def open_tokens(self) -> OpenTokens | None:
        """What signs links and pixels; None without a key. Raises Refused."""
        if self.link_key_file is None:
            # Here and not in `verify`: the runtime verifies what an operator says before it adds the file.
            require(not self.public_url, self.env("link_key_file"), f"is needed for {self.env('public_url')}")
            return None
        try:
            return read_keys(self.link_key_file)
        except (OSError, ValueError) as error:
            raise Refused(self.env("link_key_file"), f"cannot be used: {error}") from None

    def invoice_urls(self) -> InvoiceUrls | None:
        """What signs links to invoices; None without a key. Raises Refused."""
        if self.link_key_file is None:
            return None
        try:
            keys = signed_urls.read_keys(self.link_key_file)
        except (OSError, ValueError) as error:
            raise Refused(self.env("link_key_file"), f"cannot be used: {error}") from None
        return InvoiceUrls(SignedUrls(keys, "GET", PATH), self.public_url)

    def mailed_links(self) -> MailedLinks | None:
        """The links that e-mails of invoices carry; None where the PDF is attached. Raises Refused."""
        if self.invoice_mail == "attachment":
            return None
        urls = self.invoice_urls()
        require(urls is not None, self.env("link_key_file"), f"is needed for {self.env('invoice_mail')}=link")
        assert urls is not None
        return MailedLinks(urls, self.invoice_link_ttl)

    def _verify_links(self) -> None:
        origins = self.targets("link_origins")
        require(not origins.networks, self.env("link_origins"), "must be origins, like https://app.example")
        for field in ("link_ttl", "invoice_link_ttl"):
            require(getattr(self, field) >= timedelta(minutes=1), self.env(field), "must be at least 1m")
        if self.link_key_file is not None:
            self.open_tokens()
        linked = self.invoice_mail == "link" and not self.public_url
        require(not linked, self.env("public_url"), f"is needed for {self.env('invoice_mail')}=link")
        if self.public_url:
            url = urlsplit(self.public_url)
            try:
                Origin.of(self.public_url)
            except ValueError as error:
                raise Refused(self.env("public_url"), str(error)) from None
            require(not url.query and not url.fragment, self.env("public_url"), "must have neither query nor fragment")

    def _verify_reminders(self) -> None:
        origins = self.targets("reminder_check_origins")
        require(
            not origins.networks and len(origins.origins) <= MAX_CHECK_ORIGINS,
            self.env("reminder_check_origins"),
            f"must be origins, like https://adherence.example, and {MAX_CHECK_ORIGINS} at most",
        )
        require(
            1 <= self.reminder_check_concurrency <= 1_000,
            self.env("reminder_check_concurrency"),
            "must be from 1 to 1000",
        )
        for field in ("reminder_hold", "reminder_lease"):
            require(getattr(self, field) >= timedelta(seconds=1), self.env(field), "must be at least 1s")
        for field in ("reminders_of_user", "reminders_of_tenant"):
            require(1 <= getattr(self, field) <= 10_000_000, self.env(field), "must be from 1 to 10000000")

    def _verify_operators(self) -> None:
        field = self.env("operator_emails")
        for address in self.operator_addresses():
            require(ADDRESS.fullmatch(address) is not None, field, f"has {address!r}, which is no e-mail address")
        require(not self.operator_emails or bool(self.smtp_host), field, "needs TOCSIN_NOTIFICATION_SMTP_HOST")
        if self.operator_webhook:
            url = urlsplit(self.operator_webhook)
            known = url.scheme in ("http", "https") and bool(url.netloc)
            require(known, self.env("operator_webhook"), "must be an http(s) URL")
            try:
                Webhook(self.operator_webhook_secret.get_secret_value() or "-")
            except ValueError:
                raise Refused(
                    self.env("operator_webhook_secret"), "must be whsec_ and base64, to sign the posts with"
                ) from None
        require(self.last_try_after >= timedelta(0), self.env("last_try_after"), "must not be negative")

    def _verify_providers(self) -> None:
        require(1 <= self.smtp_port <= 65535, self.env("smtp_port"), "must be a port")
        require(ADDRESS.fullmatch(self.mail_from) is not None, self.env("mail_from"), "must be an e-mail address")
        require(
            bool(self.smtp_user) == bool(self.smtp_password.get_secret_value()),
            self.env("smtp_password"),
            "and TOCSIN_NOTIFICATION_SMTP_USER belong together",
        )
        url = urlsplit(self.fcm_base_url)
        require(
            url.scheme in ("http", "https") and bool(url.netloc), self.env("fcm_base_url"), "must be an http(s) URL"
        )
        if self.fcm_account_file is not None:
            require(
                self.fcm_account_file.is_file(),
                self.env("fcm_account_file"),
                f"names no readable file: {self.fcm_account_file}",
            )
