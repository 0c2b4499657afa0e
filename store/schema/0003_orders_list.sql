-- Version 3. The orders of an account, newest first (RFC 8555 section 7.1.2.1): an index and no list of its own. The ids of one account's
-- orders grow, so its entries lie side by side.
CREATE INDEX orders_account ON orders (account, id);
