/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The receiver's end of the stream: the caller's thread reads, another hashes and writes. A file is
 * acknowledged when it is whole under its final name, a folder when it is unpacked there: other
 * clients' senders wait for that without a limit, and an acknowledgement cannot be taken back.
 *
 * v1 has no word for "my disk is full" before the last byte: the stream ends and that is all.
 * After it, an acknowledgement that is not "ok" carries the reason. */

#include "cw-v1-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixoutputstream.h>
#include <string.h>
#include <unistd.h>

#include "cw-block-queue.h"
#include "cw-hash.h"
#include "cw-zip-read.h"

/* Senders count what they zip, but some files grow meanwhile. */
#define SLACK_BYTES (1024 * 1024)
/* Ten times what we promise to carry; 8 MB of memory. */
#define MAX_ENTRIES 1000000

/* Where the bytes go; one of the three. */
typedef struct {
    CwInboxFile *file;
    int zip_fd;
    GOutputStream *output;
    GCancellable *cancellable;
    CwBlockQueue *queue;
    GError *error;
    guint8 sha256[32];
} Writer;

/* --- The disk's thread --- */

static gboolean
write_zip (int fd, guint64 offset, const guint8 *data, size_t len, GError **error)
{
    while (len > 0) {
        ssize_t n = pwrite (fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error (error, CW_DROP_ERROR, cw_drop_error_from_target_errno (errno),
                         "cannot write the folder's zip: %s", g_strerror (errno));
            return FALSE;
        }
        data += n;
        len -= (size_t)n;
        offset += (guint64)n;
    }
    return TRUE;
}

static gboolean
write_output (Writer *writer, const guint8 *data, size_t len, GError **error)
{
    g_autoptr (GError) local = NULL;

    if (g_output_stream_write_all (writer->output, data, len, NULL, writer->cancellable, &local))
        return TRUE;
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    g_set_error (error, CW_DROP_ERROR,
                 g_error_matches (local, G_IO_ERROR, G_IO_ERROR_NO_SPACE) ? CW_DROP_ERROR_NO_SPACE
                                                                          : CW_DROP_ERROR_STORE,
                 "cannot write the output: %s", local->message);
    return FALSE;
}

static gboolean
write_block (Writer *writer, guint64 offset, const CwBlock *block, GError **error)
{
    if (writer->file != NULL)
        return cw_inbox_file_write (writer->file, offset, block->data, block->len, error);
    if (writer->output != NULL)
        return write_output (writer, block->data, block->len, error);
    return write_zip (writer->zip_fd, offset, block->data, block->len, error);
}

static gpointer
write_blocks (gpointer user_data)
{
    Writer *writer = user_data;
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    guint64 offset = 0;
    CwBlock *block;

    while ((block = cw_block_queue_take_full (writer->queue)) != NULL) {
        cw_sha256_update (hash, block->data, block->len);
        if (!write_block (writer, offset, block, &writer->error)) {
            cw_block_queue_close (writer->queue);
            break;
        }
        offset += block->len;
        cw_block_queue_put_empty (writer->queue, block);
    }
    cw_sha256_finish (hash, writer->sha256);
    return NULL;
}

/* --- The stream's thread --- */

/* Fills @block, of @left bytes that are to come. */
static gboolean
read_block (GInputStream *input,
            CwBlock *block,
            guint64 left,
            CwTransfer *transfer,
            GCancellable *cancellable,
            GError **error)
{
    GError *local = NULL;

    while (block->len < MIN (left, CW_V1_BLOCK_SIZE)) {
        /* At the end one byte more than should come, so that a record that brings more is
         * noticed. */
        size_t want = left > CW_V1_BLOCK_SIZE ? CW_V1_BLOCK_SIZE - block->len
                                              : (size_t)left - block->len + 1;
        gssize n = g_input_stream_read (input, block->data + block->len, want, cancellable, &local);
        if (n < 0)
            return cw_v1_fail_stream (error, local, "receiving");
        if (n == 0) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST,
                         "connection ended with %" G_GUINT64_FORMAT " bytes to come",
                         left - block->len);
            return FALSE;
        }
        if ((guint64)n > left - block->len) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE,
                         "more bytes came than were offered");
            return FALSE;
        }
        block->len += (size_t)n;
        cw_transfer_add_bytes (transfer, (guint64)n);
    }
    return TRUE;
}

static gboolean
read_blocks (GInputStream *input,
             guint64 size,
             CwBlockQueue *queue,
             CwTransfer *transfer,
             GCancellable *cancellable,
             GError **error)
{
    guint64 left = size;

    while (left > 0) {
        CwBlock *block = cw_block_queue_take_empty (queue);
        if (block == NULL)
            return TRUE;
        if (!read_block (input, block, left, transfer, cancellable, error))
            return FALSE;
        left -= block->len;
        cw_block_queue_put_full (queue, block);
    }
    cw_block_queue_end (queue);
    return TRUE;
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
    cw_block_queue_close (user_data);
}

/* Exactly @size bytes from the stream through @writer. */
static gboolean
receive_bytes (GIOStream *stream,
               guint64 size,
               Writer *writer,
               CwTransfer *transfer,
               GCancellable *cancellable,
               GError **error)
{
    g_autoptr (CwBlockQueue) queue = cw_block_queue_new (CW_V1_N_BLOCKS, CW_V1_BLOCK_SIZE + 1);
    g_autoptr (GError) local = NULL;
    GThread *thread;
    gulong handler = 0;

    writer->queue = queue;
    writer->cancellable = cancellable;
    if (cancellable != NULL)
        handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), queue, NULL);
    thread = g_thread_new ("cw-v1-write", write_blocks, writer);
    if (!read_blocks (g_io_stream_get_input_stream (stream), size, queue, transfer, cancellable,
                      &local))
        cw_block_queue_close (queue);
    g_thread_join (thread);
    g_cancellable_disconnect (cancellable, handler);

    if (g_cancellable_set_error_if_cancelled (cancellable, error)) {
        g_clear_error (&writer->error);
        return FALSE;
    }
    /* The disk's word first: when it fails, the stream is given up. */
    if (writer->error != NULL) {
        g_propagate_error (error, g_steal_pointer (&writer->error));
        return FALSE;
    }
    if (local != NULL) {
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    return TRUE;
}

static void
send_record (GIOStream *stream, GBytes *record, GCancellable *cancellable)
{
    GOutputStream *output = g_io_stream_get_output_stream (stream);
    gsize len;
    const void *data = g_bytes_get_data (record, &len);
    g_autoptr (GError) error = NULL;

    /* Nothing here depends on it: the files are there, or they are not. */
    if (!g_output_stream_write_all (output, data, len, NULL, cancellable, &error)
        || !g_output_stream_flush (output, cancellable, &error))
        g_debug ("acknowledgement was not sent: %s", error->message);
}

static void
send_ack (GIOStream *stream, const guint8 sha256[32], GCancellable *cancellable)
{
    g_autoptr (GBytes) ack = cw_v1_make_ack (sha256);

    send_record (stream, ack, cancellable);
}

/* Enough to act on, and nothing about this computer. */
static const char *
text_for_peer (const GError *error)
{
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE))
        return "not enough space on the receiving side";
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE))
        return "the folder has more in it than was offered";
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_ARCHIVE))
        return "the folder's zip is damaged or not safe to unpack";
    return "transfer failed on the receiving side";
}

static void
send_nack (GIOStream *stream, const GError *error, GCancellable *cancellable)
{
    g_autoptr (GBytes) nack = cw_v1_make_nack (text_for_peer (error));

    if (!g_cancellable_is_cancelled (cancellable))
        send_record (stream, nack, cancellable);
}

/* --- One file --- */

static gboolean
receive_to_output (GIOStream *stream,
                   guint64 size,
                   int output_fd,
                   CwTransfer *transfer,
                   GCancellable *cancellable,
                   guint8 ret_sha256[32],
                   GError **error)
{
    g_autoptr (GOutputStream) output = g_unix_output_stream_new (output_fd, FALSE);
    Writer writer = { .output = output, .zip_fd = -1 };

    if (!receive_bytes (stream, size, &writer, transfer, cancellable, error))
        return FALSE;
    memcpy (ret_sha256, writer.sha256, sizeof writer.sha256);
    return TRUE;
}

static gboolean
receive_to_inbox (GIOStream *stream,
                  const CwOfferItem *item,
                  guint64 size,
                  CwInbox *inbox,
                  CwTransfer *transfer,
                  GCancellable *cancellable,
                  guint8 ret_sha256[32],
                  GError **error)
{
    /* v1 says nothing of modes and times: those of a new file. */
    const CwInboxMeta meta = { .mode = 0666, .mtime_ns = G_MININT64 };
    Writer writer = { .zip_fd = -1 };

    writer.file = cw_inbox_begin_file (inbox, item->name, 0, (gint64)size, FALSE, error);
    if (writer.file == NULL)
        return FALSE;
    if (!receive_bytes (stream, size, &writer, transfer, cancellable, error)) {
        cw_inbox_file_abort (writer.file, FALSE);
        return FALSE;
    }
    memcpy (ret_sha256, writer.sha256, sizeof writer.sha256);
    return cw_inbox_file_finish (writer.file, size, &meta, error);
}

static gboolean
receive_file (GIOStream *stream,
              const CwV1Message *offer,
              CwInbox *inbox,
              int output_fd,
              CwTransfer *transfer,
              GCancellable *cancellable,
              GPtrArray **ret_paths,
              GError **error)
{
    const CwOfferItem *item = g_ptr_array_index (offer->offer->items, 0);
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) local = NULL;
    guint8 sha256[32];

    cw_transfer_begin_file (transfer, item->name);
    if (output_fd >= 0) {
        if (!receive_to_output (stream, offer->offer_wire_size, output_fd, transfer, cancellable,
                                sha256, error))
            return FALSE;
        paths = g_ptr_array_new_with_free_func (g_free);
    } else if (!receive_to_inbox (stream, item, offer->offer_wire_size, inbox, transfer,
                                  cancellable, sha256, error)) {
        return FALSE;
    } else if (!cw_inbox_deliver (inbox, &paths, &local)) {
        send_nack (stream, local, cancellable);
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    cw_transfer_end_file (transfer);
    send_ack (stream, sha256, cancellable);
    *ret_paths = g_steal_pointer (&paths);
    return TRUE;
}

/* --- A folder --- */

typedef struct {
    int fd;
    GCancellable *cancellable;
} ZipFd;

static gboolean
read_zip_at (gpointer user_data, guint64 offset, guint8 *data, size_t len, GError **error)
{
    ZipFd *zip = user_data;

    if (g_cancellable_set_error_if_cancelled (zip->cancellable, error))
        return FALSE;
    while (len > 0) {
        ssize_t n = pread (zip->fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_STORE,
                         "cannot read the folder's zip back: %s",
                         n < 0 ? g_strerror (errno) : "it is cut short");
            return FALSE;
        }
        data += n;
        len -= (size_t)n;
        offset += (guint64)n;
    }
    return TRUE;
}

static gboolean
unpack_bytes (
    CwZipReader *zip, CwInboxFile *file, const CwZipEntry *entry, guint8 *buffer, GError **error)
{
    guint64 offset = 0;
    size_t n;

    do {
        if (!cw_zip_reader_read (zip, buffer, CW_V1_BLOCK_SIZE, &n, error)
            || !cw_inbox_file_write (file, offset, buffer, n, error))
            return FALSE;
        offset += n;
    } while (n > 0);
    return TRUE;
}

static gboolean
unpack_file (CwZipReader *zip,
             CwInbox *inbox,
             const char *path,
             const CwZipEntry *entry,
             guint8 *buffer,
             GError **error)
{
    const CwInboxMeta meta = { .mode = entry->mode, .mtime_ns = entry->mtime_ns };
    CwInboxFile *file = cw_inbox_begin_file (inbox, path, 0, (gint64)entry->size, FALSE, error);

    if (file == NULL)
        return FALSE;
    if (!unpack_bytes (zip, file, entry, buffer, error)) {
        cw_inbox_file_abort (file, FALSE);
        return FALSE;
    }
    return cw_inbox_file_finish (file, entry->size, &meta, error);
}

static gboolean
unpack_files (
    CwZipReader *zip, CwInbox *inbox, const char *name, CwTransfer *transfer, GError **error)
{
    g_autofree guint8 *buffer = g_malloc (CW_V1_BLOCK_SIZE);
    CwZipEntry entry;
    gboolean more;

    while (cw_zip_reader_next (zip, &entry, &more, error)) {
        g_autofree char *path = NULL;
        if (!more)
            return TRUE;
        path = g_strconcat (name, "/", entry.name, NULL);
        if (entry.is_folder) {
            if (!cw_inbox_make_folder (inbox, path, error))
                return FALSE;
            continue;
        }
        cw_transfer_begin_file (transfer, path);
        if (!unpack_file (zip, inbox, path, &entry, buffer, error))
            return FALSE;
        cw_transfer_end_file (transfer);
    }
    return FALSE;
}

/* Times of folders last, since what is put into one changes them. */
static gboolean
finish_folders (CwZipReader *zip, CwInbox *inbox, const char *name, GError **error)
{
    CwZipEntry entry;
    gboolean more;

    cw_zip_reader_rewind (zip);
    while (cw_zip_reader_next (zip, &entry, &more, error)) {
        const CwInboxMeta meta = { .mode = entry.mode, .mtime_ns = entry.mtime_ns };
        g_autofree char *path = NULL;
        if (!more)
            return TRUE;
        path = g_strconcat (name, "/", entry.name, NULL);
        if (entry.is_folder && !cw_inbox_finish_folder (inbox, path, &meta, error))
            return FALSE;
    }
    return FALSE;
}

static gboolean
unpack (int zip_fd,
        guint64 zip_size,
        const CwOfferItem *item,
        CwInbox *inbox,
        CwTransfer *transfer,
        GCancellable *cancellable,
        GPtrArray **ret_paths,
        GError **error)
{
    ZipFd fd = { .fd = zip_fd, .cancellable = cancellable };
    const CwZipLimits limits = {
        .max_bytes = (guint64)item->size + SLACK_BYTES,
        .max_entries = MAX_ENTRIES,
    };
    g_autoptr (CwZipReader) zip = cw_zip_reader_new (zip_size, read_zip_at, &fd, &limits, error);

    return zip != NULL && cw_inbox_make_folder (inbox, item->name, error)
           && unpack_files (zip, inbox, item->name, transfer, error)
           && finish_folders (zip, inbox, item->name, error)
           && cw_inbox_deliver (inbox, ret_paths, error);
}

static gboolean
receive_directory (GIOStream *stream,
                   const CwV1Message *offer,
                   CwInbox *inbox,
                   CwTransfer *transfer,
                   GCancellable *cancellable,
                   GPtrArray **ret_paths,
                   GError **error)
{
    const CwOfferItem *item = g_ptr_array_index (offer->offer->items, 0);
    Writer writer = { .zip_fd = cw_inbox_open_scratch (inbox, offer->offer_wire_size, error) };
    g_autoptr (GError) local = NULL;
    gboolean ok;

    if (writer.zip_fd < 0)
        return FALSE;
    if (!receive_bytes (stream, offer->offer_wire_size, &writer, transfer, cancellable, error)) {
        close (writer.zip_fd);
        return FALSE;
    }
    ok = unpack (writer.zip_fd, offer->offer_wire_size, item, inbox, transfer, cancellable,
                 ret_paths, &local);
    close (writer.zip_fd);
    if (!ok) {
        send_nack (stream, local, cancellable);
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    send_ack (stream, writer.sha256, cancellable);
    return TRUE;
}

gboolean
cw_v1_receive (GIOStream *stream,
               const CwV1Message *offer,
               CwInbox *inbox,
               int output_fd,
               CwTransfer *transfer,
               GCancellable *cancellable,
               GPtrArray **ret_paths,
               GError **error)
{
    g_return_val_if_fail (offer->offer != NULL && offer->offer_kind != CW_V1_TEXT, FALSE);
    g_return_val_if_fail ((inbox != NULL) != (output_fd >= 0), FALSE);

    if (offer->offer_kind == CW_V1_DIRECTORY && output_fd >= 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED,
                     "a folder cannot be written to an output");
        return FALSE;
    }
    cw_transfer_set_total (transfer, (gint64)offer->offer_wire_size, offer->offer->n_files);
    if (offer->offer_kind == CW_V1_DIRECTORY)
        return receive_directory (stream, offer, inbox, transfer, cancellable, ret_paths, error);
    return receive_file (stream, offer, inbox, output_fd, transfer, cancellable, ret_paths, error);
}
