#!/usr/bin/env python3
"""self_test: each check of this folder finds what it is there to find: a small broken input per rule, and its whole twin."""
import os
import subprocess
import sys
import tempfile
import unittest

import directions
import docs
import hardening
import headers
import layout
import mutants
import places
import rows
import spec
import symbols
import tree


class Directions(unittest.TestCase):
    REFUSED = [
        ("proto/base/buf.c", '"cluster/core/op.h"', "must not see"),
        ("proto/base/buf.c", '"proto/text/json.h"', "must not see"),
        ("proto/text/json.c", '"proto/der/der.h"', "must not see"),
        ("proto/jose/jws.c", '"proto/http/http.h"', "must not see"),
        ("proto/der/csr.c", '"proto/jose/jwk.h"', "must not see"),
        ("cluster/core/conn.c", '"cluster/rpc/call.h"', "must not see"),
        ("cluster/rpc/call.c", '"cluster/node/member.h"', "must not see"),
        ("cluster/core/conn.c", '"store/store.h"', "must not see"),
        ("store/batch.c", '"signer/client.h"', "must not see"),
        ("store/batch.c", '"api/edge.h"', "must not see"),
        ("signer/engine.c", '"store/store.h"', "must not see"),
        ("signer/engine.c", '"api/edge.h"', "must not see"),
        ("api/edge.c", '"signer/keystore.h"', "must not see"),
        ("api/acme/order.c", '"api/validate/validate.h"', "must not see"),
        ("api/jobs/reaper.c", '"api/acme/order_step.h"', "must not see"),
        ("api/validate/http01.c", '"api/jobs/retention.h"', "must not see"),
        ("api/edge.c", '"bench/load/run.h"', "must not see"),
        ("store/batch.c", '"tests/unit/unit.h"', "must not see"),
        ("api/acme/order.c", '"store/internal.h"', "for its own folder"),
        ("proto/jose/jws.c", '"proto/der/internal.h"', "for its own folder"),
        ("store/batch.c", '"pg.h"', "not named from the root"),
        ("store/batch.c", "<liburing.h>", "only cluster"),
        ("signer/engine.c", "<pthread.h>", "only cluster"),
        ("api/main.c", "<libpq-fe.h>", "only store"),
        ("signer/main.c", "<postgresql/libpq-fe.h>", "only store"),
    ]
    ALLOWED = [
        ("proto/der/csr.c", '"proto/der/internal.h"'),
        ("proto/jose/jws.c", '"proto/der/key.h"'),
        ("proto/base/buf.c", '"proto/err.h"'),
        ("proto/base/buf.c", "<string.h>"),
        ("cluster/rpc/call.c", '"cluster/core/dial.h"'),
        ("store/batch.c", '"cluster/core/shard.h"'),
        ("signer/engine.c", '"proto/rpc/signer.pb-c.h"'),
        ("api/acme/order.c", '"api/edge.h"'),
        ("api/acme/finalize.c", '"signer/client.h"'),
        ("api/main.c", '"api/jobs/reaper.h"'),
        ("store/pg.c", "<postgresql/libpq-fe.h>"),
        ("bench/load/run.c", '"api/edge.h"'),
        ("tests/unit/signer/tbs_test.c", '"signer/internal.h"'),
    ]

    def test_refuses(self):
        for path, included, why in self.REFUSED:
            with self.subTest(path=path, included=included):
                found = directions.file_problems(path, f"// a file\n\n#include {included}\n")
                self.assertEqual(len(found), 1)
                self.assertIn(why, found[0])
                self.assertTrue(found[0].startswith(f"{path}:3:"), found[0])

    def test_allows(self):
        for path, included in self.ALLOWED:
            with self.subTest(path=path, included=included):
                self.assertEqual(directions.file_problems(path, f"#include {included}\n"), [])

    def test_sayings(self):
        self.assertTrue(directions.file_problems("api/acme/order.c", 'x = "SELECT id FROM orders";'))
        self.assertFalse(directions.file_problems("store/order.c", 'x = "SELECT id FROM orders";'))
        self.assertTrue(directions.file_problems("store/batch.c", "static _Atomic int n;"))
        self.assertFalse(directions.file_problems("store/batch.c", "// no _Atomic here"))
        self.assertFalse(directions.file_problems("cluster/core/mailbox.c", "static _Atomic int n;"))


class Symbols(unittest.TestCase):
    def archive(self, folder, code, *flags):
        source, obj, archive = (os.path.join(folder, n) for n in ("x.c", "x.o", "libx.a"))
        with open(source, "w", encoding="utf-8") as f:
            f.write(code)
        subprocess.run(["gcc", "-O2", *flags, "-c", source, "-o", obj], check=True)
        subprocess.run(["gcc-ar", "rcs", archive, obj], check=True)
        return archive

    def test_library(self):
        code = "int {0}(int, ...); int f(int a);\nint f(int a) {{ return {0}(a); }}\n"
        for name, symbol, refused in [
            ("proto", "socket", True), ("proto", "clock_gettime", True), ("proto", "open64", True), ("proto", "epoll_wait", True),
            ("proto", "pthread_create", True), ("proto", "io_uring_queue_init", True), ("proto", "BIO_new_file", True),
            ("proto", "json_parse", False), ("cluster", "io_uring_queue_init", False), ("cluster", "PQconnectStart", True),
            ("store", "PQconnectStart", False), ("store", "pthread_create", True), ("signer_core", "PQexec", True),
            ("signer_core", "io_uring_queue_init", True), ("signer_core", "keystore_open", False),
            ("signer_client", "keystore_open", True), ("api", "PQexec", True), ("api", "engine_sign", True), ("api", "store_new", False),
        ]:
            for flags in ((), ("-flto",)):
                with self.subTest(name=name, symbol=symbol, flags=flags), tempfile.TemporaryDirectory() as folder:
                    found = symbols.library_problems(name, self.archive(folder, code.format(symbol), *flags))
                    self.assertEqual(bool(found), refused, found)
        self.assertTrue(symbols.library_problems("unheard_of", ""))

    def test_program(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "p.so")
            source = "void SSL_new(void); void SSL_new(void) {} void other(void); void other(void) {}"
            subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=source, text=True, check=True)
            self.assertEqual(len(symbols.program_problems("certmill-acme", path)), 1)


class Headers(unittest.TestCase):
    def test_compiles_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            for text, fine in [("#pragma once\nstruct a { int x; };\n", True), ("#pragma once\nuint8_t x(void);\n", False),
                               ("struct a { int x; };\n", False)]:
                with open(os.path.join(folder, "x.h"), "w", encoding="utf-8") as f:
                    f.write(text)
                self.assertEqual(not headers.compile_problems("x.h", ["-I", folder], folder), fine, text)

    def test_comments(self):
        for text, fine in [
            ("// x: a thing.\n#pragma once\n\n// x_new makes one.\nint x_new(void);\nvoid x_free(int);\n", True),
            ("// x: a thing. x_new makes one.\n#pragma once\n\nint x_new(void);\n", True),
            ("// x: a thing; x_is_* say what it is.\n\nint x_is_one(int);\nint x_is_two(int);\n", True),
            ("// x: a thing.\n\nint x_new(void); // makes one\n", True),
            ("// x: a thing.\n\nstatic inline int x_new(void) { return 1; }\n", True),
            ("// x: a thing.\n#pragma once\n\nint x_new(void);\n", False),
            ("// x: a thing.\n#pragma once\n\nint x_new(void);\n// x_free frees it.\nvoid x_free(int);\n", False),
            ("#pragma once\n", False),
        ]:
            self.assertEqual(not headers.comment_problems("x.h", text), fine, text)


class Files(unittest.TestCase):
    def test_places(self):
        self.assertTrue(places.place_problems("x", f"see {tree.ROOT}/build") or tree.ROOT in places.COMMON)
        self.assertTrue(places.place_problems("x", "https://registry" + ".example/x"))
        self.assertTrue(places.place_problems("x", "/home/" + "someone/x"))
        self.assertFalse(places.place_problems("x", "https://www.rfc-editor.org/ and ./build/release"))

    @unittest.skipUnless(b"version 14." in subprocess.run(["clang-format", "--version"], capture_output=True).stdout, "clang-format 14")
    def test_layout(self):
        with tempfile.TemporaryDirectory() as folder:
            for text, fine in [("int a;\n", True), ("int   a ;\n", False)]:
                with open(os.path.join(folder, "x.c"), "w", encoding="utf-8") as f:
                    f.write(text)
                self.assertEqual(not layout.layout_problems("x.c", folder), fine)

    def test_files(self):
        self.assertIn("CMakeLists.txt", tree.files(".txt"))
        self.assertEqual(list(tree.walk(os.path.join(tree.ROOT, "tests", "tidy"))).count("tree.py"), 1)


class Docs(unittest.TestCase):
    def test_references(self):
        def problems(text):
            return list(docs.reference_problems("a.md", text, lambda p: p == "tests/unit/a_test.c", lambda p: "static void works(void **state)"))

        self.assertEqual(problems("`tests/unit/a_test.c: works`, `tests/unit/a_test.c`"), [])
        for text, want in (("`tests/unit/a_test.c: fails`", "has no fails"), ("`tests/unit/b_test.c: works`", "does not exist"), ("`api/nothing.c`", "does not exist")):
            self.assertTrue(any(want in p for p in problems(text)), text)

    def test_pages(self):
        own = "usage: p --config FILE\n       p make --dir DIR\n       p check2 FILE\n"
        helps = {(): own, ("make",): "usage: p make --dir DIR [--fast]\n", ("check2",): own}
        page = ("# p\n\n## Name\n\n## Synopsis\n\n## Commands\n\n### p make\n\n| `--dir DIR` | x |\n| `--fast` | not --slow |\n\n### p check2\n\nx\n\n"
                "## Options\n\n| `--config FILE` | x |\n| `--version` | x |\n\n## Exit status\n\n## See also\n")

        def problems(text, **changed):
            return list(docs.page_problems("p", text, lambda *c: {**helps, **changed}.get(c, "usage: p\n")))

        self.assertEqual(problems(page), [])
        for old, new, want in (("## Name", "## Names", "no section Name"), ("### p check2", "### p cheque", "both have the command check2"), ("| `--fast`", "| `--quick`", "make and its --help do not both have --fast"),
                               ("| `--config FILE`", "| `--configuration FILE`", "Options and --help do not both have --config"), ("| `--version` | x |\n", "", "both have --version")):
            self.assertTrue(any(want in p for p in problems(page.replace(old, new))), (old, problems(page.replace(old, new))))

    def test_environment(self):
        page = "# p\n\n## Environment\n\n| `HOME`, `PATH` | x |\n\n## See also\n"
        source = 'getenv("HOME"); getenv("PATH")'
        self.assertEqual(list(docs.environment_problems([page], [source])), [])
        self.assertIn("not on a page", str(list(docs.environment_problems([page], [source + 'getenv("SECRET")']))))
        self.assertIn("nothing reads it", str(list(docs.environment_problems([page], ['getenv("HOME")']))))

    def test_folders(self):
        self.assertEqual(list(docs.folder_problems(["a/README.md", "a/b/c.c", "README.md", ".ci/run"])), [])
        self.assertEqual(len(list(docs.folder_problems(["a/b/c.c"]))), 1)

    def test_requirements(self):
        def problems(text):
            return list(docs.requirement_problems("a.md", text, 2))

        one, two = "| 1 | a | `tests/unit/a_test.c: works` |\n", "| 2 | b | not here yet |\n"
        self.assertEqual(problems("| | need | tests |\n|---|---|---|\n" + one + two), [])
        for text, want in ((one, "rows 1 to 2"), (two + one, "in their order"), (one + two + two, "rows 1 to 2"), (one + "| 2 | b | soon |\n", "row 2 names no test")):
            self.assertTrue(any(want in p for p in problems(text)), text)


    def test_features(self):
        def problems(text):
            return list(docs.feature_problems("a.md", text, 3, 2))

        rows = ["| a | yes: `tests/unit/a_test.c: works` | no | yes, but |\n", "| b | no, by decision: it is not wanted | yes |  |\n", "| c | not yet: soon | no | no |\n"]
        head = "| | ours | theirs | others |\n|---|---|---|---|\n"
        self.assertEqual(problems(head + "".join(rows)), [])
        for old, new, want in (("yes: `tests/unit/a_test.c: works`", "yes", "names no test"), ("no, by decision: it is not wanted", "no", "names no test"), ("not yet: soon", "not yet:", "names no test"), ("| no | no |", "| no |", "c: 3 cells, not 4"), (rows[1], "", "2 rows, not 3")):
            self.assertTrue(any(want in p for p in problems(head + "".join(rows).replace(old, new))), (old, new))


class Rows(unittest.TestCase):
    def test_mutants(self):
        row = ("orders wait", "store/a.c", "FOR UPDATE", "", ["rules"])
        self.assertEqual(mutants.row_problems(row, "SELECT FOR UPDATE", {"rules"}), [])
        for text, tests, want in (("SELECT FOR SHARE", {"rules"}, "has no `FOR UPDATE` any more"), ("SELECT FOR UPDATE", {"store"}, "there is no store_rules_test")):
            self.assertTrue(any(want in p for p in mutants.row_problems(row, text, tests)), want)
        self.assertIn("nothing is taken out", mutants.row_problems((*row[:3], row[2], row[4]), "FOR UPDATE", {"rules"})[0])

    def test_rows(self):
        text = "// X(ident, ...)\nX(A, 1)\nX(B, 2)\n"
        self.assertEqual(rows.row_problems("api/metrics.def", text, {"METRIC_A", "METRIC_B"}), [])
        self.assertEqual(rows.row_problems("api/events.def", text, {"EVENT_A", "METRIC_B"}), ["api/events.def: B is declared, but never written"])


class Spec(unittest.TestCase):
    GOOD = ("# RFC 1\n\n6.2  Title\n  1234-6.2-01  it is so\n      code  api/a.c:a_do\n      test  tests/unit/a_test.c::does tests/spec/x.py::works\n  client  2\n  1234-6.2-03a  one\n      absent  not yet\n"
            "  1234-6.2-03b  other\n      code  api/a.def:a_row\n      test  tests/spec/x.py::works\n")
    FILES = {"api/a.c": "static bool a_do(int x)\n{\n", "api/a.def": 'X("a", NONE, a_row)\n', "tests/unit/a_test.c": "static void does(void **state)\n cmocka_unit_test(does),\nstatic void idle(void **state)\n",
             "tests/spec/x.py": "def works(dev, ctx):\n    pass\n\n\ndef idle(dev):\n    pass\n"}

    def problems(self, text):
        f = spec.File("tests/spec/rfc1234.rows", text)
        return f.problems + list(spec.count_problems(f, {"6.2": 3})) + list(spec.row_problems(f, self.FILES.__contains__, self.FILES.__getitem__))

    def test_good(self):
        self.assertEqual(self.problems(self.GOOD), [])

    def test_each(self):
        for old, new, want in (("      code  api/a.c:a_do\n", "", "names no code"), ("      test  tests/unit/a_test.c::does tests/spec/x.py::works\n  client", "  client", "names no test"), ("a.c:a_do", "a.c:b_do", "api/a.c has no b_do"), ("api/a.c", "api/b.c", "api/b.c does not exist"),
                               ("::does", "::did", "has no did"), ("::does", "::idle", "has no idle"), ("x.py::works\n  client", "x.py::idle\n  client", "has no idle"), ("  client  2\n", "", "sentence 2 of section 6.2 is missing"), ("client  2", "client  2 3", "sentence 3 of section 6.2 is there twice"),
                               ("client  2", "client  2 4", "has 3 sentences, not 4"), ("03b", "03a", "1234-6.2-03a is there twice"), ("6.2-01", "6.2-03", "sentence 1 of section 6.2 is missing"), ("6.2  Title", "6.3  Title", "cannot be read"), ("absent", "absence", "cannot be read"),
                               ("6.2-03b", "6.2-02b", "not in their order"), ("1234-6.2-01", "1235-6.2-01", "cannot be read"), ("a.def:a_row", "a.def:a_ro", "has no a_ro"), ("      absent  not yet\n", "      absent  not yet\n      code  api/a.c:a_do\n", "is absent and has code")):
            self.assertIn(old, self.GOOD)
            self.assertTrue(any(want in p for p in self.problems(self.GOOD.replace(old, new, 1))), (old, new, self.problems(self.GOOD.replace(old, new, 1))))
        threats = "A  Requests\n  T01  a\n      absent  x\n  T02  b\n      absent  y\n"
        for text, count in ((threats, 0), (threats.replace("T02", "T03"), 1), (threats.replace("T02", "T01"), 1), (threats + "  client  1\n", 1)):
            self.assertEqual(len(list(spec.threat_problems(spec.File("tests/spec/threats.rows", text), 2))), count, text)
        self.assertTrue(any("no normative sentence" in p for p in self.problems(self.GOOD + "9  X\n  client  1\n")))


class Hardening(unittest.TestCase):
    def test_baseline(self):
        for source, flag, fine in [("store/batch.c", "-march=x86-64-v3", False), ("store/batch.c", "-mavx2", False),
                                   ("store/batch.c", "-O3", True), ("proto/p256/field_ifma.c", "-mavx512ifma", True), ("tests/unit/proto/p256/lanes.c", "-mavx512f", True),
                                   ("proto/p256/field_ifma.c", "-march=native", False)]:
            self.assertEqual(not hardening.baseline_problems(source, ["-c", flag]), fine, (source, flag))

    def test_each(self):
        source = '#include <stdio.h>\n#include <string.h>\nint main(int n, char **v) { char b[64]; strcpy(b, v[n - 1]); return puts(b); }'
        whole = ["-O2", "-fPIE", "-pie", "-Wl,-z,relro,-z,now,-z,noexecstack", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong",
                 "-fcf-protection=full"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "p")
            for change, problems in [([], 0), (["-fno-stack-protector"], 1), (["-U_FORTIFY_SOURCE"], 1), (["-Wl,-z,lazy"], 1),
                                     (["-Wl,-z,execstack"], 1), (["-Wl,-z,norelro"], 1), (["-no-pie"], 1),
                                     (["-Wl,-rpath,/x"], 1)]:
                subprocess.run(["gcc", *whole, *change, "-x", "c", "-", "-o", path], input=source, text=True, check=True,
                               stderr=subprocess.DEVNULL)
                self.assertEqual(len(hardening.hardening_problems(path)), problems, (change, hardening.hardening_problems(path)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
