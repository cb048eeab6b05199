# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors
"""What a person sees on a terminal, and what the keys do. TAP."""

import re
import signal
import termios

from cli_program import (BEST, DIRECT, DROP, FILE, FOLDER, IO_CANCELLED, MAILBOX_UNREACHABLE,
                         MAILBOX_WRONG_CODE, NO_DIRECT, RELAY, Program, contains, equal, main,
                         offer, terminal)

MB = 1000 * 1000


def sender(*args, **more):
    """A sender with a file, connected, with its code shown."""
    program = terminal("send", *args, "holiday.mp4", **more)
    program.asks("send ")
    program.asks("start")
    program.do("code", text="7-crossover-clockwork")
    program.shows("Waiting for the other computer…")
    return program


def receiver(*args, **more):
    program = terminal("receive", *args, "7-crossover-clockwork", **more)
    equal(program.asks("receive ").split()[0], "code=7-crossover-clockwork")
    program.asks("start")
    program.do("peer", name="Bernd's desktop", fingerprint="k3qf-7hx2-mzpa-4wta")
    return program


def test_sender_sees_code_peer_route_and_end():
    with sender() as program:
        contains(program.screen.text(), "Sending holiday.mp4, 3 bytes.")
        contains(program.screen.text(),
                 "On the other computer, run:  causeway receive 7-crossover-clockwork\n"
                 "(any wormhole program works too; the code is good for one use)\n\n")
        contains(program.raw.decode(), "\x1b[1mcauseway receive 7-crossover-clockwork\x1b[0m")
        program.do("peer", name="anna's laptop", fingerprint="k3qf-7hx2-mzpa-4wta")
        program.shows("Waiting for the other person to accept…")
        program.do("route", kind=DIRECT, reason=BEST, address="203.0.113.7", rtt_us=41000)
        program.do("accepted")
        program.shows("anna's laptop accepted.  direct, 203.0.113.7, 41 ms")
        program.do("figures", total=3200 * MB, bytes=3200 * MB, files=215, files_total=215)
        program.finish()
        program.ends(0)
        contains(program.screen.text(), "Done: 215 files, 3.2 GB in 1 s, verified.\n")
        assert "Waiting" not in program.screen.text(), program.state()


def test_progress_is_one_line_that_is_redrawn():
    with sender() as program:
        program.do("peer", name=None)
        program.do("accepted")
        program.shows("The other computer accepted.")
        program.do("figures", total=3200 * MB, bytes=1984 * MB, files=118, files_total=214,
                   current="photos/2024/a.jpg")
        program.shows("photos/ 118 of 214  ━")
        program.shows("62 %")
        program.do("figures", total=3200 * MB, bytes=2000 * MB, files=120, files_total=214,
                   current="photos/2024/b.jpg")
        program.shows("photos/ 120 of 214  ━")
        assert "118 of 214" not in program.screen.text(), program.state()
        equal(len([l for l in program.screen.lines if "photos/" in l]), 1)
        program.finish()
        program.ends(0)
        assert "120 of 214" not in program.screen.text(), program.state()


def test_progress_follows_the_width():
    with sender() as program:
        program.do("peer", name=None)
        program.do("accepted")
        program.do("figures", total=100 * MB, bytes=50 * MB, files_total=1,
                   current="a-very-long-name-" * 6 + "holiday.mp4")
        program.shows("50 %")
        assert all(len(line) < 80 for line in program.screen.lines), program.state()
        program.set_width(40)
        program.do("figures", total=100 * MB, bytes=75 * MB, files_total=1,
                   current="a-very-long-name-" * 6 + "holiday.mp4")
        program.shows("75 %")
        line = next(l for l in program.screen.lines if "75 %" in l)
        assert len(line) < 40, line
        contains(line, "…")
        program.finish()
        program.ends(0)


def test_no_color_leaves_no_colour():
    with sender(env={"NO_COLOR": "1"}) as program:
        program.do("peer", name=None)
        program.do("accepted")
        program.do("figures", total=100 * MB, bytes=50 * MB, files_total=1, current="a")
        program.shows("50 %")
        contains(program.screen.text(), "━─")
        program.finish()
        program.ends(0)
        assert b"m" not in [c[-1:] for c in escapes(program.raw)], program.raw


def test_dumb_terminal_gets_plain_lines():
    with terminal("send", "holiday.mp4", env={"TERM": "dumb"}) as program:
        program.asks("start")
        program.do("code", text="7-a-b")
        program.shows("On the other computer")
        program.finish()
        program.ends(0)
        equal(escapes(program.raw), [])


def escapes(raw):
    return re.findall(rb"\x1b\[[?0-9;]*[A-Za-z]", raw)


def test_receiver_is_asked_and_enter_accepts():
    with receiver() as program:
        offer(program, (FILE, "holiday.mp4", 1900 * MB, 1), (FOLDER, "photos", 1300 * MB, 214))
        program.shows("Accept? ")
        lines = program.screen.text()
        contains(lines, "Bernd's desktop (k3qf-7hx2-mzpa-4wta) wants to send you:\n")
        contains(lines, "  holiday.mp4  1.9 GB\n  photos/      214 files, 1.3 GB\n")
        contains(lines, " free in ~. Accept")
        program.type("\n")
        equal(program.asks("accept"), "- -1")
        program.do("route", kind=RELAY, reason=NO_DIRECT, address="192.0.2.1:4001", rtt_us=-1)
        program.do("accepted")
        program.shows("Connected: relay: no direct connection worked")
        program.do("figures", total=3200 * MB, bytes=3200 * MB, files=215, files_total=215)
        program.do("paths", list=[program.home + "/holiday (2).mp4", program.home + "/photos"])
        program.finish()
        program.ends(0)
        contains(program.screen.text(), "Saved as\n  ~/holiday (2).mp4\n  ~/photos\n")


def test_no_declines_and_nonsense_is_asked_again():
    with receiver() as program:
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        program.type("maybe\n")
        program.until("the question again", lambda: program.screen.text().count("[Y/n]") == 2)
        program.type("n\n")
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)
        contains(program.screen.text(), "causeway: declined.\nNothing was received.")


def test_end_of_input_declines():
    with receiver() as program:
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        program.type("\x04")
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)


def test_what_was_typed_before_the_question_does_not_answer_it():
    with receiver() as program:
        program.type("\n\n\n")
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        program.type("no\n")
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)


def test_too_little_space_is_said_before_the_question():
    with receiver() as program:
        offer(program, (FILE, "all-of-it", 10 ** 18, 1))
        program.shows("It needs 1.0 EB, and there is only ")
        program.shows("Accept anyway? [y/N] ")
        program.type("\n")
        program.asks("decline")
        program.finish("drop", DROP["declined"])
        program.ends(4)


def test_hostile_names_cannot_drive_the_terminal():
    with receiver() as program:
        offer(program, (FILE, "\x1b[2J\x1b]0;gotcha\x07\u202eexe.txt\r\n", 1, 1))
        program.do("motd", text="\x1b[31mred\x1b[0m\n")
        program.shows("The mailbox says: “")
        program.shows("Accept? [Y/n] ")
        program.type("n\n")
        program.asks("decline")
        program.finish("drop", DROP["peer-failed"], "\x1b[2J\x9b31m")
        program.ends(1)
        for bad in (b"\x1b[2J", b"\x1b]", b"\x1b[31m", "\u202e".encode(), b"\x9b"):
            assert bad not in program.raw, program.raw


def test_text_is_shown_with_its_control_characters_visible():
    with receiver() as program:
        offer(program, text="x")
        program.asks("accept")
        program.do("text", text="one\ttwo\nthree \x1b[2J\u202e")
        program.finish()
        program.ends(0)
        contains(program.screen.text(), "Bernd's desktop sends you this text:\n")
        contains(program.screen.text(), "three <U+001B>[2J<U+202E>\n")
        assert "Done" not in program.screen.text(), program.state()


def typing(*args):
    program = terminal("receive", *args)
    program.asks("receive ")
    program.asks("list")
    program.do("nameplates", list=["7", "42", "43"])
    program.shows("Code: ")
    return program


def test_tab_completes_number_and_words():
    with typing() as program:
        program.type("7\t")
        program.shows("Code: 7-")
        program.type("crossov\t")
        program.shows("Code: 7-crossover-")
        equal(program.asks("claim"), "7")
        program.type("clockw\t")
        program.shows("Code: 7-crossover-clockwork")
        program.type("\n")
        equal(program.asks("set-code"), "7-crossover-clockwork")
        program.shows("Waiting for the other computer…")
        program.finish("mailbox", MAILBOX_WRONG_CODE)
        program.ends(3)
        contains(program.screen.text(),
                 "causeway: the code was wrong, or somebody guessed at it.\n"
                 "Nothing was sent, and the code is used up. Ask for a new one and type it again.")


def test_tab_lists_the_choices():
    with typing() as program:
        program.type("4\t\t")
        program.shows("42-")
        program.shows("43-")
        program.type("2-cross\t")
        program.shows("Code: 42-crossover-")
        program.type("\x03")
        program.asks("cancel")
        program.finish("io", IO_CANCELLED)
        program.ends(130)


def test_what_is_no_code_is_asked_again():
    with typing() as program:
        program.type("hello\n")
        program.shows("This is not a code (")
        program.type("7 Crossover  clockwork\n")
        equal(program.asks("set-code"), "7-crossover-clockwork")
        program.finish()
        program.ends(0)


def test_a_changed_number_is_asked_again_with_the_claimed_one():
    with typing() as program:
        program.type("7-c")
        program.asks("claim")
        program.type("\x158-crossover-clockwork\n")  # Ctrl-U
        program.shows("number 7 is claimed already")
        program.until("the number again", lambda: program.screen.lines[-1] == "Code: 7-")
        program.type("crossover-clockwork\n")
        equal(program.asks("set-code"), "7-crossover-clockwork")
        program.finish()
        program.ends(0)


def test_a_notice_leaves_the_typed_code_alone():
    with typing() as program:
        program.type("7-cro")
        program.shows("Code: 7-cro")
        program.do("offline", value=1)
        program.shows("The connection to the mailbox broke; trying again…\nCode: 7-cro")
        equal(program.screen.text().count("7-cro"), 1)
        program.type("\x04\x15\x04")  # Ctrl-D does nothing in a line and ends an empty one
        program.asks("cancel")
        program.finish("io", IO_CANCELLED)
        program.ends(130)


def test_an_error_while_typing_ends_the_prompt():
    with typing() as program:
        program.type("7-cro")
        before = mode(program)
        program.finish("mailbox", MAILBOX_UNREACHABLE, "cannot connect to 'x'")
        program.ends(6)
        assert before != mode(program), "the terminal is still raw"
        contains(program.screen.text(), "\ncauseway: the mailbox, where the two computers meet, "
                                        "cannot be reached.\n  cannot connect to 'x'\n")


def mode(program):
    return termios.tcgetattr(program.master)[3] & (termios.ICANON | termios.ECHO | termios.NOFLSH)


def test_ctrl_c_cancels_once_and_leaves_at_the_second():
    with sender() as program:
        program.type("\x03")
        program.asks("cancel")
        program.shows("Stopping…")
        program.type("\x03")
        program.ends(130)
    with typing() as program:
        program.type("7-cro\x03")
        program.asks("cancel")
        program.shows("Stopping…")
        program.signal(signal.SIGTERM)
        program.ends(130)
        equal(mode(program), termios.ICANON | termios.ECHO)


def test_ctrl_c_at_a_question_cancels():
    with receiver() as program:
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        program.type("\x03")
        program.asks("cancel")
        program.finish("io", IO_CANCELLED)
        program.ends(130)
        contains(program.screen.text(), "\nStopping…\ncauseway: stopped.\n")


def test_the_keys_before_ctrl_c_are_kept_while_reading():
    """Else the read that they announced would wait for others, and Ctrl-C with it."""
    with receiver() as program:
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        equal(mode(program), termios.ICANON | termios.ECHO | termios.NOFLSH)
        program.type("\n")
        program.asks("accept")
        equal(mode(program), termios.ICANON | termios.ECHO)
        program.finish()
        program.ends(0)
    with typing() as program:
        equal(mode(program), termios.NOFLSH)
        program.type("7-crossover-clockwork\n")
        program.asks("set-code")
        equal(mode(program), termios.ICANON | termios.ECHO)
        program.finish()
        program.ends(0)


def test_verify_asks_and_enter_means_no():
    with receiver("--verify") as program:
        program.do("verify", text="e5c4 8a7d")
        program.shows("  e5c4 8a7d\nIs it the same? [y/N] ")
        program.type("\n")
        equal(program.asks("confirm"), "no")
        program.finish("io", IO_CANCELLED)
        program.ends(3)
        contains(program.screen.text(), "causeway: stopped, since the two computers do not show "
                                        "the same.\n")
    with sender("--verify") as program:
        program.do("peer", name=None)
        program.do("verify", text="e5c4 8a7d")
        program.shows("Is it the same? [y/N] ")
        program.type("yes\n")
        equal(program.asks("confirm"), "yes")
        program.finish()
        program.ends(0)


def test_qr_code_is_drawn():
    with terminal("send", "--qr", "holiday.mp4") as program:
        program.asks("start")
        program.do("code", text="7-crossover-clockwork")
        program.shows("▀")
        program.shows("Waiting")
        program.finish()
        program.ends(0)
    with terminal("send", "--qr", "holiday.mp4", width=20) as program:
        program.asks("start")
        program.do("code", text="7-crossover-clockwork")
        program.shows("no room here for the QR code")
        program.finish()
        program.ends(0)


def test_question_goes_to_standard_error_when_output_is_piped():
    with Program("receive", "--stdout", "7-a-b", tty=("in", "err")) as program:
        program.asks("start")
        program.do("peer", name="x")
        offer(program, (FILE, "a", 1, 1))
        program.shows("Accept? [Y/n] ")
        program.type("y\n")
        equal(program.asks("accept"), "- 1")
        program.do("accepted")
        program.finish()
        program.ends(0)
        equal(program.out, b"\x01data\n")


def test_stdout_refuses_a_terminal():
    with terminal("receive", "--stdout", "7-a-b") as program:
        program.ends(2)
        contains(program.screen.text(), "causeway: --stdout is for a pipe")


if __name__ == "__main__":
    main([value for name, value in list(globals().items()) if name.startswith("test_")])
