#!/usr/bin/env python3
"""docs: what the documents point at exists, and generated documents are what the programs print: docs.py CERTMILL CERTMILL_SIGNER."""
import os
import re
import subprocess
import sys

import tree

CASE = re.compile(r"`(tests/[\w/]+\.(?:c|py)): (\w+)`")
PLACE = re.compile(r"`((?:api|bench|cluster|docs|proto|scripts|signer|store|tests)/[\w./-]+)`")

PROGRAMS = ("certmill", "certmill-acme", "certmill-signer", "certmill-bench")
REQUIREMENTS, REQUIREMENT_COUNT = "docs/client-requirements.md", 60
FEATURES, FEATURE_COUNT, PEERS = "docs/features.md", 45, 10


def reference_problems(name, text, exists, read):
    """Cases of tests that are not in their file, and paths that are not there."""
    for path, case in CASE.findall(text):
        if not exists(path):
            yield f"{name}: {path} does not exist"
        elif not re.search(rf"\b{case}\(", read(path)):
            yield f"{name}: {path} has no {case}"
    for path in PLACE.findall(text):
        if not exists(path.rstrip("/")):
            yield f"{name}: {path} does not exist"


def requirement_problems(name, text, count):
    """Rows of a numbered table that are missing, out of order, or neither tested nor said to be absent."""
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|$", text, re.MULTILINE)
    if [int(n) for n, _, _ in rows] != list(range(1, count + 1)):
        yield f"{name} does not have the rows 1 to {count} in their order"
    for number, _, tests in rows:
        if not CASE.search(tests) and not tests.strip().startswith("not here yet"):
            yield f"{name}: row {number} names no test"


def feature_problems(name, text, count, peers):
    """Rows of the comparison that are missing, that have a cell too many or too few, or whose own cell names neither a test nor a reason."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    if len(rows) != count:
        yield f"{name} has {len(rows)} rows, not {count}"
    for cells in rows:
        feature, own = cells[0].strip(), cells[1].strip() if len(cells) > 1 else ""
        if len(cells) != peers + 2:
            yield f"{name}: {feature}: {len(cells)} cells, not {peers + 2}"
        elif not CASE.search(own) and not re.match(r"(?:no, by decision|not yet): \S", own):
            yield f"{name}: {feature}: our cell names no test and no reason"
        elif re.match(r"yes|part", own) and not CASE.search(own):
            yield f"{name}: {feature}: a yes without a test"


def generated_problems(name, programs):
    parts = [subprocess.run([p, "config", "reference"], check=True, capture_output=True, text=True).stdout for p in programs]
    if tree.read(name) != "\n".join(parts):
        yield f"{name} is not what the programs print: run scripts/docs"


def openapi_problems(name, program):
    if tree.read(name) != subprocess.run([program, "openapi"], check=True, capture_output=True, text=True).stdout:
        yield f"{name} is not what {os.path.basename(program)} prints: run scripts/docs"


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) - {"--help"}


def table_options(section):
    """The options that a section's tables have rows for."""
    return options_in("\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| ")))


def commands_in(program, text):
    """The commands that a program's own --help names."""
    return set(re.findall(r"^  ([a-z0-9-]+) {2,}\w", text, re.MULTILINE)) | set(re.findall(rf"^(?:usage:| +) *{program} ([a-z0-9][a-z0-9-]*)(?![\w-])", text, re.MULTILINE))


def page_problems(program, page, help_of):
    """A program's page and what the program says: help_of() is its own --help, help_of(command) that of a command."""
    name = f"docs/{program}.md"
    for heading in ("Name", "Synopsis", "Options", "Exit status", "See also"):
        if f"\n## {heading}\n" not in page:
            yield f"{name} has no section {heading}"
    own = help_of()
    sections = dict(re.findall(rf"^### {program} ([a-z0-9][a-z0-9-]*)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    for command in sorted(commands_in(program, own) ^ set(sections)):
        yield f"{name} and --help do not both have the command {command}"
    for command, section in sections.items():
        text = help_of(command)
        # A command that becomes another program is told of there.
        other = re.match(r"usage: ([\w-]+)", text).group(1)
        if other != program:
            if f"docs/{other}.md" not in section:
                yield f"{name}: {command} does not lead to docs/{other}.md"
            continue
        said = options_in(text) if text != own else set()  # a command without a help of its own
        for option in sorted(said ^ table_options(section)):
            yield f"{name}: {command} and its --help do not both have {option}"
    options = re.search(r"\n## Options\n(.*?)(?=\n## |\Z)", page, re.DOTALL)
    usage = re.search(rf"usage: {program} (--.*)", own)
    wanted = (options_in(usage.group(1)) if usage else set()) | {"--version"}
    for option in sorted(wanted ^ table_options(options.group(1) if options else "")):
        yield f"{name}: Options and --help do not both have {option}"


def environment_problems(pages, sources):
    """Variables that a source reads and no page names, and the reverse."""
    read = set(re.findall(r'\bgetenv\("(\w+)"\)', "\n".join(sources)))
    named = set()
    for page in pages:
        section = re.search(r"\n## Environment\n(.*?)(?=\n## |\Z)", page, re.DOTALL)
        for line in (section.group(1) if section else "").splitlines():
            named |= set(re.findall(r"`([A-Z_]+)`", line.split("|")[1])) if line.startswith("| ") else set()
    for name in sorted(read ^ named):
        yield f"docs: the environment variable {name} is {'not on a page' if name in read else 'on a page, but nothing reads it'}"


def help_by(path):
    def help_of(*command):
        texts = []
        # `journal` has commands of its own, each with the same first word.
        for words in ([["journal", "dump"], ["journal", "archive"]] if command == ("journal",) else [list(command)]):
            done = subprocess.run([path, *words, "--help"], capture_output=True, text=True)
            texts.append(done.stdout if done.returncode == 0 else "usage: (its --help fails)")
        return "\n".join(texts)

    return help_of


def programs_problems(folder):
    pages = []
    for program in PROGRAMS:
        pages.append(tree.read(f"docs/{program}.md"))
        yield from page_problems(program, pages[-1], help_by(os.path.join(folder, program)))
    sources = [tree.read(n) for n in tree.files(".c") if n.split("/")[0] in tree.FOLDERS]
    yield from environment_problems(pages, sources)


def folder_problems(names):
    """Every folder of the top level has its README."""
    for folder in sorted({n.split("/")[0] for n in names if "/" in n and not n.startswith(".")}):
        if f"{folder}/README.md" not in names:
            yield f"{folder}/README.md does not exist"


def main():
    names = [n for n in tree.files(".md")]
    problems = [p for n in names for p in reference_problems(n, tree.read(n), lambda q: os.path.exists(os.path.join(tree.ROOT, q)), tree.read)]
    problems += requirement_problems(REQUIREMENTS, tree.read(REQUIREMENTS), REQUIREMENT_COUNT)
    problems += feature_problems(FEATURES, tree.read(FEATURES), FEATURE_COUNT, PEERS)
    problems += generated_problems("docs/configuration.md", sys.argv[1:])
    problems += openapi_problems("docs/openapi.json", sys.argv[1])
    problems += programs_problems(os.path.dirname(sys.argv[1]))
    problems += folder_problems(tree.files())
    tree.tell("documents", len(names), problems)


if __name__ == "__main__":
    main()
