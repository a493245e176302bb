#!/usr/bin/env python3
"""script/test and the checks that it runs, tested: what ran nothing, or less than there is, must not be green."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def load(name="test"):
    loader = importlib.machinery.SourceFileLoader("runner", f"{ROOT}/script/{name}")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
    loader.exec_module(module)
    return module


class Runner(unittest.TestCase):
    def setUp(self):
        os.chdir(ROOT)
        self.runner = load()
        self.tally = self.runner.Tally()
        self.runner.build = lambda *_: True
        self.runner.program = lambda preset, name: name

    def answer(self, ok, output):
        """What every command that the runner runs does from here on."""
        self.runner.run = lambda *_, **__: (ok, output, 0.0)

    def stage(self, name, pattern=None):
        with contextlib.redirect_stdout(io.StringIO()):
            self.runner.run_stage(self.tally, name, name if pattern is None else pattern)
        return self.tally

    def test_every_stage_that_runs_nothing_is_red(self):
        for stage in self.runner.STAGES:
            self.tally = self.runner.Tally()
            self.answer(False, "")
            self.assertTrue(self.stage(stage).failed, stage)
            # Lint and packaging say nothing when all is well.
            if stage not in ("lint", "package"):
                self.tally = self.runner.Tally()
                self.answer(True, "")
                self.assertTrue(self.stage(stage).failed, stage)

    def test_no_tests_were_found_is_red_without_a_filter_alone(self):
        self.answer(True, "No tests were found!!!\n")
        self.assertTrue(self.stage("unit").failed)
        self.tally = self.runner.Tally()
        self.assertFalse(self.stage("unit", "NoSuch").failed)

    def test_fewer_tests_than_are_written_are_red(self):
        self.answer(True, "100% tests passed, 0 tests failed out of 700\n")
        self.runner.STAGES["unit"] = (600, lambda: range(701))
        self.assertEqual(len(self.stage("unit").failed), 1)
        self.tally = self.runner.Tally()
        self.runner.STAGES["unit"] = (600, lambda: range(700))
        self.assertEqual((self.stage("unit").passed, self.tally.failed), (700, []))

    def test_skipped_and_disabled_tests_are_red(self):
        self.answer(True, "  1/3 Test #1: A.B ...   Passed    0.01 sec\n 2/3 Test #2: dns_differential ......***Skipped   0.01 sec\n"
                          " 3/3 Test #33: A.C .....***Not Run (Disabled)   0.00 sec\n100% tests passed, 0 tests failed out of 3\n")
        self.assertEqual(len(self.stage("unit", "A").failed), 2)
        self.assertEqual(self.runner.verdict(True, "[  SKIPPED ] A.B (0 ms)\n[  PASSED  ] 3 tests.\n[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.B\n"), (3, 1))

    def test_a_program_that_ends_early_has_failed(self):
        self.assertEqual(self.runner.verdict(True, ""), (0, 1))
        self.assertEqual(self.runner.verdict(True, "[  PASSED  ] 0 tests.\n"), (0, 1))
        self.assertEqual(self.runner.verdict(False, "[  PASSED  ] 5 tests.\n"), (5, 1))
        self.assertEqual(self.runner.verdict(False, "[  FAILED  ] A.B (2 ms)\n[  PASSED  ] 5 tests.\n[  FAILED  ] A.B\n"), (5, 1))
        self.assertEqual(self.runner.verdict(True, "[  PASSED  ] 5 tests.\n"), (5, 0))

    def test_counts_of_another_runner(self):
        for ok, output, wanted in ((True, "2 passed, 0 failed\n", (2, 0)), (False, "2 passed, 0 failed\n", (2, 1)), (True, "", (0, 1)),
                                   (False, "FAIL test_a::test_b (1.0 s)\n1 passed, 2 failed\n", (1, 2))):
            tally = self.runner.Tally()
            with contextlib.redirect_stdout(io.StringIO()):
                self.runner.count(tally, "lab", ok, output)
            self.assertEqual((tally.passed, len(tally.failed)), wanted, output)

    def test_the_source_is_counted(self):
        self.assertGreater(len(self.runner.unit_tests()), 600)
        self.assertGreater(len(self.runner.test_programs()), 12)
        self.assertLessEqual(set(self.runner.THREADED), set(self.runner.test_programs()))
        for least, counted in self.runner.STAGES.values():
            self.assertGreaterEqual(len(counted()), least)

    def test_too_little_room_is_said_before_anything_is_built(self):
        self.runner.BUILT = {"unit": {"none-a": 300}, "asan": {"none-b": 1000}, "edge": {"none-a": 300}, "fuzz": {"none-c": 800}}
        stages = ["unit", "asan", "edge", "fuzz", "lab"]
        self.assertEqual(self.runner.needed_space(stages, False), 2100)
        self.assertEqual(self.runner.needed_space(stages, True), 1300, "never all of them at once")
        for free, clean, wanted in ((2200, False, True), (2000, False, False), (2000, True, True), (1200, True, False)):
            self.runner.shutil = types.SimpleNamespace(disk_usage=lambda _, free=free: types.SimpleNamespace(free=free << 20))
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertEqual(self.runner.is_room(stages, clean), wanted)
            self.assertEqual("GiB free" in said.getvalue(), not wanted)
            self.assertEqual("--clean" in said.getvalue(), not wanted and not clean)

    def test_builds_that_nobody_needs_are_removed_when_their_stage_has_passed(self):
        stages = ["unit", "asan", "edge", "fuzz"]
        self.runner.BUILT = {"unit": {"a": 1}, "asan": {"b": 1}, "edge": {"a": 1}, "fuzz": {"c": 1}}
        removed, bad = [], {"fuzz"}
        self.runner.shutil = types.SimpleNamespace(rmtree=lambda path, **_: removed.append(path))
        self.runner.run_stage = lambda tally, stage, _: removed.append(stage) or tally.failed.extend(bad & {stage})
        self.runner.run_stages(self.tally, stages, "", True)
        self.assertEqual(removed, ["unit", "asan", "build/b", "edge", "build/a", "fuzz"])
        removed.clear()
        self.runner.run_stages(self.tally, stages, "", False)
        self.assertEqual(removed, stages)

    def test_quick_in_a_directory_without_tests_is_red(self):
        self.answer(True, "[  PASSED  ] 5 tests.\n")
        with contextlib.redirect_stdout(io.StringIO()):
            self.runner.quick(self.tally, "nowhere")
            self.assertEqual((self.tally.passed, len(self.tally.failed)), (0, 1))
            self.runner.quick(self.tally, "store")
        # Five checks and one program in two builds.
        self.assertEqual((self.tally.passed, len(self.tally.failed)), (15, 1))

    def test_quick_takes_the_tests_of_the_directory_above(self):
        self.answer(True, "[  PASSED  ] 5 tests.\n")
        programs = []
        self.runner.program = lambda _, name: programs.append(name) or name
        with contextlib.redirect_stdout(io.StringIO()):
            self.runner.quick(self.tally, "daemon/api")
        self.assertEqual(set(programs), {"daemon_test", "fleet_test", "daemon_api_test"})
        self.assertEqual(self.tally.failed, [])


class LintUnits(unittest.TestCase):
    """A source that passed is read again when it, a header or the command changes, and one that failed each time."""

    def setUp(self):
        self.lint = load("lint_units.py")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        os.chdir(self.directory)
        self.addCleanup(os.chdir, ROOT)
        self.write("a.cpp", '#include "a.h"\n')
        self.write("a.h", "int a();\n")
        entry = {"directory": self.directory, "file": f"{self.directory}/core/a.cpp", "command": "g++ -o a.o -c a.cpp"}
        self.found = [self.lint.Unit(entry, "/build")]
        self.lint.units = lambda _: self.found

    def write(self, name, text):
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)

    def check(self, *words):
        """(exit status, how often the command ran)"""
        self.write("ran", "")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            status = self.lint.check("check", [], lambda _: ["sh", "-c", "echo >>ran; " + "; ".join(words or ("true",))])
        with open("ran", encoding="utf-8") as file:
            return status, len(file.readlines())

    def test_what_passed_is_read_again_when_it_changes(self):
        self.assertEqual(self.check(), (0, 1))
        self.assertEqual(self.check(), (0, 0))
        self.write("a.h", "int a(int);\n")
        self.assertEqual(self.check(), (0, 1))
        self.assertEqual(self.check("true", "true"), (0, 1))

    def test_what_failed_is_read_each_time(self):
        self.assertEqual(self.check("false"), (1, 1))
        self.assertEqual(self.check("false"), (1, 1))

    def test_what_includes_nobody_knows_what_is_read_each_time(self):
        os.remove("a.h")
        self.assertEqual(self.check(), (0, 1))
        self.assertEqual(self.check(), (0, 1))

    def test_no_sources_are_red(self):
        self.found = []
        self.assertEqual(self.check(), (1, 0))


class CheckTests(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as directory:
            for path, text in files.items():
                os.makedirs(os.path.dirname(f"{directory}/{path}"), exist_ok=True)
                with open(f"{directory}/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
            return subprocess.run([f"{ROOT}/script/check-tests", directory], capture_output=True, text=True).stdout

    def test_documents_name_tests_that_exist(self):
        files = {"tests/lab/test_a.py": "def test_b(lab):\n", "tests/unit/x.cpp": "TEST_F(Suite, Name) {\n", "tests/fuzz/CMakeLists.txt": "p2prc_fuzz(x x.cpp y)\n"}
        self.assertEqual(self.check({**files, "docs/d.md": "`test_a::test_b` `Suite.Name` `fuzz_x`\n"}), "")
        for wrong in ("`test_a::test_c`", "`Suite.Other`", "`fuzz_y`"):
            self.assertIn("docs/d.md:2: there is no test", self.check({**files, "docs/d.md": f"\n{wrong}\n"}))

    def test_each_kind_of_stop_is_brought_about(self):
        def said(table, test='wait_reason("done")'):
            return self.check({"core/stop_reason.cpp": 'StopKindInfo{StopKind::Done, "done", "It ended."},\nStopKindInfo{\n    StopKind::Lost, "lost", "It is lost."},\n',
                               "tests/lab/test_reasons.py": f"BROUGHT_ABOUT_BY = {table}\ndef test_done(lab):\n    {test}\n"})
        self.assertEqual(said({"done": "test_reasons::test_done", "lost": None}), "")
        self.assertIn("lacks 'lost'", said({"done": "test_reasons::test_done"}))
        self.assertIn("no kind of stop 'new'", said({"done": "test_reasons::test_done", "lost": None, "new": None}))
        self.assertIn("no test test_reasons::test_none", said({"done": "test_reasons::test_none", "lost": None}))
        self.assertIn("does not look for 'done'", said({"done": "test_reasons::test_done", "lost": None}, "pass"))

    def test_files_that_tests_share(self):
        for shared in ('const auto file = testing::TempDir() + "x";', 'std::ofstream file("/tmp/x");', 'fs::create_directories("/tmp/x");'):
            self.assertIn("x.cpp:1:", self.check({"tests/unit/x.cpp": shared + "\n"}))
        self.assertEqual(self.check({"tests/unit/x.cpp": 'EXPECT_EQ(explain("/tmp/x"), "");\n'}), "")


if __name__ == "__main__":
    unittest.main()
