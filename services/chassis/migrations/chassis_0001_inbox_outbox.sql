-- What a service has consumed (inbox) and what it has yet to publish (outbox).
-- depends:

-- migrate: apply

CREATE TABLE inbox (
    consumer text NOT NULL,
    message_id text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX inbox_seen_at ON inbox (seen_at);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    ordering_key text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate: rollback

DROP TABLE outbox;

DROP TABLE inbox;
