"""tree: what the checks of this folder share: the project's files, its compile commands, how problems are told."""
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.environ.get("CERTMILL_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CERTMILL_BUILD") or os.path.join(ROOT, "build", "release")
FOLDERS = ("proto", "cluster", "store", "signer", "api", "bench")


def files(*endings, root=ROOT):
    """The project's files, tracked or new but not ignored, relative to its root; only those with one of the endings."""
    try:
        out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, check=True,
                             capture_output=True, text=True).stdout
        names = [n for n in out.split("\0") if n]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, not a checkout
        names = list(walk(root))
    return sorted(n for n in set(names) if (not endings or n.endswith(endings)) and os.path.isfile(os.path.join(root, n)))


def walk(root):
    for folder, folders, names in os.walk(root):
        if folder == root:
            folders[:] = [f for f in folders if f not in ("build", ".deps", ".git")]
        for n in names:
            yield os.path.relpath(os.path.join(folder, n), root)


def read(name, root=ROOT):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def compile_commands(build=BUILD):
    """One (source, directory, arguments) for each C file of ours that the build compiles; generated code is left out."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    for entry in entries:
        source = os.path.relpath(entry["file"], ROOT)
        if source.endswith(".c") and not source.startswith(("build/", "..", ".deps/")):
            yield source, entry["directory"], entry["command"].split()


def search_flags(arguments):
    """Of a compile command: where headers are found, what is defined, and the language."""
    flags, it = [], iter(arguments)
    for a in it:
        if a in ("-I", "-isystem"):
            flags += [a, next(it)]
        elif re.match(r"-I|-isystem|-D|-std=", a) and not a.startswith("-D_FORTIFY"):
            flags.append(a.replace('\\"', '"'))
    return flags


def each(work, items):
    """work(item) for every item on all processors; the answers in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def tell(what, looked_at, problems):
    """Prints the problems and ends the check. To have looked at nothing is a problem too."""
    for p in problems:
        print(p)
    if looked_at == 0:
        problems = ["nothing"]
        print("there was nothing to look at")
    print(f"{what}: {looked_at} looked at, {len(problems)} problems")
    sys.exit(1 if problems else 0)


def skip(why):
    print(why)
    sys.exit(77)
