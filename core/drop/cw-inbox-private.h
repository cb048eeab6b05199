/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What the files of the inbox share. On disk:
 *
 *   TARGET/.causeway-TAG.part/   0700, ours; without a tag ".causeway-once-RANDOM.part"
 *     lock      flock()ed while somebody uses the folder; its mtime says when that was last
 *     items/    what this attempt brought, under safe names: every file in it that is not open is
 *               whole and verified, and deliver() moves just this
 *     old/      what earlier attempts left; nothing in it is trusted before it is hashed again
 *     journal   which renames into the target are under way (cw-inbox-deliver.c)
 *
 * cw-inbox-staging.c  getting, locking and clearing that folder
 * cw-inbox-tree.c     folders and entries by descriptor: removing, merging, opening
 * cw-inbox-place.c    from a peer's path to a folder and a name in items/
 * cw-inbox.c          opening, what is left, folders, symlinks
 * cw-inbox-file.c     files
 * cw-inbox-flush.c    getting it onto the disk
 * cw-inbox-deliver.c  into the target, and back after a crash in the middle */

#include <sys/stat.h>

#include "cw-inbox.h"

/* A folder that is open; shared by the cache and the files being written in it. */
typedef struct {
    int ref_count;
    int fd;
} CwInboxDir;

struct _CwInbox {
    char *folder; /* the target, absolute */
    int folder_fd;

    char *staging_name;
    int staging_fd;
    int lock_fd;
    gboolean keeps; /* a tag was given: leftovers are for the next attempt */
    CwInboxDir *items;
    CwInboxDir *old;
    gboolean resumed;
    mode_t umask;

    /* cw-inbox-place.c */
    guint8 made_key[16];
    GHashTable *made;     /* keyed hashes of the raw paths of folders made; at most MAX_MADE */
    GHashTable *renamed;  /* raw path of a folder to its name, where that is not the safe one */
    GPtrArray *mentioned; /* names in items/ in the order they came, the first 1,000 */
    char *parent_raw;     /* the parent used last, as the peer spelled it; NULL: none */
    char *parent_safe;
    CwInboxDir *parent_dir; /* in items/; NULL: not made yet */
    char *old_parent;       /* the same in old/, by its safe path; NULL: none */
    CwInboxDir *old_dir;    /* NULL: there is no such folder */

    gint64 begun_us;      /* when the first file began; 0: none did */
    guint64 n_files;      /* finished in this attempt */
    GThreadPool *flusher; /* starts write-back; NULL until it is needed */
    guint8 *buffer;       /* for hashing; NULL until it is needed */
};

/* --- cw-inbox-tree.c --- */

CwInboxDir *cw_inbox_dir_new (int fd); /* takes it */
CwInboxDir *cw_inbox_dir_ref (CwInboxDir *dir);
void cw_inbox_dir_unref (CwInboxDir *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwInboxDir, cw_inbox_dir_unref)

/* Below, -1 or FALSE means: see errno. Nothing follows a symlink. */

/* Deeper trees than a peer may send are not ours. */
#define CW_INBOX_MAX_DEPTH 200

int cw_inbox_tree_open (int dir_fd, const char *name);
/* @path: safe names only, "" for @root itself. @create: make what is missing. */
int cw_inbox_tree_walk (int root_fd, const char *path, gboolean create);
gboolean cw_inbox_tree_is_empty (int dir_fd);
/* The first @max names in it, in no order. Free with g_ptr_array_unref(). */
GPtrArray *cw_inbox_tree_list (int dir_fd, guint max);
/* Whatever it is. TRUE when it is not there (any more). */
gboolean cw_inbox_tree_remove (int dir_fd, const char *name);
gboolean cw_inbox_tree_remove_contents (int dir_fd);
/* Moves what is in @from into @to, folder by folder; where both have something, @from's wins. May
 * be interrupted and done again. */
gboolean cw_inbox_tree_merge (int from_fd, int to_fd);
/* Has nothing in the folder @dir_fd, at any depth, changed after @when? */
gboolean cw_inbox_tree_is_unchanged (int dir_fd, const struct timespec *when);
/* Everything below is on the disk: one by one. */
gboolean cw_inbox_tree_sync (int dir_fd);
/* The entries of one folder are. */
gboolean cw_inbox_tree_sync_folder (int dir_fd, const char *name);

/* --- cw-inbox-staging.c --- */

/* Fills the staging fields; the folder is made if need be, and locked. */
gboolean cw_inbox_staging_open (CwInbox *inbox, const char *tag, GError **error);
void cw_inbox_staging_remove (CwInbox *inbox);
/* Removes staging folders in the same target that nobody will come back for. */
void cw_inbox_staging_sweep (CwInbox *inbox);

/* --- cw-inbox-place.c --- */

/* Where an item goes. */
typedef struct {
    char *raw;       /* the peer's path without slashes at its end */
    CwInboxDir *dir; /* its parent in items/; NULL when that is not made and was not to be */
    char *parent;    /* safe path of the parent, "" at the top */
    char *name;      /* safe, but perhaps taken */
    gboolean top_level;
} CwInboxPlace;

void cw_inbox_place_clear (CwInboxPlace *place);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwInboxPlace, cw_inbox_place_clear)

gboolean cw_inbox_place_find (
    CwInbox *inbox, const char *path, gboolean create, CwInboxPlace *ret, GError **error);
/* Makes the folder itself, or finds it made: changes @place's name to what it is called. */
gboolean cw_inbox_place_make_folder (CwInbox *inbox, CwInboxPlace *place, GError **error);
/* To be called when @place's name is taken: the @n-th other one, n from 2. FALSE: enough. */
gboolean cw_inbox_place_number (
    CwInboxPlace *place, const char *name, unsigned n, gboolean is_folder, GError **error);
/* Remembers what came at the top level, for the order of delivery. */
void cw_inbox_place_mention (CwInbox *inbox, const CwInboxPlace *place);
/* The folder of old/ that corresponds to @place's parent; borrowed until the next call; NULL: there
 * is none. */
CwInboxDir *cw_inbox_place_get_old (CwInbox *inbox, const char *parent);
void cw_inbox_place_forget_old (CwInbox *inbox);

/* --- cw-inbox-flush.c --- */

/* Has the kernel begin to write out this part of @fd, soon. */
void cw_inbox_flush_start (CwInbox *inbox, int fd, guint64 from, guint64 len);
void cw_inbox_flush_stop (CwInbox *inbox);

typedef enum {
    CW_INBOX_FLUSH_DONE,
    CW_INBOX_FLUSH_LATE,   /* the disk is too slow to wait for; it goes on */
    CW_INBOX_FLUSH_FAILED, /* see errno */
} CwInboxFlush;
/* Waits for everything in items/, but not for too long. */
CwInboxFlush cw_inbox_flush_finish (CwInbox *inbox);

/* --- cw-inbox-deliver.c --- */

/* What a delivery that died had moved already goes to old/, unless somebody has touched it since.
 */
void cw_inbox_take_back (CwInbox *inbox);

/* --- cw-inbox.c --- */

/* Gives @place the name that a file gets there now. */
gboolean cw_inbox_choose_free_name (CwInboxPlace *place, GError **error);
/* The regular file of old/ that belongs to @place; -1 when there is none. */
int cw_inbox_open_leftover (CwInbox *inbox, const CwInboxPlace *place, int flags, struct stat *ret);
/* Failures are let pass: file systems without modes or with a shorter time are no reason to throw
 * away what has arrived, and what stays is the stricter mode. */
void cw_inbox_set_meta (CwInbox *inbox, int fd, const CwInboxMeta *meta, mode_t at_least);

/* Sets @error from @errnum: "cannot VERB 'PATH': reason". Always FALSE. */
gboolean cw_inbox_fail (GError **error, int errnum, const char *verb, const char *path);
