-- Reminders of all tenants, and what was decided each time.
-- depends: notification_0011_urgent_deliveries

-- migrate: apply

-- In one schema, unlike notifications: what is due of all tenants is found by one look at one index.

CREATE TABLE reminders (
    tenant text NOT NULL,
    id text NOT NULL,
    recipient text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    data json,
    times text NOT NULL,
    cron text NOT NULL,
    zone text NOT NULL,
    start_at timestamptz,
    end_at timestamptz,
    channel text,
    check_url text,
    check_timeout interval,
    on_no_answer text CHECK (on_no_answer IN ('SEND', 'SKIP', 'HOLD')),
    missed text NOT NULL CHECK (missed IN ('CATCH_UP', 'SKIP_MISSED')),
    catch_up_window interval NOT NULL,
    min_every integer,
    max_every integer,
    state text NOT NULL CHECK (state IN ('ACTIVE', 'PAUSED', 'ENDED')),
    next_run_at timestamptz,
    every integer NOT NULL,
    passes integer NOT NULL,
    window_from timestamptz NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    CHECK ((state = 'ACTIVE') = (next_run_at IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX reminders_due ON reminders (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX reminders_of_user ON reminders (tenant, recipient, id);

-- One row for each time at which a reminder was due: its key keeps an occurrence from being run twice. Open ones are claimed
-- as deliveries are; `origin` is whom they are asked about.
CREATE TABLE reminder_occurrences (
    tenant text NOT NULL,
    reminder text NOT NULL,
    at timestamptz NOT NULL,
    through timestamptz,
    decision text NOT NULL CHECK (decision IN ('PENDING', 'SENT', 'SKIPPED', 'HELD')),
    reason text,
    check_outcome text,
    check_attempts integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    notification uuid,
    decided_at timestamptz,
    origin text NOT NULL DEFAULT '',
    lease uuid,
    next_attempt_at timestamptz,
    PRIMARY KEY (tenant, reminder, at)
) WITH (fillfactor = 80);

CREATE INDEX reminder_occurrences_due ON reminder_occurrences (origin, next_attempt_at)
WHERE decision IN ('PENDING', 'HELD');
CREATE INDEX reminder_occurrences_open ON reminder_occurrences (tenant, reminder)
WHERE decision IN ('PENDING', 'HELD');
-- Rows come in the order of their times. A tree by tenant and time would mislead the planner: thousands share both.
CREATE INDEX reminder_occurrences_time ON reminder_occurrences USING brin (at)
WITH (pages_per_range = 32, autosummarize = on);

-- migrate: rollback

DROP TABLE reminder_occurrences;

DROP TABLE reminders;
