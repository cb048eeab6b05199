# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""The main job on this machine: two Causeways with identities of their own, a mailbox between
them, a code made by one and used by the other, a file that arrives."""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

MADE_SIZE = 256 << 20


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as data:
        for block in iter(lambda: data.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def make_file(path):
    block = os.urandom(1 << 20)
    with open(path, "wb") as out:
        for number in range(MADE_SIZE >> 20):
            out.write(number.to_bytes(8, "big") + block[8:])


def environment(home, mailbox, name):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CAUSEWAY_")}
    env.update(XDG_DATA_HOME=home + "/data", XDG_CONFIG_HOME=home + "/config",
               CAUSEWAY_MAILBOX=mailbox, CAUSEWAY_TRANSIT_RELAY="none", CAUSEWAY_NAME=name)
    return env


def events(process, seen):
    """Collects the --json events; keeps the pipe empty until the program ends."""
    for line in process.stdout:
        event = json.loads(line)
        seen.append(event)
        yield event


def fail(message, *processes):
    print(message, file=sys.stderr)
    for process in processes:
        if process.poll() is None:
            process.kill()
        print(process.stderr.read(), file=sys.stderr)
    return 1


def show(causeway, path, work):
    mailbox = subprocess.Popen([causeway, "mailbox", "--listen", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=environment(work + "/server", "ws://127.0.0.1:1/v1", "server"))
    try:
        line = mailbox.stdout.readline()
        url = re.search(r"ws://[^\s,]+", line)
        if url is None:
            return fail("the mailbox server did not start: " + line)
        return transfer(causeway, path, work, url.group(0))
    finally:
        mailbox.terminate()
        mailbox.wait()


def transfer(causeway, path, work, url):
    anna = environment(work + "/anna", url, "Anna's laptop")
    bernd = environment(work + "/bernd", url, "Bernd's desktop")
    inbox = work + "/arrived"
    os.mkdir(inbox)
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sender = subprocess.Popen([causeway, "send", "--json", path], env=anna, **pipes)
    sent, got = [], []
    code = next((e["code"] for e in events(sender, sent) if e["event"] == "code"), None)
    if code is None:
        return fail("no code was made", sender)
    print(f"Anna's laptop sends {os.path.basename(path)} and reads out the code  {code}")
    threading.Thread(target=lambda: list(events(sender, sent)), daemon=True).start()
    receiver = subprocess.Popen([causeway, "receive", "--json", "--yes", "--output", inbox, code],
                                env=bernd, **pipes)
    for event in events(receiver, got):
        if event["event"] == "route":
            print(f"Bernd's desktop receives over the route  {event['kind']}, {event['address']}")
    if receiver.wait() != 0 or sender.wait() != 0:
        return fail("the transfer failed", sender, receiver)
    done = next(e for e in got if e["event"] == "done")
    seconds = max(done["seconds"], 1e-3)
    arrived = os.path.join(inbox, os.path.basename(path))
    here, there = sha256(path), sha256(arrived)
    print(f"{done['bytes'] / 1e6:.0f} MB in {seconds:.2f} s, {done['bytes'] / 1e6 / seconds:.0f} MB/s")
    print(f"SHA-256 sent      {here}\nSHA-256 received  {there}")
    print("The same bytes." if here == there else "The bytes DIFFER.")
    return 0 if here == there else 1


def main():
    parser = argparse.ArgumentParser(prog="tools/run", description=__doc__)
    parser.add_argument("causeway")
    parser.add_argument("--file", help="send this file instead of one made for the purpose")
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="causeway-demo-")
    try:
        path = args.file
        if path is None:
            path = os.path.join(work, "example.bin")
            make_file(path)
        elif not os.path.isfile(path):
            parser.error(f"{path} is not a file")
        return show(args.causeway, os.path.abspath(path), work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
