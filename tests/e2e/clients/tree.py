"""tree: one Debian suite's system tree (scripts/clients), entered by one client: a layer of its own above the tree, its own mounts and
processes, the network of the test."""
import os
import selectors
import shutil
import subprocess
import time

TREES = os.path.join(os.environ["CERTMILL_DEPS"], "clients")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# $1 tree, $2 folder of this client. Whatever is written in the tree is written into the folder; every process ends with the first.
ENTER = """
set -eu
mkdir -p "$2"/upper "$2"/overlay "$2"/merged
mount -t overlay overlay -o lowerdir="$1",upperdir="$2"/upper,workdir="$2"/overlay"$3" "$2"/merged
mount --rbind /dev "$2"/merged/dev
mount -t proc proc "$2"/merged/proc
mkdir -p "$2"/steps "$2"/merged/root "$2"/merged/steps
mount --bind "$2"/steps "$2"/merged/steps
shift 3
for bound in "$@"; do mkdir -p "$MERGED/${bound#*:}"; mount --bind "${bound%%:*}" "$MERGED/${bound#*:}"; done
exec $AS_USER chroot "$MERGED" env -i HOME=/root LANG=C.UTF-8 PATH="$TREE_PATH" bash
"""


def stamp(suite, client, kind):
    """What scripts/clients has written down of a client: its `version`, or why it is `missing`; None where there is nothing."""
    try:
        with open(os.path.join(TREES, "stamp", f"{suite}-{client}.{kind}"), encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return None


class StepFailed(AssertionError):
    pass


class Tree:
    """The tree of `suite`, with `files` (path: text) written and `binds` (folder outside: path inside) mounted."""

    def __init__(self, suite, folder, files, binds, user=0):
        os.makedirs(folder)
        self.folder, self.steps = folder, 0
        root = os.getuid() == 0
        # Started by a user there is only this one, who is root in the tree unless the client needs to be another.
        as_user = f"unshare --user --map-user={user} --map-group={user} --keep-caps" if user and not root else ""
        command = ["unshare"] + ([] if root else ["--map-root-user"]) + ["--mount", "--pid", "--fork", "--kill-child", "bash", "-c", ENTER, "enter",
                   os.path.join(TREES, suite), folder, "" if root else ",userxattr"] + [f"{outside}:{inside}" for outside, inside in binds.items()]
        with open(os.path.join(folder, "enter.err"), "w", encoding="utf-8") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=dict(os.environ, MERGED=os.path.join(folder, "merged"), TREE_PATH=PATH, AS_USER=as_user))
        for path, text in files.items():
            self.write(path, text)

    def write(self, path, text):
        """A file of the tree, made anew; its folder, too."""
        name = f"file-{self.steps}"
        with open(self.step_path(name, make=True), "w", encoding="utf-8") as f:
            f.write(text)
        self.run(f'mkdir -p "$(dirname {path})"; cp /steps/{name} {path}')

    def step_path(self, name, make=False):
        folder = os.path.join(self.folder, "steps")
        if make:
            os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def run(self, text, seconds=60):
        """Runs `text` with bash in the tree, as an operator would paste it; returns all its output. Fails when a command of it does, or when it takes longer."""
        self.steps += 1
        script, out = f"step-{self.steps}.sh", f"step-{self.steps}.out"
        with open(self.step_path(script, make=True), "w", encoding="utf-8") as f:
            f.write("set -euo pipefail; cd /root\n" + text)
        answer = self.ask(f"bash /steps/{script} </dev/null >/steps/{out} 2>&1; echo $?\n", seconds)
        try:
            with open(self.step_path(out), encoding="utf-8", errors="replace") as f:
                said = f.read()
        except OSError:
            said = ""
        if answer != "0":
            with open(os.path.join(self.folder, "enter.err"), encoding="utf-8") as f:
                said += f.read()
            raise StepFailed(f"{text}\n{said}\n({'exit code ' + answer if answer else f'not done after {seconds} s'})")
        return said

    def ask(self, line, seconds):
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return "1 (the tree could not be entered)"
        with selectors.DefaultSelector() as s:
            s.register(self.process.stdout, selectors.EVENT_READ)
            deadline, answer = time.monotonic() + seconds, b""
            while not answer.endswith(b"\n") and s.select(max(deadline - time.monotonic(), 0)):
                piece = os.read(self.process.stdout.fileno(), 100)
                if not piece:
                    return "1 (the tree was left)"
                answer += piece
        return answer.decode().strip() if answer.endswith(b"\n") else ""

    def read(self, path):
        """A file of the tree as it is now, or None."""
        try:
            return self.run(f"cat {path}")
        except StepFailed:
            return None

    def close(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()
        # The kernel's own folder there is closed to everybody, which only root passes over.
        inner = os.path.join(self.folder, "overlay", "work")
        if os.path.isdir(inner):
            os.chmod(inner, 0o700)
        shutil.rmtree(self.folder, ignore_errors=True)
