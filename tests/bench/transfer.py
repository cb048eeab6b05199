# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""How fast files move, next to what people would use instead: 1 GiB file to file, and 10,000 files of
4 KiB, on this machine's loopback. Every row is the median of its runs, taken in turn so that a
machine whose speed drifts drifts for all; the time is that of the whole receiving process.

    CW_BUILD=build python3 tests/bench/transfer.py [--runs 5] [--mib 1024] [--files 10000]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
import lab  # noqa: E402

_number = [0]


def next_code():
    _number[0] += 1
    return f"{_number[0]}-crossover-clockwork"


def python_send(home, code, path):
    return home.run("wormhole", "send", "--code", code, "--hide-progress", path)


def python_receive(home, code):
    return home.run("wormhole", "receive", "--accept-file", "--hide-progress", code)


def go_send(home, code, path):
    return home.run("wormhole-william", "--relay-url", "ws://127.0.0.1:4000/v1", "send",
                    "--code", code, path)


def go_receive(home, code):
    process = home.run("wormhole-william", "--relay-url", "ws://127.0.0.1:4000/v1", "receive", code)
    process.write(b"y\n")
    return process


def our_send(home, code, path):
    return home.causeway("send", "--code", code, path)


def our_receive(home, code):
    return home.causeway("receive", "--yes", code)


def cpu_seconds():
    usage = os.times()
    return usage.children_user + usage.children_system


def run(send, receive, path, check=True):
    """(seconds of the receiving process, CPU seconds of both)."""
    anna, bernd, code = lab.home("anna"), lab.home("bernd"), next_code()
    before = cpu_seconds()
    sender = send(anna, code, path)
    sender.expect("wormhole receive|causeway receive|code is", limit=60)
    started = time.monotonic()
    receiver = receive(bernd, code)
    receiver.ok(300)
    seconds = time.monotonic() - started
    sender.ok(60)
    cpu = cpu_seconds() - before
    arrived = bernd.received(os.path.basename(path))
    if check:
        assert os.path.exists(arrived), os.listdir(bernd.downloads)
        subprocess.run(["cmp", path, arrived], check=True)
    shutil.rmtree(bernd.path)
    return seconds, cpu


def versions():
    print(subprocess.run([lab.CAUSEWAY, "--version"], capture_output=True, text=True).stdout.strip())
    packages = subprocess.run(["dpkg-query", "-W", "magic-wormhole", "wormhole-william"],
                              capture_output=True, text=True)
    print(packages.stdout.strip())


def table(rows, size, runs, unit):
    times = {name: [] for name, _, _ in rows}
    cpus = {name: [] for name, _, _ in rows}
    for _ in range(runs):
        for name, send, receive in rows:
            seconds, cpu = run(send, receive, size[0])
            times[name].append(seconds)
            cpus[name].append(cpu)
    print(f"{'':28}{'seconds: median (min – max)':32}{unit:>10}{'CPU s':>8}")
    medians = {}
    for name, _, _ in rows:
        medians[name] = statistics.median(times[name])
        spread = f"{medians[name]:.2f} ({min(times[name]):.2f} – {max(times[name]):.2f})"
        print(f"{name:28}{spread:32}{size[1] / medians[name]:10.0f}"
              f"{statistics.median(cpus[name]):8.2f}")
    return medians


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10000)
    args = parser.parse_args()
    versions()
    lab.debian_mailbox()
    lab.debian_relay()
    source = lab.home("source")
    big = lab.make_file(source.received("big.bin"), args.mib << 20)
    rows = [("wormhole to wormhole", python_send, python_receive),
            ("causeway to causeway", our_send, our_receive),
            ("william to william", go_send, go_receive),
            ("causeway to william", our_send, go_receive),
            ("william to causeway", go_send, our_receive),
            ("causeway to wormhole", our_send, python_receive),
            ("wormhole to causeway", python_send, our_receive)]
    print(f"\n{args.mib} MiB, one file, {args.runs} runs each, in turn")
    m = table(rows, (big, (args.mib << 20) / 1e6), args.runs, "MB/s")
    os.unlink(big)
    print(f"\ncauseway to causeway / wormhole to wormhole: "
          f"{m['wormhole to wormhole'] / m['causeway to causeway']:.2f} x as fast (target 3)")
    for name in ("causeway to william", "william to causeway"):
        print(f"{name} / william to william: {m['william to william'] / m[name]:.2f} x (target 1)")
    folder = source.received("many")
    for n in range(args.files):
        if n % 1000 == 0:
            os.makedirs(f"{folder}/{n // 1000:03}")
        with open(f"{folder}/{n // 1000:03}/{n}", "wb") as out:
            out.write(os.urandom(4096))
    times = [run(our_send, our_receive, folder, check=False)[0] for _ in range(args.runs)]
    middle = statistics.median(times)
    print(f"\n{args.files} files of 4 KiB, causeway to causeway: {middle:.2f} s "
          f"({min(times):.2f} – {max(times):.2f}), {args.files / middle:.0f} files/s (target 2000)")


lab.enter()
main()
