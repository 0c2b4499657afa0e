-- Version 1. Times are microseconds since 1970 (bigint) where two clocks are compared, by the database's clock.
-- Orders, intents and authorizations are partitioned on the id (a time prefix), certificates on the serial (an hour in front): unique
-- keys need no further column, and retention drops whole partitions. No DEFAULT partition: it would forbid DETACH CONCURRENTLY.
CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    status smallint NOT NULL,
    key_version integer NOT NULL,
    spki bytea NOT NULL,
    thumbprint bytea NOT NULL,
    contact text NOT NULL,
    terms_agreed boolean NOT NULL,
    eab_kid text NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (tenant, thumbprint)
) WITH (fillfactor = 90);

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    tenant text NOT NULL,
    status smallint NOT NULL,
    identifiers bytea NOT NULL,     -- one encoded value: arrays of arrays do not survive unnest
    authzs bytea NOT NULL,          -- ids of 16 octets each
    authzs_pending integer NOT NULL,
    profile text NOT NULL,
    not_before bigint NOT NULL,
    not_after bigint NOT NULL,
    error text NOT NULL,
    serial bytea,
    expires_at bigint NOT NULL,
    created_at bigint NOT NULL
) PARTITION BY RANGE (id);

CREATE TABLE authorizations (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    order_id uuid NOT NULL,
    tenant text NOT NULL,
    identifier bytea NOT NULL,
    wildcard boolean NOT NULL,
    status smallint NOT NULL,
    challenges integer NOT NULL,
    token bytea NOT NULL,
    decided_by integer NOT NULL,
    decision bigint NOT NULL,       -- tag of the command that decided: a repeat recognises its own work
    validated_at bigint NOT NULL,
    error text NOT NULL,
    expires_at bigint NOT NULL
) PARTITION BY RANGE (id);

CREATE TABLE intents (
    order_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    account uuid NOT NULL,
    owner_node uuid NOT NULL,
    owner_boot bigint NOT NULL,
    spki bytea NOT NULL,
    names bytea NOT NULL,
    profile text NOT NULL,
    profile_hash bytea NOT NULL,
    template_version bigint NOT NULL,
    issuer integer NOT NULL,
    region integer NOT NULL,
    issuer_cert_hash bytea NOT NULL,
    serial_key_generation bigint NOT NULL,
    not_before bigint NOT NULL,
    not_after bigint NOT NULL,
    crl_shard bigint NOT NULL,
    salt bytea NOT NULL,
    created_at bigint NOT NULL,
    burned_serial bytea
) PARTITION BY RANGE (order_id);

-- The intents whose order is PROCESSING: a row is inserted with the intent and deleted by the statement that ends PROCESSING.
-- What the reaper looks at stays small without an index on the orders' status, which would end their HOT updates.
CREATE TABLE intents_open (
    order_id uuid PRIMARY KEY,
    owner_boot bigint NOT NULL,     -- the reaper's once claimed
    claimed_at bigint NOT NULL      -- created_at until a reaper takes it over
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE certificates (
    serial bytea PRIMARY KEY,
    order_id uuid NOT NULL,
    account uuid NOT NULL,
    tenant text NOT NULL,
    profile text NOT NULL,
    issuer integer NOT NULL,
    not_before bigint NOT NULL,
    not_after bigint NOT NULL,
    spki_hash bytea NOT NULL,
    der bytea NOT NULL
) PARTITION BY RANGE (serial);

CREATE TABLE nodes (
    node uuid PRIMARY KEY,
    boot bigint NOT NULL,
    region integer NOT NULL,
    rpc_address text NOT NULL,
    seen_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE leases (
    name text PRIMARY KEY,
    node uuid NOT NULL,
    boot bigint NOT NULL,
    token bigint NOT NULL,
    until bigint NOT NULL
) WITH (fillfactor = 50);
