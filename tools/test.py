# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Builds, runs the tests of each build, counts them one by one (not by program), and says why what
was skipped was skipped."""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

# name, Meson options, suites it leaves out: ThreadSanitizer sees no order in what GIO's own threads
# hand over, since GLib is not instrumented, and has nothing to look for in scripts and parsers.
BUILDS = [
    ("build", [], []),
    ("build-asan", ["-Db_sanitize=address,undefined"], []),
    ("build-tsan", ["-Db_sanitize=thread"], ["scripts", "net", "fuzz", "gio-threads"]),
]
ENVIRONMENT = {
    # glib-networking's and GLib's own one-time allocations are no leaks of ours.
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:abort_on_error=0",
    "LSAN_OPTIONS": "suppressions=" + os.path.abspath("tests/sanitizers/lsan.supp") +
                    ":print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "suppressions=" + os.path.abspath("tests/sanitizers/tsan.supp") +
                    ":halt_on_error=1",
    "G_SLICE": "always-malloc",
}


def build(name, options):
    if not os.path.exists(name + "/build.ninja"):
        run(["meson", "setup", name, *options])
    run(["ninja", "-C", name])


def run(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout[-8000:])
        print(f"{' '.join(argv)} failed")
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)


def skip_reasons(name):
    """{description of a test case: reason}: Meson's JUnit file leaves the reason out."""
    reasons = {}
    with open(name + "/meson-logs/testlog.json", encoding="utf-8") as log:
        for line in log:
            output = json.loads(line).get("stdout") or ""
            reasons.update(re.findall(r"^ok \d+ (?:- )?(.*?) # SKIP (.*)$", output, re.MULTILINE))
    return reasons


def results(name):
    """(label, outcome, text) of each test case: passed, failed or skipped."""
    reasons = skip_reasons(name)
    root = ElementTree.parse(name + "/meson-logs/testlog.junit.xml").getroot()
    for suite in root.iter("testsuite"):
        for case in suite.iter("testcase"):
            label = f"{suite.get('name')}: {case.get('name')}"
            skipped = case.find("skipped")
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            if bad is not None:
                yield label, "failed", (bad.get("message") or bad.text or "")
            elif skipped is not None:
                case_name = re.sub(r"^\d+ ", "", case.get("name"))
                yield label, "skipped", reasons.get(case_name, "without a reason")
            else:
                yield label, "passed", ""


def run_tests(name, left_out, everything):
    for old in glob.glob(name + "/meson-logs/testlog.junit.xml"):
        os.unlink(old)
    environment = dict(os.environ, **ENVIRONMENT)
    environment["CW_TEST_ALL"] = "1" if everything else "0"
    argv = ["meson", "test", "-C", name, "--no-rebuild", "--print-errorlogs", "--num-processes", "2"]
    for suite in left_out:
        argv += ["--no-suite", suite]
    if everything:
        argv += ["--timeout-multiplier", "10"]
    code = subprocess.run(argv, env=environment).returncode
    found = list(results(name))
    if code != 0 and not any(outcome == "failed" for _, outcome, _ in found):
        found.append((name, "failed", f"meson test ended with {code}"))
    return found


def main():
    parser = argparse.ArgumentParser(prog="tools/test")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    remarks = []
    for name, options, left_out in BUILDS[:1] if args.quick else BUILDS:
        print(f"--- {name}", flush=True)
        build(name, options)
        for label, outcome, text in run_tests(name, left_out, args.all):
            counts[outcome] += 1
            if outcome != "passed":
                remarks.append(f"{outcome}: {name}, {label} {text.strip()[:200]}")
    print("\n".join(remarks))
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
