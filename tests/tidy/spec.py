#!/usr/bin/env python3
"""spec: every requirement that an RFC makes of an ACME server is a row in tests/spec with the code and the test that carry it.

The form of a file is told in tests/spec/README.md. What is counted here was counted in the RFC's own text: sentences with MUST, SHALL or REQUIRED, per section. A row that is taken out, or a sentence
that nobody has judged, is a problem, and so is a row without code or test, or with one that does not exist."""
import os
import re

import tree

# Sentences with MUST, MUST NOT, SHALL, SHALL NOT or REQUIRED, by section. Sections that are not here have none.
SENTENCES = {
    "8555": {"3": 1, "5": 1, "6.1": 4, "6.2": 19, "6.3": 6, "6.4": 4, "6.4.1": 2, "6.5": 7, "6.5.1": 3, "6.5.2": 3, "6.6": 1, "6.7": 1, "6.7.1": 2, "7.1": 1, "7.1.1": 3, "7.1.2.1": 1, "7.1.3": 4, "7.1.4": 7, "7.2": 3, "7.3": 10,
             "7.3.1": 3, "7.3.2": 2, "7.3.3": 3, "7.3.4": 11, "7.3.5": 8, "7.3.6": 3, "7.4": 5, "7.4.1": 1, "7.5.1": 4, "7.5.2": 2, "7.6": 4, "8": 2, "8.1": 1, "8.2": 2, "8.3": 5, "8.4": 2, "9.1": 2, "11.1": 6, "11.4": 1},
    "8737": {"2": 1, "3": 12, "4": 3},
    "8738": {"2": 1, "3": 2, "4": 1, "5": 2, "6": 2, "7": 1},
    "9444": {"2": 1, "3": 2, "4.1": 1, "4.3": 1},
    "9773": {"2": 1, "3": 1, "4.1": 1, "4.2": 2, "4.3": 2, "4.3.2": 2, "4.3.3": 2, "5": 2},
}
THREATS = 37  # of tests/spec/threats.rows
ABSENT_MAX = 5

SECTION = re.compile(r"^(\d[\d.]*|[A-Z])  (\S.*)$")
THREAT = re.compile(r"^  (T(\d\d))  (\S.*)$")
ROW = re.compile(r"^  ((\d{4})-([\d.]+)-(\d\d)[a-z]?)  (\S.*)$")
FIELD = re.compile(r"^      (code|test|absent)  (\S.*)$")
OTHERS = re.compile(r"^  (client|terms|lead|author)  (\d+(?: \d+)*)(?:  \S.*)?$")


class File:
    """A .rows file: its rows, what binds no server, and what could not be read."""

    def __init__(self, name, text):
        self.name, self.rows, self.others, self.problems, section = name, [], {}, [], None
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if match := SECTION.match(line):
                section = match.group(1)
            elif (match := ROW.match(line)) and match.group(3) == section and f"rfc{match.group(2)}.rows" == os.path.basename(name):
                self.rows.append({"id": match.group(1), "section": section, "sentence": int(match.group(4)), "text": match.group(5), "code": [], "test": [], "absent": []})
            elif (match := THREAT.match(line)) and section:
                self.rows.append({"id": match.group(1), "section": section, "sentence": int(match.group(2)), "text": match.group(3), "code": [], "test": [], "absent": []})
            elif (match := FIELD.match(line)) and self.rows and self.rows[-1]["section"] == section:
                self.rows[-1][match.group(1)] += [match.group(2)] if match.group(1) == "absent" else match.group(2).split()
            elif (match := OTHERS.match(line)) and section:
                self.others.setdefault(section, []).extend(int(n) for n in match.group(2).split())
            else:
                self.problems.append(f"{name}:{number}: cannot be read: {line.strip()[:60]}")


def count_problems(f, sentences):
    """Sentences that are neither a row nor said to bind no server, or both; rows out of order or of the same number."""
    names = [r["id"] for r in f.rows]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{f.name}: {name} is there twice"
    for section in sorted({r["section"] for r in f.rows} | set(f.others)):
        if section not in sentences:
            yield f"{f.name}: section {section} has no normative sentence"
    for section, count in sentences.items():
        rows = [r["sentence"] for r in f.rows if r["section"] == section]
        others = f.others.get(section, [])
        if rows != sorted(rows):
            yield f"{f.name}: the rows of section {section} are not in their order"
        for n in range(1, count + 1):
            if (n in rows) == (n in others) or others.count(n) > 1:
                yield f"{f.name}: sentence {n} of section {section} is {'missing' if n not in rows + others else 'there twice'}"
        for n in sorted({n for n in rows + others if n > count}):
            yield f"{f.name}: section {section} has {count} sentences, not {n}"


def threat_problems(f, count):
    if [r["id"] for r in f.rows] != [f"T{n:02}" for n in range(1, count + 1)] or f.others:
        yield f"{f.name} does not have the rows T01 to T{count} in their order"


def code_exists(symbol, text):
    """A definition of that name: a function, a table, a row of a .def file, an object of a schema."""
    return re.search(rf"^[A-Za-z_][\w \*]*\b{symbol}(?:\(|\[| =)", text, re.M) or re.search(rf"^ *X\([^)]*\b{re.escape(symbol)}\b", text, re.M) or re.search(rf"^CREATE \w+ (?:\w+ )*{symbol}\b", text, re.M)


def test_exists(case, path, text):
    """A case that is defined and run: a cmocka case in its table, what a fuzzer calls, a function of a script that somebody calls or that is found by its name."""
    if path.startswith("tests/fuzz/"):
        return case == "LLVMFuzzerTestOneInput" and f"int {case}(" in text
    if path.endswith(".c"):
        return f"static void {case}(void **" in text and len(re.findall(rf"\b{case}\b", text)) > 1
    return re.search(rf"^def {case}\((dev, ctx\)|)", text, re.M) and (f"def {case}(dev, ctx)" in text or re.search(rf"^def r\d\d\(", text, re.M) and re.match(r"r\d\d$", case) or len(re.findall(rf"\b{case}\b", text)) > 1)


def row_problems(f, exists, read):
    for row in f.rows:
        if row["absent"]:
            if row["code"] or row["test"]:
                yield f"{f.name}: {row['id']} is absent and has code or a test"
            continue
        for kind in ("code", "test"):
            if not row[kind]:
                yield f"{f.name}: {row['id']} names no {kind}"
        for kind, separator, found in (("code", ":", lambda s, p, t: code_exists(s, t)), ("test", "::", test_exists)):
            for reference in row[kind]:
                path, _, symbol = reference.partition(separator)
                if not re.fullmatch(r"\w+", symbol):
                    yield f"{f.name}: {row['id']}: {reference} is not path{separator}name"
                elif not exists(path):
                    yield f"{f.name}: {row['id']}: {path} does not exist"
                elif not found(symbol, path, read(path)):
                    yield f"{f.name}: {row['id']}: {path} has no {symbol}"


def main():
    files = [File(f"tests/spec/rfc{rfc}.rows", tree.read(f"tests/spec/rfc{rfc}.rows")) for rfc in SENTENCES]
    there = lambda path: os.path.isfile(os.path.join(tree.ROOT, path))
    problems = [p for f in files for p in f.problems]
    for f, rfc in zip(files, SENTENCES):
        problems += [*count_problems(f, SENTENCES[rfc]), *row_problems(f, there, tree.read)]
        absent = [r for r in f.rows if r["absent"]]
        print(f"RFC {rfc}: {sum(SENTENCES[rfc].values())} sentences, {len(f.rows)} rows, {len(absent)} absent")
        for r in absent:
            print(f"  {r['id']}  {' '.join(r['absent'])}")
    threats = File("tests/spec/threats.rows", tree.read("tests/spec/threats.rows"))
    files.append(threats)
    problems += [*threats.problems, *threat_problems(threats, THREATS), *row_problems(threats, there, tree.read)]
    print(f"threats: {THREATS}, " + "; ".join(f"{r['id']} absent: {r['absent'][0]}" for r in threats.rows if r["absent"]))
    absent = sum(bool(r["absent"]) for f in files for r in f.rows)
    if absent > ABSENT_MAX:
        problems.append(f"{absent} rows are absent; at most {ABSENT_MAX} may be")
    tree.tell("rows", sum(len(f.rows) for f in files), problems)


if __name__ == "__main__":
    main()
