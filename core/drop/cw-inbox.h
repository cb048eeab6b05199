/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* The receiver's disk: where a transfer's items are gathered, verified and then delivered.
 *
 * Everything of one offer is written into one hidden folder beside the target,
 * ".causeway-TAG.part", on the same file system, and nothing gets a name a person would use before
 * cw_inbox_deliver() renames the top-level items into the target, never over anything that is
 * there ("name (2).ext"). The folder survives a crash; opened again with the same tag it gives
 * back what had arrived. One process at a time holds it (a lock the kernel drops with us).
 *
 * Paths are as the peer sent them: "photos/2024/a.jpg", valid UTF-8 or not, hostile. They are made
 * safe here and nowhere else, component by component (cw-names.h), and walked with O_NOFOLLOW, so
 * that no symlink of the peer's leads out. Memory does not grow with the number of items.
 *
 * Blocking; one thread at a time. Errors are CW_DROP_ERROR. */

#include <gio/gio.h>

#include "cw-drop-error.h"

G_BEGIN_DECLS

typedef struct _CwInbox CwInbox;
typedef struct _CwInboxFile CwInboxFile;

/* What a file is given when it is whole. */
typedef struct {
    guint32 mode;     /* permission bits; setuid, setgid and sticky are dropped */
    gint64 mtime_ns;  /* Unix time; G_MININT64: leave as it is */
} CwInboxMeta;

/* @folder must exist. @tag: stable text for "the same offer from the same sender", [a-z0-9]{1,32},
 * or NULL for one that will not be resumed (it is removed by cw_inbox_free()). CW_DROP_ERROR_BUSY
 * when another process is receiving it. */
CwInbox *cw_inbox_open (const char *folder, const char *tag, GError **error);
/* Leaves unfinished items for the next attempt (with a tag and at least one item), else removes
 * the hidden folder. */
void cw_inbox_free (CwInbox *inbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwInbox, cw_inbox_free)

/* Bytes a user may still write below @folder; -1 when that cannot be told. */
gint64 cw_inbox_free_space (const char *folder);

/* TRUE when an earlier attempt left something that this one may use. */
gboolean cw_inbox_is_resumed (CwInbox *inbox);

/* What an earlier attempt left for @path: its length and the SHA-256 of those bytes. FALSE without
 * error when there is nothing. Reads the whole file: @cancellable. A file that was already
 * delivered by an attempt that died in between counts too. */
gboolean cw_inbox_look_up (CwInbox *inbox, const char *path, GCancellable *cancellable,
                           guint64 *ret_length, guint8 ret_sha256[32], GError **error);

/* Folders: made before what is in them, finished after it. Missing parents of any item are made. */
gboolean cw_inbox_make_folder (CwInbox *inbox, const char *path, GError **error);
gboolean cw_inbox_finish_folder (CwInbox *inbox, const char *path, const CwInboxMeta *meta,
                                 GError **error);

/* A symlink whose target stays lexically inside its top-level item, else CW_DROP_ERROR_BAD_LINK.
 * @path must have at least two components. */
gboolean cw_inbox_make_symlink (CwInbox *inbox, const char *path, const char *target,
                                const CwInboxMeta *meta, GError **error);

/* Begins @path; of what look_up() found, the first @keep bytes are kept (0: a fresh file). @size:
 * what is coming in all, or -1; space is reserved if the file system can. @sparse: expect holes,
 * so do not reserve. */
CwInboxFile *cw_inbox_begin_file (CwInbox *inbox, const char *path, guint64 keep, gint64 size,
                                  gboolean sparse, GError **error);
/* Writes at @offset, which never goes backwards; what is skipped is a hole of zeros. */
gboolean cw_inbox_file_write (CwInboxFile *file, guint64 offset, const void *data, size_t len,
                              GError **error);
/* The file is whole and verified: length becomes @size, metadata is set. Frees @file. */
gboolean cw_inbox_file_finish (CwInboxFile *file, guint64 size, const CwInboxMeta *meta,
                               GError **error);
/* Frees @file; @keep: leave what was written for the next attempt, else remove it. */
void cw_inbox_file_abort (CwInboxFile *file, gboolean keep);

/* A nameless file on the target's file system for what is not an item itself (a folder's zip), with
 * space for @size bytes reserved if the file system can. The caller closes it; -1 on failure. */
int cw_inbox_open_scratch (CwInbox *inbox, guint64 size, GError **error);

/* Renames every top-level item into the target and forgets leftovers of earlier attempts that were
 * not mentioned this time. *@ret_paths: absolute final paths, in the order of first mention up to
 * 1,000. On failure what could not be delivered stays for the next attempt. */
gboolean cw_inbox_deliver (CwInbox *inbox, GPtrArray **ret_paths, GError **error);

G_END_DECLS
