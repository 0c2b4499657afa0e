#!/usr/bin/env python3
"""measure: the table in README.md: a `certmill dev` of the release build in a folder of its own, its memory at idle, and `certmill-bench loop` against it.

usage: python3 bench/report/measure.py [--seconds S] [--rounds N] [--bin DIR]

Each figure is the median of N rounds (default 3). CPU time is what the kernel charges each program during a loop, divided by the certificates issued in it.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = (("certmill-acme", "front end"), ("certmill-signer", "signer"), ("postgres", "PostgreSQL, all processes"))
TICK = os.sysconf("SC_CLK_TCK")


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(p) for p in out] + [q for p in out for q in children(int(p))]


def name(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return f.read().split("(", 1)[1].rsplit(")", 1)[0]


def group(dev, program):
    return [p for p in children(dev.pid) if name(p).startswith(program[:15])]


def memory_mib(pids):
    """Proportional set size: shared pages count once in the sum of a group."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total / 1024


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Dev:
    def __init__(self, bin_dir, base):
        self.dir = tempfile.mkdtemp(prefix="certmill-measure-", dir="/tmp")
        os.chmod(self.dir, 0o755)  # PostgreSQL's user must get through
        self.bin, self.base = bin_dir, base
        self.directory, self.root = f"https://localhost:{base}/directory", os.path.join(self.dir, "state/root.pem")
        self.http = f"127.0.0.1:{base + 2}"

    def start(self):
        out = os.path.join(self.dir, "out")
        started = time.monotonic()
        with open(out, "w", encoding="utf-8") as f:
            self.process = subprocess.Popen([os.path.join(self.bin, "certmill"), "dev", "--state", os.path.join(self.dir, "state"), "--listen", f"127.0.0.1:{self.base}", "--http-port",
                                             str(self.base + 2), "--private-port", str(self.base + 10)], stdout=f, stderr=subprocess.STDOUT)
        while True:
            with open(out, encoding="utf-8") as f:
                text = f.read()
            if "\nready\n" in text:
                return time.monotonic() - started
            if self.process.poll() is not None or time.monotonic() > started + 60:
                sys.exit("measure: certmill dev did not become ready:\n" + text)
            time.sleep(0.01)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def loop(self, clients, seconds):
        groups = {program: group(self, program) for program, _ in PROGRAMS}
        before = {program: cpu_s(pids) for program, pids in groups.items()}
        done = subprocess.run([os.path.join(self.bin, "certmill-bench"), "loop", "--directory", self.directory, "--root", self.root, "--http", self.http, "--clients", str(clients), "--seconds", str(seconds),
                               "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("measure: the loop failed:\n" + done.stdout + done.stderr)
        result = json.loads(done.stdout)
        result["cpu_ms"] = {program: 1000 * (cpu_s(pids) - before[program]) / result["issued"] for program, pids in groups.items()}
        return result


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")


def median(values):
    return statistics.median(list(values))


def row(what, value):
    print(f"| {what} | {value} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    args = parser.parse_args()
    dev = Dev(args.bin, 16000)
    try:
        first = dev.start()
        time.sleep(1)
        idle = {program: memory_mib(group(dev, program)) for program, _ in PROGRAMS}
        loops = {clients: [dev.loop(clients, args.seconds) for _ in range(args.rounds)] for clients in (1, 8, 32)}
        busy = {program: memory_mib(group(dev, program)) for program, _ in PROGRAMS}
        dev.stop()
        again = dev.start()
        dev.stop()
    finally:
        if dev.process.poll() is None:
            dev.process.kill()
        shutil.rmtree(dev.dir, ignore_errors=True)
    print(f"{os.cpu_count()} processors ({processor()}), Linux {platform.release().split('-')[0]}; clients, database, signer and front end on the same ones.\n")
    print("| what | figure |\n|---|---|")
    row("`certmill dev`, first start to ready (database, keys, everything)", f"{first:.1f} s")
    row("`certmill dev`, second start", f"{again:.1f} s")
    for clients, results in loops.items():
        row(f"whole issuances, {clients} client{'s' if clients > 1 else ''} (new connection, order, http-01, finalize, download)",
            f"{median(r['per_second'] for r in results):.0f} per second; one takes {median(r['median_ms'] for r in results):.1f} ms (median), {median(r['p99_ms'] for r in results):.1f} ms (p99)")
    for program, text in PROGRAMS:
        row(f"CPU time per certificate, {text}", f"{median(r['cpu_ms'][program] for r in loops[32]):.2f} ms")
    for program, text in PROGRAMS:
        row(f"memory at idle, {text}", f"{idle[program]:.0f} MiB (after the loops {busy[program]:.0f} MiB)")


if __name__ == "__main__":
    main()
