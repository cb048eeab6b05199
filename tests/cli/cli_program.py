# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Runs causeway-fake in a terminal or between pipes, plays its session, and reads what it shows. All
waiting is for an event, with one generous limit in the end."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

LIMIT = 20 * int(os.environ.get("CW_TEST_SLOW", "1"))
FAKE = os.path.join(os.environ["CW_BUILD"], "tests/cli/causeway-fake")

# As in the headers.
FILE, FOLDER = 0, 1
LAN, DIRECT, RELAY = 0, 1, 2
BEST, NO_DIRECT, DIRECT_OFF = 0, 1, 2
DROP = {name: code for code, name in enumerate(
    "declined peer-cancelled peer-failed peer-lost protocol verify incomplete source-unreadable "
    "source-changed nothing no-space".split())}
MAILBOX_UNREACHABLE, MAILBOX_WRONG_CODE = 0, 7
IO_CANCELLED = 19


class Screen:
    """As much of a terminal as the program needs: one growing list of lines, a cursor that moves
    within the last ones, and nothing else; an escape code it does not know is an error."""

    def __init__(self):
        self.lines = [""]
        self.row = self.column = 0
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        while text:
            match = re.match(r"\x1b\[([?0-9;]*)([A-Za-z])", text)
            if match:
                self.escape(match.group(1), match.group(2))
                text = text[match.end():]
            elif text[0] == "\x1b":
                if re.fullmatch(r"\x1b(\[[?0-9;]*)?", text):
                    self.rest = text
                    return
                raise AssertionError(f"unknown escape {text[:8]!r}")
            else:
                self.put(text[0])
                text = text[1:]

    def escape(self, numbers, letter):
        line = self.lines[self.row]
        count = int(numbers) if numbers.isdigit() else 1
        if letter == "K":
            self.lines[self.row] = line[:self.column]
        elif letter == "C":
            self.column += count
        elif letter == "D":
            self.column -= count
        elif letter == "A":
            self.row -= count
        elif letter == "P":
            self.lines[self.row] = line[:self.column] + line[self.column + count:]
        elif letter not in "mhl":
            raise AssertionError(f"unknown escape {numbers}{letter}")

    def put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        elif char == "\b":
            self.column = max(0, self.column - 1)
        elif char != "\a":
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[:self.column] + char + line[self.column + 1:]
            self.column += 1

    def text(self):
        return "\n".join(self.lines)


class Program:
    """@tty: a terminal is its standard input, output and error (or those of "in", "out" and "err"
    that the set names; the others are pipes)."""

    def __init__(self, *args, tty=(), stdin=b"", width=80, env=None):
        self.home = tempfile.mkdtemp(prefix="causeway-cli-")
        with open(os.path.join(self.home, "holiday.mp4"), "wb") as out:
            out.write(b"abc")
        self.control, theirs = socket.socketpair()
        self.said = b""
        self.raw = b""  # of the terminal
        self.out = b""
        self.err = b""
        self.screen = Screen()
        self.master, slave = pty.openpty()
        self.set_width(width)
        self.process = subprocess.Popen(
            [FAKE, *args], cwd=self.home, pass_fds=[theirs.fileno()],
            stdin=slave if "in" in tty else subprocess.PIPE,
            stdout=slave if "out" in tty else subprocess.PIPE,
            stderr=slave if "err" in tty else subprocess.PIPE,
            env=self.environment(theirs.fileno(), env or {}),
            preexec_fn=lambda: self.own_terminal(slave) if tty else os.setsid())
        theirs.close()
        os.close(slave)
        if self.process.stdin is not None:
            try:
                self.process.stdin.write(stdin)
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        self.open = {self.control.fileno(): "said", self.master: "raw"}
        if self.process.stdout is not None:
            self.open[self.process.stdout.fileno()] = "out"
        if self.process.stderr is not None:
            self.open[self.process.stderr.fileno()] = "err"
        if not tty:
            del self.open[self.master]

    def environment(self, fd, extra):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("CAUSEWAY_", "LC_", "LANG", "COLUMNS", "NO_COLOR"))}
        env.update(HOME=self.home, XDG_DATA_HOME=self.home + "/data", CW_FAKE_FD=str(fd),
                   XDG_CONFIG_HOME=self.home + "/config", LC_ALL="C.UTF-8", TERM="xterm",
                   INPUTRC="/dev/null", CAUSEWAY_FOLDER=self.home, CAUSEWAY_NAME="this one")
        env.update(extra)
        return env

    @staticmethod
    def own_terminal(slave):
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    def set_width(self, width):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    # --- Events ---

    def read_some(self, limit):
        ready, _, _ = select.select(list(self.open), [], [], limit)
        for fd in ready:
            try:
                data = os.read(fd, 65536)
            except OSError:  # a terminal without its other side
                data = b""
            if not data:
                del self.open[fd]
                continue
            name = self.open[fd]
            setattr(self, name, getattr(self, name) + data)
            if name == "raw":
                self.screen.feed(data.decode("utf-8", "replace"))
        return bool(ready)

    def until(self, what, condition):
        deadline = time.monotonic() + LIMIT
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not self.open:
                raise AssertionError(f"never came: {what}; {self.state()}")
            self.read_some(left)

    def state(self):
        return (f"screen: {self.screen.text()!r} out: {self.out!r} err: {self.err!r} "
                f"asked: {self.said!r}")

    def shows(self, text):
        self.until(repr(text), lambda: text in self.screen.text())

    def prints(self, text, to="out"):
        self.until(f"{text!r} on {to}", lambda: text in getattr(self, to).decode())

    def asks(self, line):
        """The program calls the session; the answer is the rest of the line."""
        pattern = re.compile(rf"^{line}(.*)$", re.M)
        self.until(f"the call {line!r}", lambda: b"\n" in self.said and
                   pattern.search(self.said[:self.said.rindex(b"\n")].decode()))
        match = pattern.search(self.said.decode())
        self.said = self.said.decode()[match.end() + 1:].encode()
        return match.group(1).strip()

    # --- What the test does ---

    def do(self, what, **members):
        self.control.sendall(json.dumps(dict(members, do=what)).encode() + b"\n")

    def type(self, text):
        os.write(self.master, text.encode())

    def signal(self, number):
        os.kill(self.process.pid, number)

    def finish(self, domain=None, code=0, message="why"):
        if domain is None:
            self.do("finish")
        else:
            self.do("finish", domain=domain, code=code, message=message)

    def ends(self, expected):
        """Reads all there is to the end and checks the exit code."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"does not end; {self.state()}")
            self.read_some(0.02)
        while self.read_some(0):
            pass
        assert self.process.returncode == expected, \
            f"exit code {self.process.returncode}, not {expected}; {self.state()}"

    def events(self):
        return [json.loads(line) for line in self.out.decode().splitlines()]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.control.close()
        os.close(self.master)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def terminal(*args, **more):
    return Program(*args, tty=("in", "out", "err"), **more)


def offer(program, *items, text=None):
    program.do("offer", text=text, items=[dict(zip(("kind", "name", "size", "files"), item))
                                          for item in items])


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def contains(text, part):
    assert part in text, f"{part!r} is not in {text!r}"


def main(tests):
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("test_", "").replace("_", " ")
        try:
            test()
            print(f"ok {number} {name}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {number} {name}", flush=True)
    sys.exit(1 if failed else 0)
