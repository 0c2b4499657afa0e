#!/usr/bin/env python3
"""rows: every metric and every event that is declared in a .def file is written somewhere: nothing is shown that nobody counts."""
import os
import re

import tree

ROW = re.compile(r"^X\((\w+)", re.M)


def row_problems(name, text, used):
    """Rows of metrics.def or events.def that no source uses."""
    prefix = "METRIC_" if name.endswith("metrics.def") else "EVENT_"
    return [f"{name}: {row} is declared, but never written" for row in ROW.findall(text) if prefix + row not in used]


def main():
    names = [n for n in tree.files(".def") if os.path.basename(n) in ("metrics.def", "events.def")]
    used = {word for n in tree.files(".c") if n.startswith(tree.FOLDERS) for word in re.findall(r"\b(?:METRIC|EVENT)_\w+", tree.read(n))}
    tree.tell("tables", len(names), [p for n in names for p in row_problems(n, tree.read(n), used)])


if __name__ == "__main__":
    main()
