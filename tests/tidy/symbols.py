#!/usr/bin/env python3
"""symbols: what the built libraries and programs refer to keeps the promises of their folders (design.md section 2).

usage: symbols.py library NAME=ARCHIVE... program NAME=FILE...
"""
import re
import subprocess
import sys

import tree

SOCKETS = """socket socketpair bind listen accept accept4 connect send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg
    shutdown setsockopt getsockopt getsockname getpeername getaddrinfo gethostbyname poll ppoll select pselect epoll_\\w+
    SSL_set_[rw]?fd BIO_new_(socket|connect|accept|fd)"""
FILES = """open(at)?(64)? creat fopen(64)? fdopen freopen fread fwrite fgets read pread(64)? readv write pwrite(64)? writev close
    f?l?stat(64)? fstatat(64)? access unlink rename mkdir rmdir opendir readdir fsync fdatasync mmap ioctl fcntl(64)?
    BIO_new_(file|fp) SSL_CTX_load_verify_locations SSL_CTX_set_default_verify_paths SSL_(CTX_)?use_\\w+_file"""
CLOCKS = """time gettimeofday clock_gettime clock nanosleep clock_nanosleep usleep sleep alarm timerfd_\\w+ setitimer
    localtime(_r)? mktime"""
THREADS = "pthread_\\w+ thrd_\\w+ mtx_\\w+ cnd_\\w+ tss_\\w+ sem_\\w+ fork vfork clone posix_spawnp? exec[vl]p?e? waitpid"
RING = "io_uring_\\w+"
LIBPQ = "PQ\\w+|pq_\\w+"
SIGNER_KEYS = "(keystore|engine|ceremony|tbs|journal|signer_service)_\\w+"


def any_of(*lists):
    return re.compile("|".join(f"(?:{s})" for line in lists for s in line.split()))


# What the objects of a library must not refer to, and the sentence that says so.
LIBRARY_RULES = {
    "proto": [(any_of(SOCKETS, FILES, CLOCKS, THREADS, RING), "proto is bytes in, bytes out: no socket, file, clock, thread or ring"),
              (any_of(LIBPQ), "only store uses libpq")],
    "cluster": [(any_of(LIBPQ), "only store uses libpq")],
    "store": [(any_of(RING, THREADS), "only cluster uses liburing and threads")],
    "signer_core": [(any_of(RING, "pthread_\\w+", "thrd_\\w+"), "only cluster uses liburing and threads"),
                    (any_of(LIBPQ, "store_\\w+"), "the signer holds no database")],
    "signer_client": [(any_of(RING, THREADS), "only cluster uses liburing and threads"),
                      (any_of(LIBPQ, "store_\\w+"), "the signer holds no database"),
                      (any_of(SIGNER_KEYS), "the client has no way to a CA key")],
    "api": [(any_of(RING, "pthread_\\w+", "thrd_\\w+"), "only cluster uses liburing and threads"),
            (any_of(LIBPQ), "only store uses libpq"),
            (any_of(SIGNER_KEYS), "only the signer holds CA keys")],
}
# Generated code, and what nobody else links.
NO_RULE = re.compile(r".*_messages|bench.*")

# Shared libraries that a program must not load.
PROGRAM_RULES = {
    "certmill-signer": [(re.compile(r"libpq\.so.*"), "the signer holds no database"),
                        (re.compile(r"lib(ssl|crypto)\.so.*"), "the signer's cryptography is BoringSSL alone")],
}
# What OpenSSL, which libpq brings along, also exports: a program that exports one of these crashes in libpq.
OPENSSL = re.compile(r"(SSL|EVP|BN|BIO|X509|CRYPTO|ERR|EC|ECDSA|RSA|ASN1|PEM|RAND|HMAC|SHA\d+|AES|OPENSSL|d2i|i2d)_\w+")


def undefined(archive, nm="gcc-nm"):
    """The (object, symbol) pairs that the objects of an archive do not define; fortified names are told plainly."""
    out = subprocess.run([nm, "-A", "--undefined-only", archive], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        place, _, symbol = line.rpartition(" ")
        yield place.split(":")[1] if ":" in place else place, re.sub(r"^__(\w+)_chk$", r"\1", symbol)


def library_problems(name, archive):
    if name not in LIBRARY_RULES:
        return [] if NO_RULE.fullmatch(name) else [f"{name}: no rule says what this library may use: add it to tests/tidy/symbols.py"]
    return [f"lib{name}: {obj} refers to {symbol}: {why}" for obj, symbol in undefined(archive)
            for rule, why in LIBRARY_RULES[name] if rule.fullmatch(symbol)]


def program_problems(name, path):
    dynamic = subprocess.run(["readelf", "-dW", path], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    found = [f"{name} loads {n}: {why}" for n in needed for rule, why in PROGRAM_RULES.get(name, []) if rule.fullmatch(n)]
    symbols = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    return found + [f"{name} exports {s}, which libpq's OpenSSL would find in place of its own: link with --exclude-libs,ALL"
                    for s in re.findall(r"^\S+ \w (\w+)", symbols, re.M) if OPENSSL.fullmatch(s)]


def main():
    kind, looked_at, problems = None, 0, []
    for a in sys.argv[1:]:
        if "=" not in a:
            kind = {"library": library_problems, "program": program_problems}[a]
            continue
        looked_at += 1
        problems += kind(*a.split("=", 1))
    tree.tell("libraries and programs", looked_at, problems)


if __name__ == "__main__":
    main()
