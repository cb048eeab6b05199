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
 * that no symlink of the peer's leads out. "/" at the start and the end are ignored; more than 200
 * components or 64 KiB are CW_DROP_ERROR_BAD_NAME. A name that is taken by another item of this
 * attempt, by our replacing or on a file system that ignores case, gets a number, and what is in a
 * folder goes where the folder went; the same folder again is no clash. Memory does not grow with
 * the number of items (3 MB for the folders, at most).
 *
 * Once deliver() has returned TRUE, what came is on the disk, so that a power cut cannot take back
 * what the sender is told, unless the disk is much slower than the network: the wait for it is
 * bounded (cw-inbox-flush.c).
 *
 * Hidden folders that nobody has used for 30 days are removed when the next offer comes into the
 * same target.
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
 * the hidden folder. After a delivery: not before the sender has been told. If we die before, the
 * sender will offer it again, and until then the hidden folder knows that it has been delivered. */
void cw_inbox_free (CwInbox *inbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwInbox, cw_inbox_free)

/* Bytes a user may still write below @folder; -1 when that cannot be told. */
gint64 cw_inbox_free_space (const char *folder);

/* TRUE when an earlier attempt left something that this one may use. */
gboolean cw_inbox_is_resumed (CwInbox *inbox);

/* What an earlier attempt left for @path: its length and the SHA-256 of those bytes. FALSE without
 * error when there is nothing. Reads the whole file: @cancellable. A file that was already
 * delivered by an attempt that died in between counts too, if nobody has touched it since. Of two
 * paths that clash, the first must be begun before the second is looked up; else begin_file() may
 * find less than was promised and fail, or keep other bytes, which the final check then finds. */
gboolean cw_inbox_look_up (CwInbox *inbox, const char *path, GCancellable *cancellable,
                           guint64 *ret_length, guint8 ret_sha256[32], GError **error);

/* Folders: made before what is in them, finished after it. Missing parents of any item are made. */
gboolean cw_inbox_make_folder (CwInbox *inbox, const char *path, GError **error);
gboolean cw_inbox_finish_folder (CwInbox *inbox, const char *path, const CwInboxMeta *meta,
                                 GError **error);

/* A symlink whose target stays inside its top-level item (cw-names.h), else CW_DROP_ERROR_BAD_LINK.
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
/* Frees @file; @keep: leave what was written for the next attempt (or another begin_file() in this
 * one), else remove it. It is not delivered in either case. */
void cw_inbox_file_abort (CwInboxFile *file, gboolean keep);

/* A nameless file on the target's file system for what is not an item itself (a folder's zip), with
 * space for @size bytes reserved if the file system can. The caller closes it; -1 on failure. */
int cw_inbox_open_scratch (CwInbox *inbox, guint64 size, GError **error);

/* Renames every top-level item into the target and forgets leftovers of earlier attempts that were
 * not mentioned this time. *@ret_paths: absolute final paths, in the order of first mention up to
 * 1,000. Missing folders, failed items and such are the caller's to judge: it delivers what is there.
 * On failure the other items are delivered all the same; all stay known to the next attempt. */
gboolean cw_inbox_deliver (CwInbox *inbox, GPtrArray **ret_paths, GError **error);

G_END_DECLS
