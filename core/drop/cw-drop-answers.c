/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-drop-receive-private.h"

#include <string.h>

/* More than this is sent at once, whatever else is about to come. */
#define ENOUGH 16384

void
cw_drop_answers_init (CwDropAnswers *answers, CwDropLine *line, CwDropIntake *intake)
{
    *answers = (CwDropAnswers){ .line = line, .intake = intake };
    g_mutex_init (&answers->lock);
    answers->bytes = g_byte_array_new ();
    answers->written_us = g_get_monotonic_time ();
}

void
cw_drop_answers_clear (CwDropAnswers *answers)
{
    g_mutex_clear (&answers->lock);
    g_byte_array_unref (answers->bytes);
}

static void
flush_locked (CwDropAnswers *answers)
{
    /* A failure is the intake's to find out: the stream ends for it too. */
    if (answers->bytes->len > 0 && !answers->failed)
        answers->failed
            = !cw_drop_line_write (answers->line, answers->bytes->data, answers->bytes->len, NULL);
    g_byte_array_set_size (answers->bytes, 0);
    answers->written_us = g_get_monotonic_time ();
}

static void
added_locked (CwDropAnswers *answers)
{
    answers->n_answered++;
    if (answers->bytes->len >= ENOUGH)
        flush_locked (answers);
}

void
cw_drop_answers_add (CwDropAnswers *answers, const CwDropResponse *response)
{
    g_mutex_lock (&answers->lock);
    cw_drop_response_append (answers->bytes, response);
    added_locked (answers);
    g_mutex_unlock (&answers->lock);
}

void
cw_drop_answers_add_json (CwDropAnswers *answers, const char *json)
{
    CwDropResponse response = { .status = CW_DROP_STATUS_OK, .length = strlen (json) };

    g_mutex_lock (&answers->lock);
    cw_drop_response_append (answers->bytes, &response);
    g_byte_array_append (answers->bytes, (const guint8 *)json, (guint)response.length);
    added_locked (answers);
    g_mutex_unlock (&answers->lock);
}

void
cw_drop_answers_add_problem (CwDropAnswers *answers, const GError *problem, gboolean close)
{
    g_mutex_lock (&answers->lock);
    cw_drop_problem_append (answers->bytes, problem, close);
    added_locked (answers);
    g_mutex_unlock (&answers->lock);
}

void
cw_drop_answers_flush (CwDropAnswers *answers)
{
    g_mutex_lock (&answers->lock);
    if (answers->bytes->len > 0)
        flush_locked (answers);
    g_mutex_unlock (&answers->lock);
}

void
cw_drop_answers_tick (CwDropAnswers *answers)
{
    static const CwDropResponse processing = { .status = CW_DROP_STATUS_PROCESSING };
    gint64 silent_us;

    g_mutex_lock (&answers->lock);
    silent_us = g_get_monotonic_time () - answers->written_us;
    /* An interim response needs a request that waits. */
    if (answers->bytes->len == 0 && silent_us >= cw_drop_line_get_alive_us () / 2
        && answers->n_answered != g_atomic_int_get (&answers->intake->n_requests))
        cw_drop_response_append (answers->bytes, &processing);
    if (answers->bytes->len > 0)
        flush_locked (answers);
    g_mutex_unlock (&answers->lock);
}
