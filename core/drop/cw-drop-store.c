/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The receiver's disk work: every step of the intake goes into the inbox (or, of one file, into a
 * descriptor of the caller's) and has its answer. An item that fails is answered at once and the
 * rest of its content is thrown away; the sender notices and stops sending it.
 *
 * What was offered is the limit of what is taken: names at the top, number of files and folders,
 * bytes. */

#include "cw-drop-receive-private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cw-bytes.h"
#include "cw-drop-offer.h"
#include "cw-names.h"

/* A sender has no more look-ups ahead than 256. */
#define MAX_LOOKS 256

/* What a look-up found: only that may be kept. */
typedef struct {
    char *path;
    char *safe; /* what the inbox makes of it */
    guint64 length;
} Look;

struct _CwDropStore {
    const CwOffer *offer;
    CwInbox *inbox; /* NULL: into @output_fd */
    int output_fd;
    gboolean output_is_pipe;
    gboolean output_used;
    CwTransfer *transfer;
    CwDropAnswers *answers;
    GCancellable *cancellable;

    GHashTable *offered;               /* name to CwItemKind + 1; borrowed names */
    GQueue looks;                      /* of Look, those whose item has not come */
    guint64 n_files, n_folders, bytes; /* begun, announced: compared with the offer */
    guint64 n_finished;                /* of folders; finishing one makes it if need be */
    guint64 n_kept, n_failed;          /* files and symlinks; anything */

    /* The file that is coming. */
    CwDropRequest current;
    CwInboxFile *file;
    gboolean refused; /* answered already */
    guint64 position;
    XXH3_state_t *digest;
};

static void
look_free (gpointer data)
{
    Look *look = data;

    g_free (look->path);
    g_free (look->safe);
    g_free (look);
}

CwDropStore *
cw_drop_store_new (const CwOffer *offer,
                   CwInbox *inbox,
                   int output_fd,
                   CwTransfer *transfer,
                   CwDropAnswers *answers,
                   GCancellable *cancellable)
{
    CwDropStore *store = g_new0 (CwDropStore, 1);
    struct stat st;

    store->offer = offer;
    store->inbox = inbox;
    store->output_fd = output_fd;
    store->output_is_pipe = output_fd >= 0 && fstat (output_fd, &st) == 0 && !S_ISREG (st.st_mode);
    store->transfer = transfer;
    store->answers = answers;
    store->cancellable = cancellable;
    store->offered = g_hash_table_new (g_str_hash, g_str_equal);
    for (guint i = 0; i < offer->items->len; i++) {
        const CwOfferItem *item = g_ptr_array_index (offer->items, i);
        g_hash_table_insert (store->offered, item->name, GINT_TO_POINTER (item->kind + 1));
    }
    g_queue_init (&store->looks);
    store->digest = XXH3_createState ();
    return store;
}

void
cw_drop_store_free (CwDropStore *store)
{
    if (store->file != NULL)
        cw_inbox_file_abort (store->file, TRUE);
    g_clear_pointer (&store->inbox, cw_inbox_free);
    cw_drop_request_clear (&store->current);
    g_queue_clear_full (&store->looks, look_free);
    g_hash_table_unref (store->offered);
    XXH3_freeState (store->digest);
    g_free (store);
}

static void
answer (CwDropStore *store, guint status)
{
    CwDropResponse response = { .status = status };

    cw_drop_answers_add (store->answers, &response);
}

/* An item failed; the sender is told and the rest goes on. */
static void
refuse (CwDropStore *store, const char *path, const GError *reason)
{
    cw_drop_answers_add_problem (store->answers, reason, FALSE);
    /* At once: it may be sending gigabytes of it. */
    cw_drop_answers_flush (store->answers);
    cw_transfer_fail_file (store->transfer, path != NULL ? path : "", reason);
    store->n_failed++;
}

/* --- Is it what was offered? --- */

static gboolean
too_large (GError **error, const char *what)
{
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE, "more %s than offered", what);
    return FALSE;
}

static gboolean
check_name (CwDropStore *store, const CwDropRequest *request, GError **error)
{
    g_autofree char *top = NULL;
    gboolean is_top;
    int kind;

    if (request->path == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_NAME,
                     "an item has an impossible name");
        return FALSE;
    }
    top = g_strndup (request->path, strcspn (request->path, "/"));
    is_top = strlen (top) == strlen (request->path);
    kind = GPOINTER_TO_INT (g_hash_table_lookup (store->offered, top)) - 1;
    if (kind < 0)
        return too_large (error, "items");
    if (is_top ? (kind == CW_ITEM_FOLDER) != (request->type == CW_DROP_TYPE_FOLDER)
                     || request->type == CW_DROP_TYPE_SYMLINK
               : kind != CW_ITEM_FOLDER) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_NAME,
                     "an item is not of the kind that was offered");
        return FALSE;
    }
    return TRUE;
}

/* Counts it, too. */
static gboolean
check_offered (CwDropStore *store, const CwDropRequest *request, GError **error)
{
    guint64 size = (guint64)MAX (request->size, 0);

    if (!check_name (store, request, error))
        return FALSE;
    if (request->type == CW_DROP_TYPE_FOLDER)
        return (request->has_mode ? ++store->n_finished : ++store->n_folders)
                   <= store->offer->n_folders
               || too_large (error, "folders");
    if (++store->n_files > store->offer->n_files)
        return too_large (error, "files");
    if (request->type == CW_DROP_TYPE_SYMLINK || store->offer->size < 0)
        return TRUE;
    if (request->size < 0 || size > (guint64)store->offer->size - store->bytes)
        return too_large (error, "bytes");
    store->bytes += size;
    return TRUE;
}

/* --- Look-ups --- */

static char *
make_safe_path (const char *path)
{
    GString *safe = g_string_new (NULL);

    for (const char *part = path; TRUE; part++) {
        size_t len = strcspn (part, "/");
        g_autofree char *name = cw_name_make_safe (part, len, part == path);
        g_string_append (safe, name);
        part += len;
        if (*part == '\0')
            return g_string_free (safe, FALSE);
        g_string_append_c (safe, '/');
    }
}

/* Two paths of a sender that are one to the inbox must not both be told of the same leftover. */
static gboolean
is_ambiguous (CwDropStore *store, const char *safe)
{
    for (GList *l = store->looks.head; l != NULL; l = l->next)
        if (strcmp (((Look *)l->data)->safe, safe) == 0)
            return TRUE;
    return FALSE;
}

static gboolean
look_up (CwDropStore *store, const CwDropRequest *request, GError **error)
{
    CwDropResponse response = { .status = CW_DROP_STATUS_OK, .has_sha256 = TRUE };
    g_autofree char *safe = request->path != NULL ? make_safe_path (request->path) : NULL;
    g_autoptr (GError) reason = NULL;
    Look *look;

    if (safe == NULL || store->inbox == NULL || is_ambiguous (store, safe)
        || !cw_inbox_look_up (store->inbox, request->path, store->cancellable, &response.length,
                              response.sha256, &reason)
        || response.length == 0) {
        /* What cannot be read is not there; the item itself will say more. */
        if (g_error_matches (reason, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
            g_propagate_error (error, g_steal_pointer (&reason));
            return FALSE;
        }
        answer (store, CW_DROP_STATUS_NOT_FOUND);
        return TRUE;
    }
    if (store->looks.length == MAX_LOOKS)
        look_free (g_queue_pop_head (&store->looks));
    look = g_new0 (Look, 1);
    look->path = g_strdup (request->path);
    look->safe = g_steal_pointer (&safe);
    look->length = response.length;
    g_queue_push_tail (&store->looks, look);
    cw_drop_answers_add (store->answers, &response);
    return TRUE;
}

/* Forgets what was found for the item that comes now. FALSE: it is to keep what was not found. */
static gboolean
use_look (CwDropStore *store, const CwDropRequest *request, GError **error)
{
    guint64 length = 0;

    for (GList *l = store->looks.head; l != NULL; l = l->next) {
        Look *look = l->data;
        if (strcmp (look->path, request->path) != 0)
            continue;
        length = look->length;
        look_free (look);
        g_queue_delete_link (&store->looks, l);
        break;
    }
    if (request->keep == 0 || request->keep == length)
        return TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_STORE,
                 "there is nothing of it that could be kept");
    return FALSE;
}

/* --- A file's content --- */

static void
add_position (CwDropStore *store, guint64 position)
{
    guint8 bytes[8];

    cw_store_be64 (bytes, position);
    XXH3_128bits_update (store->digest, bytes, sizeof bytes);
}

static void
refuse_current (CwDropStore *store, gboolean keep, const GError *reason)
{
    if (store->file != NULL)
        cw_inbox_file_abort (g_steal_pointer (&store->file), keep);
    refuse (store, store->current.path, reason);
    store->refused = TRUE;
}

static gboolean
open_current (CwDropStore *store, GError **error)
{
    const CwDropRequest *request = &store->current;

    if (!check_offered (store, request, error) || !use_look (store, request, error))
        return FALSE;
    if (store->inbox == NULL) {
        if (store->output_used) {
            g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED,
                         "only one file can be written to a stream");
            return FALSE;
        }
        store->output_used = TRUE;
        return TRUE;
    }
    store->file = cw_inbox_begin_file (store->inbox, request->path, request->keep, request->size,
                                       request->sparse, error);
    return store->file != NULL;
}

/* Takes what is in @request. */
static void
begin_file (CwDropStore *store, CwDropRequest *request)
{
    g_autoptr (GError) reason = NULL;

    cw_drop_request_clear (&store->current);
    store->current = *request;
    request->path = NULL;
    store->refused = FALSE;
    store->position = store->current.keep;
    XXH3_128bits_reset (store->digest);
    add_position (store, store->position);
    if (!open_current (store, &reason)) {
        refuse_current (store, FALSE, reason);
        return;
    }
    cw_transfer_begin_file (store->transfer, store->current.path);
    if (store->position > 0)
        cw_transfer_add_kept (store->transfer, store->position);
}

static gboolean
wait_for_output (CwDropStore *store, GError **error)
{
    GPollFD fds[2] = { { .fd = store->output_fd, .events = G_IO_OUT }, { 0 } };
    gboolean can_cancel = g_cancellable_make_pollfd (store->cancellable, &fds[1]);

    while (g_poll (fds, can_cancel ? 2 : 1, -1) < 0 && errno == EINTR)
        ;
    if (can_cancel)
        g_cancellable_release_fd (store->cancellable);
    return !g_cancellable_set_error_if_cancelled (store->cancellable, error);
}

static gboolean
write_output (CwDropStore *store, const guint8 *bytes, size_t len, GError **error)
{
    while (len > 0) {
        /* A pipe that is ready takes this much without waiting; a wait could not be called off. */
        size_t want = store->output_is_pipe ? MIN (len, (size_t)PIPE_BUF) : len;
        ssize_t n;
        if (store->output_is_pipe && !wait_for_output (store, error))
            return FALSE;
        n = write (store->output_fd, bytes, want);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            g_set_error (error, CW_DROP_ERROR, (int)cw_drop_error_from_target_errno (errno),
                         "cannot write to the output: %s", g_strerror (errno));
            return FALSE;
        }
        bytes += MAX (n, 0);
        len -= (size_t)MAX (n, 0);
    }
    return TRUE;
}

static gboolean
write_zeros (CwDropStore *store, guint64 len, GError **error)
{
    static const guint8 zeros[65536];

    for (; len > 0; len -= MIN (len, sizeof zeros))
        if (!write_output (store, zeros, (size_t)MIN (len, sizeof zeros), error))
            return FALSE;
    return TRUE;
}

static gboolean
bad_place (GError **error)
{
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL,
                 "content of a file belongs where it cannot be");
    return FALSE;
}

static gboolean
write_data (CwDropStore *store, const CwDropStep *step, GError **error)
{
    guint64 at = step->data.at >= 0 ? (guint64)step->data.at : store->position;
    guint64 limit = store->current.size >= 0 ? (guint64)store->current.size : G_MAXINT64;

    if (at < store->position || (at > store->position && store->current.size < 0))
        return bad_place (error);
    if (at > limit || step->data.len > limit - at)
        return too_large (error, "bytes of a file");
    if (step->data.at >= 0)
        add_position (store, at);
    XXH3_128bits_update (store->digest, step->data.bytes, step->data.len);
    if (store->file != NULL) {
        if (!cw_inbox_file_write (store->file, at, step->data.bytes, step->data.len, error))
            return FALSE;
    } else if (!write_zeros (store, at - store->position, error)
               || !write_output (store, step->data.bytes, step->data.len, error)) {
        return FALSE;
    }
    cw_transfer_add_bytes (store->transfer, at - store->position + step->data.len);
    store->position = at + step->data.len;
    return TRUE;
}

/* Is what was written what the sender read? */
static gboolean
check_digest (CwDropStore *store, const CwDropTrailer *trailer, GError **error)
{
    XXH128_canonical_t digest;

    add_position (store, trailer->size);
    XXH128_canonicalFromHash (&digest, XXH3_128bits_digest (store->digest));
    if (trailer->size >= store->position
        && (store->current.size < 0 ? trailer->size == store->position
                                    : trailer->size == (guint64)store->current.size)
        && memcmp (digest.digest, trailer->digest, sizeof trailer->digest) == 0)
        return TRUE;
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_VERIFY,
                 "the file that arrived is not the one that was sent");
    return FALSE;
}

static gboolean
finish_current (CwDropStore *store, const CwDropTrailer *trailer, GError **error)
{
    CwInboxMeta meta = {
        .mode = store->current.has_mode ? store->current.mode : 0644,
        .mtime_ns = store->current.mtime_ns,
    };
    guint64 hole = trailer->size - store->position;

    if (store->file == NULL) {
        if (!write_zeros (store, hole, error))
            return FALSE;
    } else if (!cw_inbox_file_finish (g_steal_pointer (&store->file), trailer->size, &meta,
                                      error)) {
        return FALSE;
    }
    cw_transfer_add_bytes (store->transfer, hole);
    return TRUE;
}

static GError *
new_end_error (CwDropEnd end)
{
    switch (end) {
    case CW_DROP_END_CHANGED:
        return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED,
                            "the file changed while it was being sent");
    case CW_DROP_END_UNREADABLE:
        return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE,
                            "the sender cannot read the file");
    case CW_DROP_END_COMPLETE:
    case CW_DROP_END_STOPPED:
    default:
        return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED,
                            "the sender stopped in the middle of the file");
    }
}

static void
end_file (CwDropStore *store, const CwDropTrailer *trailer)
{
    g_autoptr (GError) reason = NULL;

    if (store->refused)
        return;
    if (trailer->end != CW_DROP_END_COMPLETE) {
        reason = new_end_error (trailer->end);
        refuse_current (store, TRUE, reason);
    } else if (!check_digest (store, trailer, &reason)
               || !finish_current (store, trailer, &reason)) {
        refuse_current (store, FALSE, reason);
    } else {
        store->n_kept++;
        cw_transfer_end_file (store->transfer);
        answer (store, CW_DROP_STATUS_NO_CONTENT);
    }
}

/* --- Other items --- */

static gboolean
take_folder (CwDropStore *store, const CwDropRequest *request, GError **error)
{
    CwInboxMeta meta = { .mode = request->mode, .mtime_ns = request->mtime_ns };

    if (store->inbox == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED,
                     "a folder cannot be written to a stream");
        return FALSE;
    }
    return check_offered (store, request, error)
           && (request->has_mode
                   ? cw_inbox_finish_folder (store->inbox, request->path, &meta, error)
                   : cw_inbox_make_folder (store->inbox, request->path, error));
}

static gboolean
take_symlink (CwDropStore *store, const CwDropStep *step, GError **error)
{
    CwInboxMeta meta = { .mode = 0777, .mtime_ns = step->request.mtime_ns };
    size_t len;
    const char *bytes = g_bytes_get_data (step->content, &len);
    g_autofree char *target = g_strndup (bytes, len);

    if (!check_offered (store, &step->request, error))
        return FALSE;
    if (len == 0 || memchr (bytes, '\0', len) != NULL || store->inbox == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_LINK, "a symlink leads nowhere");
        return FALSE;
    }
    if (!cw_inbox_make_symlink (store->inbox, step->request.path, target, &meta, error))
        return FALSE;
    store->n_kept++;
    cw_transfer_end_file (store->transfer);
    return TRUE;
}

static void
take_item (CwDropStore *store, CwDropStep *step)
{
    g_autoptr (GError) reason = NULL;
    gboolean ok;

    if (step->request.type == CW_DROP_TYPE_FILE) {
        begin_file (store, &step->request);
        return;
    }
    ok = step->request.type == CW_DROP_TYPE_FOLDER ? take_folder (store, &step->request, &reason)
                                                   : take_symlink (store, step, &reason);
    if (ok)
        answer (store, CW_DROP_STATUS_NO_CONTENT);
    else
        refuse (store, step->request.path, reason);
}

gboolean
cw_drop_store_take (CwDropStore *store, CwDropStep *step, GError **error)
{
    g_autoptr (GError) reason = NULL;

    switch (step->kind) {
    case CW_DROP_STEP_LOOK:
        return look_up (store, &step->request, error);
    case CW_DROP_STEP_ITEM:
        take_item (store, step);
        return TRUE;
    case CW_DROP_STEP_DATA:
        if (!store->refused && !write_data (store, step, &reason))
            refuse_current (store, !g_error_matches (reason, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL),
                            reason);
        return TRUE;
    case CW_DROP_STEP_END:
        end_file (store, &step->trailer);
        return TRUE;
    case CW_DROP_STEP_OFFER:
    case CW_DROP_STEP_DONE:
    case CW_DROP_STEP_CANCEL:
    case CW_DROP_STEP_BROKEN:
    default:
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL,
                     "a request where it does not belong");
        return FALSE;
    }
}

/* --- The end --- */

/* A single file that failed is its own reason. */
static gboolean
conclude (CwDropStore *store, GError **error)
{
    g_autoptr (GPtrArray) failures = NULL;

    if (store->n_failed == 0 && store->n_kept == store->offer->n_files)
        return TRUE;
    failures = cw_transfer_dup_failures (store->transfer);
    if (failures->len == 1 && store->offer->n_files == 1 && store->offer->n_folders == 0) {
        const CwTransferFailure *failure = g_ptr_array_index (failures, 0);
        g_propagate_error (error, g_error_copy (failure->error));
        return FALSE;
    }
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_INCOMPLETE,
                 "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " files arrived", store->n_kept,
                 store->offer->n_files);
    return FALSE;
}

gboolean
cw_drop_store_deliver (CwDropStore *store, GPtrArray **ret_paths, GError **error)
{
    g_autoptr (GPtrArray) paths = NULL;
    g_autofree char *json = NULL;

    if (store->inbox == NULL)
        paths = g_ptr_array_new_with_free_func (g_free);
    else if (!cw_inbox_deliver (store->inbox, &paths, error))
        return FALSE;
    json = cw_drop_delivered_make (store->n_kept, store->n_failed);
    cw_drop_answers_add_json (store->answers, json);
    *ret_paths = g_steal_pointer (&paths);
    return conclude (store, error);
}
