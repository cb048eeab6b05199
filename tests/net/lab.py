# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""What the end-to-end tests share: a private network, servers, clients, and TAP.

A test script calls `lab.enter()` first: it starts itself again in network and mount namespaces of
its own, where 192.0.2.7 and 2001:db8::7 are this machine, every port is free, and the name of
the public transit relay (which wormhole-william has built in) means 127.0.0.1. Nothing reaches
any other network.
"""

import atexit
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

ADDR4 = "192.0.2.7"
ADDR6 = "2001:db8::7"
SLOW = int(os.environ.get("CW_TEST_SLOW", "1"))
ALL = os.environ.get("CW_TEST_ALL") == "1"
CAUSEWAY = os.environ.get("CW_CAUSEWAY") or os.path.join(
    os.environ.get("CW_BUILD", "build"), "app", "cli", "causeway")
LIMIT = 40 * SLOW  # seconds that no step of a test may take

_HOSTS = f"127.0.0.1 localhost\n127.0.0.1 transit.magic-wormhole.io\n::1 localhost\n"


# --- The private network -----------------------------------------------------------------------

def enter():
    """Runs the script in namespaces of its own, or skips it all with the reason."""
    if os.environ.get("CW_LAB") == "1":
        return
    probe = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, text=True)
    if probe.returncode != 0 or os.geteuid() != 0:
        print("1..0 # SKIP needs root, to make a network namespace of its own")
        sys.exit(0)
    setup = (
        "mount --make-rprivate / && "
        "ip link set lo up && "
        f"ip addr add {ADDR4}/24 dev lo && ip -6 addr add {ADDR6}/64 dev lo nodad && "
        "{ [ ! -e /etc/hosts ] || mount --bind \"$0\" /etc/hosts; } && exec \"$@\"")
    hosts = tempfile.NamedTemporaryFile("w", prefix="cw-hosts-", delete=False)
    hosts.write(_HOSTS)
    hosts.close()
    os.chmod(hosts.name, 0o644)
    env = dict(os.environ, CW_LAB="1")
    done = subprocess.run(["unshare", "-n", "-m", "--kill-child", "sh", "-c", setup, hosts.name,
                           sys.executable, os.path.abspath(sys.argv[0])] + sys.argv[1:], env=env)
    os.unlink(hosts.name)
    sys.exit(done.returncode)


# --- TAP ---------------------------------------------------------------------------------------

class Skip(Exception):
    pass


_tests = []


def test(name, slow=False):
    """Marks a function as a test; it fails by raising, and skips by raising Skip(reason)."""
    def add(func):
        _tests.append((name, func, slow))
        return func
    return add


def main():
    pattern = re.compile(os.environ.get("CW_TEST_ONLY", "."))
    chosen = [t for t in _tests if pattern.search(t[0])]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, (name, func, slow) in enumerate(chosen, 1):
        started = time.monotonic()
        try:
            if slow and not ALL:
                raise Skip("takes minutes: tools/test --all runs it")
            func()
            line = f"ok {number} {name}"
        except Skip as reason:
            line = f"ok {number} {name} # SKIP {reason}"
        except Exception as error:  # noqa: BLE001 (the harness reports whatever it was)
            failed += 1
            import traceback
            for text in traceback.format_exc().splitlines():
                print("# " + text)
            line = f"not ok {number} {name}"
        finally:
            stop_all()
        print(f"{line}\n# {time.monotonic() - started:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Skip(f"{program} is not installed")
    return path


# --- Processes ---------------------------------------------------------------------------------

_running = []
_folders = []


class Process:
    """A child whose two outputs are collected by threads; wait() never waits for ever."""

    def __init__(self, argv, cwd=None, env=None, stdin=None, stdout=None, binary=False,
                 terminal=False):
        """@terminal: a terminal of its own to ask on; answer() types there."""
        self.argv = argv
        self.master = None
        self.shown = ""
        self.binary = binary
        self.lines = []
        self.errors = []
        self.data = b""
        self._news = threading.Condition()
        prepare = None
        if terminal:
            self.master, stdin = pty.openpty()

            def prepare(slave=stdin):
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            argv, cwd=cwd, env=env, start_new_session=True, preexec_fn=prepare,
            stdin=subprocess.PIPE if stdin is None else stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=stdin if terminal else subprocess.PIPE)
        self._threads = []
        if stdout is None:
            self._collect(self.process.stdout, self.lines, binary)
        if terminal:
            os.close(stdin)
            threading.Thread(target=self._watch_terminal, daemon=True).start()
        else:
            self._collect(self.process.stderr, self.errors, False)
        _running.append(self)

    def _collect(self, stream, lines, binary):
        def run():
            if binary:
                for block in iter(lambda: stream.read(65536), b""):
                    self.data += block
            else:
                for line in stream:
                    with self._news:
                        lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                        self._news.notify_all()
            with self._news:
                self._news.notify_all()
            stream.close()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def expect(self, pattern, where="both", limit=None):
        """Waits for a line that matches; returns the match."""
        limit = limit or LIMIT
        end = time.monotonic() + limit
        seen = [0, 0]
        sources = [self.lines, self.errors]
        with self._news:
            while True:
                for which, source in enumerate(sources):
                    while seen[which] < len(source):
                        match = re.search(pattern, source[seen[which]])
                        seen[which] += 1
                        if match:
                            return match
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and
                                 not any(t.is_alive() for t in self._threads)):
                    raise AssertionError(f"{self}: no line matches {pattern!r}\n{self.output()}")
                self._news.wait(min(left, 0.2))

    def wait(self, limit=None):
        try:
            code = self.process.wait(limit or LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self}: hangs\n{self.output()}") from None
        for thread in self._threads:
            thread.join(5)
        return code

    def ok(self, limit=None):
        code = self.wait(limit)
        assert code == 0, f"{self}: exit status {code}\n{self.output()}"
        return self

    def signal(self, number):
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            pass

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def answer(self, text, after):
        """Waits for @after on its terminal, then types."""
        end = time.monotonic() + LIMIT
        with self._news:
            while after not in self.shown:
                assert time.monotonic() < end and self.process.poll() is None, \
                    f"{self}: does not ask {after!r}: {self.shown!r}\n{self.output()}"
                self._news.wait(0.1)
        os.write(self.master, text.encode())

    def _watch_terminal(self):
        try:
            while True:
                data = os.read(self.master, 65536).decode("utf-8", "replace")
                with self._news:
                    self.shown += data
                    self._news.notify_all()
        except OSError:  # the last one who had it open is gone
            pass

    def close_stdin(self):
        self.process.stdin.close()

    def output(self):
        return "\n".join(["  " + line for line in self.lines[-40:]] +
                         ["! " + line for line in self.errors[-40:] + self.shown.splitlines()])

    def events(self, name=None):
        """The --json events so far; a line that is not JSON is a failure."""
        found = [json.loads(line) for line in self.lines if line]
        return [e for e in found if name is None or e["event"] == name]

    def event(self, name, limit=None):
        self.expect(r'"event"\s*:\s*"%s"' % name, limit=limit)
        return self.events(name)[0]

    def rss_peak_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
        return 0

    def __str__(self):
        return " ".join(os.path.basename(a) if i == 0 else a for i, a in enumerate(self.argv))


def stop_processes():
    for process in _running:
        if process.process.poll() is None:
            try:
                os.killpg(process.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.process.wait()
    _running.clear()


def stop_all():
    stop_processes()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    _folders.clear()


atexit.register(stop_all)


def folder(name="cw-lab"):
    path = tempfile.mkdtemp(prefix=name + "-")
    _folders.append(path)
    return path


def wait_port(port, process, host="127.0.0.1"):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if process.process.poll() is not None:
                break
            time.sleep(0.05)
    raise AssertionError(f"{process}: nothing listens on {port}\n{process.output()}")


# --- Servers -----------------------------------------------------------------------------------

def debian_mailbox(port=4000, state=None, *extra):
    """The packaged server; @state keeps its database over restarts."""
    need("twist3")
    state = state or folder()
    process = Process(["twist3", "wormhole-mailbox", f"--port=tcp:{port}:interface=127.0.0.1",
                       f"--channel-db={state}/relay.sqlite", *extra], cwd=state)
    wait_port(port, process)
    return process


def debian_relay(port=4001):
    need("twist3")
    process = Process(["twist3", "transitrelay", f"--port=tcp:{port}:interface=127.0.0.1"],
                      cwd=folder())
    wait_port(port, process)
    return process


def our_mailbox(port=4000, listen="127.0.0.1", *extra, host="127.0.0.1"):
    process = Process([CAUSEWAY, "mailbox", "--listen", f"{listen}:{port}", *extra],
                      env=home().env)
    wait_port(port, process, host)
    return process


def our_relay(port=4001):
    process = Process([CAUSEWAY, "relay", "--listen", f"127.0.0.1:{port}"], env=home().env)
    wait_port(port, process)
    return process


def servers(mailbox=our_mailbox, relay=our_relay):
    return mailbox(), relay()


# --- Clients -----------------------------------------------------------------------------------

class Home:
    """One person's computer: own identity, configuration, downloads."""

    def __init__(self, name, **extra):
        self.path = folder("cw-" + name)
        self.downloads = os.path.join(self.path, "Downloads")
        os.mkdir(self.downloads)
        self.env = {
            "PATH": os.environ["PATH"], "HOME": self.path, "LANG": "C.UTF-8",
            "XDG_DATA_HOME": self.path + "/data", "XDG_CONFIG_HOME": self.path + "/config",
            "CAUSEWAY_MAILBOX": "ws://127.0.0.1:4000/v1",
            "CAUSEWAY_TRANSIT_RELAY": "tcp:127.0.0.1:4001",
            "CAUSEWAY_NAME": name, "CAUSEWAY_FOLDER": self.downloads,
            "WORMHOLE_RELAY_URL": "ws://127.0.0.1:4000/v1",
            "WORMHOLE_TRANSIT_HELPER": "tcp:127.0.0.1:4001",
            "G_DEBUG": "fatal-criticals",
        }
        for name_ in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            if name_ in os.environ:
                self.env[name_] = os.environ[name_]
        self.env.update(extra)

    def run(self, *argv, **options):
        return Process(list(argv), cwd=self.downloads, env=self.env, **options)

    def causeway(self, *args, **options):
        return self.run(CAUSEWAY, *args, **options)

    def received(self, name):
        return os.path.join(self.downloads, name)


def home(name="home", **extra):
    return Home(name, **extra)


# --- Content -----------------------------------------------------------------------------------

def make_file(path, size, seed=1):
    """Bytes that do not compress and differ by seed; written in pieces."""
    block = hashlib.shake_128(b"%d" % seed).digest(1 << 20)
    with open(path, "wb") as out:
        left, number = size, 0
        while left > 0:
            piece = (number.to_bytes(8, "big") + block)[:min(left, len(block))]
            out.write(piece)
            left -= len(piece)
            number += 1
    return path


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        for block in iter(lambda: data.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def tree(path, times=False):
    """{relative name: (kind, content or target, mode[, mtime])} of a folder, for comparing."""
    found = {}
    for base, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(base, name)
            st = os.lstat(full)
            key = os.path.relpath(full, path)
            if os.path.islink(full):
                found[key] = ("link", os.readlink(full))
                continue
            kind = ("folder",) if os.path.isdir(full) else ("file", sha256(full))
            found[key] = kind + (st.st_mode & 0o777,) + ((st.st_mtime_ns,) if times else ())
    return found


def same(arrived, sent, times=False):
    """Fails with what differs."""
    a, b = tree(arrived, times), tree(sent, times)
    for name in sorted(a.keys() | b.keys()):
        assert a.get(name) == b.get(name), f"{name}: arrived {a.get(name)}, sent {b.get(name)}"


def leftovers(path):
    """Hidden partial data below a folder."""
    return sorted(n for n in os.listdir(path) if n.startswith(".causeway-"))
