"""run: Debian's ACME clients against one server, each by the commands of its page: run.py [CLIENT | CLIENT-SUITE]...

Each section of docs/clients/CLIENT.md whose heading is in STEPS is run, in the page's order, in a fresh layer above the system tree of its Debian suite; a check
follows each. Prints `case NAME: passed|failed|skipped ...` for each client, which tests/run counts."""
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from certmill import check  # noqa: E402
from cryptography import x509  # noqa: E402

import bed as bed_module  # noqa: E402
from bed import ADDRESS, NAME, Bed  # noqa: E402
from page import Page  # noqa: E402
from table import CLIENTS  # noqa: E402
from tree import Tree, stamp  # noqa: E402


class Run:
    """One client of one suite, from an empty layer on."""

    def __init__(self, bed, client, suite, tree):
        self.bed, self.client, self.suite, self.tree = bed, client, suite, tree
        self.page = Page(client.name)
        self.environment = client.environment
        self.names = [NAME]  # that the next certificate shall have
        self.serial = None  # of the newest certificate

    def commands(self, title):
        for text in self.page.commands(title, self.suite):
            self.tree.run(self.environment + "\n" + text)

    def new_certificate(self, challenge=None):
        """The client now holds a certificate of ours that it did not hold before, for a name that was proved by the challenge."""
        pem = self.client.chain(self.bed, self.tree, self)
        check(pem, "there is no certificate where it is kept")
        leaf = x509.load_pem_x509_certificate(pem.encode())
        names = [str(name.value) for name in leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]
        check(sorted(names) == sorted(self.names), f"names {names}")
        serial = f"{leaf.serial_number:040x}"
        check(serial != self.serial, "the certificate is still the same")
        self.serial = serial
        proved = self.bed.challenge_of(serial)
        check(challenge in (None, proved), f"the name was proved by {proved}")
        return self.bed.account_of(serial)

    def obtain(self):
        self.commands("Obtain")
        self.new_certificate("http-01")

    def dns_01(self):
        self.names = [NAME, "*." + NAME]
        self.commands("dns-01")
        self.new_certificate("dns-01")

    def tls_alpn_01(self):
        self.commands("tls-alpn-01")
        self.new_certificate("tls-alpn-01")

    def profile(self):
        self.commands("Profile")
        self.new_certificate()
        check(self.bed.profile_of(self.serial) == "client-server", "the certificate is of another profile")

    def address(self):
        self.names = [ADDRESS]
        self.commands("Address")
        self.new_certificate()

    def bind(self):
        kid, hmac_key = self.bed.eab_key()
        self.environment += f"\nexport EAB_KID={kid} EAB_HMAC_KEY={hmac_key}"
        self.commands("External account binding")
        check(self.new_certificate()["eab_kid"] == kid, "the account is not bound to the key")

    def renew(self):
        replaced = self.serial
        self.commands("Renew")
        self.new_certificate()
        check(self.suite not in self.client.replaces or self.bed.replaced_by(replaced, self.serial), "the order did not say which certificate it replaces")

    def revoke(self):
        self.commands("Revoke")
        check(self.bed.revoked(self.serial), "the certificate is not revoked")

    def roll_key(self):
        before = self.bed.account_of(self.serial)
        self.commands("Roll the account key")
        after = self.bed.account_of(self.serial)
        check(int(after["key_version"]) == int(before["key_version"]) + 1, f"the account's key was not changed: {before} {after}")
        time.sleep(self.client.pause)
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
STEPS = {"Obtain": Run.obtain, "Renew": Run.renew, "Roll the account key": Run.roll_key, "Update the account": Run.update, "Revoke": Run.revoke, "Deactivate the account": Run.deactivate,
         "dns-01": Run.dns_01, "tls-alpn-01": Run.tls_alpn_01, "External account binding": Run.bind, "Profile": Run.profile, "Address": Run.address}
APART = {"dns-01", "tls-alpn-01", "External account binding", "Profile", "Address"}  # other ways to begin: each on a host of its own


@contextlib.contextmanager
def host(bed, client, suite):
    """A host with this client, freshly installed, as a Run."""
    base = tempfile.mkdtemp(prefix=f"{client.name}-{suite}-", dir=bed.folder)
    folder, webroot, web = os.path.join(base, "host"), os.path.join(base, "www"), None
    os.makedirs(webroot)
    tree = Tree(suite, folder, bed.files(), {webroot: "/var/www/html"} if client.webroot else {}, client.user)
    try:
        if client.webroot:
            web = bed.web_server(webroot)
        client.prepare(tree)
        yield Run(bed, client, suite, tree)
    finally:
        if web:
            web.shutdown()
            web.server_close()
        tree.close()


def run_client(bed, client, suite):
    """Runs every step of the page that has commands for this suite; returns their names."""
    page, name = Page(client.name), f"docs/clients/{client.name}.md"
    unknown = [title for title in page.sections if page.sections[title] and title not in STEPS]
    check(not unknown, f"{name} has commands below {unknown}, which no test knows")
    titles = [title for title in page.sections if page.commands(title, suite)]
    check({"Obtain", "Renew"} <= set(titles), f"{name} does not both obtain and renew")
    for group in [[t for t in titles if t not in APART]] + [[t] for t in titles if t in APART]:
        with host(bed, client, suite) as run:
            for title in group:
                STEPS[title](run)
    return [title[0].lower() + title[1:] for title in titles]


def main():
    if not bed_module.own_network():
        if subprocess.run(bed_module.netns_command(["true"]), capture_output=True).returncode != 0:
            print("this user may not make namespaces here: the clients need a network of their own (as root, or with user namespaces)")
            sys.exit(77)
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
