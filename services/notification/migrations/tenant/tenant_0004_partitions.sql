-- Notifications by weeks, so that what has served its time is dropped as a table; and the counts that statistics are made of.
-- depends: tenant_0003_tokens_move

-- migrate: apply

ALTER TABLE notifications RENAME TO notifications_default;
ALTER TABLE notifications_default ADD COLUMN opened_at timestamptz;
ALTER INDEX notifications_pkey RENAME TO notifications_default_pkey;
ALTER INDEX notifications_newest RENAME TO notifications_default_newest;
ALTER INDEX notifications_of_user RENAME TO notifications_default_of_user;
ALTER INDEX notifications_unsent RENAME TO notifications_default_unsent;
ALTER INDEX notifications_unread RENAME TO notifications_default_unread;

-- By their ids: UUIDs of version 7 begin with the time.
CREATE TABLE notifications (LIKE notifications_default INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id))
PARTITION BY RANGE (id);
CREATE INDEX notifications_newest ON notifications (created_at DESC, id DESC);
CREATE INDEX notifications_of_user ON notifications (recipient, created_at DESC, id DESC);
CREATE INDEX notifications_unsent ON notifications (status, created_at DESC, id DESC) WHERE status <> 'SENT';
CREATE INDEX notifications_unread ON notifications (recipient, created_at DESC, id DESC)
WHERE status = 'SENT' AND read_at IS NULL;
-- What is of no week, and what is still due when its week is dropped.
ALTER TABLE notifications ATTACH PARTITION notifications_default DEFAULT;

-- Kept by triggers, whoever writes. Summed up: writers add rows (negative ones for what a notification was before), and now
-- and then they are merged. A row counts either by type, channel, status and whether it was opened, or by `class`: of the
-- time from accepted to sent, the smallest whole number c >= 0 with 1.1^c ms not below it.
CREATE TABLE notification_counts (
    hour timestamptz NOT NULL,
    type text,
    channel text,
    status text,
    opened boolean,
    class smallint,
    count bigint NOT NULL,
    delivery_us bigint NOT NULL,
    merged boolean NOT NULL DEFAULT false
);

CREATE INDEX notification_counts_hour ON notification_counts (hour);
CREATE INDEX notification_counts_unmerged ON notification_counts (hour) WHERE NOT merged;

-- The functions name this schema: whoever calls them has another search path.
DO $do$
DECLARE
    here text := current_schema();
    columns text := 'hour, type, channel, status, opened, class, count, delivery_us';
    counted text := $sql$
        SELECT hour, type, channel, status, opened, class, sum(sign)::bigint, sum(sign * delivery_us)::bigint FROM (
            SELECT date_trunc('hour', created_at, 'UTC') AS hour, type, channel, status, opened_at IS NOT NULL AS opened, sign,
                CASE WHEN sent_at IS NULL THEN -1 ELSE ceil(
                    ln(greatest(extract(epoch FROM sent_at - created_at)::float8 * 1000, 1)) / ln(1.1::float8)
                ) END::smallint AS class,
                coalesce((extract(epoch FROM sent_at - created_at) * 1000000)::bigint, 0) AS delivery_us
            FROM (%s) AS rows
        ) AS changed
        GROUP BY GROUPING SETS ((hour, type, channel, status, opened), (hour, class))
        HAVING class IS DISTINCT FROM -1 AND (sum(sign) <> 0 OR sum(sign * delivery_us) <> 0)
    $sql$;
    operation text;
    source text;
BEGIN
    FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        source := CASE operation
            WHEN 'insert' THEN 'SELECT *, 1 AS sign FROM new_rows'
            WHEN 'delete' THEN 'SELECT *, -1 AS sign FROM old_rows'
            ELSE 'SELECT *, 1 AS sign FROM new_rows UNION ALL SELECT *, -1 AS sign FROM old_rows'
        END;
        EXECUTE format($sql$
            CREATE FUNCTION count_%1$s() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN
                INSERT INTO %2$I.notification_counts (%3$s) %4$s;
                RETURN NULL;
            END $f$
        $sql$, operation, here, columns, format(counted, source));
    END LOOP;
    -- Those of the notifications that were accepted in a period.
    EXECUTE format($sql$
        CREATE FUNCTION counted_between(since timestamptz, until timestamptz) RETURNS SETOF notification_counts
        LANGUAGE plpgsql STABLE AS $f$
        BEGIN
            RETURN QUERY SELECT c.*, true FROM (%s) AS c;
        END $f$
    $sql$, format(counted, format(
        'SELECT *, 1 AS sign FROM %I.notifications WHERE created_at >= since AND created_at < until', here
    )));
    -- Takes out the rows of a table that is about to be dropped.
    EXECUTE format($sql$
        CREATE FUNCTION uncount(source regclass) RETURNS void LANGUAGE plpgsql AS $f$
        BEGIN
            EXECUTE format('INSERT INTO %I.notification_counts (%s) %s', source);
        END $f$
    $sql$, here, columns, replace(format(counted, 'SELECT *, -1 AS sign FROM %s'), '''', ''''''));
    -- The table of the week that begins then, with what is of it and stands elsewhere.
    EXECUTE format($sql$
        CREATE FUNCTION add_week(start timestamptz) RETURNS void LANGUAGE plpgsql AS $f$
        DECLARE
            part text := 'notifications_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDD');
            low uuid := rpad(lpad(to_hex((extract(epoch FROM start) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
            high uuid := rpad(lpad(to_hex((extract(epoch FROM start + interval '7 days') * 1000)::bigint), 12, '0'), 32, '0')::uuid;
        BEGIN
            EXECUTE format('CREATE TABLE %1$I.%%I (LIKE %1$I.notifications INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
                WITH (fillfactor = 80)', part);
            EXECUTE format('WITH moved AS (DELETE FROM %1$I.notifications_default WHERE id >= %%L AND id < %%L RETURNING *)
                INSERT INTO %1$I.%%I SELECT * FROM moved', low, high, part);
            EXECUTE format('ALTER TABLE %1$I.notifications ATTACH PARTITION %1$I.%%I FOR VALUES FROM (%%L) TO (%%L)',
                part, low, high);
        END $f$
    $sql$, here);
END
$do$;

CREATE TRIGGER count_insert AFTER INSERT ON notifications
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_insert();
CREATE TRIGGER count_update AFTER UPDATE ON notifications
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_update();
CREATE TRIGGER count_delete AFTER DELETE ON notifications
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_delete();

INSERT INTO notification_counts SELECT * FROM counted_between('-infinity', 'infinity');
-- Of all that is stored, and of the next weeks.
SELECT add_week(week) FROM generate_series(
    date_trunc('week', least((SELECT min(created_at) FROM notifications), clock_timestamp()), 'UTC'),
    clock_timestamp() + interval '14 days',
    interval '7 days'
) AS week;

-- migrate: rollback

CREATE TABLE notifications_before (LIKE notifications INCLUDING ALL);
INSERT INTO notifications_before SELECT * FROM notifications;
DROP TABLE notifications, notification_counts CASCADE;
DROP FUNCTION count_insert, count_update, count_delete, uncount, add_week;
ALTER TABLE notifications_before DROP COLUMN opened_at;
ALTER TABLE notifications_before RENAME TO notifications;
ALTER INDEX notifications_before_pkey RENAME TO notifications_pkey;
