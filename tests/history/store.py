"""store: the change log in a PostgreSQL under test, and the dump of its tables."""
import json
import subprocess

TABLES = ("accounts", "orders", "authorizations", "intents", "certificates")
DUMPED = TABLES + ("intents_open",)

# Rows of one order are changed under its lock, so their numbers are in the order of their commits; numbers of different orders are not compared.
LOG = """
CREATE TABLE history_changes (seq bigserial PRIMARY KEY, txid text NOT NULL, at bigint NOT NULL, "table" text NOT NULL, old jsonb, new jsonb);
CREATE FUNCTION history_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO history_changes (txid, at, "table", old, new)
    VALUES (pg_current_xact_id()::text, now_us(), TG_ARGV[0], CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END, CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END);
    RETURN NULL;
END $$;
""" + "\n".join(f"CREATE TRIGGER history AFTER INSERT OR UPDATE OR DELETE ON {t} FOR EACH ROW EXECUTE FUNCTION history_log('{t}');" for t in TABLES)


class Store:
    def __init__(self, host, user="certmill", database="postgres"):
        self.command = ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", user, "-d", database]

    def sql(self, text):
        return subprocess.run(self.command + ["-f", "-"], input=text, check=True, capture_output=True, text=True).stdout

    def watch(self):
        """Begins the change log; once, right after the start."""
        self.sql(LOG)

    def dump(self, records):
        for table in DUMPED:
            setattr(records, table, [json.loads(line) for line in self.sql(f"SELECT to_jsonb(t) FROM {table} t").splitlines()])
        records.changes = [json.loads(line) for line in self.sql("SELECT to_jsonb(t) FROM history_changes t ORDER BY seq").splitlines()]
