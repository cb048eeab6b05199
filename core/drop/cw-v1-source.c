/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What is sent in v1, and in which bytes.
 *
 * One file goes as it is. Everything else goes as one zip of stored entries, whose size is measured
 * before the offer by writing all its headers once into nothing, and which is then made on the way
 * out: no temporary file, no second reading.
 *
 * What receivers make of a zip decides its form. wormhole-william compares the offered counts with
 * the directory of the zip and drops everything, after it has acknowledged, if they differ; and it
 * makes an empty file of an entry for a folder. So there is an entry for each file that was counted
 * and no other, and empty folders are not carried, as from every v1 client. Symlinks have no form
 * in v1: one to a file inside the same folder becomes a copy of it, others are left out and
 * reported.
 *
 * Files that change meanwhile: one that cannot give the bytes that were promised ends the
 * transfer, since what is on its way already cannot be taken back. One that gave them, but changed
 * while it was read, is a failure of that file in a zip, and of the transfer otherwise. */

#include "cw-v1-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-names.h"
#include "cw-zip-write.h"

#define MAX_SHOWN 160
/* As many symlinks in a row as the kernel follows. */
#define MAX_LINKS 40
/* Central headers made at a time. */
#define CENTRAL_BATCH 256
#define READ_AHEAD_FROM (1 << 20)

typedef struct {
    guint item;    /* whose name */
    guint content; /* whose bytes: another one's for a symlink */
    guint32 crc32;
    guint64 offset;
    char *name; /* where the item's own cannot stand in a zip, else NULL */
} Entry;

struct _CwV1Source {
    CwOutgoing *outgoing;
    char *name;
    gboolean is_zip;
    size_t prefix_len; /* of the items' paths that is not in the zip */
    GArray *entries;   /* of Entry */
    GPtrArray *left_out;
    guint64 n_bytes;
    guint64 wire_size;
    guint64 central_offset;
    int spool_fd; /* a pipe's bytes, or -1 */

    /* Where reading stands. */
    GByteArray *pending; /* headers to be given */
    size_t pending_at;
    guint n_read;   /* entries whose bytes were given */
    guint n_listed; /* those that stand in the directory */
    gboolean ended; /* all headers were made */
    guint64 given;
    int fd; /* of entry n_read, or -1 */
    guint64 left;
    struct stat before;
};

static void
entry_clear (gpointer data)
{
    Entry *entry = data;

    g_free (entry->name);
}

static const CwOutgoingItem *
get_content (CwV1Source *source, const Entry *entry)
{
    return cw_outgoing_get_item (source->outgoing, entry->content);
}

static CwZipFile
get_zip_file (CwV1Source *source, const Entry *entry)
{
    const CwOutgoingItem *content = get_content (source, entry);
    const CwOutgoingItem *item = cw_outgoing_get_item (source->outgoing, entry->item);

    return (CwZipFile){
        .name = entry->name != NULL ? entry->name : item->path + source->prefix_len,
        .mode = content->mode,
        .mtime_ns = content->mtime_ns,
        .size = content->size,
        .crc32 = entry->crc32,
        .offset = entry->offset,
    };
}

static G_GNUC_PRINTF (4, 5) GError *new_error (
    CwDropError code, const char *path, const char *before, const char *format, ...)
{
    g_autofree char *shown = cw_name_dup_display (path, MAX_SHOWN);
    g_autofree char *what = NULL;
    va_list args;

    va_start (args, format);
    what = g_strdup_vprintf (format, args);
    va_end (args);
    return g_error_new (CW_DROP_ERROR, code, "%s'%s' %s", before, shown, what);
}

/* --- Symlinks --- */

/* Borrowed paths of all items to their index + 1. */
static GHashTable *
index_items (CwOutgoing *outgoing)
{
    GHashTable *index = g_hash_table_new (g_str_hash, g_str_equal);
    guint n = cw_outgoing_get_n_items (outgoing);

    for (guint i = 0; i < n; i++)
        g_hash_table_insert (index, cw_outgoing_get_item (outgoing, i)->path,
                             GUINT_TO_POINTER (i + 1));
    return index;
}

/* Where a walk through names of items stands: at a folder, with the rest of the way. */
typedef struct {
    GString *folder;
    GString *rest;
    unsigned n_links;
} Walk;

/* The link leads on from the folder it is in. */
static gboolean
follow (Walk *walk, CwOutgoing *outgoing, guint link)
{
    g_autofree char *target = NULL;

    if (++walk->n_links > MAX_LINKS)
        return FALSE;
    target = cw_outgoing_read_link (outgoing, link, NULL);
    if (target == NULL || *target == '/')
        return FALSE;
    g_string_prepend (walk->rest, "/");
    g_string_prepend (walk->rest, target);
    return TRUE;
}

static char *
take_component (Walk *walk)
{
    size_t len = strcspn (walk->rest->str, "/");
    char *name = g_strndup (walk->rest->str, len);

    g_string_erase (walk->rest, 0, (gssize)MIN (len + 1, walk->rest->len));
    return name;
}

/* The file that the symlink @link leads to, all the way through items below the same top-level one;
 * by their names alone, so nothing outside can be reached. */
static gboolean
resolve (CwOutgoing *outgoing, GHashTable *index, guint link, guint *ret_file)
{
    const CwOutgoingItem *item = cw_outgoing_get_item (outgoing, link);
    const char *slash = strrchr (item->path, '/');
    Walk walk = { .folder = g_string_new_len (item->path, slash - item->path),
                  .rest = g_string_new (NULL) };
    gboolean found = FALSE, lost = !follow (&walk, outgoing, link);

    while (!lost && !found && walk.rest->len > 0) {
        g_autofree char *name = take_component (&walk);
        g_autofree char *path = NULL;
        guint at;

        if (*name == '\0' || strcmp (name, ".") == 0)
            continue;
        if (strcmp (name, "..") == 0) {
            const char *parent_end = strrchr (walk.folder->str, '/');
            lost = parent_end == NULL;
            if (!lost)
                g_string_truncate (walk.folder, (gsize)(parent_end - walk.folder->str));
            continue;
        }
        path = g_strconcat (walk.folder->str, "/", name, NULL);
        at = GPOINTER_TO_UINT (g_hash_table_lookup (index, path));
        if (at == 0) {
            lost = TRUE;
            continue;
        }
        switch (cw_outgoing_get_item (outgoing, at - 1)->kind) {
        case CW_ITEM_FOLDER:
            g_string_assign (walk.folder, path);
            break;
        case CW_ITEM_SYMLINK:
            lost = !follow (&walk, outgoing, at - 1);
            break;
        case CW_ITEM_FILE:
            found = strspn (walk.rest->str, "/") == walk.rest->len;
            lost = !found;
            *ret_file = at - 1;
            break;
        }
    }
    g_string_free (walk.folder, TRUE);
    g_string_free (walk.rest, TRUE);
    return found;
}

static void
leave_out_link (CwV1Source *source, guint link)
{
    const char *path = cw_outgoing_get_item (source->outgoing, link)->path;
    g_autoptr (GError) error = new_error (CW_DROP_ERROR_BAD_LINK, path, "symlink ",
                                          "does not lead to a file in the same folder");

    cw_transfer_failures_add (source->left_out, path, error);
}

/* --- Names --- */

/* A zip says its names in UTF-8 or in nobody knows what, and receivers take a backslash for an
 * attack or for a slash. */
static gboolean
is_good_name (const char *name)
{
    return g_utf8_validate (name, -1, NULL) && strchr (name, '\\') == NULL;
}

static char *
make_good_name (const char *name)
{
    char *good = g_strdelimit (g_strdup (name), "\\", '_');
    const char *end;

    while (!g_utf8_validate (good, -1, &end))
        good[end - good] = '_';
    return good;
}

static char *
number_name (const char *path, unsigned n)
{
    const char *slash = strrchr (path, '/');
    g_autofree char *name = cw_name_number (slash != NULL ? slash + 1 : path, n, FALSE);

    return slash == NULL ? g_steal_pointer (&name)
                         : g_strdup_printf ("%.*s%s", (int)(slash + 1 - path), path, name);
}

static void
rename_entry (Entry *entry, const char *name, GHashTable *taken)
{
    g_autofree char *good = make_good_name (name);

    entry->name = g_strdup (good);
    for (unsigned n = 2; g_hash_table_contains (taken, entry->name); n++) {
        g_free (entry->name);
        entry->name = number_name (good, n);
    }
    g_hash_table_add (taken, entry->name);
}

static void
mend_names (CwV1Source *source)
{
    g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);
    gboolean all_good = TRUE;

    for (guint i = 0; i < source->entries->len && all_good; i++)
        all_good
            = is_good_name (get_zip_file (source, &g_array_index (source->entries, Entry, i)).name);
    if (all_good)
        return;
    for (guint i = 0; i < source->entries->len; i++) {
        const char *name = get_zip_file (source, &g_array_index (source->entries, Entry, i)).name;
        if (is_good_name (name))
            g_hash_table_add (taken, (char *)name);
    }
    for (guint i = 0; i < source->entries->len; i++) {
        Entry *entry = &g_array_index (source->entries, Entry, i);
        const char *name = get_zip_file (source, entry).name;
        if (!is_good_name (name))
            rename_entry (entry, name, taken);
    }
}

/* --- Measuring --- */

static gboolean
add_entry (CwV1Source *source, guint item, guint content, GError **error)
{
    Entry entry = { .item = item, .content = content };
    guint64 size = cw_outgoing_get_item (source->outgoing, content)->size;

    /* JSON and everybody's file offsets end there, with room for the headers. */
    if (size > G_MAXINT64 / 2 - source->n_bytes) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE, "more bytes than can be sent");
        return FALSE;
    }
    source->n_bytes += size;
    g_array_append_val (source->entries, entry);
    return TRUE;
}

static gboolean
add_entries (CwV1Source *source, GCancellable *cancellable, GError **error)
{
    g_autoptr (GHashTable) index = NULL;
    guint n = cw_outgoing_get_n_items (source->outgoing);

    for (guint i = 0; i < n; i++) {
        CwItemKind kind = cw_outgoing_get_item (source->outgoing, i)->kind;
        guint content = i;
        if (g_cancellable_set_error_if_cancelled (cancellable, error))
            return FALSE;
        if (kind == CW_ITEM_SYMLINK) {
            if (index == NULL)
                index = index_items (source->outgoing);
            if (!resolve (source->outgoing, index, i, &content)) {
                leave_out_link (source, i);
                continue;
            }
        }
        if (kind != CW_ITEM_FOLDER && !add_entry (source, i, content, error))
            return FALSE;
    }
    return TRUE;
}

static void
measure (CwV1Source *source)
{
    g_autoptr (GByteArray) scratch = g_byte_array_new ();
    guint64 size = 0, central_size = 0;

    for (guint i = 0; i < source->entries->len; i++) {
        Entry *entry = &g_array_index (source->entries, Entry, i);
        CwZipFile file;
        entry->offset = size;
        file = get_zip_file (source, entry);
        g_byte_array_set_size (scratch, 0);
        cw_zip_append_local (scratch, &file);
        cw_zip_append_descriptor (scratch, &file);
        size += scratch->len + file.size;
        g_byte_array_set_size (scratch, 0);
        cw_zip_append_central (scratch, &file);
        central_size += scratch->len;
    }
    g_byte_array_set_size (scratch, 0);
    cw_zip_append_end (scratch, source->entries->len, size, central_size);
    source->central_offset = size;
    source->wire_size = size + central_size + scratch->len;
}

/* --- A pipe --- */

static int
open_spool (GError **error)
{
    const char *folder = g_getenv ("TMPDIR");
    g_autofree char *path = NULL;
    int fd;

    /* Not /tmp, which often is memory. */
    if (folder == NULL || *folder == '\0')
        folder = "/var/tmp";
    fd = open (folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        path = g_build_filename (folder, ".causeway-XXXXXX", NULL);
        fd = g_mkstemp_full (path, O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlink (path);
    }
    if (fd < 0)
        g_set_error (error, CW_DROP_ERROR, cw_drop_error_from_target_errno (errno),
                     "cannot keep what is piped in '%s': %s", folder, g_strerror (errno));
    return fd;
}

static gboolean
write_spool (int fd, const guint8 *data, gsize len, GError **error)
{
    while (len > 0) {
        ssize_t n = write (fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error (error, CW_DROP_ERROR, cw_drop_error_from_target_errno (errno),
                         "cannot keep what is piped: %s", g_strerror (errno));
            return FALSE;
        }
        data += n;
        len -= (gsize)n;
    }
    return TRUE;
}

/* Its size must be in the offer, so all of it is read first. */
static gboolean
spool (CwV1Source *source, GCancellable *cancellable, GError **error)
{
    g_autofree guint8 *buffer = g_malloc (CW_V1_BLOCK_SIZE);
    g_autoptr (GInputStream) pipe = NULL;
    g_autoptr (GError) local = NULL;
    int fd = cw_outgoing_open (source->outgoing, 0, error);
    gssize n;

    if (fd < 0)
        return FALSE;
    pipe = g_unix_input_stream_new (fd, TRUE);
    source->spool_fd = open_spool (error);
    if (source->spool_fd < 0)
        return FALSE;
    while ((n = g_input_stream_read (pipe, buffer, CW_V1_BLOCK_SIZE, cancellable, &local)) > 0) {
        if (!write_spool (source->spool_fd, buffer, (gsize)n, error))
            return FALSE;
        source->n_bytes += (guint64)n;
    }
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_propagate_error (error, g_steal_pointer (&local));
        return FALSE;
    }
    if (n < 0) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE,
                     "cannot read what is piped: %s", local->message);
        return FALSE;
    }
    return TRUE;
}

/* --- The source --- */

static guint
count_tops (CwOutgoing *outgoing)
{
    guint n = cw_outgoing_get_n_items (outgoing), n_tops = 0;

    for (guint i = 0; i < n; i++)
        n_tops += strchr (cw_outgoing_get_item (outgoing, i)->path, '/') == NULL;
    return n_tops;
}

CwV1Source *
cw_v1_source_new (CwOutgoing *outgoing,
                  const char *bundle_name,
                  GCancellable *cancellable,
                  GError **error)
{
    g_autoptr (CwV1Source) source = g_new0 (CwV1Source, 1);
    const CwOutgoingItem *first = cw_outgoing_get_item (outgoing, 0);
    guint n_tops = count_tops (outgoing);

    source->outgoing = outgoing;
    source->fd = source->spool_fd = -1;
    source->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
    g_array_set_clear_func (source->entries, entry_clear);
    source->left_out = cw_transfer_failures_new ();
    source->pending = g_byte_array_new ();
    source->name = g_strdup (n_tops == 1 ? first->path : bundle_name);
    source->is_zip = n_tops > 1 || first->kind == CW_ITEM_FOLDER;
    if (n_tops == 1 && source->is_zip)
        source->prefix_len = strlen (first->path) + 1;

    if (cw_outgoing_is_stream (outgoing) && !spool (source, cancellable, error))
        return NULL;
    if (!add_entries (source, cancellable, error))
        return NULL;
    if (source->is_zip) {
        mend_names (source);
        measure (source);
    } else {
        source->wire_size = source->n_bytes;
    }
    return g_steal_pointer (&source);
}

static void
close_file (CwV1Source *source)
{
    if (source->fd >= 0 && source->fd != source->spool_fd)
        close (source->fd);
    source->fd = -1;
}

void
cw_v1_source_free (CwV1Source *source)
{
    close_file (source);
    if (source->spool_fd >= 0)
        close (source->spool_fd);
    g_byte_array_unref (source->pending);
    g_ptr_array_unref (source->left_out);
    g_array_unref (source->entries);
    g_free (source->name);
    g_free (source);
}

GBytes *
cw_v1_source_make_offer (CwV1Source *source)
{
    if (!source->is_zip)
        return cw_v1_make_file_offer (source->name, source->wire_size);
    return cw_v1_make_directory_offer (source->name, source->wire_size, source->n_bytes,
                                       source->entries->len);
}

guint64
cw_v1_source_get_wire_size (CwV1Source *source)
{
    return source->wire_size;
}

guint64
cw_v1_source_get_n_files (CwV1Source *source)
{
    return source->entries->len;
}

gboolean
cw_v1_source_is_zip (CwV1Source *source)
{
    return source->is_zip;
}

static void
report (GPtrArray *failures, CwTransfer *transfer)
{
    for (guint i = 0; i < failures->len; i++) {
        const CwTransferFailure *failure = g_ptr_array_index (failures, i);
        cw_transfer_fail_file (transfer, failure->path, failure->error);
    }
}

void
cw_v1_source_report_left_out (CwV1Source *source, CwTransfer *transfer)
{
    report (cw_outgoing_get_left_out (source->outgoing), transfer);
    report (source->left_out, transfer);
}

/* --- Reading --- */

static gboolean
fail_changed (CwV1Source *source, const Entry *entry, const char *how, GError **error)
{
    g_propagate_error (error, new_error (CW_DROP_ERROR_SOURCE_CHANGED,
                                         cw_outgoing_get_item (source->outgoing, entry->item)->path,
                                         "", "%s", how));
    return FALSE;
}

static guint64
get_size (CwV1Source *source, const Entry *entry)
{
    return source->spool_fd >= 0 ? source->n_bytes : get_content (source, entry)->size;
}

static gboolean
end_file (CwV1Source *source, CwTransfer *transfer, GError **error)
{
    Entry *entry = &g_array_index (source->entries, Entry, source->n_read);
    const char *path = cw_outgoing_get_item (source->outgoing, entry->item)->path;
    g_autoptr (GError) changed = NULL;
    struct stat now;

    if (fstat (source->fd, &now) != 0 || (guint64)now.st_size != get_size (source, entry)
        || now.st_mtim.tv_sec != source->before.st_mtim.tv_sec
        || now.st_mtim.tv_nsec != source->before.st_mtim.tv_nsec)
        fail_changed (source, entry, "changed while it was read", &changed);
    close_file (source);
    source->n_read++;
    if (changed != NULL && !source->is_zip) {
        g_propagate_error (error, g_steal_pointer (&changed));
        return FALSE;
    }
    if (changed != NULL)
        cw_transfer_fail_file (transfer, path, changed);
    else
        cw_transfer_end_file (transfer);
    if (source->is_zip) {
        CwZipFile file = get_zip_file (source, entry);
        cw_zip_append_descriptor (source->pending, &file);
    }
    return TRUE;
}

static gboolean
begin_file (CwV1Source *source, CwTransfer *transfer, GError **error)
{
    Entry *entry = &g_array_index (source->entries, Entry, source->n_read);

    cw_transfer_begin_file (transfer, cw_outgoing_get_item (source->outgoing, entry->item)->path);
    source->fd = source->spool_fd;
    if (source->fd < 0)
        source->fd = cw_outgoing_open (source->outgoing, entry->content, error);
    if (source->fd < 0)
        return FALSE;
    source->left = get_size (source, entry);
    if (fstat (source->fd, &source->before) != 0 || (guint64)source->before.st_size < source->left)
        return fail_changed (source, entry, "has become shorter since it was offered", error);
    if (source->left >= READ_AHEAD_FROM)
        posix_fadvise (source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    entry->crc32 = 0;
    if (source->is_zip) {
        CwZipFile file = get_zip_file (source, entry);
        cw_zip_append_local (source->pending, &file);
    }
    return source->left > 0 || end_file (source, transfer, error);
}

static gboolean
read_file (CwV1Source *source,
           guint8 *data,
           size_t len,
           CwTransfer *transfer,
           size_t *ret_len,
           GError **error)
{
    Entry *entry = &g_array_index (source->entries, Entry, source->n_read);
    guint64 at = get_size (source, entry) - source->left;
    ssize_t n;

    do
        n = pread (source->fd, data, (size_t)MIN (len, source->left), (off_t)at);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        const char *path = cw_outgoing_get_item (source->outgoing, entry->item)->path;
        g_propagate_error (error, new_error (CW_DROP_ERROR_SOURCE_UNREADABLE, path, "cannot read ",
                                             "to its end: %s", g_strerror (errno)));
        return FALSE;
    }
    if (n == 0)
        return fail_changed (source, entry, "became shorter while it was read", error);
    if (source->is_zip)
        entry->crc32 = cw_zip_crc32 (entry->crc32, data, (size_t)n);
    source->left -= (guint64)n;
    *ret_len = (size_t)n;
    return source->left > 0 || end_file (source, transfer, error);
}

/* The next part of the directory, and the end after it. */
static void
list_entries (CwV1Source *source)
{
    for (guint n = 0; n < CENTRAL_BATCH && source->n_listed < source->entries->len; n++) {
        CwZipFile file
            = get_zip_file (source, &g_array_index (source->entries, Entry, source->n_listed++));
        cw_zip_append_central (source->pending, &file);
    }
    if (source->n_listed == source->entries->len) {
        guint64 size = source->given + source->pending->len - source->central_offset;
        cw_zip_append_end (source->pending, source->entries->len, source->central_offset, size);
        source->ended = TRUE;
    }
}

/* Something more to give, if there is. */
static gboolean
advance (CwV1Source *source, CwTransfer *transfer, GError **error)
{
    g_byte_array_set_size (source->pending, 0);
    source->pending_at = 0;
    if (source->n_read < source->entries->len)
        return begin_file (source, transfer, error);
    if (source->is_zip)
        list_entries (source);
    else
        source->ended = TRUE;
    return TRUE;
}

gboolean
cw_v1_source_read (CwV1Source *source,
                   guint8 *data,
                   size_t len,
                   CwTransfer *transfer,
                   size_t *ret_len,
                   GError **error)
{
    size_t filled = 0;

    while (filled < len) {
        size_t n = source->pending->len - source->pending_at;
        if (n > 0) {
            n = MIN (n, len - filled);
            memcpy (data + filled, source->pending->data + source->pending_at, n);
            source->pending_at += n;
        } else if (source->fd >= 0) {
            if (!read_file (source, data + filled, len - filled, transfer, &n, error))
                return FALSE;
        } else if (source->ended) {
            break;
        } else if (!advance (source, transfer, error)) {
            return FALSE;
        }
        filled += n;
        source->given += n;
    }
    *ret_len = filled;
    return TRUE;
}
