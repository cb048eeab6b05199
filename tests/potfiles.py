# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Every file with words for people is in po/POTFILES.in, core/ has none, and every language of
po/LINGUAS says everything. TAP."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# A call or macro of gettext's with a string in it.
MARKED = re.compile(r'\b(?:_|N_|C_|NC_|Q_|g?d?n?gettext)\s*\(\s*"')
# The same for a GtkBuilder file.
MARKED_UI = re.compile(r'\btranslatable="(?:yes|true|1)"')


class Skip(Exception):
    pass


def lines(path):
    with open(path, encoding="utf-8") as text:
        return [line.strip() for line in text if line.strip() and not line.startswith("#")]


def translatable(folder):
    for base, dirs, names in os.walk(folder):
        dirs.sort()
        for name in sorted(names):
            pattern = MARKED_UI if name.endswith(".ui") else MARKED
            path = os.path.join(base, name)
            if not name.endswith((".c", ".h", ".ui")):
                continue
            with open(path, encoding="utf-8") as text:
                if pattern.search(text.read()):
                    yield path


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def need(program):
    if shutil.which(program) is None:
        raise Skip(program + " is not installed")


def test_every_file_with_words_is_listed():
    assert MARKED.search('_("a")') and MARKED.search('N_ (\n "a")') and MARKED.search('ngettext ("')
    assert not MARKED.search('foo_("a")') and not MARKED.search("_(a)")
    listed = lines("po/POTFILES.in")
    found = list(translatable("app"))
    assert listed == sorted(listed), "POTFILES.in is not sorted"
    missing = sorted(set(found) - set(listed))
    idle = sorted(set(listed) - set(found) - {p for p in listed if p.startswith("data/")})
    assert not missing, f"not in POTFILES.in: {missing}"
    assert not idle, f"in POTFILES.in without words: {idle}"


def test_core_has_no_words_for_people():
    assert not list(translatable("core")), list(translatable("core"))


def test_every_language_says_everything():
    for program in ("xgettext", "msgcmp", "msgfmt"):
        need(program)
    with tempfile.TemporaryDirectory() as folder:
        pot = folder + "/causeway.pot"
        run("xgettext", "--from-code=UTF-8", "--files-from=po/POTFILES.in", "--output=" + pot,
            "--keyword=_", "--keyword=N_", "--keyword=C_:1c,2", "--keyword=NC_:1c,2",
            "--keyword=ngettext:1,2")
        for language in lines("po/LINGUAS"):
            po = f"po/{language}.po"
            run("msgfmt", "--check", "--output-file=/dev/null", po)
            run("msgcmp", po, pot)


def main():
    os.chdir(os.environ.get("CW_SRC", "."))
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    failed = False
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("test_", "").replace("_", " ")
        try:
            test()
            print(f"ok {number} {name}")
        except Skip as why:
            print(f"ok {number} {name} # SKIP {why}")
        except AssertionError as error:
            failed = True
            for line in str(error).splitlines():
                print("# " + line)
            print(f"not ok {number} {name}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
