-- An invoice knows which issuer it is from.
-- depends: notification_0029_closed_debts

-- migrate: apply

ALTER TABLE invoices ADD COLUMN issuer text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE invoices DROP COLUMN issuer;
