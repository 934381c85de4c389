-- Debt files that were rolled back: their debts lead to no invoice.
-- depends: notification_0026_currencies

-- migrate: apply

CREATE TABLE cancelled_debt_files (
    debt_file text PRIMARY KEY,
    cancelled_at timestamptz NOT NULL DEFAULT now()
);

-- contract: the check admits one more state, and takes none.
ALTER TABLE invoices
    DROP CONSTRAINT invoices_state_check,
    ADD CONSTRAINT invoices_state_check CHECK (state IN ('PENDING', 'STORED', 'MAILED', 'FAILED', 'CANCELLED'));

-- migrate: rollback

UPDATE invoices SET state = 'FAILED' WHERE state = 'CANCELLED';

ALTER TABLE invoices
    DROP CONSTRAINT invoices_state_check,
    ADD CONSTRAINT invoices_state_check CHECK (state IN ('PENDING', 'STORED', 'MAILED', 'FAILED'));

DROP TABLE cancelled_debt_files;
