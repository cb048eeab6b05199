# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Causeway with the clients and servers people have: Debian's wormhole (Python), wormhole-william (Go)
and, with tools/test --all, magic-wormhole-cli (Rust). Each direction, each kind, each server."""

import os
import shutil
import signal
import subprocess

import lab

CODE = "{}-crossover-clockwork"
_number = [100]


def next_code():
    _number[0] += 1
    return CODE.format(_number[0])


# --- The other clients, by the same few verbs ---------------------------------------------------

class Python:
    name = "wormhole"
    directory_arrives_as = "folder"
    takes_text = True

    def __init__(self):
        lab.need("wormhole")

    def send(self, home, code, *what, relay=False):
        return home.run("wormhole", "send", "--code", code, "--hide-progress",
                        *(["--no-listen"] if relay else []), *what)

    def send_text(self, home, code, text):
        return home.run("wormhole", "send", "--code", code, "--text", text)

    def receive(self, home, code, relay=False):
        return home.run("wormhole", "receive", "--accept-file", "--hide-progress",
                        *(["--no-listen"] if relay else []), code)


class Go:
    name = "william"
    directory_arrives_as = "folder"
    takes_text = True

    def __init__(self):
        lab.need("wormhole-william")
        if not os.path.exists("/etc/hosts"):
            raise lab.Skip("no /etc/hosts, in which its built-in relay could be this machine")

    def send(self, home, code, *what, relay=False):
        return home.run("wormhole-william", "--relay-url", "ws://127.0.0.1:4000/v1", "send",
                        "--code", code, *what)

    def send_text(self, home, code, text):
        return home.run("wormhole-william", "--relay-url", "ws://127.0.0.1:4000/v1", "send",
                        "--code", code, "--text", text)

    def receive(self, home, code, relay=False):
        process = home.run("wormhole-william", "--relay-url", "ws://127.0.0.1:4000/v1", "receive",
                           code)
        process.write(b"y\n")
        return process


class Rust:
    name = "rs"
    directory_arrives_as = "tar"

    def __init__(self):
        self.program = shutil.which("wormhole-rs")
        if self.program is None:
            raise lab.Skip("magic-wormhole-cli is not built (tools/test --all builds it)")

    def send(self, home, code, *what, relay=False):
        return home.run(self.program, "send", "--rendezvous-server", "ws://127.0.0.1:4000/v1",
                        "--relay-server", "tcp://127.0.0.1:4001", "--code", code,
                        *(["--force-relay"] if relay else []), *what)

    def send_text(self, home, code, text):
        raise lab.Skip("magic-wormhole-cli sends no text")

    takes_text = False

    def receive(self, home, code, relay=False):
        return home.run(self.program, "receive", "--rendezvous-server", "ws://127.0.0.1:4000/v1",
                        "--relay-server", "tcp://127.0.0.1:4001", "--noconfirm",
                        *(["--force-relay"] if relay else []), code)


CLIENTS = [Python, Go, Rust]
SERVERS = {"ours": (lab.our_mailbox, lab.our_relay),
           "debian": (lab.debian_mailbox, lab.debian_relay)}


def make_folder(path):
    os.makedirs(path + "/deep/er")
    lab.make_file(path + "/a.bin", 300_000)
    lab.make_file(path + "/deep/er/b.bin", 5)
    with open(path + "/deep/run.sh", "w", encoding="utf-8") as out:
        out.write("#!/bin/sh\n")
    os.chmod(path + "/deep/run.sh", 0o755)
    return path


def route_of(process):
    return process.events("route")[0]["kind"]


# --- Ours to theirs -----------------------------------------------------------------------------

def to_file(client, servers, relay=False):
    lab.servers(*SERVERS[servers])
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("film.bin"), 3_000_017)
    ours = anna.causeway("send", "--json", "--code", code, *(["--no-direct"] if relay else []), path)
    ours.event("code")
    theirs = client.receive(bernd, code, relay)
    theirs.ok()
    ours.ok()
    assert lab.sha256(bernd.received("film.bin")) == lab.sha256(path)
    assert (route_of(ours) == "relay") == relay, ours.output()


def from_file(client, servers, relay=False):
    lab.servers(*SERVERS[servers])
    anna, bernd = lab.home("anna"), lab.home("bernd")
    path = lab.make_file(anna.received("film.bin"), 3_000_017)
    for _ in range(5):
        code = next_code()
        theirs = client.send(anna, code, path, relay=relay)
        ours = bernd.causeway("receive", "--json", "--yes", *(["--no-direct"] if relay else []),
                              code)
        # About every fourth time this client closes, while it sends, the relayed connection that it
        # has just chosen; all we owe it then is a sentence.
        if relay and ours.wait() == 5 and "use of closed network connection" in theirs.output():
            theirs.wait()
            continue
        ours.ok()
        theirs.ok()
        assert lab.sha256(bernd.received("film.bin")) == lab.sha256(path)
        assert (route_of(ours) == "relay") == relay, ours.output()
        return
    raise AssertionError("the other client closed its own connection five times")


def to_folder(client, servers):
    lab.servers(*SERVERS[servers])
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = make_folder(anna.received("tree"))
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    client.receive(bernd, code).ok()
    ours.ok()
    arrived = bernd.received("tree")
    if client.directory_arrives_as == "tar":  # this client saves the zip as it is
        subprocess.run(["unzip", "-q", bernd.received("tree.zip"), "-d", arrived], check=True)
    lab.same(arrived, path)


def from_folder(client, servers):
    lab.servers(*SERVERS[servers])
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = make_folder(anna.received("tree"))
    theirs = client.send(anna, code, path)
    bernd.causeway("receive", "--json", "--yes", code).ok()
    theirs.ok()
    arrived = bernd.received("tree")
    if client.directory_arrives_as == "tar":
        subprocess.run(["tar", "xf", bernd.received("tree.tar"), "-C", bernd.downloads], check=True)
        os.chmod(arrived + "/deep/run.sh", 0o755)  # this client's tar says 0644 for all
    lab.same(arrived, path)


TEXT = "Grüße, „quoted“ – 你好\nsecond line"


def to_text(client, servers):
    lab.servers(*SERVERS[servers])
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    ours = anna.causeway("send", "--json", "--code", code, "--text", TEXT)
    ours.event("code")
    theirs = client.receive(bernd, code)
    if not client.takes_text:  # then it must be a sentence on our side, and no hang
        theirs.wait()
        assert ours.wait() not in (0, 130), ours.output()
        assert ours.events("error"), ours.output()
        return
    theirs.ok()
    ours.ok()
    assert "second line" in "\n".join(theirs.lines), theirs.output()


def from_text(client, servers):
    lab.servers(*SERVERS[servers])
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    theirs = client.send_text(anna, code, TEXT)
    ours = bernd.causeway("receive", "--json", "--yes", code).ok()
    theirs.ok()
    assert ours.events("text")[0]["text"] == TEXT


for kind in CLIENTS:
    for where in SERVERS:
        for direction, func in [("to", to_file), ("from", from_file)]:
            for through in (False, True):
                if through and direction == "to" and kind is Go:
                    continue  # a Go receiver dials whatever it is told; covered by "from"
                lab.test(f"{direction} {kind.name}: file, {where} servers" +
                         (", relay" if through else ""))(
                    lambda kind=kind, where=where, func=func, through=through:
                    func(kind(), where, through))
        for label, func in [("to folder", to_folder), ("from folder", from_folder),
                            ("to text", to_text), ("from text", from_text)]:
            direction, what = label.split()
            lab.test(f"{direction} {kind.name}: {what}, {where} servers")(
                lambda kind=kind, where=where, func=func: func(kind(), where))


# --- What goes wrong ----------------------------------------------------------------------------

@lab.test("wrong code, wormhole receives")
def wrong_code_there():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f.bin"), 1000)
    ours = anna.causeway("send", "--code", code, path)
    ours.expect(code)
    theirs = Python().receive(bernd, code[:-1])
    assert theirs.wait() != 0
    assert ours.wait() == 3, ours.output()
    assert any("wrong code" in line for line in ours.errors), ours.output()
    assert os.listdir(bernd.downloads) == []


@lab.test("wrong code, wormhole sends")
def wrong_code_here():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f.bin"), 1000)
    theirs = Python().send(anna, code, path)
    ours = bernd.causeway("receive", "--yes", code + "x")
    assert ours.wait() == 3, ours.output()
    assert theirs.wait() != 0
    assert os.listdir(bernd.downloads) == []


@lab.test("wormhole declines")
def they_decline():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f.bin"), 1000)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    theirs = bernd.run("wormhole", "receive", code)
    theirs.write(b"n\n")
    theirs.wait()
    assert ours.wait() == 4, ours.output()
    assert ours.events("error")[0]["error"] == "declined"


@lab.test("we decline what wormhole sends")
def we_decline():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f.bin"), 1000)
    theirs = Python().send(anna, code, path)
    ours = bernd.causeway("receive", code, stdin=subprocess.DEVNULL)
    assert ours.wait() == 4, ours.output()
    assert theirs.wait() != 0
    assert "rejected" in theirs.output()


@lab.test("wormhole is killed while it sends")
def they_die_sending():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("big.bin"), 600_000_000)
    theirs = Python().send(anna, code, path)
    ours = bernd.causeway("receive", "--json", "--yes", code)
    ours.event("progress")
    theirs.kill()
    assert ours.wait() == 5, ours.output()
    assert os.listdir(bernd.downloads) == [], os.listdir(bernd.downloads)


@lab.test("wormhole is killed while it receives")
def they_die_receiving():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("big.bin"), 600_000_000)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    theirs = Python().receive(bernd, code)
    ours.event("progress")
    theirs.kill()
    assert ours.wait() == 5, ours.output()


@lab.test("Ctrl-C on our side while wormhole waits")
def we_cancel():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("big.bin"), 600_000_000)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    theirs = Python().receive(bernd, code)
    ours.event("progress")
    ours.signal(signal.SIGINT)
    assert ours.wait() == 130, ours.output()
    assert theirs.wait() != 0


@lab.test("an empty file to and from wormhole")
def empty_file():
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    path = lab.make_file(anna.received("empty"), 0)
    code = next_code()
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    Python().receive(bernd, code).ok()
    ours.ok()
    assert os.path.getsize(bernd.received("empty")) == 0
    code = next_code()
    theirs = Python().send(anna, code, path)
    bernd.causeway("receive", "--json", "--yes", code).ok()
    theirs.ok()
    assert os.path.getsize(bernd.received("empty (2)")) == 0


@lab.test("an empty file to william, which cannot, is a sentence after a minute", slow=True)
def empty_file_go():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("empty"), 0)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    Go().receive(bernd, code).wait(100)
    assert ours.wait() == 5, ours.output()


@lab.test("a text that is too long for wormhole is a sentence; a Causeway gets it")
def long_text():
    lab.servers()
    text = "long " * 20_000
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    ours = anna.causeway("send", "--json", "--code", code, "--text", "-")
    ours.write(text.encode())
    ours.close_stdin()
    ours.event("code")
    theirs = Python().receive(bernd, code)
    assert ours.wait() == 1, ours.output()
    assert ours.events("error")[0]["error"] == "text-too-long", ours.output()
    assert theirs.wait() != 0
    code = next_code()
    ours = anna.causeway("send", "--json", "--code", code, "--text", "-")
    ours.write(text.encode())
    ours.close_stdin()
    ours.event("code")
    got = bernd.causeway("receive", "--json", "--yes", code).ok()
    ours.ok()
    assert got.events("text")[0]["text"] == text


@lab.test("IPv6 only: mailbox, relay and the two Causeways")
def ipv6():
    addresses = [lab.ADDR4 + "/24", "127.0.0.1/8"]
    for address in addresses:
        subprocess.run(["ip", "addr", "del", address, "dev", "lo"], check=True)
    try:
        lab.our_mailbox(listen="[::1]", host="::1")
        settings = {"CAUSEWAY_MAILBOX": "ws://[::1]:4000/v1", "CAUSEWAY_TRANSIT_RELAY": "none"}
        anna, bernd, code = lab.home("anna", **settings), lab.home("bernd", **settings), next_code()
        path = lab.make_file(anna.received("six.bin"), 1_000_000)
        ours = anna.causeway("send", "--json", "--code", code, path)
        ours.event("code")
        theirs = bernd.causeway("receive", "--json", "--yes", code).ok()
        ours.ok()
    finally:
        lab.stop_processes()
        for address in addresses:
            subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
    assert lab.sha256(bernd.received("six.bin")) == lab.sha256(path)
    assert ":" in theirs.events("route")[0]["address"], theirs.output()


@lab.test("the mailbox turns us away, and we say what it says")
def unwelcome():
    lab.debian_mailbox(4000, None, "--signal-error=closed for repairs")
    anna = lab.home("anna")
    ours = anna.causeway("send", "--text", "x")
    assert ours.wait() == 6, ours.output()
    assert "closed for repairs" in ours.output()


@lab.test("the packaged mailbox is killed and started again while we wait")
def mailbox_restart():
    state = lab.folder()
    mailbox = lab.debian_mailbox(4000, state)
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(anna.received("f.bin"), 100_000)
    ours = anna.causeway("send", "--json", "--code", code, path)
    ours.event("code")
    mailbox.kill()
    lab.debian_mailbox(4000, state)
    Python().receive(bernd, code).ok()
    ours.ok()
    assert lab.sha256(bernd.received("f.bin")) == lab.sha256(path)


@lab.test("no mailbox there: a sentence, exit status 6")
def no_mailbox():
    ours = lab.home("anna").causeway("send", "--text", "x")
    assert ours.wait() == 6, ours.output()
    assert ours.errors and ours.errors[0].startswith("causeway:"), ours.output()


lab.enter()
lab.main()
