-- Invoices of debts that are paid or cancelled send no e-mail.
-- depends: notification_0028_invoice_versions

-- migrate: apply

ALTER TABLE invoices
    ADD COLUMN closed boolean NOT NULL DEFAULT false,
    -- The version of the debt that the last decision about it had.
    ADD COLUMN decided_version bigint NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE invoices DROP COLUMN closed, DROP COLUMN decided_version;
