-- Version 8. The authorizations that an account holds for an identifier, newest last: a new order takes over a valid one. The row itself
-- says whether it is valid, so there is nothing to keep in step, and what is past goes with its partition. The status is not in the
-- index: it would end HOT updates.
CREATE INDEX authorizations_held ON authorizations (account, identifier, id);
ALTER TABLE orders ADD COLUMN authzs_held integer NOT NULL DEFAULT 0;   -- of its authorizations, those that other orders have made
