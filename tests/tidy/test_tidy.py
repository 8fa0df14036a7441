"""Each rule over the tree; and each rule shown to find the breach it is for, and to spare good code.

Runs alone (python3 tests/tidy/test_tidy.py) and under pytest.
"""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import tidy  # noqa: E402
from tree import Tree  # noqa: E402

_FAMILY = {rule.__name__.removeprefix("check_"): rule for rule in tidy.RULES}
_HEADER = "/* A thing. Threads: any. Layer: base. */\n#pragma once\n"


def _body(count):
    return "int hf_x_f(void)\n{\n" + "    hf_x_g();\n" * (count - 4) + "    return 0;\n}\n"


def _nested(levels):
    opening = "".join(f"{'    ' * (n + 1)}if (a > {n})\n" for n in range(levels))
    return f"static int f(int a)\n{{\n{opening}{'    ' * (levels + 1)}return 1;\n    return 0;\n}}\n"


# (rule, files that breach it, words its advice must hold), and the same files mended.
CASES = [
    ("columns", {"src/base/x.c": "/*" + "x" * 97 + "*/\n"}, "101 columns",
     {"src/base/x.c": "/*" + "x" * 96 + "*/\n"}),
    ("file_lines", {"src/base/x.c": "\n" * 601}, "601 lines", {"src/base/x.c": "\n" * 600}),
    ("function_lines", {"src/base/x.c": _body(71)}, "71 lines", {"src/base/x.c": _body(70)}),
    ("parameters", {"src/base/x.c": "static int f(int a, int b, int c, int d, int e, int (*g)(int, int), int h)\n{\n}\n"},
     "7 parameters", {"src/base/x.c": "static int f(int a, int b, int c, int d, int e, int (*g)(int, int))\n{\n}\n"}),
    ("nesting", {"src/base/x.c": _nested(4)}, "4 levels", {"src/base/x.c": _nested(3)}),
    ("nesting", {"src/base/x.c": "static void f(void)\n{\n    for (;;) {\n        switch (1) {\n        case 1:\n"
                 "            HF_LIST_EACH(a, b) {\n                do\n                    g();\n"
                 "                while (1);\n            }\n        }\n    }\n}\n"}, "4 levels",
     {"src/base/x.c": "static void f(void)\n{\n    if (1)\n        a();\n    else if (2)\n        b();\n"
      "    else if (3)\n        c();\n    else if (4)\n        d();\n    else\n        e();\n}\n"}),
    ("banned_calls", {"src/base/x.c": "static void f(void)\n{\n    strcpy(a, b);\n}\n"}, "strcpy: use",
     {"src/base/x.c": "static void f(void)\n{\n    /* strcpy(a) */ g(\"strcpy(a)\");\n    a->sleep(1);\n}\n"}),
    ("banned_calls", {"src/base/x.c": "#define F(x) \\\n    atoi(x)\n"}, "atoi: use", {"src/base/x.c": "#define F(x) (x)\n"}),
    ("banned_calls", {"tests/x.c": "int main(void)\n{\n    sleep(1);\n}\n"}, "deadline", {"tests/x.c": ""}),
    ("doors", {"src/net/x.c": "static void f(void)\n{\n    clock_gettime(1, &t);\n}\n"}, "src/base/clock.c",
     {"src/base/clock.c": "static void f(void)\n{\n    clock_gettime(1, &t);\n}\n"}),
    ("purity", {"src/proto/x.c": "#include <sys/socket.h>\n"}, "pure", {"src/net/x.c": "#include <sys/socket.h>\n"}),
    ("purity", {"src/proto/x.c": "static void *f(void)\n{\n    return malloc(1);\n}\n"}, "malloc in f",
     {"src/proto/x.c": "void *hf_x_new(void)\n{\n    return malloc(1);\n}\n"}),
    ("directives_in_functions", {"src/base/x.c": "static void f(void)\n{\n#ifdef A\n    g();\n#endif\n}\n"}, "inside f",
     {"src/base/x.c": "#ifdef A\nstatic void f(void)\n{\n#define ROW(x) x,\n#include \"x.def\"\n}\n#endif\n"}),
    ("include_guard", {"src/base/x.h": "/* A thing. */\n"}, "pragma once", {"src/base/x.h": _HEADER}),
    ("header_comment", {"src/base/x.h": "#pragma once\n"}, "open with", {"src/base/x.h": _HEADER}),
    ("header_comment", {"src/base/x.h": "/* A thing. Layer: base. */\nint hf_x_f(void);\n"}, "Threads:",
     {"src/base/x.h": "/* A thing. Layer: base. */\nstruct hf_x {\n    int (*f)(int);\n};\n"}),
    ("header_comment", {"src/base/x.h": "/* A thing. Threads: any. */\n"}, "Layer:", {"src/base/x.h": _HEADER}),
    ("typedefs", {"src/base/x.c": "typedef struct hf_x hf_x;\n"}, "function pointers",
     {"src/base/x.c": "typedef void (*hf_x_fn)(int a);\ntypedef int hf_y_fn(void);\n"}),
    ("owed_work", {"src/base/x.c": "/* one\n * TO" "DO: two */\n"}, "Known gaps", {"src/base/x.c": "int to_do;\n"}),
    ("layers", {"src/base/x.h": "", "src/net/y.h": "", "src/base/x.c": '#include "net/y.h"\n'}, "above base/",
     {"src/base/x.h": "", "src/net/y.c": '#include "base/x.h"\n'}),
    ("layers", {"src/admin/a.h": "", "src/proxy/x.c": '#include "admin/a.h"\n'}, "proxy/ never",
     {"src/admin/a.h": "", "src/cmd/x.c": '#include "admin/a.h"\n'}),
    ("layers", {"src/proxy/a.h": "", "src/admin/x.c": '#include "proxy/a.h"\n'}, "admin/ never",
     {"src/proxy/a.h": "", "src/proxy/x.c": '#include "proxy/a.h"\n#include "a.h"\n'}),
    ("layers", {"src/store/a.h": "", "src/proxy/x.c": '#include "store/a.h"\n'}, "proxy/ never",
     {"src/store/a.h": "", "src/agent/x.c": '#include "store/a.h"\n'}),
    ("layers", {"src/cmd/a.h": "", "src/proxy/x.c": '#include "cmd/a.h"\n'}, "nothing includes",
     {"src/cmd/a.h": "", "src/cmd/x.c": '#include "cmd/a.h"\n'}),
    ("layers", {"tests/a.h": "", "src/base/x.c": '#include "tests/a.h"\n'}, "nothing includes", {"tests/a.h": ""}),
    ("layers", {"src/proto/a.h": "", "src/net/x.c": '#include "proto/a.h"\n'}, "sibling",
     {"src/proto/a.h": "", "src/model/x.c": '#include "proto/a.h"\n'}),
    ("layers", {"src/base/a_internal.h": "", "src/net/x.c": '#include "base/a_internal.h"\n'}, "inside of base/",
     {"src/base/a_internal.h": "", "src/base/x.c": '#include "base/a_internal.h"\n'}),
    ("layers", {"src/affinity/cookie/a.h": "", "src/proxy/x.c": '#include "affinity/cookie/a.h"\n'}, "inside of",
     {"src/affinity/cookie/a.h": "", "src/affinity/x.c": '#include "affinity/cookie/a.h"\n'}),
    ("layers", {"src/new/a.h": "", "src/proxy/x.c": '#include "new/a.h"\n'}, "a layer", {"src/new/a.h": ""}),
    ("layers", {"src/base/x.c": '#include "stdio.h"\n'}, "<>", {"src/base/x.c": "#include <stdio.h>\n"}),
    ("unique_magics", {"src/a.h": "enum { HF_A_MAGIC = 0x10 };\n", "src/b.h": "#define HF_B_MAGIC 0x010u\n"}, "draw another",
     {"src/a.h": "enum { HF_A_MAGIC = 0x10 };\n", "src/b.h": "#define HF_B_MAGIC 0x11u\n"}),
    ("unique_magics", {"src/a.c": "int f(void)\n{\n    a->magic = 0x12;\n}\n"}, "name it",
     {"src/a.c": "int f(void)\n{\n    a->magic = 0;\n    b->magic = HF_B_MAGIC;\n}\n"}),
    ("names", {"src/base/x.h": "int hf_y_get(void);\n"}, "hf_y_get", {"src/base/x.h": "struct hf_y {\n};\nint hf_y_get(void);\n"}),
    ("names", {"src/base/x.h": "static inline int x_get(void)\n{\n    return 0;\n}\n"}, "x_get",
     {"src/base/x.h": "static inline int hf_x_get(void)\n{\n    return 0;\n}\n"}),
    ("names", {"src/base/x.c": "int hf_x_get(void)\n{\n}\n"}, "in no header",
     {"src/base/x.c": "int hf_x_get(void)\n{\n}\n", "src/base/x.h": "int hf_x_get(void);\n"}),
    ("recursion", {"src/proto/x.c": "static int a(int n)\n{\n    return b(n);\n}\nstatic int b(int n)\n{\n    return a(n);\n}\n"},
     "reaches itself", {"src/config/x.c": "static int a(int n)\n{\n    return a(n);\n}\n"}),
    ("recursion", {"src/proto/x.c": "static int a(int n)\n{\n    return a(n);\n}\n"}, "reaches itself",
     {"src/proto/x.c": "static int a(int n)\n{\n    return n->a(n) + n->a;\n}\n",
      "src/proto/y.c": "static int b(int n)\n{\n    return a(n);\n}\n"}),
    ("built", {"src/base/x.c": "", "src/base/meson.build": "files('yx.c')\n"}, "no meson.build",
     {"src/base/x.c": "", "src/base/meson.build": "files('y.c', 'x.c')\n"}),
    ("flags", {"meson.build": "'-Wshadow'\n"}, "-Wvla is missing", None),
    ("places", {"a.sh": "cd /ro" "ot/project\n"}, "one machine", {"a.sh": "cd tests/root/x; ls /var/lib/holdfast\n"}),
    ("places", {"package-lock.json": '"https://regis' 'try.npm' 'js.org/express"\n'}, "one machine", {"a": ""}),
    ("links", {"a.md": "see [b](b.md)\n"}, "no such file", {"a.md": "see [b](b.md) and [c](https://c)\n", "b.md": ""}),
    ("links", {"a.md": "see [b](#part-two)\n"}, "no such heading", {"a.md": "see [b](#part-two)\n\n# Part two\n"}),
    ("folders_named", {"src/base/x.c": "", "docs/ARCHITECTURE.md": "bass/\n"}, "src/base/",
     {"src/base/x.c": "", "docs/ARCHITECTURE.md": "base/\n"}),
    ("folders_named", {"src/base/x.c": ""}, "missing", {"docs/ARCHITECTURE.md": ""}),
    ("folders_named", {"src/base/y/x.c": "", "docs/ARCHITECTURE.md": "`base/` and other/base/y/\n"}, "src/base/y/",
     {"src/base/y/x.c": "", "src/base/z/x.c": "", "src/base/z/README.md": "", "docs/ARCHITECTURE.md": "`base/y/`\n"}),
    ("paths", {"a.md": "`base/y.c`\n", "src/base/x.c": ""}, "base/y.c",
     {"a.md": "`base/x.c`, `base/x`, `x.c`, `base/`, `other/y.c`, `x.c:f`\n", "src/base/x.c": "", "src/base/x.h": ""}),
    ("paths", {"a.md": "```\nbench/run --quick\n```\n"}, "bench/run", {"a.md": "bench/run, build/bench/x\n", "bench/run": ""}),
    ("paths", {"a.md": "`fuzz/c/TARGET/x`\n", "fuzz/c/a/y": ""}, "fuzz/c/",
     {"a.md": "`fuzz/c/TARGET/y` `fuzz/*/a/`\n", "fuzz/c/a/y": ""}),
    ("identifiers", {"a.md": "`HF_X_MAX`\n", "src/base/x.h": "HF_X_MIN\n"}, "HF_X_MAX",
     {"a.md": "`HF_X_MIN`, `hf_x_*`, `hf_<module>_get`\n", "src/base/x.h": "HF_X_MIN hf_x_get\n"}),
    ("targets", {"a.md": "`X=1 make tost`\n", "Makefile": "test: build\n"}, "make tost",
     {"a.md": "`make test`; we make do\n```\nmake asan  make tsan # make sure\n```\n",
      "Makefile": "test: build\nasan tsan: ## x\n"}),
    ("blanks", {"a.md": "\n@status@\n"}, "@status@", {"a.md": "write to a@b@c or @all of you@\n"}),
    ("documents_named", {"src/base/x.c": "/* docs/a.md */\n"}, "docs/a.md",
     {"src/base/x.c": "/* docs/a.md, 2 */\n", "docs/a.md": ""}),
    ("references", {"a.md": "`base/x.c:hf_x_get`\n", "src/base/x.c": "hf_x_got\n"}, "has no hf_x_get",
     {"a.md": "`base/x.c:hf_x_get`\n", "src/base/x.c": "hf_x_get\n"}),
    ("references", {"a.md": "`src/base/y.c:hf_x_get`\n"}, "no such file", {"a.md": "`base/y.c`\n"}),
    ("references", {"a.md": "`tests/test_x.py:test_y`\n", "tests/test_x.py": "def test_z():\n"}, "has no test_y",
     {"a.md": "`tests/test_x.py:test_y`\n", "tests/test_x.py": "def test_y():\n"}),
    ("keys_documented", {"src/config/a.c": '{.key = "rise", .x = 1},\n'}, "`rise` is not in",
     {"src/config/a.c": '{.key = "rise", .x = 1},\n', "docs/configuration.md": "`rise`\n"}),
    ("commands_documented", {"src/proto/x_commands.def": 'HF_X_ROW(GET, "get", 2)\n'}, "`GET` is not in",
     {"src/proto/x_commands.def": 'HF_X_ROW(GET, "get", 2)\n', "docs/agent-protocols.md": "`GET key`\n"}),
    ("headers_alone", {"src/base/x.h": "size_t hf_x_size(void);\n"}, "include what it uses",
     {"src/base/x.h": "#include <stddef.h>\nsize_t hf_x_size(void);\n"}),
    ("format", {"src/base/x.c": "int  x;\n"}, "make format", {"src/base/x.c": "int x;\n"}),
]


def _found(rule, files):
    with tempfile.TemporaryDirectory() as top:
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(top, name)) or top, exist_ok=True)
            with open(os.path.join(top, name), "w", encoding="utf-8") as file:
                file.write(text)
        return tidy.findings(Tree(top), _FAMILY[rule])


class RulesFindBreaches(unittest.TestCase):
    def test_every_rule_has_a_case(self):
        self.assertEqual(set(_FAMILY), {case[0] for case in CASES})

    def test_rule_zero_excuses_the_next_line_only(self):
        call = "static void f(void)\n{\n%s    sleep(1);\n}\n"
        self.assertFalse(_found("banned_calls", {"src/a.c": call % "    /* rule zero: a\n     * why */\n"}))
        self.assertTrue(_found("banned_calls", {"src/a.c": call % "    /* rule zero: a why */\n\n"}))
        self.assertTrue(_found("banned_calls", {"src/a.c": call % "    /* rule zero: */\n"}))


def _add_case(number, rule, bad, words, good):
    def test(self):
        found = _found(rule, bad)
        self.assertTrue(any(words in finding.advice for finding in found), found)
        self.assertTrue(all(finding.path for finding in found))
        if good is not None:
            self.assertEqual(_found(rule, good), [])

    setattr(RulesFindBreaches, f"test_{rule}_{number}", test)


class TheTreeIsTidy(unittest.TestCase):
    maxDiff = None
    tree = Tree(tidy.TOP)


def _add_rule(name, rule):
    def test(self):
        found = [f"{at.path}:{at.line}: {at.rule}: {at.advice}" for at in tidy.findings(self.tree, rule)]
        self.assertFalse(found, "\n" + "\n".join(found))

    setattr(TheTreeIsTidy, f"test_{name}", test)


for _number, _case in enumerate(CASES, 1):
    _add_case(_number, *_case)
for _name, _rule in _FAMILY.items():
    _add_rule(_name, _rule)

if __name__ == "__main__":
    unittest.main()
