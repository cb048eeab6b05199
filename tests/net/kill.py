# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Kill -9 at random moments of the sender, the receiver, the mailbox server and the relay: never wrong
bytes, never a file under a final name that is not whole, and the same command again completes.

CW_KILL_SEED repeats a run, CW_KILL_ROUNDS sets how many."""

import os
import random
import time

import lab

ROUNDS = int(os.environ.get("CW_KILL_ROUNDS", "100" if lab.SLOW == 1 else "20"))
SEED = int(os.environ.get("CW_KILL_SEED", str(random.randrange(1 << 30))))
_number = [1000]


def make_source(home, rng):
    top = home.received("set")
    os.makedirs(top + "/sub")
    for n in range(40):
        lab.make_file(f"{top}/sub/{n}", rng.randrange(20_000), n)
    single = lab.make_file(home.received("film.bin"), 40_000_000)
    return [single, top]


def check_target(path, sources):
    """Whatever has a name a person would use is whole and right."""
    for source in sources:
        for name in os.listdir(path):
            if name.startswith("."):
                continue
            stem = name.replace(" (2)", "")
            if stem != os.path.basename(source):
                continue
            arrived = os.path.join(path, name)
            if os.path.isdir(source):
                lab.same(arrived, source)
            else:
                assert lab.sha256(arrived) == lab.sha256(source), f"{name} is not what was sent"


def start(anna, bernd, sources, relay):
    _number[0] += 1
    code = f"{_number[0]}-crossover-clockwork"
    flags = ["--no-direct"] if relay else []
    ours = anna.causeway("send", "--json", "--code", code, *flags, *sources)
    theirs = bernd.causeway("receive", "--json", "--yes", *flags, code)
    return ours, theirs


def one_round(rng, anna, sources, seconds):
    bernd = lab.home("bernd")
    mailbox, relay = lab.our_mailbox(), lab.our_relay()
    relayed = rng.random() < 0.3
    ours, theirs = start(anna, bernd, sources, relayed)
    victim = rng.choice([ours, theirs, ours, theirs, mailbox, relay])
    # Most moments of interest come after the meeting, which takes about a tenth of a whole run.
    time.sleep(rng.random() * seconds)  # the random moment itself, not a wait for something
    victim.kill()
    for process in (ours, theirs):
        if process is victim:
            continue
        if not process.events("route"):
            process.kill()  # nobody told it; a person would press Ctrl-C
        else:
            process.wait()
    check_target(bernd.downloads, sources)
    complete = {"set", "film.bin"} <= set(os.listdir(bernd.downloads))
    for server in (mailbox, relay):
        if server.process.poll() is None:
            server.kill()
    lab.our_mailbox()
    lab.our_relay()
    ours, theirs = start(anna, bernd, sources, relayed)
    theirs.ok()
    ours.ok()
    check_target(bernd.downloads, sources)
    names = set(os.listdir(bernd.downloads))
    assert {"set", "film.bin"} <= names, names
    if not complete:
        assert not any("(2)" in name for name in names), f"delivered twice: {names}"
    assert lab.leftovers(bernd.downloads) == [], names


@lab.test(f"{ROUNDS} random kills")
def kills():
    print(f"# CW_KILL_SEED={SEED}")
    rng = random.Random(SEED)
    anna = lab.home("anna")
    sources = make_source(anna, rng)
    lab.servers()
    started = time.monotonic()
    ours, theirs = start(anna, lab.home("first"), sources, False)
    theirs.ok()
    ours.ok()
    seconds = time.monotonic() - started
    print(f"# an undisturbed run takes {seconds:.2f} s")
    keep = lab._folders[:2]
    for number in range(ROUNDS):
        lab._folders[:] = [f for f in lab._folders if f not in keep]
        lab.stop_all()
        lab._folders.extend(keep)
        try:
            one_round(rng, anna, sources, seconds)
        except AssertionError as error:
            raise AssertionError(f"round {number}: {error}") from None


lab.enter()
lab.main()
