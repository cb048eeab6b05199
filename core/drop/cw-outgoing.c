/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The list of what is sent: one pre-order array of small structs and their paths in an arena (some
 * 80 bytes an item, so that 100,000 of them are 8 MB). An item's place on disk is not kept: it is
 * the source of its top-level item plus the rest of its path.
 *
 * Both the walk and the opening of items go through open_folder(), which descends from the
 * top-level folder by openat() without following symlinks: somebody who can write into the tree
 * cannot lead us out of it between the two. The folder used last stays open, so that the files of
 * one folder cost one openat() each; folders waiting to be walked cost memory, not descriptors. */

#include "cw-outgoing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-names.h"
#include "cw-transfer.h"

/* A longer path would not fit a request of drop/1 when every byte of it is escaped. */
#define MAX_PATH 4096
/* The inbox of a Causeway takes no deeper trees. */
#define MAX_DEPTH 200
/* Failures are for people to read; CwTransfer remembers fewer. */
#define MAX_LEFT_OUT 10000

/* What a person named. */
typedef struct {
    char *source; /* where it is */
    guint first;  /* index of its first item */
} Top;

struct _CwOutgoing {
    GArray *items; /* of CwOutgoingItem */
    GStringChunk *paths;
    GArray *tops; /* of Top, by rising first */
    GPtrArray *left_out;

    int stream_fd; /* -1: not a stream, or already opened */
    gboolean is_stream;

    /* The folder opened last. */
    char *folder_path; /* NULL: none */
    int folder_fd;
};

static void
top_clear (gpointer data)
{
    Top *top = data;

    g_free (top->source);
}

static CwOutgoing *
outgoing_new (void)
{
    CwOutgoing *outgoing = g_new0 (CwOutgoing, 1);

    outgoing->items = g_array_new (FALSE, FALSE, sizeof (CwOutgoingItem));
    outgoing->paths = g_string_chunk_new (16384);
    outgoing->tops = g_array_new (FALSE, FALSE, sizeof (Top));
    g_array_set_clear_func (outgoing->tops, top_clear);
    outgoing->left_out = cw_transfer_failures_new ();
    outgoing->stream_fd = -1;
    outgoing->folder_fd = -1;
    return outgoing;
}

static void
close_folder (CwOutgoing *outgoing)
{
    g_clear_pointer (&outgoing->folder_path, g_free);
    if (outgoing->folder_fd >= 0)
        close (outgoing->folder_fd);
    outgoing->folder_fd = -1;
}

void
cw_outgoing_free (CwOutgoing *outgoing)
{
    close_folder (outgoing);
    if (outgoing->stream_fd >= 0)
        close (outgoing->stream_fd);
    g_ptr_array_unref (outgoing->left_out);
    g_array_unref (outgoing->tops);
    g_string_chunk_free (outgoing->paths);
    g_array_unref (outgoing->items);
    g_free (outgoing);
}

/* Messages are UTF-8 whatever a path is. */
#define MAX_SHOWN 200

static GError *
new_unreadable (const char *path, const char *reason)
{
    g_autofree char *shown = cw_name_dup_display (path, MAX_SHOWN);

    return g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_UNREADABLE, "cannot read '%s': %s",
                        shown, reason);
}

/* Always FALSE. */
static gboolean
fail_errno (GError **error, int errnum, const char *path)
{
    g_propagate_error (error, new_unreadable (path, g_strerror (errnum)));
    return FALSE;
}

static void
leave_out (CwOutgoing *outgoing, const char *path, const char *reason)
{
    g_autoptr (GError) error = NULL;

    if (outgoing->left_out->len >= MAX_LEFT_OUT)
        return;
    error = new_unreadable (path, reason);
    cw_transfer_failures_add (outgoing->left_out, path, error);
}

static CwItemKind
kind_of (mode_t mode)
{
    return S_ISDIR (mode) ? CW_ITEM_FOLDER : S_ISLNK (mode) ? CW_ITEM_SYMLINK : CW_ITEM_FILE;
}

static void
add_item (CwOutgoing *outgoing, const char *path, const struct stat *st)
{
    CwOutgoingItem item = {
        .kind = kind_of (st->st_mode),
        .path = g_string_chunk_insert (outgoing->paths, path),
        .size = S_ISREG (st->st_mode) ? (guint64)st->st_size : 0,
        .mode = st->st_mode & 07777,
        .mtime_ns = (gint64)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
    };

    g_array_append_val (outgoing->items, item);
}

/* --- Folders by descriptor --- */

/* A descriptor of the folder @path below @top, borrowed until the next call; -1 and errno. @path
 * begins with the top-level name, which stands for top->source. */
static int
open_folder (CwOutgoing *outgoing, const Top *top, const char *path)
{
    const char *rest = path + strcspn (path, "/");
    int fd;

    if (outgoing->folder_path != NULL && strcmp (outgoing->folder_path, path) == 0)
        return outgoing->folder_fd;
    close_folder (outgoing);
    fd = open (top->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
    while (fd >= 0 && *rest == '/') {
        g_autofree char *name = g_strndup (rest + 1, strcspn (rest + 1, "/"));
        int parent = fd, errnum;
        fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
        errnum = errno;
        close (parent);
        errno = errnum;
        rest += 1 + strlen (name);
    }
    if (fd < 0)
        return -1;
    outgoing->folder_path = g_strdup (path);
    outgoing->folder_fd = fd;
    return fd;
}

/* --- The walk --- */

static guint
depth_of (const char *path)
{
    guint depth = 1;

    for (; *path != '\0'; path++)
        depth += *path == '/';
    return depth;
}

static int
compare_items (gconstpointer a, gconstpointer b)
{
    return strcmp (((const CwOutgoingItem *)a)->path, ((const CwOutgoingItem *)b)->path);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
    return strcmp (*(char *const *)a, *(char *const *)b);
}

/* Adds one entry of a folder: at once, or to @subfolders. */
static void
walk_entry (
    CwOutgoing *outgoing, int dir_fd, const char *folder, const char *name, GPtrArray *subfolders)
{
    g_autofree char *path = g_strconcat (folder, "/", name, NULL);
    struct stat st;

    if (strlen (path) > MAX_PATH || depth_of (path) > MAX_DEPTH)
        leave_out (outgoing, path, "its path is too long");
    else if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        leave_out (outgoing, path, g_strerror (errno));
    else if (S_ISDIR (st.st_mode))
        g_ptr_array_add (subfolders, g_steal_pointer (&path));
    else if (S_ISLNK (st.st_mode))
        add_item (outgoing, path, &st);
    else if (!S_ISREG (st.st_mode))
        leave_out (outgoing, path, "it is neither a file nor a folder");
    else if (faccessat (dir_fd, name, R_OK, AT_EACCESS) != 0)
        leave_out (outgoing, path, g_strerror (errno));
    else
        add_item (outgoing, path, &st);
}

/* Takes @dir_fd. What is not a folder goes into the items, folders onto the stack @pending in
 * reverse order. */
static gboolean
walk_entries (CwOutgoing *outgoing,
              int dir_fd,
              const char *folder,
              GPtrArray *pending,
              GCancellable *cancellable,
              GError **error)
{
    g_autoptr (GPtrArray) subfolders = g_ptr_array_new_with_free_func (g_free);
    guint first = outgoing->items->len;
    DIR *dir = fdopendir (dir_fd);
    struct dirent *entry;
    gboolean ok = TRUE;

    if (dir == NULL) {
        leave_out (outgoing, folder, g_strerror (errno));
        close (dir_fd);
        return TRUE;
    }
    for (errno = 0; ok && (entry = readdir (dir)) != NULL; errno = 0) {
        if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
            walk_entry (outgoing, dirfd (dir), folder, entry->d_name, subfolders);
        ok = !g_cancellable_set_error_if_cancelled (cancellable, error);
    }
    if (ok && errno != 0)
        leave_out (outgoing, folder, g_strerror (errno));
    closedir (dir);
    /* By name, so that what a person watches makes sense, and two runs take the same order. */
    if (outgoing->items->len > first)
        qsort (&g_array_index (outgoing->items, CwOutgoingItem, first),
               outgoing->items->len - first, sizeof (CwOutgoingItem), compare_items);
    g_ptr_array_sort (subfolders, compare_names);
    while (subfolders->len > 0)
        g_ptr_array_add (pending, g_ptr_array_steal_index (subfolders, subfolders->len - 1));
    return ok;
}

static gboolean
walk_folder (CwOutgoing *outgoing,
             const Top *top,
             const char *path,
             GPtrArray *pending,
             GCancellable *cancellable,
             GError **error)
{
    int fd = open_folder (outgoing, top, path);
    struct stat st;
    int dir_fd;

    if (fd < 0 || fstat (fd, &st) != 0) {
        leave_out (outgoing, path, g_strerror (errno));
        return TRUE;
    }
    add_item (outgoing, path, &st);
    /* Not dup(): the position in a directory would be shared with the one that is kept. */
    dir_fd = openat (fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        leave_out (outgoing, path, g_strerror (errno));
        return TRUE;
    }
    return walk_entries (outgoing, dir_fd, path, pending, cancellable, error);
}

static gboolean
walk_top_folder (CwOutgoing *outgoing,
                 const Top *top,
                 const char *name,
                 GCancellable *cancellable,
                 GError **error)
{
    g_autoptr (GPtrArray) pending = g_ptr_array_new_with_free_func (g_free);

    g_ptr_array_add (pending, g_strdup (name));
    while (pending->len > 0) {
        g_autofree char *path = g_ptr_array_steal_index (pending, pending->len - 1);
        if (!walk_folder (outgoing, top, path, pending, cancellable, error))
            return FALSE;
    }
    return TRUE;
}

/* --- Top-level items --- */

/* The name a peer sees: valid UTF-8, since it stands in JSON and is shown to people. */
static char *
dup_top_name (const char *source)
{
    g_autofree char *base = g_path_get_basename (source);
    g_autofree char *real = NULL;
    const char *end;

    if (strcmp (base, ".") == 0 || strcmp (base, "..") == 0) {
        real = realpath (source, NULL);
        g_free (base);
        base = g_path_get_basename (real != NULL ? real : "/");
    }
    if (strcmp (base, "/") == 0)
        return g_strdup ("files");
    while (!g_utf8_validate (base, -1, &end))
        base[end - base] = '_';
    return g_steal_pointer (&base);
}

/* @name, or "name (2)" and so on when one of @taken is called that; adds it to @taken. */
static char *
make_unique (const char *name, gboolean is_folder, GHashTable *taken)
{
    char *unique = g_strdup (name);

    for (unsigned n = 2; g_hash_table_contains (taken, unique); n++) {
        g_free (unique);
        unique = cw_name_number (name, n, is_folder);
    }
    g_hash_table_add (taken, g_strdup (unique));
    return unique;
}

static gboolean
add_top (CwOutgoing *outgoing,
         const char *source,
         GHashTable *taken,
         GCancellable *cancellable,
         GError **error)
{
    g_autofree char *base = dup_top_name (source);
    g_autofree char *name = NULL;
    /* O_NONBLOCK: opening a FIFO must not wait for somebody to write. */
    int fd = open (source, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    Top top = { .first = outgoing->items->len };
    struct stat st;

    if (fd < 0)
        return fail_errno (error, errno, source);
    if (fstat (fd, &st) != 0) {
        fail_errno (error, errno, source);
        close (fd);
        return FALSE;
    }
    close (fd);
    if (!S_ISREG (st.st_mode) && !S_ISDIR (st.st_mode)) {
        g_propagate_error (error, new_unreadable (source, "it is neither a file nor a folder"));
        return FALSE;
    }
    name = make_unique (base, S_ISDIR (st.st_mode), taken);
    top.source = g_canonicalize_filename (source, NULL);
    g_array_append_val (outgoing->tops, top);
    if (S_ISDIR (st.st_mode))
        return walk_top_folder (outgoing, &top, name, cancellable, error);
    add_item (outgoing, name, &st);
    return TRUE;
}

CwOutgoing *
cw_outgoing_new (const char *const *paths, GCancellable *cancellable, GError **error)
{
    g_autoptr (CwOutgoing) outgoing = outgoing_new ();
    g_autoptr (GHashTable) taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

    if (paths[0] == NULL) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_NOTHING, "nothing to send");
        return NULL;
    }
    if (g_strv_length ((char **)paths) > CW_OFFER_MAX_ITEMS) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_TOO_LARGE,
                     "more than %d items named one by one", CW_OFFER_MAX_ITEMS);
        return NULL;
    }
    for (gsize i = 0; paths[i] != NULL; i++)
        if (!add_top (outgoing, paths[i], taken, cancellable, error))
            return NULL;
    close_folder (outgoing);
    return g_steal_pointer (&outgoing);
}

CwOutgoing *
cw_outgoing_new_stream (int fd, const char *name)
{
    CwOutgoing *outgoing = outgoing_new ();
    g_autofree char *valid = dup_top_name (name);
    Top top = { .source = g_strdup (name) };
    struct stat st = { .st_mode = S_IFREG | 0644 };
    gint64 now_us = g_get_real_time ();

    st.st_mtim.tv_sec = now_us / G_USEC_PER_SEC;
    st.st_mtim.tv_nsec = now_us % G_USEC_PER_SEC * 1000;
    g_array_append_val (outgoing->tops, top);
    add_item (outgoing, valid, &st);
    outgoing->is_stream = TRUE;
    outgoing->stream_fd = fd;
    return outgoing;
}

/* --- The list --- */

guint
cw_outgoing_get_n_items (CwOutgoing *outgoing)
{
    return outgoing->items->len;
}

const CwOutgoingItem *
cw_outgoing_get_item (CwOutgoing *outgoing, guint index)
{
    g_return_val_if_fail (index < outgoing->items->len, NULL);
    return &g_array_index (outgoing->items, CwOutgoingItem, index);
}

GPtrArray *
cw_outgoing_get_left_out (CwOutgoing *outgoing)
{
    return outgoing->left_out;
}

gboolean
cw_outgoing_is_stream (CwOutgoing *outgoing)
{
    return outgoing->is_stream;
}

CwOffer *
cw_outgoing_dup_offer (CwOutgoing *outgoing)
{
    CwOffer *offer = cw_offer_new ();
    guint64 n_folders = 0;

    for (guint t = 0; t < outgoing->tops->len; t++) {
        guint first = g_array_index (outgoing->tops, Top, t).first;
        guint end = t + 1 < outgoing->tops->len ? g_array_index (outgoing->tops, Top, t + 1).first
                                                : outgoing->items->len;
        const CwOutgoingItem *item;
        gint64 size = outgoing->is_stream ? -1 : 0;
        guint64 n_files = 0;

        for (guint i = first; i < end; i++) {
            item = cw_outgoing_get_item (outgoing, i);
            n_folders += item->kind == CW_ITEM_FOLDER;
            n_files += item->kind != CW_ITEM_FOLDER;
            if (size >= 0)
                size += (gint64)MIN (item->size, (guint64)(G_MAXINT64 - size));
        }
        item = cw_outgoing_get_item (outgoing, first);
        cw_offer_add (offer, item->kind, item->path, size, n_files);
    }
    offer->n_folders = n_folders;
    return offer;
}

/* --- Opening --- */

static const Top *
find_top (CwOutgoing *outgoing, guint index)
{
    guint low = 0, high = outgoing->tops->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;
        if (g_array_index (outgoing->tops, Top, middle).first <= index)
            low = middle;
        else
            high = middle;
    }
    return &g_array_index (outgoing->tops, Top, low);
}

/* The folder of an item below the top level, and its name there. -1 and errno. */
static int
open_parent (CwOutgoing *outgoing, guint index, const char *path, const char **ret_name)
{
    const char *slash = strrchr (path, '/');
    g_autofree char *parent = g_strndup (path, (gsize)(slash - path));
    int fd = open_folder (outgoing, find_top (outgoing, index), parent);

    *ret_name = slash + 1;
    return fd;
}

static gboolean
set_open_error (GError **error, int errnum, const char *path)
{
    g_autofree char *shown = cw_name_dup_display (path, MAX_SHOWN);

    /* A symlink where the walk saw a file or a folder: O_NOFOLLOW, O_DIRECTORY. */
    if (errnum != ELOOP && errnum != ENOTDIR)
        return fail_errno (error, errnum, path);
    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED,
                 "'%s' is no longer what it was", shown);
    return FALSE;
}

static int
open_stream (CwOutgoing *outgoing, GError **error)
{
    int fd = outgoing->stream_fd;

    outgoing->stream_fd = -1;
    if (fd < 0)
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_SOURCE_CHANGED,
                     "a pipe can be read only once");
    return fd;
}

int
cw_outgoing_open (CwOutgoing *outgoing, guint index, GError **error)
{
    const CwOutgoingItem *item = cw_outgoing_get_item (outgoing, index);
    int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    const char *name;
    struct stat st;
    int fd;

    if (outgoing->is_stream)
        return open_stream (outgoing, error);
    if (strchr (item->path, '/') == NULL) {
        fd = open (find_top (outgoing, index)->source, flags);
    } else {
        int parent = open_parent (outgoing, index, item->path, &name);
        fd = parent < 0 ? -1 : openat (parent, name, flags | O_NOFOLLOW);
    }
    if (fd < 0) {
        set_open_error (error, errno, item->path);
        return -1;
    }
    if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode)) {
        close (fd);
        set_open_error (error, ENOTDIR, item->path);
        return -1;
    }
    return fd;
}

char *
cw_outgoing_read_link (CwOutgoing *outgoing, guint index, GError **error)
{
    const CwOutgoingItem *item = cw_outgoing_get_item (outgoing, index);
    g_autofree char *target = g_malloc (PATH_MAX + 1);
    const char *name;
    ssize_t len;
    int parent;

    g_return_val_if_fail (item->kind == CW_ITEM_SYMLINK, NULL);
    parent = open_parent (outgoing, index, item->path, &name);
    len = parent < 0 ? -1 : readlinkat (parent, name, target, PATH_MAX);
    if (len < 0) {
        set_open_error (error, errno == EINVAL ? ELOOP : errno, item->path);
        return NULL;
    }
    target[len] = '\0';
    return g_strdup (target);
}
