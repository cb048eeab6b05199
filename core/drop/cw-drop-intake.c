/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Reads a sender's stream, checks its grammar, and hands it over as steps: a file's content in
 * parts of the blocks it was read into. Steps are handed over in batches, at the latest before a
 * read that may wait. */

#include "cw-drop-receive-private.h"

#include <string.h>

#define N_BLOCKS 8
/* What a step counts for itself; paths and targets are added. */
#define STEP_WEIGHT 160
#define MAX_WEIGHT (512 * 1024)
#define MAX_BATCH (32 * 1024)

void
cw_drop_step_free (CwDropStep *step)
{
    switch (step->kind) {
    case CW_DROP_STEP_LOOK:
    case CW_DROP_STEP_ITEM:
        cw_drop_request_clear (&step->request);
        break;
    case CW_DROP_STEP_DATA:
        cw_drop_block_unref (step->data.block);
        break;
    case CW_DROP_STEP_BROKEN:
        g_error_free (step->error);
        break;
    case CW_DROP_STEP_OFFER:
    case CW_DROP_STEP_END:
    case CW_DROP_STEP_DONE:
    case CW_DROP_STEP_CANCEL:
    default:
        break;
    }
    g_clear_pointer (&step->content, g_bytes_unref);
    g_free (step);
}

static void
free_step (gpointer step)
{
    cw_drop_step_free (step);
}

/* --- Handing over --- */

static CwDropStep *
step_new (CwDropStepKind kind)
{
    CwDropStep *step = g_new0 (CwDropStep, 1);

    step->kind = kind;
    step->weight = STEP_WEIGHT;
    return step;
}

/* Waits while too much waits already. */
static void
hand_over (gpointer data)
{
    CwDropIntake *intake = data;

    if (intake->batch.length == 0)
        return;
    g_mutex_lock (&intake->lock);
    while (!intake->stopped && intake->weight >= MAX_WEIGHT)
        g_cond_wait (&intake->cond, &intake->lock);
    if (intake->steps.length == 0)
        g_cond_broadcast (&intake->cond);
    for (CwDropStep *step; (step = g_queue_pop_head (&intake->batch)) != NULL;) {
        intake->weight += step->weight;
        g_queue_push_tail (&intake->steps, step);
    }
    g_mutex_unlock (&intake->lock);
    intake->batch_weight = 0;
}

static void
give (CwDropIntake *intake, CwDropStep *step)
{
    intake->batch_weight += step->weight;
    g_queue_push_tail (&intake->batch, step);
    if (intake->batch_weight >= MAX_BATCH)
        hand_over (intake);
}

/* --- Reading --- */

static gboolean
is_stopped (CwDropIntake *intake)
{
    gboolean stopped;

    g_mutex_lock (&intake->lock);
    stopped = intake->stopped;
    g_mutex_unlock (&intake->lock);
    return stopped;
}

/* A chunk's bytes; those of an idle one mean nothing. */
static gboolean
read_chunk (CwDropIntake *intake, const CwDropChunk *chunk, GError **error)
{
    guint64 remaining = chunk->size;
    gint64 at = chunk->at;

    while (remaining > 0) {
        const guint8 *bytes;
        size_t len;
        if (!cw_drop_input_some (&intake->input, remaining, &bytes, &len, error))
            return FALSE;
        remaining -= len;
        if (!chunk->idle) {
            CwDropStep *step = step_new (CW_DROP_STEP_DATA);
            step->data.block = cw_drop_block_ref (intake->input.block);
            step->data.bytes = bytes;
            step->data.len = len;
            step->data.at = at;
            at = -1;
            give (intake, step);
        }
    }
    return TRUE;
}

static gboolean
read_chunk_end (CwDropIntake *intake, GError **error)
{
    const char *line;
    size_t len;

    return cw_drop_input_line (&intake->input, 0, &line, &len, error);
}

static gboolean
read_file (CwDropIntake *intake, GError **error)
{
    const char *line;
    CwDropChunk chunk;
    CwDropStep *end;
    size_t len;

    do {
        if (!cw_drop_input_line (&intake->input, CW_DROP_MAX_CHUNK_LINE, &line, &len, error)
            || !cw_drop_chunk_parse (line, len, &chunk, error)
            || (chunk.size > 0
                && (!read_chunk (intake, &chunk, error) || !read_chunk_end (intake, error))))
            return FALSE;
    } while (chunk.size > 0);
    end = step_new (CW_DROP_STEP_END);
    if (!cw_drop_input_trailers (&intake->input, CW_DROP_MAX_HEAD, &line, &len, error)
        || !cw_drop_trailer_parse (line, len, &end->trailer, error)) {
        cw_drop_step_free (end);
        return FALSE;
    }
    give (intake, end);
    return TRUE;
}

/* Reads @step's content and hands it over. Takes @step. */
static gboolean
read_content (CwDropIntake *intake, CwDropStep *step, guint64 length, GError **error)
{
    g_autoptr (CwDropStep) owned = step;
    g_autoptr (GByteArray) content = g_byte_array_new ();

    if (!cw_drop_input_all (&intake->input, (size_t)length, content, error))
        return FALSE;
    step->weight += (size_t)length;
    step->content = g_byte_array_free_to_bytes (g_steal_pointer (&content));
    give (intake, g_steal_pointer (&owned));
    return TRUE;
}

static gboolean
read_item (CwDropIntake *intake, CwDropStep *step, GError **error)
{
    gboolean is_file = step->request.chunked;

    if (!read_content (intake, step, step->request.length, error))
        return FALSE;
    return !is_file || read_file (intake, error);
}

/* Takes what is in @request. */
static gboolean
read_rest (CwDropIntake *intake, CwDropRequest *request, GError **error)
{
    static const CwDropStepKind kinds[] = {
        [CW_DROP_REQUEST_OFFER] = CW_DROP_STEP_OFFER,   [CW_DROP_REQUEST_LOOK] = CW_DROP_STEP_LOOK,
        [CW_DROP_REQUEST_ITEM] = CW_DROP_STEP_ITEM,     [CW_DROP_REQUEST_DONE] = CW_DROP_STEP_DONE,
        [CW_DROP_REQUEST_CANCEL] = CW_DROP_STEP_CANCEL,
    };
    CwDropStep *step = step_new (kinds[request->kind]);

    switch (request->kind) {
    case CW_DROP_REQUEST_OFFER:
        return read_content (intake, step, request->length, error);
    case CW_DROP_REQUEST_ITEM:
    case CW_DROP_REQUEST_LOOK:
        step->weight += request->path != NULL ? strlen (request->path) : 0;
        step->request = *request;
        request->path = NULL;
        if (step->kind == CW_DROP_STEP_ITEM)
            return read_item (intake, step, error);
        break;
    case CW_DROP_REQUEST_DONE:
    case CW_DROP_REQUEST_CANCEL:
    default:
        break;
    }
    give (intake, step);
    return TRUE;
}

static gboolean
read_request (CwDropIntake *intake, GError **error)
{
    g_auto (CwDropRequest) request = { 0 };
    const char *head;
    size_t len;

    if (!cw_drop_input_head (&intake->input, CW_DROP_MAX_HEAD, &head, &len, error)
        || !cw_drop_request_parse (head, len, &request, error))
        return FALSE;
    g_atomic_int_inc (&intake->n_requests);
    return read_rest (intake, &request, error);
}

static gboolean
read_hello (CwDropIntake *intake, GError **error)
{
    size_t hello_len = strlen (CW_DROP_HELLO) - 2, len;
    const char *line;

    if (!cw_drop_input_line (&intake->input, hello_len, &line, &len, error))
        return FALSE;
    if (len == hello_len && memcmp (line, CW_DROP_HELLO, len) == 0)
        return TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL, "the stream is not drop/1");
    return FALSE;
}

static gpointer
run (gpointer data)
{
    CwDropIntake *intake = data;
    GError *error = NULL;
    gboolean ok = read_hello (intake, &error);

    while (ok && !is_stopped (intake))
        ok = read_request (intake, &error);
    if (error != NULL) {
        CwDropStep *step = step_new (CW_DROP_STEP_BROKEN);
        step->error = error;
        give (intake, step);
    }
    hand_over (intake);
    cw_drop_input_clear (&intake->input);
    cw_drop_input_drain (&intake->input);
    return NULL;
}

/* --- The store's side --- */

CwDropIntake *
cw_drop_intake_new (CwDropLine *line)
{
    CwDropIntake *intake = g_new0 (CwDropIntake, 1);

    intake->line = line;
    intake->pool = cw_drop_pool_new (N_BLOCKS);
    cw_drop_input_init (&intake->input, line, intake->pool);
    intake->input.before_read = hand_over;
    intake->input.data = intake;
    g_queue_init (&intake->batch);
    g_queue_init (&intake->steps);
    g_mutex_init (&intake->lock);
    g_cond_init (&intake->cond);
    return intake;
}

void
cw_drop_intake_start (CwDropIntake *intake)
{
    intake->thread = g_thread_new ("drop-intake", run, intake);
}

CwDropStep *
cw_drop_intake_pop (CwDropIntake *intake, gboolean wait)
{
    CwDropStep *step = NULL;

    g_mutex_lock (&intake->lock);
    while (wait && !intake->woken && intake->steps.length == 0)
        g_cond_wait (&intake->cond, &intake->lock);
    if (wait && intake->woken)
        intake->woken = FALSE;
    else
        step = g_queue_pop_head (&intake->steps);
    if (step != NULL) {
        if (intake->weight >= MAX_WEIGHT && intake->weight - step->weight < MAX_WEIGHT)
            g_cond_broadcast (&intake->cond);
        intake->weight -= step->weight;
    }
    g_mutex_unlock (&intake->lock);
    return step;
}

void
cw_drop_intake_wake (CwDropIntake *intake)
{
    g_mutex_lock (&intake->lock);
    intake->woken = TRUE;
    g_cond_broadcast (&intake->cond);
    g_mutex_unlock (&intake->lock);
}

void
cw_drop_intake_join (CwDropIntake *intake)
{
    g_mutex_lock (&intake->lock);
    intake->stopped = TRUE;
    g_cond_broadcast (&intake->cond);
    g_mutex_unlock (&intake->lock);
    /* The intake may wait for a block that is in a step nobody takes. */
    cw_drop_pool_stop (intake->pool);
    g_thread_join (intake->thread);
}

void
cw_drop_intake_free (CwDropIntake *intake)
{
    g_queue_clear_full (&intake->batch, free_step);
    g_queue_clear_full (&intake->steps, free_step);
    cw_drop_pool_free (intake->pool);
    g_mutex_clear (&intake->lock);
    g_cond_clear (&intake->cond);
    g_free (intake);
}
