/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transfer.h"

#define MAX_FAILURES 1000

struct _CwTransfer {
    gatomicrefcount refs;
    GMutex lock; /* guards all below */
    CwTransferFigures figures;
    GPtrArray *failures;
};

static void
failure_free (gpointer data)
{
    CwTransferFailure *failure = data;

    g_free (failure->path);
    g_error_free (failure->error);
    g_free (failure);
}

GPtrArray *
cw_transfer_failures_new (void)
{
    return g_ptr_array_new_with_free_func (failure_free);
}

void
cw_transfer_failures_add (GPtrArray *failures, const char *path, const GError *error)
{
    CwTransferFailure *failure = g_new0 (CwTransferFailure, 1);

    failure->path = g_strdup (path);
    failure->error = g_error_copy (error);
    g_ptr_array_add (failures, failure);
}

CwTransfer *
cw_transfer_new (void)
{
    CwTransfer *transfer = g_new0 (CwTransfer, 1);

    g_atomic_ref_count_init (&transfer->refs);
    g_mutex_init (&transfer->lock);
    transfer->failures = cw_transfer_failures_new ();
    return transfer;
}

CwTransfer *
cw_transfer_ref (CwTransfer *transfer)
{
    g_atomic_ref_count_inc (&transfer->refs);
    return transfer;
}

void
cw_transfer_unref (CwTransfer *transfer)
{
    if (!g_atomic_ref_count_dec (&transfer->refs))
        return;
    g_ptr_array_unref (transfer->failures);
    g_mutex_clear (&transfer->lock);
    g_free (transfer);
}

void
cw_transfer_set_total (CwTransfer *transfer, gint64 bytes, guint64 files)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.size_known = bytes >= 0;
    transfer->figures.bytes_total = bytes >= 0 ? (guint64) bytes : 0;
    transfer->figures.files_total = files;
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_begin_file (CwTransfer *transfer, const char *path)
{
    const char *end;

    g_mutex_lock (&transfer->lock);
    g_strlcpy (transfer->figures.current, path, sizeof transfer->figures.current);
    if (!g_utf8_validate (transfer->figures.current, -1, &end))
        transfer->figures.current[end - transfer->figures.current] = '\0';
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_add_bytes (CwTransfer *transfer, guint64 bytes)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.bytes_done += bytes;
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_add_kept (CwTransfer *transfer, guint64 bytes)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.bytes_done += bytes;
    transfer->figures.bytes_kept += bytes;
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_take_back (CwTransfer *transfer, guint64 bytes)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.bytes_done -= MIN (bytes, transfer->figures.bytes_done);
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_end_file (CwTransfer *transfer)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.files_done++;
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_fail_file (CwTransfer *transfer, const char *path, const GError *error)
{
    g_mutex_lock (&transfer->lock);
    transfer->figures.files_failed++;
    if (transfer->failures->len < MAX_FAILURES)
        cw_transfer_failures_add (transfer->failures, path, error);
    g_mutex_unlock (&transfer->lock);
}

void
cw_transfer_get_figures (CwTransfer *transfer, CwTransferFigures *ret)
{
    g_mutex_lock (&transfer->lock);
    *ret = transfer->figures;
    g_mutex_unlock (&transfer->lock);
}

GPtrArray *
cw_transfer_dup_failures (CwTransfer *transfer)
{
    GPtrArray *copy = cw_transfer_failures_new ();

    g_mutex_lock (&transfer->lock);
    for (guint i = 0; i < transfer->failures->len; i++) {
        const CwTransferFailure *failure = g_ptr_array_index (transfer->failures, i);
        cw_transfer_failures_add (copy, failure->path, failure->error);
    }
    g_mutex_unlock (&transfer->lock);
    return copy;
}
