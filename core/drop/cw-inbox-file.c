/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-inbox-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cw-names.h"

/* Smaller files are written at once; asking for their space first would only cost time. */
#define RESERVE_FROM (1 << 20)
/* The disk is started on this much at a time. */
#define WRITE_BACK_STEP (8 << 20)

struct _CwInboxFile {
    CwInbox *inbox;
    CwInboxPlace place;
    int fd;
    guint64 length;   /* what is written or kept */
    guint64 reserved; /* what the file system holds for us */
    guint64 flushing; /* write-back was started up to here */
};

static void
file_free (CwInboxFile *file)
{
    if (file->fd >= 0)
        close (file->fd);
    cw_inbox_place_clear (&file->place);
    g_free (file);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwInboxFile, file_free)

static gboolean
create_fresh (CwInboxFile *file, GError **error)
{
    CwInboxPlace *place = &file->place;
    g_autofree char *safe = g_strdup (place->name);
    CwInboxDir *old;
    unsigned n = 2;

    while ((file->fd = openat (place->dir->fd, place->name,
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600))
           < 0) {
        if (errno != EEXIST)
            return cw_inbox_fail (error, errno, "create", place->raw);
        if (!cw_inbox_place_number (place, safe, n++, FALSE, error))
            return FALSE;
    }
    /* What is there was found to be of no use: its space may be needed now. */
    if (file->inbox->resumed && (old = cw_inbox_place_get_old (file->inbox, place->parent)) != NULL)
        unlinkat (old->fd, place->name, 0);
    return TRUE;
}

static gboolean
claim_leftover (CwInboxFile *file, guint64 keep, GError **error)
{
    CwInboxPlace *place = &file->place;
    CwInbox *inbox = file->inbox;
    struct stat st;

    if (!cw_inbox_choose_free_name (place, error))
        return FALSE;
    file->fd = cw_inbox_open_leftover (inbox, place, O_WRONLY, &st);
    if (file->fd < 0 || (guint64)st.st_size < keep) {
        g_autofree char *shown = cw_name_dup_display (place->raw, 160);
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_STORE,
                     "what an earlier attempt left of '%s' has gone", shown);
        return FALSE;
    }
    if (((guint64)st.st_size > keep && ftruncate (file->fd, (off_t)keep) < 0)
        || ((st.st_mode & 0777) != 0600 && fchmod (file->fd, 0600) < 0)
        || renameat (cw_inbox_place_get_old (inbox, place->parent)->fd, place->name, place->dir->fd,
                     place->name)
               < 0)
        return cw_inbox_fail (error, errno, "go on with", place->raw);
    file->length = file->flushing = keep;
    return TRUE;
}

static gboolean
reserve (CwInboxFile *file, gint64 size, GError **error)
{
    guint64 from = file->length;

    if (size < 0 || (guint64)size < from || (guint64)size - from < RESERVE_FROM)
        return TRUE;
    if (fallocate (file->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)((guint64)size - from)) < 0) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
            return cw_inbox_fail (error, errno, "reserve space for", file->place.raw);
        return TRUE;
    }
    file->reserved = (guint64)size;
    return TRUE;
}

CwInboxFile *
cw_inbox_begin_file (
    CwInbox *inbox, const char *path, guint64 keep, gint64 size, gboolean sparse, GError **error)
{
    g_autoptr (CwInboxFile) file = g_new0 (CwInboxFile, 1);

    file->inbox = inbox;
    file->fd = -1;
    if (inbox->begun_us == 0)
        inbox->begun_us = g_get_monotonic_time ();
    if (!cw_inbox_place_find (inbox, path, TRUE, &file->place, error)
        || !(keep > 0 ? claim_leftover (file, keep, error) : create_fresh (file, error)))
        return NULL;
    cw_inbox_place_mention (inbox, &file->place);
    if (!sparse && !reserve (file, size, error)) {
        cw_inbox_file_abort (g_steal_pointer (&file), TRUE);
        return NULL;
    }
    return g_steal_pointer (&file);
}

static void
start_write_back (CwInboxFile *file)
{
    cw_inbox_flush_start (file->inbox, file->fd, file->flushing, file->length - file->flushing);
    file->flushing = file->length;
}

gboolean
cw_inbox_file_write (
    CwInboxFile *file, guint64 offset, const void *data, size_t len, GError **error)
{
    const guint8 *p = data;

    if (offset < file->length || offset > G_MAXINT64 || len > G_MAXINT64 - offset) {
        g_autofree char *shown = cw_name_dup_display (file->place.raw, 160);
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL,
                     "data for '%s' belongs where it cannot be", shown);
        return FALSE;
    }
    while (len > 0) {
        ssize_t n = pwrite (file->fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cw_inbox_fail (error, errno, "write", file->place.raw);
        p += n;
        len -= (size_t)n;
        offset += (guint64)n;
        file->length = offset;
    }
    if (file->length - file->flushing >= WRITE_BACK_STEP)
        start_write_back (file);
    return TRUE;
}

static gboolean
settle (CwInboxFile *file, guint64 size, const CwInboxMeta *meta, GError **error)
{
    int fd = file->fd;

    if (size > G_MAXINT64)
        return cw_inbox_fail (error, EFBIG, "write", file->place.raw);
    if ((file->length != size || file->reserved > size) && ftruncate (fd, (off_t)size) < 0)
        return cw_inbox_fail (error, errno, "write", file->place.raw);
    cw_inbox_set_meta (file->inbox, fd, meta, 0600);
    if (size >= WRITE_BACK_STEP && file->flushing < file->length)
        start_write_back (file);
    file->fd = -1;
    /* Where a network file system reports what write() did not. */
    if (close (fd) < 0 && errno != EINTR)
        return cw_inbox_fail (error, errno, "write", file->place.raw);
    return TRUE;
}

gboolean
cw_inbox_file_finish (CwInboxFile *file, guint64 size, const CwInboxMeta *meta, GError **error)
{
    if (!settle (file, size, meta, error)) {
        cw_inbox_file_abort (file, TRUE);
        return FALSE;
    }
    file->inbox->n_files++;
    file_free (file);
    return TRUE;
}

/* Out of items/, since deliver() takes whatever is there. */
static gboolean
put_aside (CwInboxFile *file)
{
    CwInbox *inbox = file->inbox;
    CwInboxPlace *place = &file->place;
    int old_fd = cw_inbox_tree_walk (inbox->old->fd, place->parent, TRUE);
    gboolean ok;

    if (old_fd < 0)
        return FALSE;
    cw_inbox_place_forget_old (inbox);
    ok = cw_inbox_tree_remove (old_fd, place->name)
         && renameat (place->dir->fd, place->name, old_fd, place->name) == 0;
    close (old_fd);
    if (ok)
        inbox->resumed = TRUE;
    return ok;
}

void
cw_inbox_file_abort (CwInboxFile *file, gboolean keep)
{
    keep = keep && file->inbox->keeps && file->length > 0;
    /* Gives back what was reserved behind the end. */
    if (keep && file->fd >= 0 && file->reserved > file->length
        && ftruncate (file->fd, (off_t)file->length) < 0)
        keep = FALSE;
    if (!keep || !put_aside (file))
        unlinkat (file->place.dir->fd, file->place.name, 0);
    file_free (file);
}

/* --- Scratch --- */

int
cw_inbox_open_scratch (CwInbox *inbox, guint64 size, GError **error)
{
    int fd = openat (inbox->staging_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    /* Not every file system has those. */
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        fd = openat (inbox->staging_fd, "scratch",
                     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlinkat (inbox->staging_fd, "scratch", 0);
    }
    if (fd < 0) {
        cw_inbox_fail (error, errno, "create a file in", inbox->folder);
        return -1;
    }
    if (size >= RESERVE_FROM && fallocate (fd, FALLOC_FL_KEEP_SIZE, 0, (off_t) size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        cw_inbox_fail (error, errno, "reserve space in", inbox->folder);
        close (fd);
        return -1;
    }
    return fd;
}
