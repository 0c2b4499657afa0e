#!/usr/bin/env python3
"""headers: every header compiles alone, twice, with gcc and clang; opens by saying what it is; and no function goes unsaid."""
import re
import subprocess

import tree

STRICT = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-x", "c", "-"]
FUNCTION = re.compile(r"^(?!static\b|VEC_(?:INLINE|FAR)\b|typedef\b|#|//|\s|return\b)[A-Za-z_][\w\s*()]*?\b(\w+)\s*\(", re.M)


def compile_problems(header, flags, root=tree.ROOT):
    """Includes the header first and twice: it must stand alone and guard itself."""
    source = f'#include "{header}"\n#include "{header}"\n'
    found = []
    for compiler in ("gcc", "clang"):
        run = subprocess.run([compiler, *flags, *STRICT], input=source, cwd=root, capture_output=True, text=True)
        if run.returncode != 0:
            found.append(f"{header} does not compile alone with {compiler}:\n{run.stderr.strip()}")
    return found


def comment_problems(header, text):
    """A prototype is said when a comment names it (or its family: json_put_*), stands above it in its paragraph, or follows it."""
    found = [] if text.startswith(("//", "/*")) else [f"{header}:1: it does not open by saying what it is"]
    comments = " ".join(re.findall(r"//[^\n]*|/\*.*?\*/", text, re.S))
    families = tuple(re.findall(r"\b(\w+_)\*", comments))
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        for m in FUNCTION.finditer(paragraph):
            name = m.group(1)
            above = re.search(r"^//|\*/", paragraph[:m.start()], re.M)
            behind = re.match(r"[^;{]*;[ \t]*//", paragraph[m.end():])
            if not (above or behind or name.startswith(families or "!") or re.search(rf"\b{name}\b", comments)):
                found.append(f"{header}:{line + paragraph.count(chr(10), 0, m.start())}: no comment says what {name} does")
        line += paragraph.count("\n")
    return found


def main():
    by_folder = {}
    for source, _, arguments in tree.compile_commands():
        flags = tree.search_flags(arguments)
        folder = source.split("/")[0]
        by_folder[folder] = max(by_folder.get(folder, []), flags, key=len)
    headers = [h for h in tree.files(".h") if h.startswith(tuple(f + "/" for f in tree.FOLDERS))]
    longest = max(by_folder.values(), key=len)
    problems = [p for ps in tree.each(lambda h: compile_problems(h, by_folder.get(h.split("/")[0], longest)), headers) for p in ps]
    problems += [p for h in headers for p in comment_problems(h, tree.read(h))]
    tree.tell("headers", len(headers), problems)


if __name__ == "__main__":
    main()
