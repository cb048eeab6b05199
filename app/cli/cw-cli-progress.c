/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-progress.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "cw-cli-text.h"
#include "cw-names.h"

#define SMOOTHING_S 3.0
#define FIRST_SAMPLE_US (500 * G_TIME_SPAN_MILLISECOND)
#define BAR_MAX 30
#define BAR_MIN 8
#define NAME_MIN 8

void
cw_progress_begin (CwProgress *self, gint64 now_us)
{
    memset (self, 0, sizeof *self);
    self->last_us = now_us;
}

void
cw_progress_update (CwProgress *self, const CwTransferFigures *figures, gint64 now_us)
{
    guint64 moved = figures->bytes_done - MIN (figures->bytes_kept, figures->bytes_done);
    double seconds = (double)(now_us - self->last_us) / G_TIME_SPAN_SECOND;

    self->figures = *figures;
    /* One early sample says nothing: connections begin slowly, or with a full buffer. */
    if (self->rate <= 0 && now_us - self->last_us < FIRST_SAMPLE_US)
        return;
    if (seconds <= 0)
        return;
    /* Less than before: an item starts over. That is no negative speed. */
    if (moved >= self->last_moved) {
        double now = (double)(moved - self->last_moved) / seconds;
        self->rate = self->rate <= 0
                         ? now
                         : self->rate + (now - self->rate) * (1 - exp (-seconds / SMOOTHING_S));
    }
    self->last_moved = moved;
    self->last_us = now_us;
}

gint64
cw_progress_get_seconds_left (const CwProgress *self)
{
    const CwTransferFigures *f = &self->figures;
    double seconds;

    if (!f->size_known || self->rate < 1 || f->bytes_done > f->bytes_total)
        return -1;
    seconds = ceil ((double)(f->bytes_total - f->bytes_done) / self->rate);
    return seconds < 100.0 * 24 * 3600 ? (gint64)seconds : -1;
}

char *
cw_format_duration (gint64 seconds)
{
    int s = (int)(seconds % 60), min = (int)(seconds / 60 % 60);
    int h = (int)(seconds / 3600 % 24);
    gint64 d = seconds / 86400;

    if (d > 0) /* TRANSLATORS: days and hours, short */
        return g_strdup_printf (_ ("%d d %d h"), (int)MIN (d, 9999), h);
    if (h > 0) /* TRANSLATORS: hours and minutes, short */
        return g_strdup_printf (_ ("%d h %d min"), h, min);
    if (min > 0) /* TRANSLATORS: minutes and seconds, short */
        return g_strdup_printf (_ ("%d min %d s"), min, s);
    /* TRANSLATORS: seconds, short */
    return g_strdup_printf (_ ("%d s"), s);
}

static char *
plain_blanks (char *text)
{
    g_auto (GStrv) parts = g_strsplit (text, "\302\240", -1);

    g_free (text);
    return g_strjoinv (" ", parts);
}

char *
cw_format_size (guint64 bytes)
{
    return plain_blanks (g_format_size_full (bytes, G_FORMAT_SIZE_DEFAULT));
}

char *
cw_format_size_of (guint64 done, guint64 total)
{
    g_autofree char *unit = g_format_size_full (done, G_FORMAT_SIZE_ONLY_UNIT);
    g_autofree char *total_unit = g_format_size_full (total, G_FORMAT_SIZE_ONLY_UNIT);
    g_autofree char *all = cw_format_size (total);
    g_autofree char *part = NULL;

    if (strcmp (unit, total_unit) == 0)
        part = plain_blanks (g_format_size_full (done, G_FORMAT_SIZE_ONLY_VALUE));
    else
        part = cw_format_size (done);
    /* TRANSLATORS: progress, as in “2.0 of 3.2 GB” or “118 of 214” files */
    return g_strdup_printf (_ ("%s of %s"), part, all);
}

char *
cw_format_rate (double bytes_per_second)
{
    g_autofree char *size = cw_format_size ((guint64)bytes_per_second);

    /* TRANSLATORS: a speed, as in “96 MB/s” */
    return g_strdup_printf (_ ("%s/s"), size);
}

/* --- The parts of a line --- */

/* What moves: of many files the top-level item, since the names below go by too fast to read. */
static char *
dup_name (const CwTransferFigures *f)
{
    const char *slash = strchr (f->current, '/');
    g_autofree char *top = slash != NULL && f->files_total > 1
                               ? g_strndup (f->current, (size_t)(slash - f->current) + 1)
                               : g_strdup (f->current);

    return cw_name_dup_display (top, 200);
}

static char *
dup_count (const CwTransferFigures *f)
{
    g_autofree char *done = g_strdup_printf ("%" G_GUINT64_FORMAT, f->files_done);
    g_autofree char *all = g_strdup_printf ("%" G_GUINT64_FORMAT, f->files_total);

    return f->files_total > 1 ? g_strdup_printf (_ ("%s of %s"), done, all) : NULL;
}

static double
get_fraction (const CwTransferFigures *f)
{
    if (f->bytes_total == 0)
        return f->files_total == 0 ? 0 : MIN (1, (double)f->files_done / (double)f->files_total);
    return MIN (1, (double)f->bytes_done / (double)f->bytes_total);
}

static char *
dup_percent (const CwTransferFigures *f)
{
    /* TRANSLATORS: a percentage; the doubled sign is shown as one */
    return f->size_known ? g_strdup_printf (_ ("%d %%"), (int)(get_fraction (f) * 100)) : NULL;
}

static char *
dup_sizes (const CwTransferFigures *f)
{
    return f->size_known ? cw_format_size_of (f->bytes_done, f->bytes_total)
                         : cw_format_size (f->bytes_done);
}

static char *
dup_left (const CwProgress *self)
{
    gint64 seconds = cw_progress_get_seconds_left (self);
    g_autofree char *duration = seconds < 0 ? NULL : cw_format_duration (seconds);

    /* TRANSLATORS: a duration, as in “12 s left” */
    return duration != NULL ? g_strdup_printf (_ ("%s left"), duration) : NULL;
}

static void
append_repeated (GString *out, const char *what, unsigned n)
{
    while (n-- > 0)
        g_string_append (out, what);
}

static char *
dup_bar (double fraction, unsigned columns, gboolean colour, gboolean utf8)
{
    GString *bar = g_string_new (NULL);
    unsigned halves = (unsigned)(fraction * columns * 2);
    unsigned full = halves / 2, half = halves % 2;

    append_repeated (bar, utf8 ? "━" : "#", full);
    if (half)
        g_string_append (bar, utf8 ? "╸" : "#");
    if (colour)
        g_string_append (bar, "\033[2m");
    append_repeated (bar, !utf8 ? "-" : colour ? "━" : "─", columns - full - half);
    if (colour)
        g_string_append (bar, "\033[0m");
    return g_string_free (bar, FALSE);
}

enum { PART_NAME, PART_COUNT, PART_BAR, PART_PERCENT, PART_SIZES, PART_RATE, PART_LEFT, N_PARTS };

static void
make_parts (const CwProgress *self, char *parts[N_PARTS])
{
    parts[PART_NAME] = dup_name (&self->figures);
    parts[PART_COUNT] = dup_count (&self->figures);
    parts[PART_BAR] = NULL;
    parts[PART_PERCENT] = dup_percent (&self->figures);
    parts[PART_SIZES] = dup_sizes (&self->figures);
    parts[PART_RATE] = self->rate >= 1 ? cw_format_rate (self->rate) : NULL;
    parts[PART_LEFT] = dup_left (self);
}

/* Two blanks between parts, one between name and count. */
static char *
join_parts (char *parts[N_PARTS])
{
    GString *line = g_string_new (NULL);

    for (int i = 0; i < N_PARTS; i++) {
        if (parts[i] == NULL || parts[i][0] == '\0')
            continue;
        if (line->len > 0)
            g_string_append (line, i == PART_COUNT ? " " : "  ");
        g_string_append (line, parts[i]);
    }
    return g_string_free (line, FALSE);
}

static unsigned
joined_columns (char *parts[N_PARTS])
{
    g_autofree char *line = join_parts (parts);

    return cw_text_columns (line);
}

static void
cut_name (char *parts[N_PARTS], unsigned room)
{
    unsigned all = joined_columns (parts), name = cw_text_columns (parts[PART_NAME]);
    char *cut;

    if (all <= room || name <= NAME_MIN)
        return;
    cut = cw_text_cut_middle (parts[PART_NAME], MAX (NAME_MIN, name - MIN (all - room, name)));
    g_free (parts[PART_NAME]);
    parts[PART_NAME] = cut;
}

char *
cw_progress_dup_line (const CwProgress *self, unsigned width, gboolean colour, gboolean utf8)
{
    static const int dispensable[] = { PART_SIZES, PART_RATE, PART_COUNT, PART_LEFT, PART_NAME };
    unsigned room = width > 1 ? width - 1 : 1; /* in the last column some terminals wrap */
    unsigned bar_room = self->figures.size_known ? BAR_MIN + 2 : 0;
    char *parts[N_PARTS];
    g_autofree char *line = NULL;

    make_parts (self, parts);
    cut_name (parts, room > bar_room ? room - bar_room : room);
    for (size_t i = 0; i < G_N_ELEMENTS (dispensable) && joined_columns (parts) > room; i++)
        g_clear_pointer (&parts[dispensable[i]], g_free);
    if (self->figures.size_known) {
        unsigned used = joined_columns (parts) + 2;
        if (used + BAR_MIN <= room)
            parts[PART_BAR]
                = dup_bar (get_fraction (&self->figures), MIN (BAR_MAX, room - used), colour, utf8);
    }
    line = join_parts (parts);
    if (parts[PART_BAR] == NULL) {
        char *cut = cw_text_cut_middle (line, room);
        g_free (line);
        line = cut;
    }
    for (int i = 0; i < N_PARTS; i++)
        g_free (parts[i]);
    return g_steal_pointer (&line);
}

char *
cw_progress_dup_plain_line (const CwProgress *self)
{
    char *parts[N_PARTS];
    char *line;

    make_parts (self, parts);
    line = join_parts (parts);
    for (int i = 0; i < N_PARTS; i++)
        g_free (parts[i]);
    return line;
}
