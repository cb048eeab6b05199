# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""The man page and the shell completions: they are well formed, and they know every command, every
option and every error name that the program has. TAP."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ["CW_SRC"]
CAUSEWAY = os.path.join(os.environ["CW_BUILD"], "tests/cli/causeway-fake")
MAN = os.path.join(TOP, "data/causeway.1")
COMPLETIONS = os.path.join(TOP, "data/completions")
COMMANDS = ("send", "receive", "id", "mailbox", "relay")


class Skip(Exception):
    pass


def need(program):
    if shutil.which(program) is None:
        raise Skip(program + " is not installed")


def output(*argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8"), **more)
    assert done.returncode == 0, f"{argv}: {done.stdout}"
    return done.stdout


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def options():
    """Command, long option, short one or None."""
    for command in COMMANDS:
        for match in re.finditer(r"^  (?:-(\w), )?--([a-z-]+)", output(CAUSEWAY, "help", command),
                                 re.M):
            yield command, match.group(2), match.group(1)


def test_the_man_page_renders_without_warnings():
    need("groff")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", MAN], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_mandoc_has_nothing_to_say():
    need("mandoc")
    output("mandoc", "-T", "lint", "-W", "warning", MAN)


def test_the_man_page_knows_every_option():
    page = read(MAN).replace("\\-", "-")
    for command in COMMANDS:
        assert f"causeway {command}" in page, command
    for command, name, short in options():
        assert re.search(rf"--{name}\b", page), f"{command} --{name}"
        assert short is None or re.search(rf"-{short} ", page), f"{command} -{short}"


def test_the_man_page_knows_every_error_name():
    page = read(MAN).replace("\\-", "-")
    source = read(os.path.join(TOP, "app/messages/cw-messages.c"))
    names = re.findall(r'"([a-z-]+)",\s+CW_EXIT_', source)
    assert len(names) > 40, names
    section = page[page.index("The names of errors are"):]
    for name in names:
        assert re.search(rf"^\.BR? {name}( [.,])?$", section, re.M), name


def test_the_man_page_knows_every_event():
    page = read(MAN).replace("\\-", "-")
    names = re.findall(r'begin \("([a-z-]+)"\)', read(os.path.join(TOP, "app/cli/cw-cli-json.c")))
    assert len(names) > 10, names
    for name in names:
        assert f".TP\n.B {name}\n" in page, name


def test_bash_completion_is_well_formed():
    need("bash")
    output("bash", "-n", COMPLETIONS + "/causeway.bash")


def test_zsh_completion_is_well_formed():
    need("zsh")
    output("zsh", "-n", COMPLETIONS + "/_causeway")


def test_fish_completion_is_well_formed():
    need("fish")
    output("fish", "--no-execute", COMPLETIONS + "/causeway.fish")


def test_completions_know_every_option():
    bash, zsh, fish = (read(os.path.join(COMPLETIONS, name))
                       for name in ("causeway.bash", "_causeway", "causeway.fish"))
    for command, name, short in options():
        assert re.search(rf"--{name}\b", bash), f"bash: {command} --{name}"
        assert re.search(rf"--{name}\b", zsh), f"zsh: {command} --{name}"
        assert re.search(rf"-l {name}\b", fish), f"fish: {command} --{name}"
        assert short is None or re.search(rf"-s {short}\b", fish), f"fish: {command} -{short}"


def complete(*words):
    """What bash offers for the last of @words."""
    script = f"""
        source {COMPLETIONS}/causeway.bash
        compopt() {{ :; }}
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _causeway
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(CAUSEWAY, folder + "/causeway")
        done = subprocess.run(["bash", "-c", script, "bash", *words], stdout=subprocess.PIPE,
                              text=True, check=True, cwd=TOP,
                              env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"]))
    return done.stdout.split()


def test_bash_completes():
    need("bash")
    assert complete("causeway", "se") == ["send"]
    assert complete("causeway", "send", "--q") == ["--quiet", "--qr"], complete("causeway", "send", "--q")
    assert complete("causeway", "send", "meson.b") == ["meson.build"]
    assert complete("causeway", "receive", "7-crossov") == ["7-crossover-"]
    assert complete("causeway", "send", "--code", "7-crossov") == ["7-crossover-"]
    assert "data" in complete("causeway", "receive", "-o", "da")
    assert complete("causeway", "receive", "--mailbox", "x") == []


def test_fish_completes():
    need("fish")
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(CAUSEWAY, folder + "/causeway")
        env = dict(os.environ, PATH=folder + ":" + os.environ["PATH"], XDG_CONFIG_HOME=folder,
                   XDG_DATA_HOME=folder, HOME=folder)
        for line, wanted in (("causeway se", "send"), ("causeway send --q", "--quiet"),
                             ("causeway receive 7-crossov", "7-crossover-"),
                             ("causeway send -c 7-crossov", "7-crossover-")):
            found = subprocess.run(
                ["fish", "--no-config", "-c",
                 f"source {COMPLETIONS}/causeway.fish; complete -C '{line}'"],
                stdout=subprocess.PIPE, text=True, env=env, cwd=TOP, check=True).stdout
            assert wanted in [l.split("\t")[0] for l in found.splitlines()], f"{line}: {found}"


def main():
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
