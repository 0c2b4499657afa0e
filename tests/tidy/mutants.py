#!/usr/bin/env python3
"""mutants: every row of tests/mutants/run.py still finds the rule that it takes out, and the tests that must fail without it. Whether they do, `python3 tests/mutants/run.py` says."""
import importlib.util
import os

import tree


def row_problems(row, text, tests):
    """What is wrong with one row; `text` is its file, `tests` the names of the store's tests."""
    name, file, there, instead, wanted = row
    if there not in text:
        return [f"{name}: {file} has no `{there}` any more"]
    if there == instead:
        return [f"{name}: nothing is taken out"]
    return [f"{name}: there is no store_{t}_test" for t in wanted if t not in tests]


def rows():
    spec = importlib.util.spec_from_file_location("mutants_run", os.path.join(tree.ROOT, "tests/mutants/run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROWS


def main():
    suffix = "_test.c"
    tests = {os.path.basename(n)[: -len(suffix)] for n in tree.files(suffix) if n.startswith("tests/unit/store/")}
    found = rows()
    tree.tell("rules", len(found), [p for r in found for p in row_problems(r, tree.read(r[1]), tests)])


if __name__ == "__main__":
    main()
