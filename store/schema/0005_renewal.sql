-- Version 5. Renewal information (RFC 9773). Which order replaces a certificate: one row for a certificate that was named in "replaces", beside
-- the certificates and not in them, because a changed certificate would be written whole once more. A partition goes with the certificates of its hour.
ALTER TABLE orders ADD COLUMN replaces text NOT NULL DEFAULT '';    -- as the client wrote it: shown with the order
CREATE TABLE replacements (
    serial bytea PRIMARY KEY,
    order_id uuid NOT NULL,
    instead_of uuid NOT NULL        -- the invalid order that had the place before; zero: none
) PARTITION BY RANGE (serial);
DO $$ DECLARE leaf record; BEGIN
    FOR leaf IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'certificates'::regclass AND NOT i.inhdetachpending LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF replacements %s', replace(leaf.relname, 'certificates', 'replacements'), leaf.bounds);
    END LOOP;
END $$;

-- Windows that were moved: a few rows, looked at when renewal information is asked for. What a column leaves open ('', 0) is every certificate.
CREATE TABLE renewal_rules (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    profile text NOT NULL,
    issuer integer NOT NULL,
    issued_from bigint NOT NULL,    -- seconds, compared with not_before
    issued_until bigint NOT NULL,
    has_serials boolean NOT NULL,   -- only those of renewal_rule_serials
    starts_at bigint NOT NULL,      -- seconds: the span over which the windows are spread
    ends_at bigint NOT NULL,
    comment text NOT NULL,
    certificates bigint NOT NULL,   -- that it was about when it was made
    created_at bigint NOT NULL,
    cancelled_at bigint NOT NULL,   -- 0: in force
    keep_until bigint NOT NULL      -- seconds: the last of its certificates has ended
) WITH (fillfactor = 80);
CREATE TABLE renewal_rule_serials (
    serial bytea NOT NULL,
    rule uuid NOT NULL REFERENCES renewal_rules ON DELETE CASCADE,
    PRIMARY KEY (serial, rule)
);
CREATE INDEX renewal_rule_serials_rule ON renewal_rule_serials (rule);
