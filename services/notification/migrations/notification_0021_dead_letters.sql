-- The dead letters of all services, as they come out of their stream, and what became of each.
-- depends: notification_0012_rotated_secrets

-- migrate: apply

CREATE TABLE dead_letters (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Of the message in the stream: a letter that is delivered twice is kept once.
    name text NOT NULL UNIQUE,
    -- What died: the same however often it does.
    about text NOT NULL,
    state text NOT NULL CHECK (state IN ('OPEN', 'RETRIED', 'ARCHIVED')),
    service text NOT NULL,
    consumer text NOT NULL,
    subject text NOT NULL,
    type text NOT NULL,
    tenant text NOT NULL,
    class text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    history json NOT NULL,
    headers json NOT NULL,
    payload bytea NOT NULL,
    cut boolean NOT NULL,
    first_seen timestamptz NOT NULL,
    dead_at timestamptz NOT NULL,
    kept_at timestamptz NOT NULL,
    last_try_at timestamptz,
    closed_at timestamptz,
    closed_by text NOT NULL DEFAULT ''
);

CREATE INDEX dead_letters_by_state ON dead_letters (state, number DESC);
CREATE INDEX dead_letters_by_service ON dead_letters (state, service, number DESC);
CREATE INDEX dead_letters_by_class ON dead_letters (state, class, number DESC);
CREATE INDEX dead_letters_by_tenant ON dead_letters (state, tenant, number DESC);
CREATE INDEX dead_letters_by_age ON dead_letters (state, dead_at);
CREATE INDEX dead_letters_last_tries ON dead_letters (last_try_at) WHERE last_try_at IS NOT NULL;
CREATE INDEX dead_letters_closed ON dead_letters (about, closed_at DESC) WHERE closed_at IS NOT NULL;
CREATE INDEX dead_letters_expiry ON dead_letters (closed_at) WHERE closed_at IS NOT NULL;

-- How far operators have been told. One row.
CREATE TABLE dead_letter_alerts (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    told_up_to bigint NOT NULL DEFAULT 0,
    -- By which ways, of the alert at hand.
    told text[] NOT NULL DEFAULT '{}',
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO dead_letter_alerts DEFAULT VALUES;

-- migrate: rollback

DROP TABLE dead_letter_alerts;

DROP TABLE dead_letters;
