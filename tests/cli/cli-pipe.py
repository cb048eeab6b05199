# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""Without a terminal: plain lines, --json, pipes, the command line and its errors. TAP."""

import json
import os
import signal
import subprocess

from cli_program import (BEST, DIRECT, DROP, FAKE, FILE, FOLDER, IO_CANCELLED, LAN,
                         MAILBOX_UNREACHABLE, MAILBOX_WRONG_CODE, NO_DIRECT, RELAY, Program, contains,
                         equal, main, offer)

MB = 1000 * 1000


def run(*args, exit_code=0, env=None, stdin=b""):
    """To the end, without a session."""
    with Program(*args, env=env, stdin=stdin) as program:
        program.ends(exit_code)
        return program.out.decode(), program.err.decode()


def refused(*args, why):
    out, err = run(*args, exit_code=2)
    equal(out, "")
    assert err.startswith("causeway: "), err
    contains(err, why)


def test_alone_it_names_the_four_commands():
    out, err = run()
    equal(err, "")
    for command in ("causeway send FILE…", "causeway receive CODE", "causeway send --text TEXT",
                    "causeway help [COMMAND]"):
        contains(out, "  " + command + " ")
    assert len(out.splitlines()) < 9, out


def test_help():
    for args in (["help"], ["--help"], ["-h"]):
        out, _ = run(*args)
        for command in ("send", "receive", "id", "mailbox", "relay", "help"):
            contains(out, f"  causeway {command}")
        assert "complete-code" not in out
    for command in ("send", "receive", "id", "mailbox", "relay"):
        out, _ = run("help", command)
        assert out.startswith(f"Usage:\n  causeway {command}"), out
        equal(run(command, "--help")[0], out)
        assert all(len(line) <= 100 for line in out.splitlines()), out
    equal(run("--version")[0].split()[0], "causeway")


def test_wrong_command_lines():
    refused("sned", why="there is no command “sned”")
    refused("--jsno", why="there is no option --jsno")
    refused("7-crossover-clockwork", why="causeway receive 7-crossover-clockwork")
    refused("holiday.mp4", why="causeway send holiday.mp4")
    refused("send", why="what is to be sent?")
    refused("send", "--jsno", "holiday.mp4", why="--jsno")
    refused("send", "-", "holiday.mp4", why="cannot go together with files")
    refused("send", "--text", "a", "holiday.mp4", why="cannot go together")
    refused("send", "--text", "", why="the text is empty")
    refused("send", "--name", "a", "holiday.mp4", why="--name is for")
    refused("send", "--code-length", "9", "holiday.mp4", why="a number of words from 1 to 8")
    refused("send", "--code-length", "0x", "holiday.mp4", why="code-length")
    refused("send", "--mailbox", "http://x", "holiday.mp4", why="'http://x'")
    refused("send", "--transit-relay", "udp:x", "holiday.mp4", why="'udp:x'")
    refused("send", "--code", "nonsense", "holiday.mp4", why="this is not a code")
    refused("send", "--verify", "holiday.mp4", why="--verify needs a terminal")
    refused("receive", "--verify", "7-a-b", why="--verify needs a terminal")
    refused("receive", "nonsense", why="this is not a code")
    refused("receive", why="this is not a code")
    refused("receive", "--stdout", "--json", "7-a-b", why="both need standard output")
    refused("receive", "--stdout", "--output", ".", "7-a-b", why="cannot go together")
    refused("id", "x", why="takes nothing else")
    refused("relay", "x", why="takes nothing else")


def test_sources_and_targets_are_checked_before_anything_is_connected():
    out, err = run("send", "not-there.mp4", exit_code=7)
    equal(out, "")
    assert err.startswith("causeway: something to be sent cannot be read.\n  "), err
    contains(err, "not-there.mp4")
    out, err = run("receive", "--output", "not-there", "7-a-b", exit_code=7)
    assert err.startswith("causeway: the folder for received files is not there.\n"), err


def test_id():
    with Program("id") as program:
        program.ends(0)
        lines = program.out.decode().splitlines()
        equal(lines[0], "Name:         this one")
        fingerprint = lines[1].split()[1]
        again = subprocess.run([FAKE, "id", "--json"], capture_output=True, check=True,
                               env=dict(os.environ, XDG_DATA_HOME=program.home + "/data",
                                        CAUSEWAY_NAME="this one"))
        equal(json.loads(again.stdout),
              {"event": "id", "name": "this one", "fingerprint": fingerprint})


def test_complete_code():
    equal(run("complete-code", "7-crossov")[0], "7-crossover-\n")
    contains(run("complete-code", "7-crossover-clockw")[0], "7-crossover-clockwork\n")
    equal(run("complete-code", "7-zzz")[0], "")


def test_sender_in_a_pipe_prints_plain_lines():
    with Program("send", "holiday.mp4") as program:
        equal(program.asks("send "),
              "code=- length=2 verify=0 no-direct=0 mailbox=- relay="
              "tcp:transit.magic-wormhole.io:4001")
        program.do("code", text="7-crossover-clockwork")
        program.do("peer", name="anna's laptop")
        program.do("route", kind=LAN, reason=BEST, address="192.168.1.7", rtt_us=1234)
        program.do("accepted")
        program.do("figures", total=10 * MB, bytes=5 * MB, files_total=1, current="holiday.mp4")
        program.prints("holiday.mp4  50 %  5.0 of 10.0 MB")
        program.do("figures", total=10 * MB, bytes=10 * MB, files=1, files_total=1)
        program.finish()
        program.ends(0)
        lines = program.out.decode().splitlines()
        equal(lines[:5], ["Sending holiday.mp4, 3 bytes.",
                          "On the other computer, run:  causeway receive 7-crossover-clockwork",
                          "(any wormhole program works too; the code is good for one use)", "",
                          "anna's laptop accepted.  same network, 192.168.1.7, 1 ms"])
        contains(lines[-1], "Done: 1 file, 10.0 MB in ")
        assert b"\x1b" not in program.out + program.err and b"\r" not in program.out
        equal(program.err, b"")


def test_another_mailbox_is_part_of_the_instruction():
    with Program("send", "--mailbox", "ws://[::1]:4000/v1", "holiday.mp4") as program:
        program.do("code", text="7-a-b")
        program.prints("run:  causeway receive --mailbox 'ws://[::1]:4000/v1' 7-a-b\n")
        program.prints("that uses the same mailbox works too")
        program.finish()
        program.ends(0)


def test_options_reach_the_session():
    with Program("send", "--code", "7 Crossover clockwork", "--no-direct", "--transit-relay", "none",
                 "--code-length", "3", "--mailbox", "ws://h:1/v1", "holiday.mp4") as program:
        equal(program.asks("send "), "code=7-crossover-clockwork length=3 verify=0 no-direct=1 "
                                     "mailbox=ws://h:1/v1 relay=-")
        program.finish()
        program.ends(0)
    with Program("receive", "wormhole-transfer:7-a-b?version=0&rendezvous=ws%3A%2F%2Fh%3A1%2Fv1") \
            as program:
        contains(program.asks("receive "), "code=7-a-b length=2 verify=0 no-direct=0 mailbox=ws://h:1")
        program.finish()
        program.ends(0)
    with Program("receive", "7", "crossover", "clockwork") as program:
        contains(program.asks("receive "), "code=7-crossover-clockwork ")
        program.finish()
        program.ends(0)
    with Program("receive", stdin=b"7-crossover-clockwork\n") as program:
        contains(program.asks("receive "), "code=7-crossover-clockwork ")
        program.finish()
        program.ends(0)


def test_text_from_the_command_line_and_from_a_pipe():
    with Program("send", "--text", "grüße") as program:
        contains(program.asks("send-text "), "grüße code=-")
        program.finish()
        program.ends(0)
        contains(program.out.decode(), "Sending a text.\n")
        contains(program.out.decode(), "Done: the text has arrived.\n")
    with Program("send", "--text", "-", stdin="grüße".encode()) as program:
        contains(program.asks("send-text "), "grüße code=-")
        program.finish()
        program.ends(0)
    out, err = run("send", "--text", "-", exit_code=2)
    contains(err, "causeway: there is nothing to send.")


def test_pipe_is_sent_under_its_name():
    with Program("send", "--json", "--name", "work.tar", "-", stdin=b"tar") as program:
        program.asks("start")
        program.finish()
        program.ends(0)
        equal(program.events()[0]["items"],
              [{"name": "work.tar", "kind": "file", "size": None, "files": 1}])


def test_received_text_is_the_only_output():
    with Program("receive", "7-a-b") as program:
        program.do("motd", text="be kind")
        program.do("peer", name="anna")
        program.do("route", kind=DIRECT, reason=BEST, address="203.0.113.7", rtt_us=1)
        offer(program, text="x")
        program.asks("accept")
        program.do("accepted")
        program.do("text", text="a \x1b[1mb")
        program.finish()
        program.ends(0)
        equal(program.out, b"a \x1b[1mb")
        equal(program.err.decode(), "The mailbox says: “be kind”\n")


def test_without_a_terminal_an_offer_is_declined():
    with Program("receive", "7-a-b") as program:
        program.do("peer", name=None)
        offer(program, (FILE, "a", 1, 1))
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)
        contains(program.err.decode(), "The other computer wants to send you:\n  a  1 byte\n"
                                       "There is no terminal to ask on, so this is declined; --yes")


def test_yes_accepts_and_says_where_it_is():
    with Program("receive", "--yes", "--output", ".", "7-a-b") as program:
        program.do("peer", name="anna")
        offer(program, *[(FILE, f"file {n}", MB, 1) for n in range(20)])
        equal(program.asks("accept"), os.path.realpath(program.home) + " -1")
        program.do("accepted")
        program.do("figures", total=20 * MB, bytes=20 * MB, kept=5 * MB, files=20, files_total=20)
        program.do("paths", list=[f"/srv/file {n}" for n in range(7)])
        program.finish()
        program.ends(0)
        out = program.out.decode()
        contains(out, "  file 4  1.0 MB\n  and 15 more: 20 files, 20.0 MB in all\n")
        contains(out, "Done: 20 files, 20.0 MB in 1 s, verified; 5.0 MB were there already.\n"
                      "Saved as\n  /srv/file 0\n")
        contains(out, "  /srv/file 4\n  and 2 more\n")


def test_stdout_carries_only_the_data():
    with Program("receive", "--yes", "--stdout", "7-a-b") as program:
        program.do("peer", name="anna")
        offer(program, (FILE, "a.tar", 6, 1))
        equal(program.asks("accept"), "- 1")
        program.do("accepted")
        program.do("figures", total=6, bytes=6, files=1, files_total=1)
        program.finish()
        program.ends(0)
        equal(program.out, b"\x01data\n")
        contains(program.err.decode(), "anna wants to send you:\n  a.tar  6 bytes\n")
        contains(program.err.decode(), "Done: 1 file")
    with Program("receive", "--yes", "--stdout", "7-a-b") as program:
        program.do("peer", name="anna")
        offer(program, (FOLDER, "photos", 6, 1))
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)
        equal(program.out, b"")
        contains(program.err.decode(), "--stdout takes one file")


def test_quiet_says_only_the_code():
    with Program("send", "--quiet", "holiday.mp4") as program:
        program.do("code", text="7-a-b")
        program.do("motd", text="be kind")
        program.do("peer", name="anna")
        program.do("accepted")
        program.finish()
        program.ends(0)
        equal((program.out, program.err), (b"7-a-b\n", b""))


def test_json_of_a_sender():
    with Program("send", "--json", "--mailbox", "ws://h:1/v1", "holiday.mp4") as program:
        program.do("motd", text="be kind")
        program.do("code", text="7-a-b")
        program.do("offline", value=1)
        program.do("offline", value=0)
        program.do("peer", name="anna\x1b", fingerprint="k3qf")
        program.do("route", kind=RELAY, reason=NO_DIRECT, address="192.0.2.1:4001", rtt_us=1500)
        program.do("accepted")
        program.do("figures", total=10, bytes=5, files_total=1, current="a")
        program.prints('"bytes":5')
        program.do("failure", domain="drop", code=DROP["source-unreadable"], path="b", message="m")
        program.finish("drop", DROP["incomplete"])
        program.ends(8)
        events = program.events()
        equal([e["event"] for e in events if e["event"] != "progress"],
              ["offer", "motd", "code", "mailbox", "mailbox", "peer", "route", "accepted",
               "item-failed", "error"])
        by_name = {e["event"]: e for e in events}
        equal(by_name["offer"], {"event": "offer", "kind": "files", "size": 3, "files": 1,
                                 "folders": 0, "items": [{"name": "holiday.mp4", "kind": "file",
                                                          "size": 3, "files": 1}]})
        equal(by_name["code"]["code"], "7-a-b")
        assert by_name["code"]["uri"].startswith("wormhole-transfer:7-a-b?"), by_name["code"]
        equal(by_name["code"]["mailbox"], "ws://h:1/v1")
        equal([e["connected"] for e in events if e["event"] == "mailbox"], [False, True])
        equal(by_name["peer"], {"event": "peer", "causeway": True, "name": "anna\x1b",
                                "fingerprint": "k3qf"})
        equal(by_name["route"], {"event": "route", "kind": "relay", "reason": "no-direct",
                                 "address": "192.0.2.1:4001", "rtt_ms": 1.5})
        equal(by_name["progress"]["bytes_total"], 10)
        equal(by_name["item-failed"], {"event": "item-failed", "path": "b",
                                       "error": "source-unreadable", "detail": "m"})
        equal((by_name["error"]["error"], by_name["error"]["exit_code"]), ("incomplete", 8))
        equal((by_name["error"]["bytes"], by_name["error"]["files_failed"]), (5, 1))
        contains(program.err.decode(), "causeway: not everything could be sent.\n"
                                       "  b: cannot be read\nAll the rest arrived")


def test_json_of_a_receiver():
    with Program("receive", "--json", "--yes", "7-a-b") as program:
        program.do("peer", name=None)
        offer(program, (FILE, "a", 1, 1), (FOLDER, "p\x1b", 2, 3))
        program.asks("accept")
        program.do("accepted")
        program.do("figures", total=3, bytes=3, files=4, files_total=4)
        program.do("paths", list=["/srv/a", "/srv/p_"])
        program.finish()
        program.ends(0)
        done = program.events()[-1]
        assert isinstance(done.pop("seconds"), float)
        equal(done, {"event": "done", "files": 4, "files_failed": 0, "bytes": 3, "bytes_kept": 0,
                     "paths": ["/srv/a", "/srv/p_"]})
        equal(program.events()[0], {"event": "peer", "causeway": False, "name": None,
                                    "fingerprint": None})
        equal(program.events()[1]["items"][1]["name"], "p\x1b")
        equal(program.err, b"")
    with Program("receive", "--json", "7-a-b") as program:
        offer(program, text="x")
        program.asks("accept")
        program.do("text", text="hello")
        program.finish()
        program.ends(0)
        equal([e["event"] for e in program.events()], ["offer", "text", "done"])


def test_errors_have_their_words_and_exit_codes():
    for domain, code, exit_code, name in (
            ("mailbox", MAILBOX_WRONG_CODE, 3, "wrong-code"),
            ("mailbox", MAILBOX_UNREACHABLE, 6, "mailbox-unreachable"),
            ("drop", DROP["peer-lost"], 5, "connection-lost"),
            ("drop", DROP["no-space"], 7, "no-space"),
            ("io", 0, 1, "failed")):
        with Program("send", "--json", "holiday.mp4") as program:
            program.finish(domain, code)
            program.ends(exit_code)
            equal(program.events()[-1]["error"], name)
            assert program.err.startswith(b"causeway: "), program.err
    with Program("send", "holiday.mp4") as program:
        program.finish("drop", DROP["peer-failed"], "disk \x1b full")
        program.ends(1)
        contains(program.err.decode(), "causeway: something went wrong on the other computer.\n"
                                       "  It said: “disk \ufffd full”\n")


def test_many_failures_are_cut():
    with Program("send", "holiday.mp4") as program:
        for n in range(50):
            program.do("failure", domain="drop", code=DROP["source-changed"], path=f"d/{n}",
                       message="m")
        program.finish("drop", DROP["incomplete"])
        program.ends(8)
        contains(program.err.decode(), "  d/19: changed while it was being sent\n  and 30 more\n")


def test_signals_cancel():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Program("send", "holiday.mp4") as program:
            program.asks("start")
            program.signal(number)
            program.asks("cancel")
            program.finish("io", IO_CANCELLED)
            program.ends(130)
            equal(program.err.decode().splitlines(), ["Stopping…", "causeway: stopped."])


def test_without_utf8_the_words_are_plain():
    with Program("receive", "--yes", "7-a-b", env={"LC_ALL": "C"}) as program:
        program.do("peer", name="Käthe’s “laptop”")
        offer(program, (FILE, "grüße…", 1, 1))
        program.asks("accept")
        program.finish("drop", DROP["peer-failed"], "x")
        program.ends(1)
        contains(program.out, b"Kathe's \"laptop\" wants to send you:\n  grusse...  1 byte\n")
        contains(program.err, b'  It said: "x"\n')


def test_verbose_goes_to_standard_error():
    with Program("send", "--verbose", "--json", "holiday.mp4") as program:
        program.finish()
        program.ends(0)
        program.events()


def test_servers_say_where_they_are_and_stop():
    for command, address in (("mailbox", "ws://127.0.0.1:"), ("relay", "tcp:127.0.0.1:")):
        for json_option in ([], ["--json"]):
            with Program(command, "--listen", "127.0.0.1:0", *json_option) as program:
                program.prints(address)
                program.prints("\n")
                program.signal(signal.SIGTERM)
                program.ends(0)
                if json_option:
                    equal(program.events()[0]["event"], "listening")
        out, err = run(command, "--listen", "nonsense", exit_code=2)
        contains(err, "causeway: this is not an address to listen on.\n")


if __name__ == "__main__":
    main([value for name, value in list(globals().items()) if name.startswith("test_")])
