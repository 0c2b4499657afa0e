-- Version 7. Rate limits (RFC 8555 section 6.6) by the generic cell rate algorithm: the time at which what was taken so far is earned back. A row
-- whose time is past says nothing and is forgotten after an hour.
CREATE TABLE rate_limits (
    key uuid PRIMARY KEY,           -- hash of the limit and of what it counts
    tat bigint NOT NULL             -- theoretical arrival time, microseconds
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
