-- Version 6. Revocations beside their certificates: partitioned on the serial by the same hours, so that a revocation dies with its
-- certificate's partition. `shard` is the certificate's CRL: hour of issuance * 64 + part; 0: it names none.
ALTER TABLE certificates ADD COLUMN crl_shard bigint NOT NULL DEFAULT 0;

CREATE TABLE revocations (
    serial bytea PRIMARY KEY,
    issuer integer NOT NULL,
    shard bigint NOT NULL,
    reason smallint NOT NULL,
    revoked_at bigint NOT NULL,
    not_after bigint NOT NULL,
    tag bigint NOT NULL             -- of the command that revoked: a repeat recognises its own work
) PARTITION BY RANGE (serial);

-- What is there of certificates may be revoked.
DO $$
DECLARE leaf record;
BEGIN
    FOR leaf IN SELECT replace(c.relname, 'certificates_', 'revocations_') AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'certificates'::regclass AND NOT i.inhdetachpending
    LOOP
        EXECUTE format('CREATE TABLE %I (LIKE revocations INCLUDING ALL) WITH (fillfactor = 100)', leaf.name);
        EXECUTE format('ALTER TABLE revocations ATTACH PARTITION %I %s', leaf.name, leaf.bounds);
    END LOOP;
END $$;

-- The newest CRL of each shard, and which have changed since: a row for each statement that revoked, so that two of them never wait for
-- each other; whoever has made the CRL deletes those that it had seen before it read the entries.
CREATE TABLE crls (
    issuer integer NOT NULL,
    shard bigint NOT NULL,
    number bigint NOT NULL,
    this_update bigint NOT NULL,    -- seconds
    next_update bigint NOT NULL,
    der bytea NOT NULL,
    PRIMARY KEY (issuer, shard)
) WITH (fillfactor = 50);
ALTER TABLE crls ALTER COLUMN der SET STORAGE EXTERNAL;

CREATE TABLE crl_changes (
    id uuid PRIMARY KEY,
    issuer integer NOT NULL,
    shard bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Who may revoke: an account's authorizations for a name.
CREATE INDEX authorizations_account ON authorizations (account, identifier);
