/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* A transfer's running figures, filled by the engine's threads and read by anybody: one lock, no
 * signals, cheap enough for every block and every small file. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    guint64 bytes_total; /* 0 and size_known FALSE for a pipe */
    gboolean size_known;
    guint64 bytes_done;   /* moved or already there */
    guint64 bytes_kept;   /* of these, what was there from an earlier attempt and not sent again */
    guint64 files_total;
    guint64 files_done;
    guint64 files_failed;
    char current[256]; /* UTF-8 name of the item being moved, shortened */
} CwTransferFigures;

typedef struct {
    char *path; /* as sent, below the offer */
    GError *error;
} CwTransferFailure;

/* A list of these that owns them; add copies both. Free with g_ptr_array_unref(). */
GPtrArray *cw_transfer_failures_new (void);
void cw_transfer_failures_add (GPtrArray *failures, const char *path, const GError *error);

typedef struct _CwTransfer CwTransfer;

CwTransfer *cw_transfer_new (void);
CwTransfer *cw_transfer_ref (CwTransfer *transfer);
void cw_transfer_unref (CwTransfer *transfer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwTransfer, cw_transfer_unref)

/* @bytes -1: not known. */
void cw_transfer_set_total (CwTransfer *transfer, gint64 bytes, guint64 files);
void cw_transfer_begin_file (CwTransfer *transfer, const char *path);
void cw_transfer_add_bytes (CwTransfer *transfer, guint64 bytes);
void cw_transfer_add_kept (CwTransfer *transfer, guint64 bytes); /* counts as done too */
/* Takes back bytes counted by add_bytes() or add_kept() when an item must start over. */
void cw_transfer_take_back (CwTransfer *transfer, guint64 bytes);
void cw_transfer_end_file (CwTransfer *transfer);
/* Counts @path as failed and remembers the first 1,000 with their reason. Copies @error. */
void cw_transfer_fail_file (CwTransfer *transfer, const char *path, const GError *error);

void cw_transfer_get_figures (CwTransfer *transfer, CwTransferFigures *ret);
/* Copies of what fail_file() remembered: GPtrArray of CwTransferFailure, with free function. */
GPtrArray *cw_transfer_dup_failures (CwTransfer *transfer);

G_END_DECLS
