# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Our mailbox server and our relay with the clients people have, word for word beside Debian's
mailbox server, and beside clients that mean harm. Causeway itself is no client here."""

import json
import os
import re
import socket
import struct
import threading

import lab

MAILBOX_PORT = 4000
DEBIAN_PORT = 4002
RELAY_PORT = 4001
SIZE = 3_000_000
_number = [400]


def next_code():
    _number[0] += 1
    return f"{_number[0]}-crossover-clockwork"


# --- Real clients ---------------------------------------------------------------------------------

def python_send(home, code, *what):
    lab.need("wormhole")
    return home.run("wormhole", "send", "--code", code, "--hide-progress", "--no-listen", *what)


def python_receive(home, code):
    lab.need("wormhole")
    return home.run("wormhole", "receive", "--accept-file", "--hide-progress", "--no-listen", code)


def go_send(home, code, *what):
    lab.need("wormhole-william")
    return home.run("wormhole-william", "--relay-url", f"ws://127.0.0.1:{MAILBOX_PORT}/v1", "send",
                    "--code", code, *what)


def go_receive(home, code):
    lab.need("wormhole-william")
    process = home.run("wormhole-william", "--relay-url", f"ws://127.0.0.1:{MAILBOX_PORT}/v1",
                       "receive", code)
    process.write(b"y\n")
    return process


def transfer(send, receive, size=SIZE):
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(os.path.join(anna.path, "photo.bin"), size, seed=_number[0])
    sender = send(anna, code, path)
    receiver = receive(bernd, code)
    receiver.ok()
    sender.ok()
    assert lab.sha256(bernd.received("photo.bin")) == lab.sha256(path)


CLIENTS = {
    "wormhole": (python_send, python_receive),
    "william": (go_send, go_receive),
}
for sender_name, (sender_func, _) in CLIENTS.items():
    for receiver_name, (_, receiver_func) in CLIENTS.items():
        # William listens when it sends and cannot be told not to; the rest goes through the relay.
        def file_between(send=sender_func, receive=receiver_func):
            lab.servers()
            transfer(send, receive)
        lab.test(f"a file from {sender_name} to {receiver_name}")(file_between)


@lab.test("a folder from wormhole to wormhole through the relay")
def folder():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = os.path.join(anna.path, "photos")
    os.mkdir(path)
    for number in range(20):
        lab.make_file(os.path.join(path, f"{number}.jpg"), 10_000 * number, seed=number)
    sender, receiver = python_send(anna, code, path), python_receive(bernd, code)
    receiver.ok()
    sender.ok()
    assert lab.tree(bernd.received("photos")) == lab.tree(path)


@lab.test("a text, and a code that the mailbox makes")
def text():
    lab.need("wormhole")
    lab.servers()
    anna, bernd = lab.home("anna"), lab.home("bernd")
    sender = anna.run("wormhole", "send", "--text", "grüße")
    code = sender.expect(r"wormhole receive (\S+)").group(1)
    assert re.fullmatch(r"[1-9]-[a-z]+-[a-z]+", code), code
    receiver = bernd.run("wormhole", "receive", code)
    receiver.expect("^grüße$")
    receiver.ok()
    sender.ok()


@lab.test("a wrong code: both clients say so")
def wrong_code():
    lab.servers()
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    path = lab.make_file(os.path.join(anna.path, "photo.bin"), 1000)
    sender, receiver = python_send(anna, code, path), python_receive(bernd, code + "-no")
    sender.expect("confirmation failed")
    receiver.expect("confirmation failed")
    assert sender.wait() != 0 and receiver.wait() != 0


# --- A WebSocket of our own, small enough to misbehave ----------------------------------------

REQUEST = (b"GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def frame(opcode, data):
    """Masked with zeros, which is a mask like any other."""
    head = bytes([0x80 | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(data))
    return head + bytes(4) + data


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), lab.LIMIT)
        self.socket.sendall(REQUEST)
        self.stream = self.socket.makefile("rb")
        while self.stream.readline() != b"\r\n":
            pass

    def say(self, message):
        self.socket.sendall(frame(1, message if isinstance(message, bytes)
                                  else json.dumps(message).encode()))

    def hear(self):
        """The next message; None when the server has closed."""
        while True:
            try:
                head = self.stream.read(2)
                if len(head) < 2 or head[0] & 0x0f == 8:
                    return None
                length = head[1]
                if length == 126:
                    length = struct.unpack(">H", self.stream.read(2))[0]
                elif length == 127:
                    length = struct.unpack(">Q", self.stream.read(8))[0]
                data = self.stream.read(length)
            except ConnectionError:
                return None
            if head[0] & 0x0f == 1:
                return json.loads(data)

    def close(self):
        self.stream.close()
        self.socket.close()


# --- Beside Debian's server ---------------------------------------------------------------------

def bind(side, appid="example.com/test"):
    return {"type": "bind", "appid": appid, "side": side, "client_version": ["t", "1"]}


def say(kind, **fields):
    return dict(fields, type=kind)


CLOSE = object()
# Each a list of (connection, message); a connection begins with its first message. "$1" is the first
# mailbox id or allocated nameplate that was told, and so on.
DIALOGUES = {
    "a whole meeting": [
        (1, bind("a")), (1, say("allocate", id="01")), (1, say("list")),
        (1, say("claim", nameplate="$1", id="02")), (1, say("open", mailbox="$2")),
        (1, say("add", phase="pake", body="aa", id="03")),
        (2, bind("b")), (2, say("list")), (2, say("claim", nameplate="$1")),
        (2, say("open", mailbox="$2")), (2, say("add", phase="pake", body="bb")),
        (2, say("release")), (1, say("release", nameplate="$1")), (1, say("list")),
        (1, say("add", phase="version", body="cc")), (2, say("add", phase="0", body="dd")),
        (1, say("close", mood="happy")), (2, say("close", mailbox="$2", mood="happy")),
    ],
    "each error": [
        (1, {}), (1, say("ping")), (1, say("ping", ping=[1, {"a": None}])), (1, say("list")),
        (1, say("nonsense")), (1, say("bind", side="a")), (1, say("bind", appid="x")),
        (1, bind("a")), (1, bind("a")), (1, say("nonsense")), (1, say("submit-permissions")),
        (1, {"type": 7}), (1, say("claim")), (1, say("release")), (1, say("open")),
        (1, say("add", phase="0", body="")), (1, say("close")), (1, say("allocate")),
        (1, say("allocate")), (1, say("claim", nameplate="$1")), (1, say("claim", nameplate="$1")),
        (1, say("release", nameplate="12345")), (1, say("release")), (1, say("release")),
        (1, say("open", mailbox="$2")), (1, say("open", mailbox="other")),
        (1, say("add", body="")), (1, say("add", phase="")), (1, say("close", mailbox="other")),
        (1, say("close")), (1, say("close")), (1, say("add", phase="0", body="")),
    ],
    "crowded": [
        (1, bind("a")), (2, bind("b")), (3, bind("c")), (1, say("claim", nameplate="77")),
        (2, say("claim", nameplate="77")), (3, say("claim", nameplate="77")),
        (3, say("release")), (1, say("open", mailbox="$1")), (2, say("open", mailbox="$1")),
        (3, say("open", mailbox="$1")), (3, say("close", mailbox="$1")),
    ],
    "crowded by opening": [
        (1, bind("a")), (2, bind("b")), (3, bind("c")), (1, say("open", mailbox="m1")),
        (2, say("open", mailbox="m1")), (3, say("open", mailbox="m1")),
        (3, say("add", phase="0", body="00")), (1, say("add", phase="0", body="01")),
        (4, bind("a")), (4, say("open", mailbox="m1")), (5, bind("b")),
        (5, say("close", mailbox="m1")), (1, say("close")), (2, say("close")),
        (4, say("open", mailbox="m1")), (3, say("open", mailbox="m2")),
        (3, say("add", phase="0", body="02")),
    ],
    "released alone, and reclaimed": [
        (1, bind("a")), (1, say("claim", nameplate="78")), (1, say("release")),
        (2, bind("b")), (2, say("claim", nameplate="78")), (3, bind("a")),
        (3, say("claim", nameplate="78")), (4, bind("b")), (4, say("release", nameplate="78")),
        (4, say("claim", nameplate="78")), (5, bind("b")), (5, say("release", nameplate="79")),
        (6, bind("a")), (6, say("release", nameplate="78")), (6, say("list")),
    ],
    "the same side twice, and coming back": [
        (1, bind("a")), (2, bind("a")), (1, say("open", mailbox="m3")),
        (1, say("add", phase="1", body="01", id="x")), (2, say("open", mailbox="m3")),
        (2, say("add", phase="0", body="02")), (2, say("add", phase="0", body="02")),
        (1, CLOSE), (2, CLOSE), (3, bind("b")), (3, say("open", mailbox="m3")),
        (4, bind("a")), (4, say("open", mailbox="m3")), (4, say("close")), (5, bind("a")),
        (5, say("close", mailbox="m3")), (6, bind("a")), (6, say("open", mailbox="m3")),
        (6, say("add", phase="2", body="03")), (3, say("close")), (6, say("open", mailbox="m3")),
        (6, say("close")), (7, bind("c")), (7, say("open", mailbox="m3")), (8, bind("d")),
        (8, say("open", mailbox="m3")), (8, say("add", phase="0", body="05")),
    ],
    # What the ghost adds is kept by the public server, and told to whoever makes the mailbox again;
    # ours forgets it.
    "a ghost": [
        (1, bind("a")), (2, bind("b")), (3, bind("a")), (1, say("open", mailbox="m4")),
        (2, say("open", mailbox="m4")), (1, say("close")), (3, say("open", mailbox="m4")),
        (3, say("add", phase="0", body="00")), (2, say("close")),
        (3, say("add", phase="1", body="01")), (3, say("close")),
    ],
    "apps apart": [
        (1, bind("a", "one")), (2, bind("b", "two")), (1, say("claim", nameplate="5")),
        (2, say("claim", nameplate="5")), (1, say("list")), (2, say("list")),
        (1, say("open", mailbox="$1")), (2, say("open", mailbox="$1")),
    ],
    # Only after the release: the public server trips over its own foreign key, and cuts the
    # connection, when a mailbox goes before its nameplate.
    "closing before opening, and opening again": [
        (1, bind("a")), (1, say("claim", nameplate="80")), (1, say("release")),
        (1, say("close", mailbox="$1")), (1, say("open", mailbox="$1")),
        (1, say("add", phase="0", body="00")), (1, say("close")), (2, bind("b")),
        (2, say("open", mailbox="$1")), (3, bind("c")), (3, say("open", mailbox="$1")),
        (4, bind("a")), (4, say("close", mailbox="$1")),
    ],
    "not JSON": [(1, bind("a")), (1, b"nonsense")],
    "no object": [(1, bind("a")), (1, b"[]")],
    "no string for a nameplate": [(1, bind("a")), (1, say("claim", nameplate=4))],
    "no string for a mailbox": [(1, bind("a")), (1, say("open", mailbox=4))],
    "values of odd kinds": [
        (1, bind("s\u00e9\"")), (1, say("list", id=5)), (1, say("open", mailbox="m\u20ac")),
        (1, say("add", phase="p\u0001\\\"", body="not hex", id=None)),
    ],
}


def simplify(message, names):
    """What matters of an answer, with ids of the server's making numbered as they appear."""
    if message is None:
        return "DROP"
    kind = message["type"]
    for field in ("nameplate", "mailbox"):
        if field in message and message[field] not in names:
            names.append(message[field])
    if kind == "welcome":
        return kind
    kept = {k: v for k, v in message.items()
            if k not in ("server_tx", "server_rx", "orig", "nameplate", "mailbox")}
    if kind == "nameplates":
        kept["nameplates"] = len(message["nameplates"])
    return json.dumps(kept, sort_keys=True)


def play(port, dialogue):
    """[what each connection heard after each step]."""
    clients, names, heard = {}, [], []
    for number, message in dialogue:
        if number not in clients:
            clients[number] = Client(port)
        if message is CLOSE:
            clients.pop(number).close()
            continue
        if isinstance(message, dict):
            message = {k: names[int(v[1:]) - 1] if isinstance(v, str) and v.startswith("$") else v
                       for k, v in message.items()}
        before = len(heard)
        clients[number].say(message)
        # The pong of each connection comes after whatever the message gave it; the sender's first.
        for other in sorted(clients, key=lambda n: n != number):
            try:
                clients[other].say(say("ping", ping="sync", id="sync"))
            except ConnectionError:
                pass
            while True:
                answer = clients[other].hear()
                if answer is not None and answer.get("id") == "sync":
                    continue
                if answer is not None and answer.get("pong") == "sync":
                    break
                heard.append(f"{other}: {simplify(answer, names)}")
                if answer is None:
                    break
            if heard and heard[-1] == f"{other}: DROP":
                clients.pop(other).close()
                # Debian's server cuts so hard that the command's ack may be lost; ours sends it.
                if len(heard) > before + 1 and re.match(f'{other}: .*"ack"', heard[-2]):
                    del heard[-2]
    for client in clients.values():
        client.close()
    return heard


@lab.test("word for word what Debian's mailbox server answers")
def beside_debian():
    lab.debian_mailbox(DEBIAN_PORT)
    lab.our_mailbox(MAILBOX_PORT)
    for name, dialogue in DIALOGUES.items():
        theirs, ours = play(DEBIAN_PORT, dialogue), play(MAILBOX_PORT, dialogue)
        assert len(theirs) >= len(dialogue) // 2
        for step, (a, b) in enumerate(zip(theirs, ours)):
            assert a == b, f"{name}, answer {step}: Debian says {a}, we say {b}"
        assert len(theirs) == len(ours), f"{name}: {theirs[len(ours):]} or {ours[len(theirs):]}"


# --- Clients that mean harm -----------------------------------------------------------------------

class Flood:
    """Threads that send on many sockets, as long as they can, until stopped."""

    def __init__(self):
        self.stopped = False
        self.sockets = []
        self.threads = []

    def socket(self, port):
        made = socket.create_connection(("127.0.0.1", port), lab.LIMIT)
        self.sockets.append(made)
        return made

    def send_for_ever(self, port, hello, data, count, again=True):
        """On @count connections: @hello, then @data over and over; a new one when one is cut."""
        def run():
            while not self.stopped:
                try:
                    with socket.create_connection(("127.0.0.1", port), lab.LIMIT) as out:
                        out.settimeout(0.5)
                        out.sendall(hello)
                        while not self.stopped:
                            try:
                                out.send(data)
                            except socket.timeout:
                                pass
                except OSError:
                    pass
                if not again:
                    return
        for _ in range(count):
            self.threads.append(threading.Thread(target=run, daemon=True))
            self.threads[-1].start()

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()
        for one in self.sockets:
            one.close()


@lab.test("silent, slow, flooding and malformed clients of the mailbox server")
def mailbox_floods():
    server, _ = lab.servers()
    flood = Flood()
    try:
        for number in range(1500):
            quiet = flood.socket(MAILBOX_PORT)
            if number % 3 == 1:
                quiet.sendall(b"GET /v1 HTTP/1.1\r\nHo")
            if number % 3 == 2:
                quiet.sendall(REQUEST)
        listing = frame(1, b'{"type": "list"}') * 100
        bound = REQUEST + frame(1, json.dumps(bind("f")).encode())
        flood.send_for_ever(MAILBOX_PORT, REQUEST, frame(9, b"ping") * 1000, 2)
        flood.send_for_ever(MAILBOX_PORT, bound, listing, 2)
        flood.send_for_ever(MAILBOX_PORT, bound, frame(1, b"nonsense"), 1)
        flood.send_for_ever(MAILBOX_PORT, REQUEST, b"\x01\xfe\xff\xff" + bytes(4 + 65535), 1)
        flood.send_for_ever(MAILBOX_PORT, b"", b"GET / HTTP/1.1\r\n\r\n", 1)
        flood.send_for_ever(MAILBOX_PORT, b"", b"x" * 65536, 1)
        for _ in range(2):
            transfer(python_send, python_receive, 100_000)
        peak = server.rss_peak_kib()
        print(f"# at most {peak / 1000:.0f} MB resident")
        assert peak < 80_000 * lab.SLOW
    finally:
        flood.stop()
    transfer(python_send, python_receive, 100_000)


@lab.test("silent, slow, flooding and malformed clients of the relay")
def relay_floods():
    _, relay = lab.servers()
    flood = Flood()
    try:
        for number in range(600):
            quiet = flood.socket(RELAY_PORT)
            if number % 2 == 1:
                quiet.sendall(b"please relay " + b"%064d" % number + b"\n")
        stuck = b"please relay " + b"f" * 64 + b"\n"
        # Joined with each other, neither reads what the other sends once the "ok" is there.
        for _ in range(2):
            ends = [flood.socket(RELAY_PORT), flood.socket(RELAY_PORT)]
            for end in ends:
                end.sendall(stuck)
            for end in ends:
                assert end.recv(3) == b"ok\n"
                end.setblocking(False)
                try:
                    while True:
                        end.send(bytes(65536))
                except BlockingIOError:
                    pass
        flood.send_for_ever(RELAY_PORT, b"", b"x" * 65536, 2)
        flood.send_for_ever(RELAY_PORT, stuck, b"impatient", 2)
        for _ in range(2):
            transfer(python_send, python_receive)
        peak = relay.rss_peak_kib()
        print(f"# at most {peak / 1000:.0f} MB resident")
        assert peak < 30_000 * lab.SLOW
    finally:
        flood.stop()
    transfer(python_send, python_receive)


if __name__ == "__main__":
    lab.enter()
    lab.main()
