-- A registration token is one device's: it belongs to the user of the tenant who registered it last.
-- depends: tenant_0002_rare_statuses

-- migrate: apply

DELETE FROM endpoints e USING endpoints later
WHERE e.channel = 'FCM' AND later.channel = 'FCM' AND e.address_digest = later.address_digest
    AND (later.updated_at, later.id) > (e.updated_at, e.id);
CREATE UNIQUE INDEX endpoints_tokens ON endpoints (address_digest) WHERE channel = 'FCM';

-- migrate: rollback

DROP INDEX endpoints_tokens;
