/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The sender's end of the stream: a thread reads and hashes, the caller's writes; then the
 * receiver's acknowledgement, or silence, or the end of the stream. */

#include "cw-v1-private.h"

#include "cw-block-queue.h"
#include "cw-hash.h"

/* An acknowledgement is under 100 bytes; a read gives one record, so it must hold a whole one. */
#define MAX_ACK (64 * 1024)

/* Some receivers put the files in place first and acknowledge then (Python unpacks the zip, ours
 * waits for the disk). The stream's own limit of a minute would cut a large folder off, so they
 * are given what a slow disk needs. */
#define SLOW_DISK_BYTES_S (10 * 1000 * 1000)
#define SLOW_DISK_FILES_S 100
#define MAX_PATIENCE_S 3600

typedef struct {
    CwV1Source *source;
    CwTransfer *transfer;
    CwBlockQueue *queue;
    GError *error;
    guint8 sha256[32];
} Reader;

static gpointer
read_source (gpointer user_data)
{
    Reader *reader = user_data;
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    CwBlock *block;

    while ((block = cw_block_queue_take_empty (reader->queue)) != NULL) {
        if (!cw_v1_source_read (reader->source, block->data, block->size, reader->transfer,
                                &block->len, &reader->error))
            break;
        cw_sha256_update (hash, block->data, block->len);
        if (block->len == 0)
            break;
        cw_block_queue_put_full (reader->queue, block);
    }
    cw_sha256_finish (hash, reader->sha256);
    /* What was read before a failure is not worth sending. */
    if (reader->error != NULL)
        cw_block_queue_close (reader->queue);
    cw_block_queue_end (reader->queue);
    return NULL;
}

gboolean
cw_v1_fail_stream (GError **ret_error, GError *error, const char *doing)
{
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_propagate_error (ret_error, error);
        return FALSE;
    }
    g_set_error (ret_error, CW_DROP_ERROR,
                 error->domain == G_IO_ERROR ? CW_DROP_ERROR_PEER_LOST : CW_DROP_ERROR_PROTOCOL,
                 "connection failed while %s: %s", doing, error->message);
    g_error_free (error);
    return FALSE;
}

static gboolean
write_blocks (GOutputStream *output,
              CwBlockQueue *queue,
              CwTransfer *transfer,
              GCancellable *cancellable,
              GError **error)
{
    GError *local = NULL;
    CwBlock *block;

    while ((block = cw_block_queue_take_full (queue)) != NULL) {
        if (!g_output_stream_write_all (output, block->data, block->len, NULL, cancellable, &local))
            return cw_v1_fail_stream (error, local, "sending");
        cw_transfer_add_bytes (transfer, block->len);
        cw_block_queue_put_empty (queue, block);
    }
    if (!g_output_stream_flush (output, cancellable, &local))
        return cw_v1_fail_stream (error, local, "sending");
    return TRUE;
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
    cw_block_queue_close (user_data);
}

static gboolean
send_bytes (GIOStream *stream,
            CwV1Source *source,
            CwTransfer *transfer,
            GCancellable *cancellable,
            guint8 ret_sha256[32],
            GError **error)
{
    g_autoptr (CwBlockQueue) queue = cw_block_queue_new (CW_V1_N_BLOCKS, CW_V1_BLOCK_SIZE);
    Reader reader = { .source = source, .transfer = transfer, .queue = queue };
    g_autoptr (GError) local = NULL;
    gboolean ok;
    GThread *thread;
    gulong handler = 0;

    if (cancellable != NULL)
        handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), queue, NULL);
    thread = g_thread_new ("cw-v1-read", read_source, &reader);
    ok = write_blocks (g_io_stream_get_output_stream (stream), queue, transfer, cancellable,
                       &local);
    cw_block_queue_close (queue);
    g_thread_join (thread);
    g_cancellable_disconnect (cancellable, handler);

    if (g_cancellable_set_error_if_cancelled (cancellable, error)) {
        g_clear_error (&reader.error);
        return FALSE;
    }
    /* The source failed first when both did: a lost stream does not make it fail. */
    if (reader.error != NULL) {
        g_propagate_error (error, reader.error);
        return FALSE;
    }
    if (!ok) {
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    memcpy (ret_sha256, reader.sha256, sizeof reader.sha256);
    return TRUE;
}

guint64
cw_v1_ack_patience_s (gboolean is_zip, guint64 n_bytes, guint64 n_files)
{
    guint64 seconds = n_bytes / SLOW_DISK_BYTES_S;

    if (is_zip)
        seconds += n_files / SLOW_DISK_FILES_S;
    return MIN (seconds, MAX_PATIENCE_S);
}

static gboolean
await_ack (GInputStream *input,
           const guint8 sha256[32],
           guint64 patience_s,
           GCancellable *cancellable,
           GError **error)
{
    g_autofree char *ack = g_malloc (MAX_ACK);
    gint64 deadline_us = g_get_monotonic_time () + (gint64)patience_s * G_USEC_PER_SEC;
    GError *local = NULL;
    gssize n;

    n = g_input_stream_read (input, ack, MAX_ACK, cancellable, &local);
    while (n < 0 && g_error_matches (local, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)
           && g_get_monotonic_time () < deadline_us) {
        g_clear_error (&local);
        n = g_input_stream_read (input, ack, MAX_ACK, cancellable, &local);
    }
    if (n < 0)
        return cw_v1_fail_stream (error, local, "waiting for the acknowledgement");
    if (n == 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST,
                     "connection ended before the acknowledgement");
        return FALSE;
    }
    return cw_v1_check_ack (ack, (size_t)n, sha256, error);
}

gboolean
cw_v1_send (GIOStream *stream,
            CwV1Source *source,
            CwTransfer *transfer,
            GCancellable *cancellable,
            GError **error)
{
    guint64 wire_size = cw_v1_source_get_wire_size (source);
    guint64 n_files = cw_v1_source_get_n_files (source);
    guint64 patience_s = cw_v1_ack_patience_s (cw_v1_source_is_zip (source), wire_size, n_files);
    CwTransferFigures figures;
    guint8 sha256[32];

    cw_transfer_set_total (transfer, (gint64)wire_size, n_files);
    cw_v1_source_report_left_out (source, transfer);
    if (!send_bytes (stream, source, transfer, cancellable, sha256, error)
        || !await_ack (g_io_stream_get_input_stream (stream), sha256, patience_s, cancellable,
                       error))
        return FALSE;
    cw_transfer_get_figures (transfer, &figures);
    if (figures.files_failed > 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE,
                     "%" G_GUINT64_FORMAT " items were not sent or changed while they were read",
                     figures.files_failed);
        return FALSE;
    }
    return TRUE;
}
