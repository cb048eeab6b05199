/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-inbox-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define PREFIX ".causeway-"
#define SUFFIX ".part"
/* Never resumed, so of no use to anybody once it is unlocked; no tag has a "-". */
#define ONCE PREFIX "once-"

/* Whoever has not come back for the rest after so long will not. */
#define STALE_AFTER_S (30 * 24 * 60 * 60)
/* Entries of the target looked at in search of stale folders; in a fuller one they stay. */
#define MAX_SWEPT_ENTRIES 4096

/* The lock's holder may remove the folder between our steps, and we then start over; this often is
 * not chance any more. */
#define MAX_TRIES 20

typedef struct {
    int staging_fd;
    int lock_fd;
} Locked;

static void
locked_clear (Locked *locked)
{
    int saved = errno;

    if (locked->lock_fd >= 0)
        close (locked->lock_fd);
    if (locked->staging_fd >= 0)
        close (locked->staging_fd);
    *locked = (Locked){ -1, -1 };
    errno = saved;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Locked, locked_clear)

static gboolean
is_same_file (int dir_fd, const char *name, int fd)
{
    struct stat there, here;

    return fstatat (dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && fstat (fd, &here) == 0
           && there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

/* 0 or an errno: EBUSY: in use; EAGAIN: it went away meanwhile; EEXIST: it is not ours. @flags:
 * O_CREAT or 0. @made: we have just made it. */
static int
lock_folder (int folder_fd, const char *name, int flags, gboolean made, Locked *ret)
{
    g_auto (Locked) locked = { -1, -1 };
    struct stat st;

    locked.staging_fd = cw_inbox_tree_open (folder_fd, name);
    if (locked.staging_fd < 0)
        return errno == ENOENT ? EAGAIN : errno == ELOOP || errno == ENOTDIR ? EEXIST : errno;
    if (fstat (locked.staging_fd, &st) < 0)
        return errno;
    /* In a folder like /tmp, anybody can make it before us. (Some file systems give every file to
     * one user: there we make a fresh one each time.) */
    if (!made && st.st_uid != geteuid ())
        return EEXIST;
    locked.lock_fd
        = openat (locked.staging_fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (locked.lock_fd < 0)
        return errno == ENOENT ? EAGAIN : errno;
    while (flock (locked.lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return EBUSY;
        /* Without locks (some network file systems) one does without. */
        if (errno != EINTR)
            break;
    }
    if (!is_same_file (folder_fd, name, locked.staging_fd)
        || !is_same_file (locked.staging_fd, "lock", locked.lock_fd))
        return EAGAIN;
    *ret = locked;
    locked = (Locked){ -1, -1 };
    return 0;
}

static int
make_and_lock (int folder_fd, const char *name, Locked *ret)
{
    int result = EAGAIN;

    for (int i = 0; i < MAX_TRIES && result == EAGAIN; i++) {
        gboolean made = mkdirat (folder_fd, name, 0700) == 0;
        if (!made && errno != EEXIST)
            return errno;
        result = lock_folder (folder_fd, name, O_CREAT, made, ret);
    }
    return result;
}

/* What the process's umask (or the folder's default ACL) takes away; umask() itself can only be
 * read by changing it for all threads. */
static mode_t
probe_umask (int staging_fd)
{
    struct stat st;
    mode_t mask = 077;
    int fd;

    unlinkat (staging_fd, "probe", 0); /* of an attempt that was killed right here */
    fd = openat (staging_fd, "probe", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0777);
    if (fd >= 0) {
        if (fstat (fd, &st) == 0)
            mask = ~st.st_mode & 0777;
        close (fd);
    }
    unlinkat (staging_fd, "probe", 0);
    return mask;
}

static char *
make_once_name (void)
{
    return g_strdup_printf (ONCE "%08x%08x" SUFFIX, g_random_int (), g_random_int ());
}

static CwInboxDir *
make_folder (int staging_fd, const char *name)
{
    int fd = cw_inbox_tree_walk (staging_fd, name, TRUE);

    return fd < 0 ? NULL : cw_inbox_dir_new (fd);
}

gboolean
cw_inbox_staging_open (CwInbox *inbox, const char *tag, GError **error)
{
    Locked locked = { -1, -1 };
    int result = EEXIST;

    if (tag != NULL) {
        inbox->staging_name = g_strconcat (PREFIX, tag, SUFFIX, NULL);
        inbox->keeps = TRUE;
        result = make_and_lock (inbox->folder_fd, inbox->staging_name, &locked);
    }
    /* Somebody else's folder under that name costs us no more than the resuming. */
    if (result == EEXIST) {
        g_free (inbox->staging_name);
        inbox->staging_name = make_once_name ();
        inbox->keeps = FALSE;
        result = make_and_lock (inbox->folder_fd, inbox->staging_name, &locked);
    }
    if (result == EBUSY || result == EAGAIN) {
        g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BUSY,
                     "the same offer is being received into '%s' already", inbox->folder);
        return FALSE;
    }
    if (result != 0)
        return cw_inbox_fail (error, result, "receive into", inbox->folder);
    inbox->staging_fd = locked.staging_fd;
    inbox->lock_fd = locked.lock_fd;
    futimens (inbox->lock_fd, NULL);
    inbox->umask = probe_umask (inbox->staging_fd);
    if ((inbox->items = make_folder (inbox->staging_fd, "items")) == NULL
        || (inbox->old = make_folder (inbox->staging_fd, "old")) == NULL)
        return cw_inbox_fail (error, errno, "receive into", inbox->folder);
    return TRUE;
}

static void
remove_folder (int folder_fd, const char *name, int staging_fd)
{
    static const char *const parts[] = { "items", "old", "journal", "probe" };

    for (size_t i = 0; i < G_N_ELEMENTS (parts); i++)
        if (!cw_inbox_tree_remove (staging_fd, parts[i]))
            return;
    /* Last and in this order: who waits for the lock finds it unlinked and starts over. */
    unlinkat (staging_fd, "lock", 0);
    unlinkat (folder_fd, name, AT_REMOVEDIR);
}

void
cw_inbox_staging_remove (CwInbox *inbox)
{
    remove_folder (inbox->folder_fd, inbox->staging_name, inbox->staging_fd);
}

static void
sweep (CwInbox *inbox, const char *name)
{
    g_auto (Locked) locked = { -1, -1 };
    struct stat st;
    int result = lock_folder (inbox->folder_fd, name, 0, FALSE, &locked);

    if (result == EAGAIN) {
        /* No lock: just being made, or a crash while it was removed; the first is not empty for
         * long and its maker copes with losing it. */
        unlinkat (inbox->folder_fd, name, AT_REMOVEDIR);
        return;
    }
    if (result != 0 || fstat (locked.lock_fd, &st) < 0)
        return;
    if (g_str_has_prefix (name, ONCE) || st.st_mtim.tv_sec < time (NULL) - STALE_AFTER_S)
        remove_folder (inbox->folder_fd, name, locked.staging_fd);
}

void
cw_inbox_staging_sweep (CwInbox *inbox)
{
    int fd = cw_inbox_tree_open (inbox->folder_fd, ".");
    DIR *list = fd < 0 ? NULL : fdopendir (fd);
    struct dirent *entry;

    if (list == NULL) {
        if (fd >= 0)
            close (fd);
        return;
    }
    for (int i = 0; i < MAX_SWEPT_ENTRIES && (entry = readdir (list)) != NULL; i++)
        if (g_str_has_prefix (entry->d_name, PREFIX) && g_str_has_suffix (entry->d_name, SUFFIX)
            && strcmp (entry->d_name, inbox->staging_name) != 0)
            sweep (inbox, entry->d_name);
    closedir (list);
}
