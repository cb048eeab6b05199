/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <locale.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cw-cli-terminal.h"
#include "cw-cli-text.h"

/* --- Text --- */

static void
assert_takes (char *text, const char *wanted)
{
    g_assert_cmpstr (text, ==, wanted);
    g_free (text);
}

static void
test_columns (void)
{
    g_assert_cmpuint (cw_text_columns (""), ==, 0);
    g_assert_cmpuint (cw_text_columns ("grüße"), ==, 5);
    g_assert_cmpuint (cw_text_columns ("写真"), ==, 4);
    g_assert_cmpuint (cw_text_columns ("e\xcc\x81"), ==, 1); /* a combining accent */
}

static void
test_cut (void)
{
    assert_takes (cw_text_cut_middle ("holiday.mp4", 11), "holiday.mp4");
    assert_takes (cw_text_cut_middle ("holiday.mp4", 10), "holid….mp4");
    assert_takes (cw_text_cut_middle ("holiday.mp4", 1), "…");
    assert_takes (cw_text_cut_middle ("holiday.mp4", 0), "");
    for (unsigned columns = 0; columns < 30; columns++) {
        g_autofree char *cut = cw_text_cut_middle ("写真と動画e\xcc\x81.mp4", columns);
        g_assert_true (g_utf8_validate (cut, -1, NULL));
        g_assert_cmpuint (cw_text_columns (cut), <=, columns);
    }
    assert_takes (cw_text_pad ("写真", 6), "写真  ");
    assert_takes (cw_text_pad ("photos", 3), "photos");
}

static void
test_visible (void)
{
    assert_takes (cw_text_dup_visible ("a\tb\nc\r\n"), "a\tb\nc\n");
    assert_takes (cw_text_dup_visible ("\033]0;x\007"), "<U+001B>]0;x<U+0007>");
    assert_takes (cw_text_dup_visible ("\xc2\x9b"
                                       "31m"),
                  "<U+009B>31m"); /* C1: an escape too */
    assert_takes (cw_text_dup_visible ("a\rb"), "a<U+000D>b");
    assert_takes (cw_text_dup_visible ("\xe2\x80\xae"), "<U+202E>");
    assert_takes (cw_text_dup_visible ("\xff"), "\xef\xbf\xbd");
    assert_takes (cw_text_dup_visible ("👩‍💻"),
                  "👩‍💻"); /* a joiner is part of writing */
}

static void
test_paths (void)
{
    g_autofree char *below = g_build_filename (g_get_home_dir (), "Downloads", NULL);
    g_autofree char *beside = g_strconcat (g_get_home_dir (), "-other", NULL);

    assert_takes (cw_text_dup_path (below), "~/Downloads");
    assert_takes (cw_text_dup_path (beside), beside);
    assert_takes (cw_text_dup_path ("/srv/\xff"), "/srv/\xef\xbf\xbd");
    assert_takes (cw_text_dup_shell_word ("7-a-b"), "7-a-b");
    assert_takes (cw_text_dup_shell_word ("a b"), "'a b'");
    assert_takes (cw_text_dup_shell_word (""), "''");
}

/* --- The moving line --- */

typedef struct {
    int master, slave;
    CwTerminal *terminal;
} Fixture;

static void
set_up (Fixture *f, gconstpointer width)
{
    struct winsize size = { .ws_row = 24, .ws_col = GPOINTER_TO_UINT (width) };
    struct termios raw;

    g_assert_cmpint (openpty (&f->master, &f->slave, NULL, NULL, &size), ==, 0);
    g_assert_cmpint (tcgetattr (f->slave, &raw), ==, 0);
    cfmakeraw (&raw); /* what is read is what was written */
    g_assert_cmpint (tcsetattr (f->slave, TCSANOW, &raw), ==, 0);
    f->terminal = cw_terminal_new (f->slave);
}

static void
tear_down (Fixture *f, gconstpointer width)
{
    cw_terminal_free (f->terminal);
    close (f->master);
    close (f->slave);
}

static void
assert_written (int fd, const char *wanted)
{
    char buffer[512] = "";
    size_t len = 0;

    while (len < strlen (wanted)) {
        ssize_t n = read (fd, buffer + len, sizeof buffer - 1 - len);
        g_assert_cmpint (n, >, 0);
        len += (size_t)n;
    }
    buffer[len] = '\0';
    g_assert_cmpstr (buffer, ==, wanted);
}

/* At most ten times a second, whatever the caller's pace. */
static void
test_redraw (Fixture *f, gconstpointer width)
{
    int drawn = 0;

    g_assert_true (cw_terminal_can_move (f->terminal));
    cw_terminal_begin_moving (f->terminal, 0);
    for (gint64 now = 0; now < G_TIME_SPAN_SECOND; now += 7 * G_TIME_SPAN_MILLISECOND)
        if (cw_terminal_is_due (f->terminal, now)) {
            cw_terminal_show_moving (f->terminal, "x", now);
            assert_written (f->master, "\rx\033[K");
            drawn++;
        }
    g_assert_cmpint (drawn, >=, 9);
    g_assert_cmpint (drawn, <=, 10);
    cw_terminal_print (f->terminal, "whole %s", "line");
    assert_written (f->master, "\r\033[Kwhole line\n");
    cw_terminal_end_moving (f->terminal); /* it is gone already */
    cw_terminal_print (f->terminal, "next");
    assert_written (f->master, "next\n");
}

static void
test_width (Fixture *f, gconstpointer width)
{
    struct winsize size = { .ws_row = 24, .ws_col = 40 };

    g_assert_cmpuint (cw_terminal_get_width (f->terminal), ==, GPOINTER_TO_UINT (width));
    g_assert_cmpint (ioctl (f->master, TIOCSWINSZ, &size), ==, 0);
    g_assert_cmpuint (cw_terminal_get_width (f->terminal), ==, 40);
}

static void
test_colour (Fixture *f, gconstpointer width)
{
    g_autoptr (CwTerminal) plain = NULL;
    g_autoptr (CwTerminal) dumb = NULL;

    assert_takes (cw_terminal_dup_bold (f->terminal, "x"), "\033[1mx\033[0m");
    g_setenv ("NO_COLOR", "1", TRUE);
    plain = cw_terminal_new (f->slave);
    assert_takes (cw_terminal_dup_bold (plain, "x"), "x");
    g_assert_true (cw_terminal_can_move (plain));
    g_unsetenv ("NO_COLOR");
    g_setenv ("TERM", "dumb", TRUE);
    dumb = cw_terminal_new (f->slave);
    g_assert_false (cw_terminal_can_move (dumb));
    g_assert_false (cw_terminal_has_colour (dumb));
    g_setenv ("TERM", "xterm", TRUE);
}

/* In a pipe the moving line is a plain line every five seconds, the first after five. */
static void
test_pipe (void)
{
    g_autoptr (CwTerminal) terminal = NULL;
    int fds[2], drawn = 0;

    g_assert_cmpint (pipe (fds), ==, 0);
    terminal = cw_terminal_new (fds[1]);
    g_setenv ("COLUMNS", "99", TRUE);
    g_assert_cmpuint (cw_terminal_get_width (terminal), ==, 99);
    g_unsetenv ("COLUMNS");
    g_assert_cmpuint (cw_terminal_get_width (terminal), ==, 80);
    cw_terminal_begin_moving (terminal, 0);
    for (gint64 now = 0; now < 21 * G_TIME_SPAN_SECOND; now += G_TIME_SPAN_SECOND / 10)
        if (cw_terminal_is_due (terminal, now)) {
            cw_terminal_show_moving (terminal, "x", now);
            assert_written (fds[0], "x\n");
            drawn++;
        }
    g_assert_cmpint (drawn, ==, 4);
    cw_terminal_end_moving (terminal);
    assert_takes (cw_terminal_dup_bold (terminal, "x"), "x");
    cw_terminal_print (terminal, "whole line");
    assert_written (fds[0], "whole line\n");
    close (fds[0]);
    cw_terminal_print (terminal, "nobody reads this");
    close (fds[1]);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    setlocale (LC_ALL, "C.UTF-8");
    g_setenv ("TERM", "xterm", TRUE);
    g_unsetenv ("NO_COLOR");
    signal (SIGPIPE, SIG_IGN);
    g_test_add_func ("/text/columns", test_columns);
    g_test_add_func ("/text/cut", test_cut);
    g_test_add_func ("/text/visible", test_visible);
    g_test_add_func ("/text/paths", test_paths);
    g_test_add ("/terminal/redraw", Fixture, GUINT_TO_POINTER (100), set_up, test_redraw,
                tear_down);
    g_test_add ("/terminal/width", Fixture, GUINT_TO_POINTER (123), set_up, test_width, tear_down);
    g_test_add ("/terminal/colour", Fixture, GUINT_TO_POINTER (80), set_up, test_colour, tear_down);
    g_test_add_func ("/terminal/pipe", test_pipe);
    return g_test_run ();
}
