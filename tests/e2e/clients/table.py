"""table: the clients. To add one: its packages in scripts/clients, its page docs/clients/NAME.md, its row here."""
import socket
import ssl
import time

from certmill import check
from cryptography import x509

from bed import NAME


class Client:
    """A command that is run and ends; its certificate is a file."""

    name = None            # of the page
    suites = ("bookworm",)
    certificate = None     # the file with the leaf first; {name} is the first of its names
    replaces = ()          # suites whose version asks for renewal information and says which certificate it replaces
    webroot = False        # a web server of the operator serves /var/www/html on port 80
    user = 0               # who it becomes when root starts it, where it insists on that
    pause = 0              # seconds between two renewals, where the client cannot have them closer
    environment = ""       # settings that the test makes before each block, with the reason

    def prepare(self, tree):
        """What the packages' own scripts do when they are installed, where it matters."""

    def chain(self, bed, tree, run):
        """The certificate chain as PEM; None when there is none. A client that works by itself is waited for. `run` knows the names and the serial number before."""
        return tree.read(self.certificate.format(name=run.names[0]))


class Daemon(Client):
    """A server that looks after its own certificate and serves it on port 443."""

    def chain(self, bed, tree, run):
        deadline, seen = time.monotonic() + 60, "nothing"
        while time.monotonic() < deadline:
            try:
                pem = served(bed)
                seen = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:040x}"
                if seen != run.serial:
                    return pem
            except OSError as e:  # not there yet, or with a certificate that the root has not signed
                seen = e
            time.sleep(0.1)
        raise AssertionError(f"port 443 has no new certificate of ours after a minute: {seen}")


def served(bed):
    context = ssl.create_default_context(cafile=bed.dev.root)
    with socket.create_connection(("127.0.0.1", 443), timeout=5) as s, context.wrap_socket(s, server_hostname=NAME) as t:
        return ssl.DER_cert_to_PEM_cert(t.getpeercert(True))


class Certbot(Client):
    name, suites = "certbot", ("bookworm", "sid")
    certificate = "/etc/letsencrypt/live/{name}/fullchain.pem"


class Lego(Client):
    name, suites, replaces = "lego", ("bookworm", "sid"), ("sid",)
    certificate = "/var/lib/lego/certificates/{name}.crt"


class Caddy(Daemon):
    name, suites = "caddy", ("bookworm", "sid")
    environment = "export RENEW_INTERVAL=2s"  # it would look for what is due every ten minutes


class Dehydrated(Client):
    name, webroot = "dehydrated", True
    certificate = "/var/lib/dehydrated/certs/{name}/fullchain.pem"


class Uacme(Client):
    name, webroot = "uacme", True
    certificate = "/etc/ssl/uacme/{name}/cert.pem"
    pause = 2  # the old certificate is kept under a name with the time in seconds, and the same name twice is an error


class AcmeTiny(Client):
    name, webroot = "acme-tiny", True
    certificate = "/etc/acme-tiny/app.pem"


class Acmetool(Client):
    name, webroot = "acmetool", True
    certificate = "/var/lib/acme/live/{name}/fullchain"


class Apache(Daemon):
    name, user, replaces = "apache", 33, ("bookworm",)  # www-data

    def prepare(self, tree):
        tree.run("mkdir -p /var/log/apache2 /var/lib/apache2 /run/apache2; for m in mpm_event authz_core authz_host alias dir mime setenvif socache_shmcb; do a2enmod -q $m; done")


class AcmeSh(Client):
    name, suites = "acme.sh", ("trixie",)
    certificate = "/root/.acme.sh/{name}_ecc/fullchain.cer"


class Haproxy(Daemon):
    name, suites = "haproxy", ("sid",)


CLIENTS = (Certbot, Lego, Caddy, Dehydrated, Uacme, AcmeTiny, Acmetool, Apache, AcmeSh, Haproxy)
