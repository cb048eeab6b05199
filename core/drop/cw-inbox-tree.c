/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-inbox-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

CwInboxDir *
cw_inbox_dir_new (int fd)
{
    CwInboxDir *dir = g_new (CwInboxDir, 1);

    *dir = (CwInboxDir){ .ref_count = 1, .fd = fd };
    return dir;
}

CwInboxDir *
cw_inbox_dir_ref (CwInboxDir *dir)
{
    dir->ref_count++;
    return dir;
}

void
cw_inbox_dir_unref (CwInboxDir *dir)
{
    if (--dir->ref_count > 0)
        return;
    close (dir->fd);
    g_free (dir);
}

int
cw_inbox_tree_open (int dir_fd, const char *name)
{
    return openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
cw_inbox_tree_walk (int root_fd, const char *path, gboolean create)
{
    int fd = cw_inbox_tree_open (root_fd, ".");
    g_auto (GStrv) parts = g_strsplit (path, "/", -1);

    for (char **part = parts; fd >= 0 && *part != NULL; part++) {
        int next;
        if (create && mkdirat (fd, *part, 0777) < 0 && errno != EEXIST)
            next = -1;
        else
            next = cw_inbox_tree_open (fd, *part);
        close (fd);
        fd = next;
    }
    return fd;
}

typedef DIR CwDir;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwDir, closedir)

/* Its own description of the folder, so that the position is nobody else's. */
static CwDir *
open_list (int dir_fd)
{
    int fd = cw_inbox_tree_open (dir_fd, ".");
    DIR *list = fd < 0 ? NULL : fdopendir (fd);

    if (list == NULL && fd >= 0)
        close (fd);
    return list;
}

/* NULL at the end (errno 0) and on failure. */
static struct dirent *
next_entry (CwDir *list)
{
    struct dirent *entry;

    do {
        errno = 0;
        entry = readdir (list);
    } while (entry != NULL
             && (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0));
    return entry;
}

gboolean
cw_inbox_tree_is_empty (int dir_fd)
{
    g_autoptr (CwDir) list = open_list (dir_fd);

    return list != NULL && next_entry (list) == NULL && errno == 0;
}

GPtrArray *
cw_inbox_tree_list (int dir_fd, guint max)
{
    GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (CwDir) list = open_list (dir_fd);
    struct dirent *entry;

    while (list != NULL && names->len < max && (entry = next_entry (list)) != NULL)
        g_ptr_array_add (names, g_strdup (entry->d_name));
    return names;
}

typedef gboolean (*VisitFunc) (int dir_fd,
                               const struct dirent *entry,
                               unsigned depth,
                               gpointer data);

static gboolean
visit (int dir_fd, unsigned depth, VisitFunc func, gpointer data)
{
    g_autoptr (CwDir) list = open_list (dir_fd);
    struct dirent *entry;

    if (list == NULL)
        return FALSE;
    /* A little more than what is allowed, for the folders around it. */
    if (depth > CW_INBOX_MAX_DEPTH + 10) {
        errno = ELOOP;
        return FALSE;
    }
    while ((entry = next_entry (list)) != NULL)
        if (!func (dir_fd, entry, depth, data))
            return FALSE;
    return errno == 0;
}

static gboolean
visit_below (int dir_fd, const char *name, unsigned depth, VisitFunc func, gpointer data)
{
    int fd = cw_inbox_tree_open (dir_fd, name);
    gboolean ok = fd >= 0 && visit (fd, depth + 1, func, data);
    int saved = errno;

    if (fd >= 0)
        close (fd);
    errno = saved;
    return ok;
}

static gboolean
is_folder (int dir_fd, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat (dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (st.st_mode);
}

static gboolean
remove_entry (int dir_fd, const struct dirent *entry, unsigned depth, gpointer data)
{
    if (!is_folder (dir_fd, entry))
        return unlinkat (dir_fd, entry->d_name, 0) == 0 || errno == ENOENT;
    return visit_below (dir_fd, entry->d_name, depth, remove_entry, NULL)
           && (unlinkat (dir_fd, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT);
}

gboolean
cw_inbox_tree_remove_contents (int dir_fd)
{
    return visit (dir_fd, 0, remove_entry, NULL);
}

gboolean
cw_inbox_tree_remove (int dir_fd, const char *name)
{
    if (unlinkat (dir_fd, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    /* Linux says EISDIR for a folder, POSIX EPERM. */
    if (errno != EISDIR && errno != EPERM)
        return FALSE;
    return visit_below (dir_fd, name, 0, remove_entry, NULL)
           && unlinkat (dir_fd, name, AT_REMOVEDIR) == 0;
}

static gboolean
merge_entry (int from_fd, const struct dirent *entry, unsigned depth, gpointer data)
{
    int to_fd = GPOINTER_TO_INT (data);
    const char *name = entry->d_name;
    struct stat st;
    int below_fd;
    gboolean ok;

    if (fstatat (to_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR (st.st_mode) && is_folder (from_fd, entry)) {
            below_fd = cw_inbox_tree_open (to_fd, name);
            ok = below_fd >= 0
                 && visit_below (from_fd, name, depth, merge_entry, GINT_TO_POINTER (below_fd));
            if (below_fd >= 0)
                close (below_fd);
            return ok && unlinkat (from_fd, name, AT_REMOVEDIR) == 0;
        }
        if (!cw_inbox_tree_remove (to_fd, name))
            return FALSE;
    }
    return renameat (from_fd, name, to_fd, name) == 0;
}

gboolean
cw_inbox_tree_merge (int from_fd, int to_fd)
{
    return visit (from_fd, 0, merge_entry, GINT_TO_POINTER (to_fd));
}

static gboolean
is_unchanged (int dir_fd, const struct dirent *entry, unsigned depth, gpointer data)
{
    const struct timespec *when = data;
    struct stat st;

    if (fstatat (dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return FALSE;
    if (st.st_ctim.tv_sec > when->tv_sec
        || (st.st_ctim.tv_sec == when->tv_sec && st.st_ctim.tv_nsec > when->tv_nsec))
        return FALSE;
    return !S_ISDIR (st.st_mode) || visit_below (dir_fd, entry->d_name, depth, is_unchanged, data);
}

gboolean
cw_inbox_tree_is_unchanged (int dir_fd, const struct timespec *when)
{
    return visit (dir_fd, 0, is_unchanged, (gpointer)when);
}

static gboolean
sync_fd (int fd, gboolean data_only)
{
    int result;

    do
        result = data_only ? fdatasync (fd) : fsync (fd);
    while (result < 0 && errno == EINTR);
    /* Some network and FUSE file systems have nothing of the kind. */
    return result == 0 || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS;
}

static gboolean
sync_entry (int dir_fd, const struct dirent *entry, unsigned depth, gpointer data)
{
    gboolean ok;
    int fd;

    if (is_folder (dir_fd, entry))
        return visit_below (dir_fd, entry->d_name, depth, sync_entry, NULL)
               && cw_inbox_tree_sync_folder (dir_fd, entry->d_name);
    fd = openat (dir_fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP; /* a symlink */
    ok = sync_fd (fd, TRUE);
    close (fd);
    return ok;
}

gboolean
cw_inbox_tree_sync_folder (int dir_fd, const char *name)
{
    int fd = cw_inbox_tree_open (dir_fd, name);
    gboolean ok = fd >= 0 && sync_fd (fd, FALSE);

    if (fd >= 0)
        close (fd);
    return ok;
}

gboolean
cw_inbox_tree_sync (int dir_fd)
{
    return visit (dir_fd, 0, sync_entry, NULL) && cw_inbox_tree_sync_folder (dir_fd, ".");
}
