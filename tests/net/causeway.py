# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Two whole Causeways: everything they can do with each other that no other client can, and
everything that goes wrong between them."""

import json
import os
import re
import signal
import stat
import subprocess
import time
import unicodedata

import lab

_number = [500]


def next_code():
    _number[0] += 1
    return f"{_number[0]}-crossover-clockwork"


def pair(*send_args, receive_args=("--yes",), relay=False, wait=True, anna=None, bernd=None,
         code=None):
    """Runs one transfer; returns both processes and homes."""
    anna, bernd = anna or lab.home("anna"), bernd or lab.home("bernd")
    code = code or next_code()
    direct = ["--no-direct"] if relay else []
    ours = anna.causeway("send", "--json", "--code", code, *direct, *send_args)
    ours.event("code")
    theirs = bernd.causeway("receive", "--json", *direct, *receive_args, code)
    if wait:
        theirs.ok()
        ours.ok()
    return ours, theirs, anna, bernd


# --- What works ---------------------------------------------------------------------------------

@lab.test("several files and folders in one go, with everything about them")
def everything():
    lab.servers()
    anna = lab.home("anna")
    top = anna.received("photos")
    os.makedirs(top + "/2024/empty")
    for n in range(30):
        lab.make_file(f"{top}/2024/{n}.jpg", 1000 + n, n)
    lab.make_file(top + "/run.sh", 10)
    os.chmod(top + "/run.sh", 0o750)
    lab.make_file(top + "/nothing", 0)
    os.symlink("2024/3.jpg", top + "/best.jpg")
    os.symlink("../run.sh", top + "/2024/up")
    os.utime(top + "/2024/7.jpg", ns=(1, 1_000_000_000_123_456_789))
    os.utime(top + "/2024/empty", ns=(1, 1_500_000_000_000_000_001))
    os.utime(top + "/2024", ns=(1, 1_400_000_000_000_000_000))
    single = lab.make_file(anna.received("holiday.mp4"), 5_000_000)
    ours, theirs, _, bernd = pair(single, top, anna=anna)
    lab.same(bernd.received("photos"), top, times=True)
    assert lab.sha256(bernd.received("holiday.mp4")) == lab.sha256(single)
    offer = theirs.events("offer")[0]
    assert {i["name"] for i in offer["items"]} == {"holiday.mp4", "photos"}
    assert theirs.events("done")[0]["files"] == ours.events("done")[0]["files"]
    assert lab.leftovers(bernd.downloads) == []
    assert ours.events("route")[0]["kind"] in ("lan", "direct")


@lab.test("through the relay alone")
def relayed():
    lab.servers()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("r.bin"), 2_000_000)
    ours, theirs, _, bernd = pair(path, anna=anna, relay=True)
    assert theirs.events("route")[0]["kind"] == "relay"
    assert lab.sha256(bernd.received("r.bin")) == lab.sha256(path)


@lab.test("through the packaged relay and the packaged mailbox")
def packaged_servers():
    lab.servers(lab.debian_mailbox, lab.debian_relay)
    anna = lab.home("anna")
    path = lab.make_file(anna.received("r.bin"), 2_000_000)
    _, theirs, _, bernd = pair(path, anna=anna, relay=True)
    assert theirs.events("route")[0]["kind"] == "relay"
    assert lab.sha256(bernd.received("r.bin")) == lab.sha256(path)


@lab.test("a code that the mailbox makes, with more words")
def allocated():
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    ours = anna.causeway("send", "--json", "--code-length", "4", "--text", "hello")
    code = ours.event("code")["code"]
    assert re.fullmatch(r"\d+(-[a-z]+){4}", code), code
    theirs = bernd.causeway("receive", "--json", "--yes", code).ok()
    ours.ok()
    assert theirs.events("text")[0]["text"] == "hello"


@lab.test("pipes at both ends")
def pipes():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    data = os.urandom(3_000_001)
    ours = anna.causeway("send", "--code", code, "-")
    ours.expect(code)
    theirs = bernd.causeway("receive", "--stdout", "--yes", code, binary=True)
    ours.write(data)
    ours.close_stdin()
    theirs.ok()
    ours.ok()
    assert theirs.data == data, (len(theirs.data), theirs.output())
    assert os.listdir(bernd.downloads) == []


@lab.test("a sparse file beyond 4 GiB arrives sparse")
def sparse():
    lab.servers()
    anna = lab.home("anna")
    path = anna.received("disk.img")
    with open(path, "wb") as out:
        out.truncate(5 << 30)
        out.seek(3 << 30)
        out.write(b"here" * 1000)
    _, _, _, bernd = pair(path, anna=anna)
    got = os.stat(bernd.received("disk.img"))
    assert got.st_size == 5 << 30
    assert got.st_blocks * 512 < 64 << 20, got.st_blocks
    with open(bernd.received("disk.img"), "rb") as data:
        data.seek(3 << 30)
        assert data.read(4000) == b"here" * 1000


@lab.test("nothing is ever overwritten")
def numbered():
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    path = lab.make_file(anna.received("a.tar.gz"), 100)
    for _ in range(3):
        pair(path, anna=anna, bernd=bernd)
    assert sorted(os.listdir(bernd.downloads)) == ["a (2).tar.gz", "a (3).tar.gz", "a.tar.gz"]


@lab.test("odd names, and names that differ by case or normalisation only")
def odd_names():
    lab.servers()
    anna = lab.home("anna")
    top = anna.received("odd")
    os.mkdir(top)
    names = [b"caf\xc3\xa9", unicodedata.normalize("NFD", "café").encode(), b"CAF\xc3\xa9",
             b"bad\xff\xfeutf8", b"new\nline", b"esc\x1b[31m", b"x" * 255, b" blanks ", b"con",
             b"back\\slash", b"-rf", "\u202egnp.exe".encode()]
    for n, name in enumerate(names):
        with open(os.path.join(os.fsencode(top), name), "wb") as out:
            out.write(b"%d" % n)
    _, _, _, bernd = pair(top, anna=anna)
    got = os.listdir(os.fsencode(bernd.received("odd")))
    assert len(got) == len(names), got
    contents = set()
    for name in got:
        text = name.decode("utf-8")  # valid, whatever was sent
        assert not re.search("[\x00-\x1f\x7f\u202e]", text), text
        with open(os.path.join(os.fsencode(bernd.received("odd")), name), "rb") as data:
            contents.add(data.read())
    assert contents == {b"%d" % n for n in range(len(names))}


@lab.test("the identity is made once, 0600, and shown by causeway id")
def identity():
    anna = lab.home("anna")
    first = json.loads(anna.causeway("id", "--json").ok().lines[0])
    again = json.loads(anna.causeway("id", "--json").ok().lines[0])
    assert first == again and first["name"] == "anna"
    key = anna.path + "/data/causeway/identity.key"
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    other = json.loads(lab.home("bernd").causeway("id", "--json").ok().lines[0])
    assert other["fingerprint"] != first["fingerprint"]


@lab.test("--verify on both ends shows the same and waits")
def verify():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("v.bin"), 1000)
    ours = anna.causeway("send", "--json", "--verify", "--code", code, path, terminal=True)
    ours.event("code")
    theirs = bernd.causeway("receive", "--json", "--verify", "--yes", code, terminal=True)
    assert ours.event("verify") == theirs.event("verify")
    assert os.listdir(bernd.downloads) == []
    theirs.answer("y\n", "?")
    ours.answer("y\n", "?")
    theirs.ok()
    ours.ok()
    assert os.listdir(bernd.downloads) == ["v.bin"]


@lab.test("--verify answered by no: nothing is sent, the other is told")
def verify_differs():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("v.bin"), 1000)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    theirs = bernd.causeway("receive", "--json", "--verify", "--yes", code, terminal=True)
    theirs.answer("n\n", "?")
    assert theirs.wait() != 0
    assert ours.wait() == 4, ours.output()
    assert os.listdir(bernd.downloads) == []


# --- Resuming -----------------------------------------------------------------------------------

def interrupted(kill_sender, size=400_000_000):
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    top = anna.received("set")
    os.mkdir(top)
    for n in range(50):
        lab.make_file(f"{top}/a{n}", 2000 + n, n)
    lab.make_file(top + "/big", size)
    ours, theirs, _, _ = pair(top, anna=anna, bernd=bernd, wait=False)
    theirs.event("progress")
    # Both are stopped before either can be through with it.
    theirs.signal(signal.SIGSTOP)
    ours.signal(signal.SIGSTOP)
    assert not theirs.events("done"), "the file is too small for this machine"
    victim, other = (ours, theirs) if kill_sender else (theirs, ours)
    victim.kill()
    other.signal(signal.SIGCONT)
    assert other.wait() == 5, other.output()
    assert [n for n in os.listdir(bernd.downloads) if not n.startswith(".")] == []
    return anna, bernd, top


@lab.test("the sender is killed; the same command again continues")
def resume_after_sender():
    anna, bernd, top = interrupted(True)
    _, theirs, _, _ = pair(top, anna=anna, bernd=bernd)
    lab.same(bernd.received("set"), top)
    assert theirs.events("done")[0]["bytes_kept"] > 5_000_000, theirs.events("done")
    assert lab.leftovers(bernd.downloads) == []


@lab.test("the receiver is killed; the same command again continues")
def resume_after_receiver():
    anna, bernd, top = interrupted(False)
    _, theirs, _, _ = pair(top, anna=anna, bernd=bernd)
    lab.same(bernd.received("set"), top)
    assert theirs.events("done")[0]["bytes_kept"] > 5_000_000, theirs.events("done")


@lab.test("what changed meanwhile is sent again, whatever its length says")
def resume_changed():
    anna, bernd, top = interrupted(True)
    with open(top + "/big", "r+b") as out:
        out.seek(1000)
        out.write(b"changed")
    with open(top + "/a3", "r+b") as out:
        out.write(b"also")
    pair(top, anna=anna, bernd=bernd)
    lab.same(bernd.received("set"), top)


# --- What goes wrong ----------------------------------------------------------------------------

@lab.test("a wrong code: both are told, nothing is sent, the code is burnt")
def wrong_code():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f"), 1000)
    ours = anna.causeway("send", "--code", code, path)
    ours.expect(code)
    theirs = bernd.causeway("receive", "--yes", code + "s")
    assert theirs.wait() == 3, theirs.output()
    assert ours.wait() == 3, ours.output()
    for process in (ours, theirs):
        text = " ".join(process.errors)
        assert "code" in text and "Nothing was sent" in text, process.output()
    assert os.listdir(bernd.downloads) == []


@lab.test("the receiver declines")
def declined():
    lab.servers()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("f"), 1000)
    ours, theirs, _, bernd = pair(path, anna=anna, receive_args=(), wait=False)
    theirs.close_stdin()
    assert theirs.wait() == 4, theirs.output()
    assert ours.wait() == 4, ours.output()
    assert ours.events("error")[0]["error"] == "declined"
    assert os.listdir(bernd.downloads) == []


def interrupt(sender):
    lab.servers()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("f"), 900_000_000)
    ours, theirs, _, bernd = pair(path, anna=anna, wait=False)
    theirs.event("progress")
    stopped, other = (ours, theirs) if sender else (theirs, ours)
    stopped.signal(signal.SIGINT)
    assert stopped.wait() == 130, stopped.output()
    assert other.wait() == 4, other.output()
    assert other.events("error")[0]["error"] == "peer-cancelled", other.output()
    assert [n for n in os.listdir(bernd.downloads) if not n.startswith(".")] == []


@lab.test("Ctrl-C at the sender ends both cleanly")
def interrupt_sender():
    interrupt(True)


@lab.test("Ctrl-C at the receiver ends both cleanly")
def interrupt_receiver():
    interrupt(False)


@lab.test("Ctrl-C while nobody has come")
def interrupt_waiting():
    lab.servers()
    anna = lab.home("anna")
    ours = anna.causeway("send", "--json", "--text", "x")
    ours.event("code")
    ours.signal(signal.SIGINT)
    assert ours.wait() == 130, ours.output()


@lab.test("Ctrl-C while the other is asked")
def interrupt_asking():
    lab.servers()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("f"), 1000)
    code = next_code()
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    theirs = lab.home("bernd").causeway("receive", "--json", code, terminal=True)
    theirs.event("offer")
    ours.signal(signal.SIGINT)
    assert ours.wait() == 130, ours.output()
    assert theirs.wait() == 4, theirs.output()


def tmpfs(size, *extra):
    path = lab.folder("cw-tmpfs")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    return path


@lab.test("disk full: one sentence on both sides, exit status 7, the rest delivered")
def disk_full():
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    target = tmpfs("20m")
    try:
        small = lab.make_file(anna.received("small"), 1000)
        # Its size is not known before, so nobody can say no at once.
        code = next_code()
        ours = anna.causeway("send", "--json", "--code", code, "-")
        ours.event("code")
        theirs = bernd.causeway("receive", "--json", "--yes", "--output", target, code)
        try:
            for _ in range(60):
                ours.write(b"x" * 1_000_000)
            ours.close_stdin()
        except BrokenPipeError:
            pass
        assert theirs.wait() in (7, 8), theirs.output()
        assert ours.wait() in (7, 8, 1), ours.output()
        assert [n for n in os.listdir(target) if not n.startswith(".")] == []
        pair(small, anna=anna, bernd=bernd, receive_args=("--yes", "--output", target))
        assert "small" in os.listdir(target)
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@lab.test("a target that is no folder, and one that may not be written")
def bad_target():
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    path = lab.make_file(anna.received("f"), 1000)
    file_target = lab.make_file(bernd.received("not-a-folder"), 1)
    ours, theirs, _, _ = pair(path, anna=anna, bernd=bernd, wait=False,
                              receive_args=("--yes", "--output", file_target))
    assert theirs.wait() in (2, 7), theirs.output()
    ours.signal(signal.SIGINT)  # it may never have heard of it
    ours.wait()
    target = tmpfs("1m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", target], check=True)
        ours, theirs, _, _ = pair(path, anna=anna, bernd=bernd, wait=False,
                                  receive_args=("--yes", "--output", target))
        assert theirs.wait() == 7, theirs.output()
        assert ours.wait() != 0, ours.output()
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@lab.test("a source that cannot be read fails at once; one inside a folder does not stop the rest")
def unreadable():
    lab.servers()
    anna = lab.home("anna")
    ours = anna.causeway("send", anna.received("missing"))
    assert ours.wait() != 0 and "missing" in ours.output(), ours.output()
    top = anna.received("mixed")
    os.mkdir(top)
    lab.make_file(top + "/good", 1000)
    os.mkfifo(top + "/fifo")
    bernd, code = lab.home("bernd"), next_code()
    ours = anna.causeway("send", "--json", "--code", code, top)
    ours.event("code")
    theirs = bernd.causeway("receive", "--json", "--yes", code)
    assert ours.wait() == 8, ours.output()
    theirs.wait()
    assert os.listdir(bernd.received("mixed")) == ["good"]


@lab.test("the relay dies in the middle: both end with a sentence")
def relay_dies():
    lab.our_mailbox()
    relay = lab.our_relay()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("f"), 900_000_000)
    ours, theirs, _, _ = pair(path, anna=anna, relay=True, wait=False)
    theirs.event("progress")
    relay.kill()
    assert theirs.wait() == 5, theirs.output()
    assert ours.wait() == 5, ours.output()


@lab.test("no route at all is a sentence")
def no_route():
    lab.our_mailbox()
    anna = lab.home("anna")
    path = lab.make_file(anna.received("f"), 1000)
    ours, theirs, _, _ = pair(path, anna=anna, relay=True, wait=False)
    assert theirs.wait(100) == 5, theirs.output()
    assert ours.wait(100) == 5, ours.output()
    assert ours.events("error")[0]["error"] == "no-route"


# --- Size ---------------------------------------------------------------------------------------

def many(count):
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    top = anna.received("many")
    for n in range(count):
        if n % 1000 == 0:
            os.makedirs(f"{top}/{n // 1000:03}")
        with open(f"{top}/{n // 1000:03}/{n}", "wb") as out:
            out.write(b"%d" % n)
    ours = anna.causeway("send", "--json", "--code", code, top)
    ours.event("code")
    theirs = bernd.causeway("receive", "--json", "--yes", code)
    peaks = [0, 0]
    while theirs.process.poll() is None and ours.process.poll() is None:
        for i, process in enumerate((ours, theirs)):
            try:
                peaks[i] = max(peaks[i], process.rss_peak_kib())
            except (FileNotFoundError, ProcessLookupError):
                pass
        time.sleep(0.05)
    theirs.ok()
    ours.ok()
    for n in range(0, count, 997):
        with open(f"{bernd.received('many')}/{n // 1000:03}/{n}", "rb") as data:
            assert data.read() == b"%d" % n
    assert sum(len(f) for _, _, f in os.walk(bernd.received("many"))) == count
    print(f"# {count} files: peak sender {peaks[0]} KiB, receiver {peaks[1]} KiB")
    if lab.SLOW == 1:
        assert max(peaks) < 40_000, peaks


@lab.test("10,000 small files, each side below 40 MB")
def ten_thousand():
    many(10_000)


@lab.test("100,000 small files, each side below 40 MB")
def hundred_thousand():
    if lab.SLOW > 1:
        raise lab.Skip("in the plain build only: sanitizers multiply time and memory")
    many(100_000)


lab.enter()
lab.main()
