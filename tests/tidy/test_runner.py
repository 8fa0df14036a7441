"""scripts/test-all counts honestly: whatever goes wrong ends as a failure, never as silence."""

import importlib.machinery
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml
from contextlib import redirect_stdout

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_LOADER = importlib.machinery.SourceFileLoader("test_all", os.path.join(_TOP, "scripts", "test-all"))
test_all = importlib.util.module_from_spec(importlib.util.spec_from_loader("test_all", _LOADER))
_LOADER.exec_module(test_all)

ENDED = """[==========] Running 3 test(s).
[ RUN      ] good
[       OK ] good
[  FAILED  ] bad
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] bad
"""
CRASHED = "[==========] Running 3 test(s).\n[       OK ] good\n[  PASSED  ] 1 test(s).\n"

# A suite whose pool of two has many commands that take a minute each, and say who they are.
POOL = """
import os, signal, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
from concurrent.futures import ThreadPoolExecutor
from test_runner import test_all

def suite(name):
    slow = ["sh", "-c", 'echo $$ >>"$0"; exec sleep 60', sys.argv[3]]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: test_all.run(name, slow), range(6)))
    return test_all.Outcome(1)

test_all.RESULTS, test_all.SUITES, test_all.NEEDS = sys.argv[2], {"slow": suite}, {}
signal.signal(signal.SIGINT, signal.default_int_handler)
test_all.end_on_term()
test_all.main([])
"""


def _lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return file.read().split()


def _program(text, result, returncode=0):
    outcome = test_all.Outcome()
    test_all._count_program(outcome, json.loads(json.dumps(
        {"name": "holdfast:unit / timer", "stdout": text, "result": result, "returncode": returncode})))
    return outcome


class UnitPrograms(unittest.TestCase):
    def test_each_test_of_a_program_counts(self):
        outcome = _program(ENDED, "FAIL", 1)
        self.assertEqual((outcome.passed, outcome.failures, outcome.skipped), (1, ["timer: bad"], 1))

    def test_a_crash_after_good_tests_is_one_failure_and_no_pass(self):
        outcome = _program(CRASHED, "FAIL", -11)
        self.assertEqual((outcome.passed, len(outcome.failures)), (0, 1))
        self.assertIn("-11", outcome.failures[0])

    def test_a_status_that_the_tests_do_not_explain_is_a_failure(self):
        good = ENDED.replace("[  FAILED  ] bad\n", "")
        self.assertEqual(len(_program(good, "FAIL", 99).failures), 1)

    def test_a_program_without_tests_is_a_failure(self):
        self.assertEqual(len(_program("", "OK").failures), 1)

    def test_groups_of_one_program_add_up(self):
        good = ENDED.replace("[  FAILED  ] bad\n", "")
        self.assertEqual(_program(good + good, "OK").passed, 2)
        self.assertEqual(len(_program(good + CRASHED, "FAIL", 1).failures), 1)


class PytestReports(unittest.TestCase):
    def test_cases_count_by_what_became_of_them(self):
        outcome = test_all.Outcome()
        for inner in ("", "<failure/>", "<error/>", "<skipped/>"):
            case = xml.fromstring(f'<testcase classname="c" name="n">{inner}</testcase>')
            test_all._count_case(outcome, case)
        self.assertEqual((outcome.passed, outcome.failures, outcome.skipped), (1, ["c.n", "c.n"], 1))


class Suites(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.results, self.suites, self.needs = test_all.RESULTS, test_all.SUITES, test_all.NEEDS
        test_all.RESULTS = self.folder.name
        self.addCleanup(self._put_back)

    def _put_back(self):
        test_all.RESULTS, test_all.SUITES, test_all.NEEDS = self.results, self.suites, self.needs

    def _main(self, suites, needs, *arguments):
        test_all.SUITES, test_all.NEEDS = suites, needs
        said = io.StringIO()
        with redirect_stdout(said):
            status = test_all.main(list(arguments))
        return status, said.getvalue().rstrip("\n").split("\n")

    def test_the_last_line_is_the_sum(self):
        suites = {"a": lambda name: test_all.Outcome(2), "b": lambda name: test_all.Outcome(3)}
        status, lines = self._main(suites, {})
        self.assertEqual((status, lines[-1]), (0, "5 passed, 0 failed"))

    def test_a_failure_decides_the_status(self):
        status, lines = self._main({"a": lambda name: test_all.Outcome(2, ["x"])}, {})
        self.assertEqual((status, lines[-1]), (1, "2 passed, 1 failed"))
        self.assertIn("    failed: x", lines)

    def test_what_needs_a_broken_build_fails_unrun(self):
        def must_not_run(name):
            raise AssertionError(name)

        suites = {"build": lambda name: test_all.Outcome(0, ["it"]), "a": must_not_run}
        status, lines = self._main(suites, {"a": "build"}, "a")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 2 failed"))

    def test_a_suite_in_which_nothing_ran_fails(self):
        self.assertTrue(test_all.judged(test_all.Outcome(), 0, "x").failures)
        self.assertTrue(test_all.judged(test_all.Outcome(4), 2, "x").failures)
        self.assertFalse(test_all.judged(test_all.Outcome(4), 0, "x").failures)

    def test_a_command_that_hangs_is_cut(self):
        limit, test_all.SUITE_SECONDS_MAX = test_all.SUITE_SECONDS_MAX, 0.2
        try:
            self.assertEqual(test_all.run("a", ["/bin/sh", "-c", "while :; do :; done"]), -1)
        finally:
            test_all.SUITE_SECONDS_MAX = limit

    def test_what_ends_it_leaves_nothing_running(self):
        """Nor does a pool go on with what it has not begun."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                self._end_by(number, os.path.join(self.folder.name, f"pids-{int(number)}"))

    def _end_by(self, number, pids):
        with subprocess.Popen([sys.executable, "-c", POOL, __file__, self.folder.name, pids],
                              stderr=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 30
                while len(_lines(pids)) < 2 and time.monotonic() < deadline:
                    time.sleep(0.01)
                process.send_signal(number)
                process.wait(30)
            finally:
                process.kill()
        begun = _lines(pids)
        self.assertGreaterEqual(len(begun), 2)
        self.assertEqual([pid for pid in begun if os.path.exists(f"/proc/{pid}")], [])

    def test_a_suite_that_breaks_is_a_failure(self):
        def breaks(name):
            raise OSError("no such thing")

        status, lines = self._main({"a": breaks}, {})
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))

    def test_unknown_suites_are_refused(self):
        self.assertEqual(self._main({}, {}, "nosuch")[0], 2)


if __name__ == "__main__":
    unittest.main()
