-- Version 2. Whose key is it: apart from the accounts, so that a key change can lose a race for a key without raising (no row may raise),
-- and so that an old key is free again in the same commit. The one row of an account is inserted before the account and replaced with its key.
CREATE TABLE account_keys (
    tenant text NOT NULL,
    thumbprint bytea NOT NULL,
    account uuid NOT NULL,
    PRIMARY KEY (tenant, thumbprint)
);
INSERT INTO account_keys SELECT tenant, thumbprint, id FROM accounts;
ALTER TABLE accounts DROP CONSTRAINT accounts_tenant_thumbprint_key;
