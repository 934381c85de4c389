-- One tenant's notifications and its users' addresses; applied in the schema notification_<tenant>.
-- depends:

-- migrate: apply

CREATE TABLE notifications (
    id uuid PRIMARY KEY,
    recipient text NOT NULL,
    type text NOT NULL CHECK (type IN ('ALERT', 'REMINDER', 'INFO')),
    title text NOT NULL,
    body text NOT NULL,
    data json,
    channel text NOT NULL,
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'SENT', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    read_at timestamptz,
    version bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 80);

CREATE INDEX notifications_newest ON notifications (created_at DESC, id DESC);
CREATE INDEX notifications_of_user ON notifications (recipient, created_at DESC, id DESC);
CREATE INDEX notifications_by_status ON notifications (status, created_at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (recipient, created_at DESC, id DESC)
WHERE status = 'SENT' AND read_at IS NULL;

CREATE TABLE endpoints (
    id uuid PRIMARY KEY,
    recipient text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('EMAIL', 'WEBHOOK', 'FCM')),
    address text NOT NULL,
    -- Addresses may be longer than an index entry.
    address_digest bytea NOT NULL,
    secret text NOT NULL DEFAULT '',
    updated_at timestamptz NOT NULL,
    UNIQUE (recipient, channel, address_digest)
);

CREATE INDEX endpoints_of_user ON endpoints (recipient, id);

CREATE TABLE idempotency_keys (
    key text PRIMARY KEY,
    fingerprint bytea NOT NULL,
    notification uuid NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- migrate: rollback

DROP TABLE idempotency_keys;

DROP TABLE endpoints;

DROP TABLE notifications;
