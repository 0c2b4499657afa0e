"""once: `certmill dev --once` from an empty folder, and again on the same one."""
import subprocess

from certmill import Dev, ENVIRON, shutil

dev = Dev(options=["--once"])
try:
    for run in ("first", "second"):
        out = subprocess.run(dev.command(), capture_output=True, text=True, timeout=100, env=ENVIRON)
        assert out.returncode == 0, out.stdout + out.stderr
        for part in ("names      once.internal.test", "subject    (empty)", "issuer     CN=certmill dev Issuing CA 1", "serial     07", "-----BEGIN CERTIFICATE-----", "issued in "):
            assert part in out.stdout, f"{run}: no {part!r} in:\n{out.stdout}"
    print("issued twice; " + out.stdout.strip().splitlines()[-1])
finally:
    shutil.rmtree(dev.dir, ignore_errors=True)
