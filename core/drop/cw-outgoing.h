/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What a sender has to send: the files and folders a person named, walked and measured once. */

#include <gio/gio.h>

#include "cw-drop-error.h"
#include "cw-offer.h"

G_BEGIN_DECLS

typedef struct _CwOutgoing CwOutgoing;

/* One thing to send, in pre-order: a folder before what is in it. Borrowed from the list. */
typedef struct {
    char *path;      /* as the peer sees it: "photos/2024/a.jpg"; its first component is UTF-8 */
    guint64 size;    /* files */
    gint64 mtime_ns;
    guint32 mode;    /* permission bits */
    CwItemKind kind; /* never CW_ITEM_SYMLINK at the top level */
} CwOutgoingItem;

/* Walks @paths (blocking; @cancellable). Top-level symlinks are followed, deeper ones are sent as
 * symlinks; sockets, FIFOs and devices are left out and counted as failures with
 * CW_DROP_ERROR_SOURCE_UNREADABLE, as is what cannot be read; a path of @paths itself that is
 * missing or unreadable fails the whole call. Two top-level items of one name get "name (2)". */
CwOutgoing *cw_outgoing_new (const char *const *paths, GCancellable *cancellable, GError **error);
/* One file of unknown size from @fd (a pipe), called @name; takes the fd. */
CwOutgoing *cw_outgoing_new_stream (int fd, const char *name);
void cw_outgoing_free (CwOutgoing *outgoing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwOutgoing, cw_outgoing_free)

CwOffer *cw_outgoing_dup_offer (CwOutgoing *outgoing);
guint cw_outgoing_get_n_items (CwOutgoing *outgoing);
const CwOutgoingItem *cw_outgoing_get_item (CwOutgoing *outgoing, guint index);
/* What the walk had to leave out: CwTransferFailure as in cw-transfer.h; borrowed. */
GPtrArray *cw_outgoing_get_left_out (CwOutgoing *outgoing);

gboolean cw_outgoing_is_stream (CwOutgoing *outgoing);
/* One thread at a time from here on: the folder opened last is remembered.
 * Opens item @index for reading (O_NOFOLLOW below the top level, O_CLOEXEC; the pipe: its fd, once).
 * -1 and CW_DROP_ERROR_SOURCE_UNREADABLE, or _SOURCE_CHANGED when it is no longer a regular file. */
int cw_outgoing_open (CwOutgoing *outgoing, guint index, GError **error);
/* The target of symlink @index. Free with g_free(). */
char *cw_outgoing_read_link (CwOutgoing *outgoing, guint index, GError **error);

G_END_DECLS
