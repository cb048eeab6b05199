/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The sender's disk thread: turns the list of items into the bytes of requests. Small files share a
 * buffer; of a large one, each piece is read to where it is sent from. */

#include "cw-drop-send-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cw-bytes.h"
#include "cw-hash.h"

/* A buffer with this much in it is sent rather than filled to the brim. */
#define ENOUGH (CW_DROP_PIECE / 2)
/* Larger files are announced to the kernel as read once, from front to back. */
#define LARGE (1 << 20)

typedef struct {
    CwDropSender *sender;
    CwOutgoing *outgoing;
    CwDropBuffer *buffer; /* NULL: none, or stopping */
    GArray *open_folders; /* of guint32: those whose content is being sent */
    guint32 next_look;    /* the first item not yet looked at for a look-up */
    guint64 n_looks;      /* look-ups sent, and used */
    guint64 n_looks_used;
    guint8 *scratch; /* CW_DROP_PIECE, for hashing */
    XXH3_state_t *digest;
} Source;

/* A file being sent. */
typedef struct {
    guint32 index;
    const CwOutgoingItem *item;
    guint64 number; /* of its request */
    int fd;
    gint64 size; /* -1: not known */
    guint64 keep;
    guint64 position; /* read up to here */
    gboolean sparse;
    CwDropEnd end;
} Reading;

static gboolean
flush (Source *source)
{
    if (source->buffer != NULL && source->buffer->bytes->len > 0)
        cw_drop_sender_push (source->sender, g_steal_pointer (&source->buffer));
    if (source->buffer == NULL)
        source->buffer = cw_drop_sender_get_buffer (source->sender);
    return source->buffer != NULL;
}

/* A buffer that takes @len bytes more. FALSE: stop. */
static gboolean
make_room (Source *source, size_t len)
{
    if (source->buffer != NULL && source->buffer->bytes->len + len <= CW_DROP_BUFFER)
        return TRUE;
    return flush (source);
}

static gboolean
send_request (Source *source, const CwDropRequest *request, guint32 index, guint64 *ret_number)
{
    if (source->buffer != NULL && source->buffer->bytes->len > ENOUGH && !flush (source))
        return FALSE;
    if (!make_room (source, CW_DROP_MAX_HEAD))
        return FALSE;
    if (!cw_drop_sender_expect (source->sender, request->kind, index, FALSE, ret_number)
        && !(flush (source)
             && cw_drop_sender_expect (source->sender, request->kind, index, TRUE, ret_number)))
        return FALSE;
    cw_drop_request_append (source->buffer->bytes, request);
    return TRUE;
}

/* --- Look-ups --- */

static gboolean
is_looked_up (const CwOutgoingItem *item)
{
    return item->kind == CW_ITEM_FILE && item->size > 0;
}

/* Asks for the files that come, as far ahead as is allowed. */
static gboolean
look_ahead (Source *source)
{
    guint n_items = cw_outgoing_get_n_items (source->outgoing);

    while (source->next_look < n_items
           && source->n_looks - source->n_looks_used < CW_DROP_LOOK_AHEAD) {
        guint32 index = source->next_look++;
        const CwOutgoingItem *item = cw_outgoing_get_item (source->outgoing, index);
        CwDropRequest request = { .kind = CW_DROP_REQUEST_LOOK, .path = item->path };
        guint64 number;
        if (!is_looked_up (item))
            continue;
        if (!send_request (source, &request, index, &number))
            return FALSE;
        source->n_looks++;
    }
    return TRUE;
}

/* Are the file's first bytes the ones the receiver has? Leaves the position behind them. */
static gboolean
has_prefix (Source *source, Reading *reading, const CwDropLook *look)
{
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    guint64 remaining = look->length;
    guint8 digest[32];

    if (source->scratch == NULL)
        source->scratch = g_malloc (CW_DROP_PIECE);
    while (remaining > 0) {
        ssize_t n = pread (reading->fd, source->scratch, MIN (remaining, CW_DROP_PIECE),
                           (off_t)(look->length - remaining));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || cw_drop_sender_is_stopping (source->sender))
            return FALSE;
        cw_sha256_update (hash, source->scratch, (size_t)n);
        remaining -= (guint64)n;
    }
    cw_sha256_finish (hash, digest);
    return memcmp (digest, look->sha256, sizeof digest) == 0;
}

/* Takes the file's answer and decides what of it is not sent again. @reading NULL: the file cannot
 * be sent anyway. FALSE: stop. */
static gboolean
use_look (Source *source, Reading *reading)
{
    CwDropLook look;

    if (!flush (source)
        || !cw_drop_sender_await_look (source->sender, source->n_looks_used++, &look))
        return FALSE;
    if (reading != NULL && look.length > 0 && look.length <= (guint64)reading->size
        && has_prefix (source, reading, &look))
        reading->keep = look.length;
    return TRUE;
}

/* --- Content --- */

static void
add_position (Source *source, guint64 position)
{
    guint8 bytes[8];

    cw_store_be64 (bytes, position);
    XXH3_128bits_update (source->digest, bytes, sizeof bytes);
}

/* Where the next data is, from the position: *@ret_start to *@ret_end. FALSE: only a hole is left.
 */
static gboolean
find_data (const Reading *reading, guint64 *ret_start, guint64 *ret_end)
{
    off_t start = (off_t)reading->position, end = (off_t)reading->size;

    if (reading->sparse) {
        start = lseek (reading->fd, start, SEEK_DATA);
        if (start < 0 && errno == ENXIO)
            return FALSE;
        end = start < 0 ? -1 : lseek (reading->fd, start, SEEK_HOLE);
        if (start < 0 || end < 0) {
            start = (off_t)reading->position;
            end = (off_t)reading->size;
        }
    }
    *ret_start = (guint64)start;
    *ret_end = MIN ((guint64)end, (guint64)reading->size);
    return *ret_start < *ret_end;
}

/* Whether there is something to read; for pipes, since a read() of one cannot be called off. */
static gboolean
wait_for_pipe (Source *source, const Reading *reading)
{
    GPollFD fds[2] = { { .fd = reading->fd, .events = G_IO_IN }, { 0 } };

    if (!g_cancellable_make_pollfd (source->sender->halt, &fds[1]))
        return TRUE;
    while (g_poll (fds, 2, -1) < 0 && errno == EINTR)
        ;
    g_cancellable_release_fd (source->sender->halt);
    return fds[1].revents == 0;
}

/* One chunk of up to @max bytes from @at; *@ret_n is what read() gave. FALSE: stop. */
static gboolean
send_piece (Source *source, Reading *reading, guint64 at, guint64 max, ssize_t *ret_n)
{
    size_t want = (size_t)MIN (max, CW_DROP_PIECE), head_len;
    gboolean jumps = at != reading->position;
    char head[48];
    GByteArray *bytes;
    guint8 *to;
    guint from;
    ssize_t n;

    if (!make_room (source, want + sizeof head))
        return FALSE;
    bytes = source->buffer->bytes;
    from = bytes->len;
    /* The size comes when it is known: eight digits always. */
    head_len = (size_t)(jumps ? g_snprintf (head, sizeof head,
                                            "00000000;at=%" G_GUINT64_FORMAT "\r\n", at)
                              : g_snprintf (head, sizeof head, "00000000\r\n"));
    g_byte_array_set_size (bytes, (guint)(from + head_len + want + 2));
    to = bytes->data + from + head_len;
    do
        n = reading->size < 0 ? read (reading->fd, to, want)
                              : pread (reading->fd, to, want, (off_t)at);
    while (n < 0 && errno == EINTR);
    *ret_n = n;
    if (n <= 0) {
        g_byte_array_set_size (bytes, from);
        return TRUE;
    }
    if (jumps)
        add_position (source, at);
    XXH3_128bits_update (source->digest, to, (size_t)n);
    memcpy (bytes->data + from, head, head_len);
    g_snprintf (head, sizeof head, "%08zx", (size_t)n);
    memcpy (bytes->data + from, head, 8);
    memcpy (to + n, "\r\n", 2);
    g_byte_array_set_size (bytes, (guint)(from + head_len + (size_t)n + 2));
    source->buffer->content += at + (guint64)n - reading->position;
    source->buffer->in_file = TRUE;
    reading->position = at + (guint64)n;
    return TRUE;
}

static gboolean
is_refused (Source *source, const Reading *reading)
{
    return g_atomic_int_get (&source->sender->refused) == (int)reading->index + 1;
}

static gboolean
send_pipe (Source *source, Reading *reading)
{
    ssize_t n = 1;

    while (n > 0 && !is_refused (source, reading)) {
        /* What was read goes on its way before the next wait. */
        if (!flush (source) || !wait_for_pipe (source, reading)
            || !send_piece (source, reading, reading->position, CW_DROP_PIECE, &n))
            return FALSE;
    }
    if (n != 0)
        reading->end = n < 0 ? CW_DROP_END_UNREADABLE : CW_DROP_END_STOPPED;
    return TRUE;
}

static gboolean
send_file_content (Source *source, Reading *reading)
{
    guint64 start, end;
    ssize_t n;

    while (reading->position < (guint64)reading->size && find_data (reading, &start, &end)) {
        if (is_refused (source, reading)) {
            reading->end = CW_DROP_END_STOPPED;
            return TRUE;
        }
        if (!send_piece (source, reading, start, end - start, &n))
            return FALSE;
        if (n <= 0) {
            reading->end = n < 0 ? CW_DROP_END_UNREADABLE : CW_DROP_END_CHANGED;
            return TRUE;
        }
    }
    return TRUE;
}

/* Is it still what was offered? The time is compared as well, since a file may be rewritten at the
 * same length. */
static gboolean
is_unchanged (const Reading *reading)
{
    struct stat st;

    return fstat (reading->fd, &st) == 0 && (guint64)st.st_size == reading->item->size
           && (gint64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
                  == reading->item->mtime_ns;
}

/* --- Items --- */

static GError *
new_end_error (const Reading *reading)
{
    if (reading->end == CW_DROP_END_CHANGED)
        return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED,
                            "the file changed while it was being sent");
    return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE,
                        "the file cannot be read to its end");
}

static gboolean
send_trailer (Source *source, Reading *reading)
{
    CwDropTrailer trailer = { .end = reading->end, .size = reading->position };
    XXH128_canonical_t digest;

    if (!make_room (source, CW_DROP_MAX_HEAD))
        return FALSE;
    if (reading->size > 0 && reading->end == CW_DROP_END_COMPLETE) {
        source->buffer->content += (guint64)reading->size - reading->position;
        trailer.size = (guint64)reading->size;
    }
    add_position (source, trailer.size);
    XXH128_canonicalFromHash (&digest, XXH3_128bits_digest (source->digest));
    G_STATIC_ASSERT (sizeof digest.digest == sizeof trailer.digest);
    memcpy (trailer.digest, digest.digest, sizeof trailer.digest);
    cw_drop_trailer_append (source->buffer->bytes, &trailer);
    source->buffer->in_file = FALSE;
    return TRUE;
}

static gboolean
send_head (Source *source, Reading *reading)
{
    CwDropRequest request = {
        .kind = CW_DROP_REQUEST_ITEM,
        .type = CW_DROP_TYPE_FILE,
        .path = reading->item->path,
        .chunked = TRUE,
        .has_mode = TRUE,
        .mode = reading->item->mode,
        .mtime_ns = reading->item->mtime_ns,
        .size = reading->size,
        .keep = reading->keep,
        .sparse = reading->sparse,
    };

    if (!send_request (source, &request, reading->index, &reading->number))
        return FALSE;
    source->buffer->in_file = TRUE;
    XXH3_128bits_reset (source->digest);
    reading->position = reading->keep;
    add_position (source, reading->position);
    if (reading->keep > 0)
        cw_transfer_add_kept (source->sender->args->transfer, reading->keep);
    return TRUE;
}

/* An item that cannot be read at all is a file without content that ends so; @reason is why. */
static gboolean
send_failed (Source *source, Reading *reading, const GError *reason)
{
    reading->end = g_error_matches (reason, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED)
                       ? CW_DROP_END_CHANGED
                       : CW_DROP_END_UNREADABLE;
    reading->size = 0;
    if (!send_head (source, reading) || !send_trailer (source, reading))
        return FALSE;
    cw_drop_sender_fail_item (source->sender, reading->number, reading->index, reason);
    return TRUE;
}

static gboolean
open_file (Source *source, Reading *reading, GError **error)
{
    struct stat st;

    reading->fd = cw_outgoing_open (source->outgoing, reading->index, error);
    if (reading->fd < 0 || reading->size < 0)
        return reading->fd >= 0;
    if (!is_unchanged (reading)) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED,
                     "the file changed after it was offered");
        return FALSE;
    }
    reading->sparse = fstat (reading->fd, &st) == 0 && (gint64)st.st_blocks < st.st_size / 512;
    if (st.st_size >= LARGE)
        posix_fadvise (reading->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return TRUE;
}

static gboolean
send_opened (Source *source, Reading *reading)
{
    if (!send_head (source, reading)
        || !(reading->size < 0 ? send_pipe (source, reading) : send_file_content (source, reading)))
        return FALSE;
    if (reading->end == CW_DROP_END_COMPLETE && reading->size >= 0 && !is_unchanged (reading))
        reading->end = CW_DROP_END_CHANGED;
    if (!send_trailer (source, reading))
        return FALSE;
    if (reading->end == CW_DROP_END_CHANGED || reading->end == CW_DROP_END_UNREADABLE) {
        g_autoptr (GError) reason = new_end_error (reading);
        cw_drop_sender_fail_item (source->sender, reading->number, reading->index, reason);
    }
    return TRUE;
}

static gboolean
send_file (Source *source, guint32 index, const CwOutgoingItem *item)
{
    g_autoptr (GError) reason = NULL;
    Reading reading = {
        .index = index,
        .item = item,
        .fd = -1,
        .size = cw_outgoing_is_stream (source->outgoing) ? -1 : (gint64)item->size,
    };
    gboolean opened = open_file (source, &reading, &reason);
    gboolean ok = TRUE;

    if (source->sender->resume && is_looked_up (item))
        ok = look_ahead (source) && use_look (source, opened ? &reading : NULL);
    if (ok)
        ok = opened ? send_opened (source, &reading) : send_failed (source, &reading, reason);
    if (reading.fd >= 0)
        close (reading.fd);
    return ok;
}

static gboolean
send_symlink (Source *source, guint32 index, const CwOutgoingItem *item)
{
    CwDropRequest request = {
        .kind = CW_DROP_REQUEST_ITEM,
        .type = CW_DROP_TYPE_SYMLINK,
        .path = item->path,
        .mtime_ns = item->mtime_ns,
        .size = -1,
    };
    g_autoptr (GError) reason = NULL;
    g_autofree char *target = cw_outgoing_read_link (source->outgoing, index, &reason);
    guint64 number;

    if (target == NULL) {
        Reading reading = { .index = index, .item = item, .fd = -1 };
        return send_failed (source, &reading, reason);
    }
    request.length = MIN (strlen (target), CW_DROP_MAX_LINK);
    if (!send_request (source, &request, index, &number)
        || !make_room (source, (size_t)request.length))
        return FALSE;
    g_byte_array_append (source->buffer->bytes, (const guint8 *)target, (guint)request.length);
    return TRUE;
}

static gboolean
send_folder (Source *source, guint32 index, gboolean finish)
{
    const CwOutgoingItem *item = cw_outgoing_get_item (source->outgoing, index);
    CwDropRequest request = {
        .kind = CW_DROP_REQUEST_ITEM,
        .type = CW_DROP_TYPE_FOLDER,
        .path = item->path,
        .has_mode = finish,
        .mode = item->mode,
        .mtime_ns = finish ? item->mtime_ns : G_MININT64,
        .size = -1,
    };
    guint64 number;

    return send_request (source, &request, index, &number);
}

static gboolean
is_below (const char *path, const char *folder)
{
    size_t len = strlen (folder);

    return strncmp (path, folder, len) == 0 && path[len] == '/';
}

/* Finishes the folders that @path is not in; NULL: all. Their times would not last before. */
static gboolean
leave_folders (Source *source, const char *path)
{
    while (source->open_folders->len > 0) {
        guint32 index
            = g_array_index (source->open_folders, guint32, source->open_folders->len - 1);
        if (path != NULL && is_below (path, cw_outgoing_get_item (source->outgoing, index)->path))
            break;
        if (!send_folder (source, index, TRUE))
            return FALSE;
        g_array_set_size (source->open_folders, source->open_folders->len - 1);
    }
    return TRUE;
}

static gboolean
send_item (Source *source, guint32 index)
{
    const CwOutgoingItem *item = cw_outgoing_get_item (source->outgoing, index);

    if (!leave_folders (source, item->path))
        return FALSE;
    switch (item->kind) {
    case CW_ITEM_FOLDER:
        g_array_append_val (source->open_folders, index);
        return send_folder (source, index, FALSE);
    case CW_ITEM_SYMLINK:
        return send_symlink (source, index, item);
    case CW_ITEM_FILE:
    default:
        cw_transfer_begin_file (source->sender->args->transfer, item->path);
        return send_file (source, index, item);
    }
}

static gboolean
send_all (Source *source)
{
    CwDropRequest done = { .kind = CW_DROP_REQUEST_DONE };
    guint n_items = cw_outgoing_get_n_items (source->outgoing);
    guint64 number;

    for (guint32 index = 0; index < n_items; index++)
        if (cw_drop_sender_is_stopping (source->sender) || !send_item (source, index))
            return FALSE;
    return leave_folders (source, NULL) && send_request (source, &done, 0, &number)
           && flush (source);
}

gpointer
cw_drop_source_run (gpointer data)
{
    CwDropSender *sender = data;
    Source source = {
        .sender = sender,
        .outgoing = sender->args->outgoing,
        .open_folders = g_array_new (FALSE, FALSE, sizeof (guint32)),
        .digest = XXH3_createState (),
    };

    send_all (&source);
    if (source.buffer != NULL) {
        /* What is in it is not sent any more. */
        g_byte_array_set_size (source.buffer->bytes, 0);
        cw_drop_sender_drop_buffer (sender, source.buffer);
    }
    XXH3_freeState (source.digest);
    g_free (source.scratch);
    g_array_unref (source.open_folders);
    return NULL;
}
