/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A transfer's figures as a person reads them. Pure: the time is given. */

#include <glib.h>

#include "cw-transfer.h"

G_BEGIN_DECLS

typedef struct {
    gint64 last_us;
    guint64 last_moved; /* bytes that crossed the connection, without what was there before */
    double rate;        /* bytes a second, smoothed; 0: not known yet */
    CwTransferFigures figures;
} CwProgress;

void cw_progress_begin (CwProgress *self, gint64 now_us);
/* Takes new figures; the rate settles over some three seconds. */
void cw_progress_update (CwProgress *self, const CwTransferFigures *figures, gint64 now_us);
/* -1: not known. */
gint64 cw_progress_get_seconds_left (const CwProgress *self);

/* The line that moves: name and count, bar, percent, sizes, rate, time left, in less than @width
 * columns; where it is narrow the bar shrinks, the name is cut, and then parts go. All results are
 * freed with g_free(). */
char *cw_progress_dup_line (const CwProgress *self, unsigned width, gboolean colour, gboolean utf8);
/* The same for a file or pipe: without bar, of any width. */
char *cw_progress_dup_plain_line (const CwProgress *self);

/* "12 s", "3 min 20 s", "1 h 5 min", "2 d 3 h". */
char *cw_format_duration (gint64 seconds);
/* "3.2 GB", with a plain blank, so that it can be searched for and never looks odd. */
char *cw_format_size (guint64 bytes);
/* "2.0 of 3.2 GB", "900.0 MB of 3.2 GB". */
char *cw_format_size_of (guint64 done, guint64 total);
/* "96.3 MB/s". */
char *cw_format_rate (double bytes_per_second);

G_END_DECLS
