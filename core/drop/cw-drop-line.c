/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The user's cancellable does not go into reads and writes: after a cancel the other side is still
 * told, as far as it listens. They get one of the line's own, which is cancelled by the line's
 * thread GRACE_US after the user's, or after end_soon(). */

#include "cw-drop-line-private.h"

#include <string.h>

#include "cw-drop-wire.h"

#define GRACE_US (2 * G_USEC_PER_SEC)

struct _CwDropLine {
    GInputStream *in;
    GOutputStream *out;
    GIOStream *stream;
    GCancellable *user;
    gulong user_handler;
    GCancellable *io;

    CwDropLineFuncs funcs;
    gpointer data;
    GThread *thread;
    GThread *ticker; /* of its own, since it may be stuck in a write that @thread must end */

    GMutex lock; /* guards all below */
    GCond cond;
    gboolean cancelled;
    gboolean closing;
    gint64 end_us; /* when @io is cancelled; G_MAXINT64: not at all */
};

static gint64 alive_us = CW_DROP_ALIVE_SECONDS * G_USEC_PER_SEC;

void
cw_drop_line_set_alive_ms (guint ms)
{
    alive_us = (gint64)ms * 1000;
}

gint64
cw_drop_line_get_alive_us (void)
{
    return alive_us;
}

/* May run under any lock of the caller of g_cancellable_cancel(): only leaves a note. */
static void
on_user_cancelled (GCancellable *cancellable, gpointer data)
{
    CwDropLine *line = data;

    g_mutex_lock (&line->lock);
    line->cancelled = TRUE;
    line->end_us = MIN (line->end_us, g_get_monotonic_time () + GRACE_US);
    g_cond_broadcast (&line->cond);
    g_mutex_unlock (&line->lock);
}

static gpointer
run (gpointer data)
{
    CwDropLine *line = data;
    gboolean told = FALSE;

    g_mutex_lock (&line->lock);
    while (!line->closing) {
        if (line->cancelled && !told) {
            told = TRUE;
            g_mutex_unlock (&line->lock);
            if (line->funcs.cancelled != NULL)
                line->funcs.cancelled (line->data);
            g_mutex_lock (&line->lock);
        } else if (g_get_monotonic_time () >= line->end_us) {
            line->end_us = G_MAXINT64;
            g_mutex_unlock (&line->lock);
            g_cancellable_cancel (line->io);
            g_mutex_lock (&line->lock);
        } else if (line->end_us == G_MAXINT64) {
            g_cond_wait (&line->cond, &line->lock);
        } else {
            g_cond_wait_until (&line->cond, &line->lock, line->end_us);
        }
    }
    g_mutex_unlock (&line->lock);
    return NULL;
}

static gpointer
run_ticks (gpointer data)
{
    CwDropLine *line = data;
    gint64 tick_us = g_get_monotonic_time () + alive_us;

    g_mutex_lock (&line->lock);
    while (!line->closing) {
        if (g_cond_wait_until (&line->cond, &line->lock, tick_us) || line->closing)
            continue;
        g_mutex_unlock (&line->lock);
        line->funcs.tick (line->data);
        tick_us = g_get_monotonic_time () + alive_us;
        g_mutex_lock (&line->lock);
    }
    g_mutex_unlock (&line->lock);
    return NULL;
}

CwDropLine *
cw_drop_line_new (GIOStream *stream,
                  GCancellable *cancellable,
                  const CwDropLineFuncs *funcs,
                  gpointer data)
{
    CwDropLine *line = g_new0 (CwDropLine, 1);

    line->stream = g_object_ref (stream);
    line->in = g_io_stream_get_input_stream (stream);
    line->out = g_io_stream_get_output_stream (stream);
    line->io = g_cancellable_new ();
    line->funcs = *funcs;
    line->data = data;
    line->end_us = G_MAXINT64;
    g_mutex_init (&line->lock);
    g_cond_init (&line->cond);
    if (cancellable != NULL) {
        line->user = g_object_ref (cancellable);
        /* Calls it at once when it is too late already. */
        line->user_handler
            = g_cancellable_connect (cancellable, G_CALLBACK (on_user_cancelled), line, NULL);
    }
    return line;
}

void
cw_drop_line_start (CwDropLine *line)
{
    line->thread = g_thread_new ("drop-line", run, line);
    if (line->funcs.tick != NULL)
        line->ticker = g_thread_new ("drop-tick", run_ticks, line);
}

void
cw_drop_line_free (CwDropLine *line)
{
    if (line->user != NULL)
        g_cancellable_disconnect (line->user, line->user_handler);
    g_mutex_lock (&line->lock);
    line->closing = TRUE;
    g_cond_broadcast (&line->cond);
    g_mutex_unlock (&line->lock);
    g_thread_join (line->thread);
    if (line->ticker != NULL) {
        g_cancellable_cancel (line->io);
        g_thread_join (line->ticker);
    }
    g_io_stream_close (line->stream, NULL, NULL);
    g_clear_object (&line->user);
    g_object_unref (line->io);
    g_object_unref (line->stream);
    g_mutex_clear (&line->lock);
    g_cond_clear (&line->cond);
    g_free (line);
}

gboolean
cw_drop_line_is_cancelled (CwDropLine *line)
{
    gboolean cancelled;

    g_mutex_lock (&line->lock);
    cancelled = line->cancelled;
    g_mutex_unlock (&line->lock);
    return cancelled;
}

static void
end_at (CwDropLine *line, gint64 when_us)
{
    g_mutex_lock (&line->lock);
    line->end_us = MIN (line->end_us, when_us);
    g_cond_broadcast (&line->cond);
    g_mutex_unlock (&line->lock);
}

void
cw_drop_line_end_soon (CwDropLine *line)
{
    end_at (line, g_get_monotonic_time () + GRACE_US);
}

void
cw_drop_line_end_now (CwDropLine *line)
{
    end_at (line, 0);
}

static void
set_lost (GError **error, const GError *reason)
{
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST, "the connection ended: %s",
                 reason->message);
}

gboolean
cw_drop_line_write (CwDropLine *line, const void *data, size_t len, GError **error)
{
    g_autoptr (GError) reason = NULL;

    if (g_output_stream_write_all (line->out, data, len, NULL, line->io, &reason))
        return TRUE;
    set_lost (error, reason);
    return FALSE;
}

gssize
cw_drop_line_read (CwDropLine *line, void *buffer, size_t size, GError **error)
{
    g_autoptr (GError) reason = NULL;
    gssize n = g_input_stream_read (line->in, buffer, size, line->io, &reason);

    if (n < 0)
        set_lost (error, reason);
    return n;
}

/* --- Blocks --- */

struct _CwDropPool {
    GMutex lock; /* guards all below */
    GCond cond;
    GPtrArray *free;
    guint n_made, n_max;
    gboolean stopped;
};

CwDropPool *
cw_drop_pool_new (guint n_blocks)
{
    CwDropPool *pool = g_new0 (CwDropPool, 1);

    g_mutex_init (&pool->lock);
    g_cond_init (&pool->cond);
    pool->free = g_ptr_array_new ();
    pool->n_max = n_blocks;
    return pool;
}

void
cw_drop_pool_free (CwDropPool *pool)
{
    g_assert (pool->free->len == pool->n_made);
    for (guint i = 0; i < pool->free->len; i++) {
        CwDropBlock *block = g_ptr_array_index (pool->free, i);
        g_free (block->data);
        g_free (block);
    }
    g_ptr_array_unref (pool->free);
    g_mutex_clear (&pool->lock);
    g_cond_clear (&pool->cond);
    g_free (pool);
}

void
cw_drop_pool_stop (CwDropPool *pool)
{
    g_mutex_lock (&pool->lock);
    pool->stopped = TRUE;
    g_cond_broadcast (&pool->cond);
    g_mutex_unlock (&pool->lock);
}

static CwDropBlock *
make_block (CwDropPool *pool)
{
    CwDropBlock *block = g_new0 (CwDropBlock, 1);

    block->pool = pool;
    block->data = g_malloc (CW_DROP_BLOCK);
    pool->n_made++;
    return block;
}

static CwDropBlock *
pool_get (CwDropPool *pool)
{
    CwDropBlock *block = NULL;

    g_mutex_lock (&pool->lock);
    while (!pool->stopped && pool->free->len == 0 && pool->n_made == pool->n_max)
        g_cond_wait (&pool->cond, &pool->lock);
    if (pool->free->len > 0)
        block = g_ptr_array_steal_index (pool->free, pool->free->len - 1);
    else if (pool->n_made < pool->n_max)
        block = make_block (pool);
    if (block != NULL)
        block->ref_count = 1;
    g_mutex_unlock (&pool->lock);
    return block;
}

CwDropBlock *
cw_drop_block_ref (CwDropBlock *block)
{
    g_atomic_int_inc (&block->ref_count);
    return block;
}

void
cw_drop_block_unref (CwDropBlock *block)
{
    CwDropPool *pool = block->pool;

    if (!g_atomic_int_dec_and_test (&block->ref_count))
        return;
    g_mutex_lock (&pool->lock);
    g_ptr_array_add (pool->free, block);
    g_cond_signal (&pool->cond);
    g_mutex_unlock (&pool->lock);
}

/* --- Reading --- */

void
cw_drop_input_init (CwDropInput *input, CwDropLine *line, CwDropPool *pool)
{
    *input = (CwDropInput){ .line = line, .pool = pool };
}

void
cw_drop_input_clear (CwDropInput *input)
{
    g_clear_pointer (&input->block, cw_drop_block_unref);
}

/* A block with room behind what is there, which is at most a head. */
static gboolean
make_room (CwDropInput *input, GError **error)
{
    size_t used = input->end - input->start;
    CwDropBlock *block = input->block;

    if (block != NULL && g_atomic_int_get (&block->ref_count) == 1) {
        memmove (block->data, block->data + input->start, used);
        input->start = 0;
        input->end = used;
    }
    /* The last quarter is not worth a read of its own. */
    if (block != NULL && input->end < CW_DROP_BLOCK / 4 * 3)
        return TRUE;
    block = pool_get (input->pool);
    if (block == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST, "the transfer was stopped");
        return FALSE;
    }
    if (input->block != NULL) {
        memcpy (block->data, input->block->data + input->start, used);
        cw_drop_block_unref (input->block);
    }
    input->block = block;
    input->start = 0;
    input->end = used;
    return TRUE;
}

static gboolean
fill (CwDropInput *input, GError **error)
{
    gssize n;

    if (input->before_read != NULL)
        input->before_read (input->data);
    if (!make_room (input, error))
        return FALSE;
    n = cw_drop_line_read (input->line, input->block->data + input->end, CW_DROP_BLOCK - input->end,
                           error);
    if (n == 0)
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST,
                     "the other side closed the connection");
    if (n <= 0)
        return FALSE;
    input->end += (size_t)n;
    return TRUE;
}

/* Finds @mark; *@ret is what stands before it. */
static gboolean
read_until (CwDropInput *input,
            const char *mark,
            size_t max,
            const char **ret,
            size_t *ret_len,
            GError **error)
{
    size_t mark_len = strlen (mark), searched = 0;

    while (TRUE) {
        size_t len = input->end - input->start;
        const guint8 *from = input->block != NULL ? input->block->data + input->start : NULL;
        const guint8 *found
            = len > searched ? memmem (from + searched, len - searched, mark, mark_len) : NULL;
        /* Without a mark, the last bytes may be the beginning of one. */
        if (found != NULL ? (size_t)(found - from) > max : len >= max + mark_len) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL,
                         "a line or head is longer than %" G_GSIZE_FORMAT " bytes", max);
            return FALSE;
        }
        if (found != NULL) {
            *ret = (const char *)from;
            *ret_len = (size_t)(found - from);
            input->start += *ret_len + mark_len;
            return TRUE;
        }
        searched = len < mark_len ? 0 : len - mark_len + 1;
        if (!fill (input, error))
            return FALSE;
    }
}

/* TRUE when a CRLF is next. */
static gboolean
peek_crlf (CwDropInput *input, gboolean *ret, GError **error)
{
    while (input->end - input->start < 2) {
        if (input->end > input->start && input->block->data[input->start] != '\r')
            break;
        if (!fill (input, error))
            return FALSE;
    }
    *ret = input->end - input->start >= 2
           && memcmp (input->block->data + input->start, "\r\n", 2) == 0;
    return TRUE;
}

gboolean
cw_drop_input_head (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error)
{
    gboolean empty;

    while (peek_crlf (input, &empty, error)) {
        if (!empty) {
            if (!read_until (input, "\r\n\r\n", max, ret, ret_len, error))
                return FALSE;
            *ret_len += 2; /* the last line keeps its CRLF */
            return TRUE;
        }
        input->start += 2;
    }
    return FALSE;
}

gboolean
cw_drop_input_line (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error)
{
    return read_until (input, "\r\n", max, ret, ret_len, error);
}

gboolean
cw_drop_input_trailers (
    CwDropInput *input, size_t max, const char **ret, size_t *ret_len, GError **error)
{
    gboolean empty;

    if (!peek_crlf (input, &empty, error))
        return FALSE;
    if (!empty)
        return cw_drop_input_head (input, max, ret, ret_len, error);
    *ret = (const char *)input->block->data + input->start;
    *ret_len = 0;
    input->start += 2;
    return TRUE;
}

gboolean
cw_drop_input_some (
    CwDropInput *input, guint64 max, const guint8 **ret, size_t *ret_len, GError **error)
{
    if (input->start == input->end && !fill (input, error))
        return FALSE;
    *ret = input->block->data + input->start;
    *ret_len = (size_t)MIN (max, input->end - input->start);
    input->start += *ret_len;
    return TRUE;
}

gboolean
cw_drop_input_all (CwDropInput *input, size_t len, GByteArray *to, GError **error)
{
    while (len > 0) {
        const guint8 *data;
        size_t n;
        if (!cw_drop_input_some (input, len, &data, &n, error))
            return FALSE;
        g_byte_array_append (to, data, (guint)n);
        len -= n;
    }
    return TRUE;
}

void
cw_drop_input_drain (CwDropInput *input)
{
    guint8 bin[4096];

    while (cw_drop_line_read (input->line, bin, sizeof bin, NULL) > 0)
        ;
}
