/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* From items/ into the target, so that a crash at any point neither loses an item nor, when the
 * same offer is received again, gives it twice.
 *
 * Before an item is renamed, a line about it goes into the journal: its identity (device, inode,
 * length, time) and the name it is about to get. The journal goes with the hidden folder when the
 * caller frees the inbox, having told the sender. An attempt that finds one looks for each line
 * whether that very item is under that name now: then the rename happened, and the item is taken
 * back to old/, where it is like any other leftover: it is hashed, found right, and delivered again,
 * under the same name. Leaving it where it is would spare the moment in which it is gone, but then a
 * sender who has changed something in between would end in a folder that is half this and half that.
 * If somebody has touched the item since (anything in it changed after the journal was last
 * written), it is theirs and stays; the offer is received anew beside it.
 *
 * What is announced should survive a power cut (cw-inbox-flush.c), so files are on the disk before
 * they are renamed, and the renames before the caller hears of them. */

#include "cw-inbox-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-names.h"

#define BATCH 1000
#define MAX_PATHS 1000
#define MAX_NUMBER 10000
#define MAX_LINE 1024

/* --- The journal --- */

static void
add_line (GString *lines, const struct stat *st, const char *name, const char *final)
{
    /* Safe names have no control characters and no slash. */
    g_string_append_printf (lines, "%llu %llu %lld %lld %ld %s/%s\n",
                            (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
                            (long long)st->st_size, (long long)st->st_mtim.tv_sec,
                            st->st_mtim.tv_nsec, name, final);
}

static gboolean
write_lines (int fd, const GString *lines)
{
    size_t done = 0;

    while (done < lines->len) {
        ssize_t n = write (fd, lines->str + done, lines->len - done);
        if (n < 0 && errno != EINTR)
            return FALSE;
        done += (size_t)MAX (n, 0);
    }
    return TRUE;
}

typedef struct {
    unsigned long long dev, ino;
    long long size, mtime_s;
    long mtime_ns;
    char *name, *final; /* into the line */
} Record;

static gboolean
is_name (const char *text)
{
    return *text != '\0' && strchr (text, '/') == NULL && strcmp (text, ".") != 0
           && strcmp (text, "..") != 0;
}

static gboolean
parse_line (char *line, Record *ret)
{
    size_t len = strlen (line);
    int name_at = 0;
    char *slash;

    /* A crash may have cut it. */
    if (len == 0 || line[len - 1] != '\n')
        return FALSE;
    line[len - 1] = '\0';
    if (sscanf (line, "%llu %llu %lld %lld %ld%n", &ret->dev, &ret->ino, &ret->size, &ret->mtime_s,
                &ret->mtime_ns, &name_at)
            != 5
        || line[name_at] != ' ' || (slash = strchr (line + name_at, '/')) == NULL)
        return FALSE;
    *slash = '\0';
    ret->name = line + name_at + 1;
    ret->final = slash + 1;
    return is_name (ret->name) && is_name (ret->final);
}

static gboolean
is_untouched (CwInbox *inbox, const Record *record, const struct timespec *written)
{
    struct stat st;
    gboolean ok;
    int fd;

    if (fstatat (inbox->folder_fd, record->final, &st, AT_SYMLINK_NOFOLLOW) < 0
        || st.st_dev != record->dev || st.st_ino != record->ino
        || st.st_mtim.tv_sec != record->mtime_s || st.st_mtim.tv_nsec != record->mtime_ns)
        return FALSE;
    if (S_ISREG (st.st_mode))
        return st.st_size == record->size;
    if (!S_ISDIR (st.st_mode))
        return FALSE;
    fd = cw_inbox_tree_open (inbox->folder_fd, record->final);
    ok = fd >= 0 && cw_inbox_tree_is_unchanged (fd, written);
    if (fd >= 0)
        close (fd);
    return ok;
}

static void
take_back (CwInbox *inbox, const Record *record, const struct timespec *written)
{
    struct stat st;

    if (!is_untouched (inbox, record, written))
        return;
    if (fstatat (inbox->old->fd, record->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        /* A delivery by link() has two names for a moment. Nothing else should be there. */
        if (st.st_ino == record->ino && st.st_dev == record->dev && !S_ISDIR (st.st_mode))
            unlinkat (inbox->folder_fd, record->final, 0);
        return;
    }
    renameat (inbox->folder_fd, record->final, inbox->old->fd, record->name);
}

void
cw_inbox_take_back (CwInbox *inbox)
{
    int fd = openat (inbox->staging_fd, "journal", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *journal = fd < 0 ? NULL : fdopen (fd, "r");
    char line[MAX_LINE];
    struct stat st;
    Record record;

    if (journal != NULL && fstat (fd, &st) == 0)
        while (fgets (line, sizeof line, journal) != NULL)
            if (parse_line (line, &record))
                take_back (inbox, &record, &st.st_mtim);
    if (journal != NULL)
        fclose (journal);
    else if (fd >= 0)
        close (fd);
    unlinkat (inbox->staging_fd, "journal", 0);
}

/* --- One item --- */

/* For file systems that cannot say "but not over anything" in rename(). */
static int
rename_carefully (CwInbox *inbox, const char *name, const char *final, gboolean folder)
{
    int from_fd = inbox->items->fd, to_fd = inbox->folder_fd;
    struct stat st;

    if (!folder) {
        if (linkat (from_fd, name, to_fd, final, 0) == 0) {
            unlinkat (from_fd, name, 0);
            return 0;
        }
        if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
            return errno;
    }
    /* What appears between these two calls is in danger if it is a file and we bring one; an
     * empty placeholder instead would be a wrong file under a final name if we died. A folder
     * replaces nothing but an empty folder. */
    if (fstatat (to_fd, final, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return EEXIST;
    return renameat (from_fd, name, to_fd, final) < 0 ? errno : 0;
}

static int
rename_item (CwInbox *inbox, const char *name, const char *final, gboolean folder)
{
    if (renameat2 (inbox->items->fd, name, inbox->folder_fd, final, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return errno;
    return rename_carefully (inbox, name, final, folder);
}

/* The line for @name itself is in the journal already; those for its numbers are written here. */
static gboolean
deliver_item (CwInbox *inbox,
              int journal_fd,
              const char *name,
              const struct stat *st,
              char **ret_final,
              GError **error)
{
    gboolean folder = S_ISDIR (st->st_mode);
    g_autofree char *final = g_strdup (name);
    int result = rename_item (inbox, name, final, folder);

    for (unsigned n = 2;
         n < MAX_NUMBER
         && (result == EEXIST || result == ENOTEMPTY || result == ENOTDIR || result == EISDIR);
         n++) {
        g_autoptr (GString) line = g_string_new (NULL);
        g_free (final);
        final = cw_name_number (name, n, folder);
        add_line (line, st, name, final);
        if (!write_lines (journal_fd, line))
            return cw_inbox_fail (error, errno, "deliver", name);
        result = rename_item (inbox, name, final, folder);
    }
    if (result != 0)
        return cw_inbox_fail (error, result, "deliver", name);
    *ret_final = g_steal_pointer (&final);
    return TRUE;
}

/* --- All of them --- */

/* The path still leads to the folder that was opened. */
static gboolean
check_target (CwInbox *inbox, GError **error)
{
    struct stat now, then;

    if (stat (inbox->folder, &now) < 0)
        return cw_inbox_fail (error, errno, "deliver into", inbox->folder);
    if (fstat (inbox->folder_fd, &then) < 0 || now.st_ino != then.st_ino
        || now.st_dev != then.st_dev)
        return cw_inbox_fail (error, ENOENT, "deliver into", inbox->folder);
    return TRUE;
}

/* The lines for a batch, on the disk before the first rename. */
static gboolean
write_batch (CwInbox *inbox, int journal_fd, gboolean durably, GPtrArray *names)
{
    g_autoptr (GString) lines = g_string_new (NULL);
    struct stat st;

    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index (names, i);
        if (fstatat (inbox->items->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            add_line (lines, &st, name, name);
    }
    return write_lines (journal_fd, lines)
           && (!durably || fdatasync (journal_fd) == 0 || errno == EINVAL);
}

/* How many were delivered. The first failure goes to *@first; the others are tried all the same. */
static guint
deliver_batch (CwInbox *inbox, int journal_fd, GPtrArray *names, GPtrArray *paths, GError **first)
{
    guint n = 0;

    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index (names, i);
        g_autofree char *final = NULL;
        struct stat st;
        if (fstatat (inbox->items->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* given up meanwhile, or mentioned twice */
        if (!deliver_item (inbox, journal_fd, name, &st, &final, *first == NULL ? first : NULL))
            continue;
        n++;
        if (paths->len < MAX_PATHS)
            g_ptr_array_add (paths, g_build_filename (inbox->folder, final, NULL));
    }
    return n;
}

static gboolean
deliver_all (CwInbox *inbox, int journal_fd, gboolean durably, GPtrArray *paths, GError **error)
{
    g_autoptr (GPtrArray) names = g_ptr_array_ref (inbox->mentioned);
    g_autoptr (GError) first = NULL;
    guint n;

    do {
        if (!write_batch (inbox, journal_fd, durably, names))
            return cw_inbox_fail (error, errno, "deliver into", inbox->folder);
        n = deliver_batch (inbox, journal_fd, names, paths, &first);
        /* What is left is what was not remembered, or cannot be delivered. */
        if (n == 0 && names != inbox->mentioned)
            break;
        g_ptr_array_unref (names);
        names = cw_inbox_tree_list (inbox->items->fd, BATCH);
    } while (names->len > 0);
    if (first != NULL) {
        g_propagate_error (error, g_steal_pointer (&first));
        return FALSE;
    }
    return TRUE;
}

gboolean
cw_inbox_deliver (CwInbox *inbox, GPtrArray **ret_paths, GError **error)
{
    g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
    CwInboxFlush flush;
    gboolean ok;
    int fd;

    if (!check_target (inbox, error))
        return FALSE;
    /* Now, so that old/ is empty if something has to be taken back. */
    cw_inbox_place_forget_old (inbox);
    if (!cw_inbox_tree_remove_contents (inbox->old->fd))
        return cw_inbox_fail (error, errno, "clear what is not needed in", inbox->folder);
    inbox->resumed = FALSE;
    flush = cw_inbox_flush_finish (inbox);
    if (flush == CW_INBOX_FLUSH_FAILED)
        return cw_inbox_fail (error, errno, "write to disk what is for", inbox->folder);
    fd = openat (inbox->staging_fd, "journal",
                 O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cw_inbox_fail (error, errno, "deliver into", inbox->folder);
    ok = deliver_all (inbox, fd, flush == CW_INBOX_FLUSH_DONE, paths, error);
    close (fd);
    if (!ok)
        return FALSE;
    /* File systems that keep metadata in order behind data would wait for all of it here. */
    if (flush == CW_INBOX_FLUSH_DONE && !cw_inbox_tree_sync_folder (inbox->folder_fd, "."))
        return cw_inbox_fail (error, errno, "write to disk what is in", inbox->folder);
    *ret_paths = g_steal_pointer (&paths);
    return TRUE;
}
