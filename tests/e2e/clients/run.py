"""run: Debian's ACME clients against one server, each by the commands of its page: run.py [CLIENT | CLIENT-SUITE]...

Each section of docs/clients/CLIENT.md whose heading is in STEPS is run, in the page's order, in a fresh layer above the system tree of its Debian suite; a check
follows each. Prints `case NAME: passed|failed|skipped ...` for each client, which tests/run counts."""
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from certmill import check  # noqa: E402
from cryptography import x509  # noqa: E402

import bed as bed_module  # noqa: E402
from bed import NAME, Bed  # noqa: E402
from page import Page  # noqa: E402
from table import CLIENTS  # noqa: E402
from tree import Tree, stamp  # noqa: E402


class Run:
    """One client of one suite, from an empty layer on."""

    def __init__(self, bed, client, suite, tree):
        self.bed, self.client, self.suite, self.tree = bed, client, suite, tree
        self.page = Page(client.name)
        self.serial = None  # of the newest certificate

    def commands(self, title):
        for text in self.page.commands(title, self.suite):
            self.tree.run(self.client.environment + "\n" + text)

    def new_certificate(self):
        """The client now holds a certificate of ours that it did not hold before."""
        pem = self.client.chain(self.bed, self.tree, self.serial)
        check(pem, f"{self.client.certificate} is not there")
        leaf = x509.load_pem_x509_certificate(pem.encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        check(names == [NAME], f"names {names}")
        serial = f"{leaf.serial_number:040x}"
        check(serial != self.serial, "the certificate is still the same")
        self.serial = serial
        return self.bed.account_of(serial)

    def obtain(self):
        self.commands("Obtain")
        self.new_certificate()

    def renew(self):
        self.commands("Renew")
        self.new_certificate()

    def roll_key(self):
        before = self.bed.account_of(self.serial)
        self.commands("Roll the account key")
        after = self.bed.account_of(self.serial)
        check(int(after["key_version"]) == int(before["key_version"]) + 1, f"the account's key was not changed: {before} {after}")
        self.commands("Renew")
        check(self.new_certificate()["id"] == after["id"], "the certificate behind the new key is another account's")

    def update(self):
        before = self.bed.account_of(self.serial)
        self.commands("Update the account")
        after = self.bed.account_of(self.serial)
        check("pki@internal.test" in after["contact"] and after["id"] == before["id"], f"the account was not updated: {before} {after}")

    def deactivate(self):
        before = self.bed.account_of(self.serial)
        self.commands("Deactivate the account")
        check(self.bed.account_of(self.serial)["status"] != before["status"], "the account is still valid")


# What a page's headings mean. Sections with other headings are for readers only and have no commands.
STEPS = {"Obtain": Run.obtain, "Renew": Run.renew, "Roll the account key": Run.roll_key, "Update the account": Run.update, "Deactivate the account": Run.deactivate}


def run_client(bed, client, suite):
    """Runs every step of the page that has commands for this suite; returns their names."""
    case, web, tree, done = f"{client.name}-{suite}", None, None, []
    folder, webroot = os.path.join(bed.folder, case), os.path.join(bed.folder, case + "-www")
    try:
        if client.webroot:
            web = bed.web_server(webroot)
        tree = Tree(suite, folder, bed.files(), {webroot: "/var/www/html"} if client.webroot else {})
        client.prepare(tree)
        run = Run(bed, client, suite, tree)
        for title in run.page.sections:
            check(title in STEPS or not run.page.sections[title], f"docs/clients/{client.name}.md has commands below {title}, which no test knows")
            if title in STEPS and run.page.commands(title, suite):
                STEPS[title](run)
                done.append(title.lower())
    finally:
        if web:
            web.shutdown()
            web.server_close()
        if tree:
            tree.close()
    check({"obtain", "renew"} <= set(done), f"docs/clients/{client.name}.md does not both obtain and renew")
    return done


def main():
    if not bed_module.own_network():
        command = bed_module.netns_command([sys.executable, os.path.abspath(__file__)] + sys.argv[1:])
        os.execvp(command[0], command)
    cases = [(c(), s) for c in CLIENTS for s in c.suites]
    wanted = sys.argv[1:]
    unknown = [w for w in wanted if not any(w in (c.name, f"{c.name}-{s}") for c, s in cases)]
    if unknown:
        sys.exit(f"no client {unknown[0]!r}; there are {', '.join(f'{c.name}-{s}' for c, s in cases)}")
    failed = 0
    with Bed() as bed:
        for client, suite in cases:
            case = f"{client.name}-{suite}"
            if wanted and client.name not in wanted and case not in wanted:
                continue
            version, started = stamp(suite, client.name, "version"), time.monotonic()
            if version is None and suite == "sid":  # what sid lacks today is not our fault; the other suites are complete
                print(f"case {case}: skipped: {stamp(suite, client.name, 'missing') or 'not unpacked: scripts/clients'}", flush=True)
                continue
            try:
                steps = run_client(bed, client, suite)
                print(f"case {case}: passed: {version}: {', '.join(steps)} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"case {case}: failed: {version} ({time.monotonic() - started:.1f} s)", flush=True)
        check(not failed, f"{failed} clients failed")


if __name__ == "__main__":
    main()
