/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Lines for people on a file descriptor: a terminal, or a pipe or file, which gets plain lines
 * without any escape code. One line at the bottom may move: on a terminal it is redrawn in place,
 * at most ten times a second; elsewhere it becomes a line of its own every few seconds. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CwTerminal CwTerminal;

/* @fd is borrowed. What cannot be written (the reader went away) is dropped silently: the work
 * goes on. */
CwTerminal *cw_terminal_new (int fd);
void cw_terminal_free (CwTerminal *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwTerminal, cw_terminal_free)

int cw_terminal_get_fd (CwTerminal *self);
/* A terminal whose cursor can be moved; not one of TERM=dumb. */
gboolean cw_terminal_can_move (CwTerminal *self);
gboolean cw_terminal_has_colour (CwTerminal *self);
gboolean cw_terminal_has_utf8 (CwTerminal *self);
/* Asked anew each time, so that a changed window is noticed. 80 when it is not known. */
unsigned cw_terminal_get_width (CwTerminal *self);

/* One or more whole lines; the last newline is added. The moving line goes away before it. */
void cw_terminal_print (CwTerminal *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Without newline: what follows is typed by a person. */
void cw_terminal_print_prompt (CwTerminal *self, const char *text);

/* @text emphasised where there is colour. Free with g_free(). */
char *cw_terminal_dup_bold (CwTerminal *self, const char *text);

/* The moving line: begin() at the beginning of what moves; is_due() says whether it is time to
 * show() again. Times are g_get_monotonic_time(), given so that tests need not wait. */
void cw_terminal_begin_moving (CwTerminal *self, gint64 now_us);
gboolean cw_terminal_is_due (CwTerminal *self, gint64 now_us);
void cw_terminal_show_moving (CwTerminal *self, const char *line, gint64 now_us);
void cw_terminal_end_moving (CwTerminal *self);

G_END_DECLS
