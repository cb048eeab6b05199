/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-inbox-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cw-hash.h"
#include "cw-names.h"

#define HASH_BUFFER (1 << 20)
#define MAX_TARGET 4095

gboolean
cw_inbox_fail (GError **error, int errnum, const char *verb, const char *path)
{
    g_autofree char *shown = cw_name_dup_display (path, 160);

    g_set_error (error, CW_DROP_ERROR, cw_drop_error_from_target_errno (errnum),
                 "cannot %s '%s': %s", verb, shown, g_strerror (errnum));
    return FALSE;
}

/* --- Opening and closing --- */

static CwInbox *
inbox_new (const char *folder)
{
    CwInbox *inbox = g_new0 (CwInbox, 1);

    inbox->folder = g_canonicalize_filename (folder, NULL);
    inbox->folder_fd = inbox->staging_fd = inbox->lock_fd = -1;
    inbox->made = g_hash_table_new (NULL, NULL);
    inbox->renamed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    inbox->mentioned = g_ptr_array_new_with_free_func (g_free);
    randombytes_buf (inbox->made_key, sizeof inbox->made_key);
    return inbox;
}

/* What an attempt that died had in items/ or had delivered without finishing goes to old/. */
static gboolean
gather_leftovers (CwInbox *inbox, GError **error)
{
    if (!cw_inbox_tree_merge (inbox->items->fd, inbox->old->fd))
        return cw_inbox_fail (error, errno, "sort what an earlier attempt left in", inbox->folder);
    cw_inbox_take_back (inbox);
    inbox->resumed = !cw_inbox_tree_is_empty (inbox->old->fd);
    return TRUE;
}

CwInbox *
cw_inbox_open (const char *folder, const char *tag, GError **error)
{
    g_autoptr (CwInbox) inbox = NULL;

    g_return_val_if_fail (tag == NULL
                              || (*tag != '\0' && strlen (tag) <= 32
                                  && tag[strspn (tag, "abcdefghijklmnopqrstuvwxyz"
                                                      "0123456789")]
                                         == '\0'),
                          NULL);
    inbox = inbox_new (folder);
    inbox->folder_fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (inbox->folder_fd < 0) {
        cw_inbox_fail (error, errno, "open folder", inbox->folder);
        return NULL;
    }
    if (!cw_inbox_staging_open (inbox, tag, error) || !gather_leftovers (inbox, error))
        return NULL;
    cw_inbox_staging_sweep (inbox);
    return g_steal_pointer (&inbox);
}

static gboolean
has_something (CwInbox *inbox)
{
    return inbox->items != NULL && inbox->old != NULL
           && !(cw_inbox_tree_is_empty (inbox->items->fd)
                && cw_inbox_tree_is_empty (inbox->old->fd));
}

static void
close_fd (int fd)
{
    if (fd >= 0)
        close (fd);
}

void
cw_inbox_free (CwInbox *inbox)
{
    if (inbox->lock_fd >= 0 && !(inbox->keeps && has_something (inbox)))
        cw_inbox_staging_remove (inbox);
    cw_inbox_flush_stop (inbox);
    cw_inbox_place_forget_old (inbox);
    g_free (inbox->parent_raw);
    g_free (inbox->parent_safe);
    g_clear_pointer (&inbox->parent_dir, cw_inbox_dir_unref);
    g_clear_pointer (&inbox->items, cw_inbox_dir_unref);
    g_clear_pointer (&inbox->old, cw_inbox_dir_unref);
    close_fd (inbox->lock_fd);
    close_fd (inbox->staging_fd);
    close_fd (inbox->folder_fd);
    g_hash_table_unref (inbox->made);
    g_hash_table_unref (inbox->renamed);
    g_ptr_array_unref (inbox->mentioned);
    g_free (inbox->buffer);
    g_free (inbox->staging_name);
    g_free (inbox->folder);
    g_free (inbox);
}

gint64
cw_inbox_free_space (const char *folder)
{
    struct statvfs st;
    guint64 bytes;

    if (statvfs (folder, &st) < 0)
        return -1;
    if (__builtin_mul_overflow ((guint64)st.f_bavail, (guint64)st.f_frsize, &bytes))
        return G_MAXINT64;
    return (gint64)MIN (bytes, (guint64)G_MAXINT64);
}

gboolean
cw_inbox_is_resumed (CwInbox *inbox)
{
    return inbox->resumed;
}

/* --- What an earlier attempt left --- */

static gboolean
is_taken (CwInboxDir *dir, const char *name)
{
    struct stat st;

    return dir != NULL && fstatat (dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean
cw_inbox_choose_free_name (CwInboxPlace *place, GError **error)
{
    g_autofree char *safe = g_strdup (place->name);

    for (unsigned n = 2; is_taken (place->dir, place->name); n++)
        if (!cw_inbox_place_number (place, safe, n, FALSE, error))
            return FALSE;
    return TRUE;
}

int
cw_inbox_open_leftover (CwInbox *inbox, const CwInboxPlace *place, int flags, struct stat *ret)
{
    CwInboxDir *old = cw_inbox_place_get_old (inbox, place->parent);
    int fd;

    if (old == NULL)
        return -1;
    /* O_NONBLOCK: should somebody have put a FIFO there. */
    fd = openat (old->fd, place->name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat (fd, ret) < 0 || !S_ISREG (ret->st_mode))) {
        close (fd);
        fd = -1;
    }
    return fd;
}

static gboolean
hash_file (CwInbox *inbox,
           int fd,
           const char *path,
           GCancellable *cancellable,
           guint64 *ret_length,
           guint8 ret_sha256[32],
           GError **error)
{
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    guint64 length = 0;
    ssize_t n;

    if (inbox->buffer == NULL)
        inbox->buffer = g_malloc (HASH_BUFFER);
    do {
        if (g_cancellable_set_error_if_cancelled (cancellable, error))
            return FALSE;
        n = read (fd, inbox->buffer, HASH_BUFFER);
        if (n < 0 && errno != EINTR)
            return cw_inbox_fail (error, errno, "read what is there of", path);
        if (n > 0) {
            cw_sha256_update (hash, inbox->buffer, (size_t)n);
            length += (guint64)n;
        }
    } while (n != 0);
    cw_sha256_finish (hash, ret_sha256);
    *ret_length = length;
    return TRUE;
}

gboolean
cw_inbox_look_up (CwInbox *inbox,
                  const char *path,
                  GCancellable *cancellable,
                  guint64 *ret_length,
                  guint8 ret_sha256[32],
                  GError **error)
{
    g_auto (CwInboxPlace) place = { 0 };
    struct stat st;
    gboolean ok;
    int fd;

    if (!inbox->resumed)
        return FALSE;
    if (!cw_inbox_place_find (inbox, path, FALSE, &place, error)
        || !cw_inbox_choose_free_name (&place, error))
        return FALSE;
    fd = cw_inbox_open_leftover (inbox, &place, O_RDONLY, &st);
    if (fd < 0)
        return FALSE;
    if (st.st_size > HASH_BUFFER)
        posix_fadvise (fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    ok = hash_file (inbox, fd, path, cancellable, ret_length, ret_sha256, error);
    close (fd);
    return ok;
}

/* --- Folders and symlinks --- */

static void
set_times (int fd, int dir_fd, const char *name, const CwInboxMeta *meta)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };

    if (meta->mtime_ns == G_MININT64)
        return;
    times[1].tv_sec = meta->mtime_ns / 1000000000;
    times[1].tv_nsec = meta->mtime_ns % 1000000000;
    if (times[1].tv_nsec < 0) {
        times[1].tv_sec--;
        times[1].tv_nsec += 1000000000;
    }
    if (fd >= 0)
        futimens (fd, times);
    else
        utimensat (dir_fd, name, times, AT_SYMLINK_NOFOLLOW);
}

void
cw_inbox_set_meta (CwInbox *inbox, int fd, const CwInboxMeta *meta, mode_t at_least)
{
    fchmod (fd, (meta->mode & 0777 & ~inbox->umask) | at_least);
    set_times (fd, -1, NULL, meta);
}

gboolean
cw_inbox_make_folder (CwInbox *inbox, const char *path, GError **error)
{
    g_auto (CwInboxPlace) place = { 0 };

    return cw_inbox_place_find (inbox, path, TRUE, &place, error)
           && cw_inbox_place_make_folder (inbox, &place, error);
}

gboolean
cw_inbox_finish_folder (CwInbox *inbox, const char *path, const CwInboxMeta *meta, GError **error)
{
    g_auto (CwInboxPlace) place = { 0 };
    int fd;

    if (!cw_inbox_place_find (inbox, path, TRUE, &place, error)
        || !cw_inbox_place_make_folder (inbox, &place, error))
        return FALSE;
    fd = cw_inbox_tree_open (place.dir->fd, place.name);
    if (fd < 0)
        return cw_inbox_fail (error, errno, "open folder", path);
    cw_inbox_set_meta (inbox, fd, meta, 0700);
    close (fd);
    return TRUE;
}

gboolean
cw_inbox_make_symlink (
    CwInbox *inbox, const char *path, const char *target, const CwInboxMeta *meta, GError **error)
{
    g_auto (CwInboxPlace) place = { 0 };
    g_autofree char *safe = NULL;
    unsigned n = 2;

    if (strlen (target) > MAX_TARGET || !cw_name_link_stays_inside (path, target)) {
        g_autofree char *shown = cw_name_dup_display (path, 160);
        g_autofree char *shown_target = cw_name_dup_display (target, 160);
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_LINK,
                     "symlink '%s' leads out of what is sent: '%s'", shown, shown_target);
        return FALSE;
    }
    if (!cw_inbox_place_find (inbox, path, TRUE, &place, error))
        return FALSE;
    safe = g_strdup (place.name);
    while (symlinkat (target, place.dir->fd, place.name) < 0) {
        if (errno != EEXIST)
            return cw_inbox_fail (error, errno, "make symlink", path);
        if (!cw_inbox_place_number (&place, safe, n++, FALSE, error))
            return FALSE;
    }
    set_times (-1, place.dir->fd, place.name, meta);
    return TRUE;
}
