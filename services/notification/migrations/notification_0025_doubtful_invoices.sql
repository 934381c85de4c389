-- Invoices whose e-mail may have been taken before are known; what was retried closes its dead letter.
-- depends: notification_0024_migration_runs

-- migrate: apply

-- An earlier e-mail may have been taken: the server never said.
ALTER TABLE invoices ADD COLUMN doubtful boolean NOT NULL DEFAULT false;
-- What may be retried; the others are many.
CREATE INDEX invoices_failed ON invoices (created_at, debt) WHERE state = 'FAILED';
CREATE INDEX dead_letters_open ON dead_letters (about) WHERE state = 'OPEN';

-- migrate: rollback

DROP INDEX dead_letters_open;
DROP INDEX invoices_failed;
ALTER TABLE invoices DROP COLUMN doubtful;
