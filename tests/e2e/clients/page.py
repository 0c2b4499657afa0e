"""page: what docs/clients/NAME.md tells an operator to do, as steps that can be run."""
import os
import re

FOLDER = os.path.join(os.environ["CERTMILL_SOURCE_DIR"], "docs", "clients")
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


class Page:
    """Sections by heading; each is a list of (words, text): the text of a ```sh block, and the words behind `sh` that say for which Debian suites
    it is (none: for each). A block of another kind whose first line is `# /path` is a file to be written, and becomes the command that does so."""

    def __init__(self, name):
        with open(os.path.join(FOLDER, name + ".md"), encoding="utf-8") as f:
            parts = HEADING.split(f.read())
        self.sections = {title: [(words.split(), block_command(kind, text)) for kind, words, text in BLOCK.findall(body)] for title, body in zip(parts[1::2], parts[2::2])}

    def commands(self, title, suite):
        return [text for words, text in self.sections.get(title, []) if not words or suite in words]


def block_command(kind, text):
    if kind == "sh":
        return text
    path = re.match(r"# (/\S+)\n", text)
    assert path, f"a block that is neither ```sh nor begins with `# /path`:\n{text}"
    return f"mkdir -p \"$(dirname {path.group(1)})\"\ncat >{path.group(1)} <<'END-OF-FILE'\n{text}END-OF-FILE\n"
