/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Getting what arrived onto the disk before it is announced.
 *
 * What is announced should survive a power cut: the sender may delete the original on our word.
 * cp, browsers and the wormhole programs leave that to chance for half a minute. Where the disk is
 * as fast as the network it costs next to nothing, if it is begun early: a thread starts write-back
 * while data still comes (sync_file_range() waits when the device's queue is full, so not the
 * writer), and at the end little is left: 10-20 ms after 1 GiB, where a sync that was not begun
 * early takes half a second or more. Where the disk is the slower one, waiting for it would make
 * the transfer as slow as the disk, which can be several times slower than memory. So the wait is
 * bounded: a tenth of the time that the transfer took, and a fifth of a second at least. When it
 * runs out, what is still on its way to the disk is announced as the others do it, for the seconds
 * that the disk needs.
 *
 * Few files are synced one by one, many by one syncfs(), which also writes what is not ours: for
 * 10,000 files of 4 KiB that took 0.1-0.2 s. */

#include "cw-inbox-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SYNC_EACH 64
#define MIN_WAIT_US (G_USEC_PER_SEC / 5)

typedef struct {
    int fd;
    guint64 from, len;
} Range;

static void
range_free (gpointer data)
{
    Range *range = data;

    close (range->fd);
    g_free (range);
}

static void
write_range (gpointer data, gpointer user_data)
{
    Range *range = data;

    sync_file_range (range->fd, (off_t)range->from, (off_t)range->len, SYNC_FILE_RANGE_WRITE);
    range_free (range);
}

void
cw_inbox_flush_start (CwInbox *inbox, int fd, guint64 from, guint64 len)
{
    Range *range;
    int own = fcntl (fd, F_DUPFD_CLOEXEC, 0);

    /* Without a descriptor or a thread to spare it is only later. */
    if (own < 0)
        return;
    if (inbox->flusher == NULL)
        inbox->flusher = g_thread_pool_new_full (write_range, NULL, range_free, 1, FALSE, NULL);
    range = g_new (Range, 1);
    *range = (Range){ .fd = own, .from = from, .len = len };
    g_thread_pool_push (inbox->flusher, range, NULL);
}

void
cw_inbox_flush_stop (CwInbox *inbox)
{
    if (inbox->flusher != NULL)
        g_thread_pool_free (g_steal_pointer (&inbox->flusher), TRUE, FALSE);
}

/* A sync that may outlive the wait for it, and then belongs to its thread alone. */
typedef struct {
    gatomicrefcount ref_count;
    int dir_fd;
    gboolean each;
    GMutex lock; /* for what follows */
    GCond changed;
    gboolean done;
    int errnum;
} Sync;

static void
sync_unref (Sync *sync)
{
    if (!g_atomic_ref_count_dec (&sync->ref_count))
        return;
    close (sync->dir_fd);
    g_mutex_clear (&sync->lock);
    g_cond_clear (&sync->changed);
    g_free (sync);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Sync, sync_unref)

static gpointer
run_sync (gpointer data)
{
    g_autoptr (Sync) sync = data;
    gboolean ok = sync->each ? cw_inbox_tree_sync (sync->dir_fd)
                             : syncfs (sync->dir_fd) == 0 || errno == ENOSYS;
    int errnum = ok ? 0 : errno;

    g_mutex_lock (&sync->lock);
    sync->errnum = errnum;
    sync->done = TRUE;
    g_cond_signal (&sync->changed);
    g_mutex_unlock (&sync->lock);
    return NULL;
}

CwInboxFlush
cw_inbox_flush_finish (CwInbox *inbox)
{
    gint64 now = g_get_monotonic_time ();
    gint64 took = inbox->begun_us == 0 ? 0 : now - inbox->begun_us;
    gint64 until = now + MAX (MIN_WAIT_US, took / 10);
    g_autoptr (Sync) sync = NULL;
    g_autoptr (GThread) thread = NULL;
    CwInboxFlush result = CW_INBOX_FLUSH_DONE;
    int fd = cw_inbox_tree_open (inbox->items->fd, ".");

    if (fd < 0)
        return CW_INBOX_FLUSH_FAILED;
    sync = g_new0 (Sync, 1);
    g_atomic_ref_count_init (&sync->ref_count);
    sync->dir_fd = fd;
    sync->each = inbox->n_files <= SYNC_EACH;
    g_mutex_init (&sync->lock);
    g_cond_init (&sync->changed);
    g_atomic_ref_count_inc (&sync->ref_count);
    thread = g_thread_new ("inbox-sync", run_sync, sync);

    g_mutex_lock (&sync->lock);
    while (!sync->done && g_cond_wait_until (&sync->changed, &sync->lock, until))
        ;
    if (!sync->done)
        result = CW_INBOX_FLUSH_LATE;
    else if (sync->errnum != 0)
        result = CW_INBOX_FLUSH_FAILED;
    errno = sync->errnum;
    g_mutex_unlock (&sync->lock);
    return result;
}
