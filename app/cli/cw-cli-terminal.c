/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-terminal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define REDRAW_US (100 * G_TIME_SPAN_MILLISECOND)
#define PLAIN_US (5 * G_TIME_SPAN_SECOND)
#define DEFAULT_WIDTH 80

struct _CwTerminal {
    int fd;
    gboolean can_move;
    gboolean has_colour;
    gboolean has_utf8;
    gboolean is_drawn; /* the moving line is on the screen */
    gint64 due_us;
};

CwTerminal *
cw_terminal_new (int fd)
{
    CwTerminal *self = g_new0 (CwTerminal, 1);
    const char *term = g_getenv ("TERM");
    const char *no_color = g_getenv ("NO_COLOR");

    self->fd = fd;
    self->can_move = isatty (fd) && term != NULL && term[0] != '\0' && strcmp (term, "dumb") != 0;
    self->has_colour = self->can_move && (no_color == NULL || no_color[0] == '\0');
    self->has_utf8 = g_get_charset (NULL);
    return self;
}

void
cw_terminal_free (CwTerminal *self)
{
    g_free (self);
}

int
cw_terminal_get_fd (CwTerminal *self)
{
    return self->fd;
}

gboolean
cw_terminal_can_move (CwTerminal *self)
{
    return self->can_move;
}

gboolean
cw_terminal_has_colour (CwTerminal *self)
{
    return self->has_colour;
}

gboolean
cw_terminal_has_utf8 (CwTerminal *self)
{
    return self->has_utf8;
}

unsigned
cw_terminal_get_width (CwTerminal *self)
{
    const char *columns = g_getenv ("COLUMNS");
    struct winsize size;
    guint64 width;

    if (ioctl (self->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns != NULL && g_ascii_string_to_unsigned (columns, 10, 1, 10000, &width, NULL))
        return (unsigned)width;
    return DEFAULT_WIDTH;
}

static void
write_bytes (int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write (fd, data, len);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            poll (&wait, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return;
        } else if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

/* Our texts have typographic quotes and names have anything: where the locale has no UTF-8 (a bare
 * container, cron) they become the nearest plain letters instead of noise. */
static void
write_text (CwTerminal *self, const char *text)
{
    g_autofree char *plain = self->has_utf8 ? NULL : g_str_to_ascii (text, NULL);

    if (plain != NULL)
        text = plain;
    write_bytes (self->fd, text, strlen (text));
}

void
cw_terminal_print (CwTerminal *self, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list args;

    va_start (args, format);
    text = g_strdup_vprintf (format, args);
    va_end (args);
    line = g_strconcat (self->is_drawn ? "\r\033[K" : "", text, "\n", NULL);
    self->is_drawn = FALSE;
    write_text (self, line);
}

void
cw_terminal_print_prompt (CwTerminal *self, const char *text)
{
    cw_terminal_end_moving (self);
    write_text (self, text);
}

char *
cw_terminal_dup_bold (CwTerminal *self, const char *text)
{
    return self->has_colour ? g_strconcat ("\033[1m", text, "\033[0m", NULL) : g_strdup (text);
}

void
cw_terminal_begin_moving (CwTerminal *self, gint64 now_us)
{
    self->due_us = self->can_move ? now_us : now_us + PLAIN_US;
}

gboolean
cw_terminal_is_due (CwTerminal *self, gint64 now_us)
{
    return now_us >= self->due_us;
}

void
cw_terminal_show_moving (CwTerminal *self, const char *line, gint64 now_us)
{
    g_autofree char *text = self->can_move ? g_strconcat ("\r", line, "\033[K", NULL)
                                           : g_strconcat (line, "\n", NULL);

    self->due_us = now_us + (self->can_move ? REDRAW_US : PLAIN_US);
    self->is_drawn = self->can_move;
    write_text (self, text);
}

void
cw_terminal_end_moving (CwTerminal *self)
{
    if (self->is_drawn)
        write_bytes (self->fd, "\r\033[K", 4);
    self->is_drawn = FALSE;
}
