-- All deliveries, the rate limit, webhook subscriptions, invoices; what is a tenant's own is in schemas of theirs, see tenant/.
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

-- One row for each notification, or event for a subscriber, that is to be delivered. Claiming a row moves
-- next_attempt_at behind the end of the lease, so that the claims of a crashed process come back by themselves.
CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('NOTIFICATION', 'EVENT')),
    state text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'DONE', 'FAILED')),
    tenant text NOT NULL DEFAULT '',
    recipient text NOT NULL DEFAULT '',
    channel text NOT NULL,
    reference uuid NOT NULL,
    event_id text NOT NULL DEFAULT '',
    event_type text NOT NULL DEFAULT '',
    body text,
    attempts integer NOT NULL DEFAULT 0,
    claims integer NOT NULL DEFAULT 0,
    lease uuid,
    deferred boolean NOT NULL DEFAULT false,
    done text[] NOT NULL DEFAULT '{}',
    history json NOT NULL DEFAULT '[]',
    next_attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    -- Redelivered events meet this key: one delivery for each event and subscriber.
    UNIQUE (reference, event_id)
) WITH (fillfactor = 80);

CREATE INDEX deliveries_due ON deliveries (next_attempt_at, id) WHERE state = 'OPEN';
CREATE INDEX deliveries_waiting ON deliveries (tenant, recipient, next_attempt_at) WHERE state = 'OPEN' AND kind = 'NOTIFICATION';
CREATE INDEX deliveries_finished ON deliveries (created_at) WHERE state <> 'OPEN';

-- What counts against a user's rate limit: 'infinity' while under way, then the time at which it had been sent.
CREATE TABLE rate_slots (
    delivery uuid NOT NULL,
    lease uuid NOT NULL,
    tenant text NOT NULL,
    recipient text NOT NULL,
    at timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (delivery, lease)
);

CREATE INDEX rate_slots_user ON rate_slots (tenant, recipient, at);
CREATE INDEX rate_slots_at ON rate_slots (at);

CREATE TABLE webhook_subscriptions (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    event_types text[] NOT NULL,
    secret text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text NOT NULL DEFAULT '',
    failing_since timestamptz,
    created_at timestamptz NOT NULL
);

CREATE TABLE invoices (
    debt text PRIMARY KEY,
    debt_file text NOT NULL,
    name text NOT NULL,
    government_id text NOT NULL,
    email text NOT NULL,
    amount text NOT NULL,
    due_date text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'STORED', 'MAILED', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    history json NOT NULL DEFAULT '[]',
    object text,
    object_offset integer,
    object_length integer,
    next_attempt_at timestamptz,
    lease uuid,
    sending_at timestamptz,
    created_at timestamptz NOT NULL,
    mailed_at timestamptz
) WITH (fillfactor = 70);

CREATE INDEX invoices_due ON invoices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX invoices_newest ON invoices (created_at DESC, debt DESC);
CREATE INDEX invoices_of_file ON invoices (debt_file, created_at DESC, debt DESC);

-- migrate: rollback

DROP TABLE invoices;

DROP TABLE webhook_subscriptions;

DROP TABLE rate_slots;

DROP TABLE deliveries;
