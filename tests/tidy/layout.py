#!/usr/bin/env python3
"""layout: every C file is as clang-format would write it. scripts/format does so."""
import re
import subprocess

import tree

VERSION = "14"  # Debian 12's; another version lays some lines out in another way


def layout_problems(name, root=tree.ROOT):
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", name], cwd=root, capture_output=True, text=True)
    return [f"{run.stderr.splitlines()[0]}: scripts/format {name}"] if run.returncode != 0 else []


def main():
    version = re.search(r"version (\d+)", subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout).group(1)
    if version != VERSION:
        tree.skip(f"clang-format is {version} here; the layout is that of {VERSION}")
    names = tree.files(".c", ".h")
    tree.tell("files", len(names), [p for ps in tree.each(layout_problems, names) for p in ps])


if __name__ == "__main__":
    main()
