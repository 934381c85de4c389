-- Invoices know the currency of their debt and the language of its debtor.
-- depends: notification_0025_doubtful_invoices

-- migrate: apply

ALTER TABLE invoices
    ADD COLUMN currency text NOT NULL DEFAULT '',
    ADD COLUMN language text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE invoices
    DROP COLUMN language,
    DROP COLUMN currency;
