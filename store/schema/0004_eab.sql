-- Version 4. External account binding (RFC 8555 section 7.3.4). Secrets are sealed by the front ends: this table alone gives none away.
-- A rotation keeps the key id, its bounds and its accounts; the secret before it is taken until previous_until.
CREATE TABLE eab_keys (
    tenant text NOT NULL,
    kid text NOT NULL,
    id uuid NOT NULL,               -- of the command that made it: a repeat recognises its own work
    status smallint NOT NULL,
    algorithms integer NOT NULL,    -- bits
    secret bytea NOT NULL,
    secret_at bigint NOT NULL,
    previous bytea NOT NULL,
    previous_until bigint NOT NULL,
    accounts_max bigint NOT NULL,   -- 0: no bound
    accounts_used bigint NOT NULL,  -- made by it, ever
    expires_at bigint NOT NULL,     -- 0: never
    identifiers text NOT NULL,      -- JSON array
    profiles text NOT NULL,         -- JSON array
    comment text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, kid)
) WITH (fillfactor = 80);
ALTER TABLE accounts ADD COLUMN eab_binding text NOT NULL DEFAULT '';   -- the binding as the client sent it: shown with the account
-- Accounts by key and by tenant, newest first, for people.
CREATE INDEX accounts_eab ON accounts (tenant, eab_kid, id) WHERE eab_kid <> '';
CREATE INDEX accounts_tenant ON accounts (tenant, id);
