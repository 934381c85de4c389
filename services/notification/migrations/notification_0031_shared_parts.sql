-- PDFs in one object share their beginning.
-- depends: notification_0030_issuers

-- migrate: apply

ALTER TABLE invoices
    ADD COLUMN shared_offset integer NOT NULL DEFAULT 0,
    ADD COLUMN shared_length integer NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE invoices DROP COLUMN shared_offset, DROP COLUMN shared_length;
