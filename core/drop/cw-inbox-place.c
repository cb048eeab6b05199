/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* From the path a peer wrote to a folder and a name in items/.
 *
 * Each component is made safe by itself, and two different ones can become the same name, by our
 * replacing or by a file system that does not tell them apart. Files then get numbers as they
 * come. Folders must keep their number for what is still to come in them: a folder whose name was
 * taken by something else is remembered with the name it got (there are few), and "taken by
 * something else" is told from "made before" by a set of hashes of all folders' raw paths. When
 * that set is full, such folders are merged; the files in them are still numbered, not lost. */

#include "cw-inbox-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "cw-names.h"

/* Some 3 MB when it is full. */
#define MAX_MADE (1 << 17)
#define MAX_RENAMED 1000
/* Bytes of a peer's path. */
#define MAX_PATH_BYTES 65536
/* A peer that sends one name more often gets an error, not a search through all numbers. */
#define MAX_NUMBER 1000
#define MAX_MENTIONED 1000

void
cw_inbox_place_clear (CwInboxPlace *place)
{
    g_clear_pointer (&place->raw, g_free);
    g_clear_pointer (&place->dir, cw_inbox_dir_unref);
    g_clear_pointer (&place->parent, g_free);
    g_clear_pointer (&place->name, g_free);
}

static gboolean
fail_name (GError **error, const char *path, const char *why)
{
    g_autofree char *shown = cw_name_dup_display (path, 160);

    g_set_error (error, CW_DROP_ERROR, CW_DROP_ERROR_BAD_NAME, "cannot use path '%s': %s", shown,
                 why);
    return FALSE;
}

/* --- Folders that were made --- */

static gpointer
hash_raw (CwInbox *inbox, const char *raw, size_t len)
{
    guint8 hash[crypto_shorthash_BYTES];
    gsize value;

    G_STATIC_ASSERT (sizeof inbox->made_key == crypto_shorthash_KEYBYTES);
    crypto_shorthash (hash, (const guint8 *)raw, len, inbox->made_key);
    memcpy (&value, hash, sizeof value);
    return GSIZE_TO_POINTER (value);
}

static gboolean
was_made (CwInbox *inbox, const char *raw, size_t len)
{
    return g_hash_table_contains (inbox->made, hash_raw (inbox, raw, len));
}

static void
note_made (CwInbox *inbox, const char *raw, size_t len)
{
    if (g_hash_table_size (inbox->made) < MAX_MADE)
        g_hash_table_add (inbox->made, hash_raw (inbox, raw, len));
}

/* What the folder @raw is called, or would be if nothing is in its way. */
static char *
name_folder (CwInbox *inbox, const char *raw, size_t len, size_t name_at)
{
    if (g_hash_table_size (inbox->renamed) > 0) {
        g_autofree char *key = g_strndup (raw, len);
        const char *name = g_hash_table_lookup (inbox->renamed, key);
        if (name != NULL)
            return g_strdup (name);
    }
    return cw_name_make_safe (raw + name_at, len - name_at, name_at == 0);
}

static gboolean
is_folder (int dir_fd, const char *name)
{
    struct stat st;

    return fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (st.st_mode);
}

/* The folder called @place->raw in @place->dir. */
static gboolean
make_folder (CwInbox *inbox, CwInboxPlace *place, GError **error)
{
    size_t len = strlen (place->raw);
    g_autofree char *safe = NULL;
    unsigned n = 2;

    if (was_made (inbox, place->raw, len))
        return TRUE;
    safe = g_strdup (place->name);
    while (mkdirat (place->dir->fd, place->name, 0777) < 0) {
        if (errno != EEXIST)
            return cw_inbox_fail (error, errno, "make folder", place->raw);
        if (g_hash_table_size (inbox->made) >= MAX_MADE && is_folder (place->dir->fd, place->name))
            return TRUE;
        if (!cw_inbox_place_number (place, safe, n++, TRUE, error))
            return FALSE;
    }
    note_made (inbox, place->raw, len);
    cw_inbox_place_mention (inbox, place);
    if (strcmp (place->name, safe) == 0)
        return TRUE;
    if (g_hash_table_size (inbox->renamed) >= MAX_RENAMED)
        return fail_name (error, place->raw, "too many folders of the same name");
    g_hash_table_insert (inbox->renamed, g_strdup (place->raw), g_strdup (place->name));
    return TRUE;
}

gboolean
cw_inbox_place_make_folder (CwInbox *inbox, CwInboxPlace *place, GError **error)
{
    g_autofree char *name = g_steal_pointer (&place->name);
    const char *slash = strrchr (place->raw, '/');

    place->name = name_folder (inbox, place->raw, strlen (place->raw),
                               slash == NULL ? 0 : (size_t)(slash + 1 - place->raw));
    return make_folder (inbox, place, error);
}

gboolean
cw_inbox_place_number (
    CwInboxPlace *place, const char *name, unsigned n, gboolean folder, GError **error)
{
    if (n > MAX_NUMBER)
        return fail_name (error, place->raw, "too many items of the same name");
    g_free (place->name);
    place->name = cw_name_number (name, n, folder);
    return TRUE;
}

void
cw_inbox_place_mention (CwInbox *inbox, const CwInboxPlace *place)
{
    if (place->top_level && inbox->mentioned->len < MAX_MENTIONED)
        g_ptr_array_add (inbox->mentioned, g_strdup (place->name));
}

/* --- Parents --- */

/* The next folder on the way, whose raw path is the first @end bytes of @raw: adds its name to
 * @safe and replaces *@dir. */
static gboolean
enter (CwInbox *inbox,
       const char *raw,
       size_t at,
       size_t end,
       gboolean create,
       GString *safe,
       CwInboxDir **dir,
       GError **error)
{
    g_auto (CwInboxPlace) place = {
        .raw = g_strndup (raw, end),
        .dir = g_steal_pointer (dir),
        .name = name_folder (inbox, raw, end, at),
        .top_level = at == 0,
    };
    int fd = -1;

    if (create && !make_folder (inbox, &place, error))
        return FALSE;
    if (safe->len > 0)
        g_string_append_c (safe, '/');
    g_string_append (safe, place.name);
    if (place.dir != NULL && (create || was_made (inbox, raw, end)))
        fd = cw_inbox_tree_open (place.dir->fd, place.name);
    if (fd >= 0)
        *dir = cw_inbox_dir_new (fd);
    else if (create)
        return cw_inbox_fail (error, errno, "open folder", place.raw);
    return TRUE;
}

static gboolean
find_parent (CwInbox *inbox, const char *raw, size_t len, gboolean create, GError **error)
{
    g_autoptr (CwInboxDir) dir = cw_inbox_dir_ref (inbox->items);
    g_autoptr (GString) safe = g_string_new (NULL);
    size_t at = 0, end;

    if (inbox->parent_raw != NULL && strlen (inbox->parent_raw) == len
        && memcmp (inbox->parent_raw, raw, len) == 0 && (!create || inbox->parent_dir != NULL))
        return TRUE;
    for (; len > 0 && at <= len; at = end + 1) {
        const char *slash = memchr (raw + at, '/', len - at);
        end = slash == NULL ? len : (size_t)(slash - raw);
        if (!enter (inbox, raw, at, end, create, safe, &dir, error))
            return FALSE;
    }
    g_free (inbox->parent_raw);
    inbox->parent_raw = g_strndup (raw, len);
    g_free (inbox->parent_safe);
    inbox->parent_safe = g_string_free (g_steal_pointer (&safe), FALSE);
    g_clear_pointer (&inbox->parent_dir, cw_inbox_dir_unref);
    inbox->parent_dir = g_steal_pointer (&dir);
    return TRUE;
}

gboolean
cw_inbox_place_find (
    CwInbox *inbox, const char *path, gboolean create, CwInboxPlace *ret, GError **error)
{
    size_t len, depth = 1, name_at = 0;

    /* An absolute path is taken below the target, as tar does. */
    path += strspn (path, "/");
    len = strlen (path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (len == 0)
        return fail_name (error, path, "it is empty");
    if (len > MAX_PATH_BYTES)
        return fail_name (error, path, "it is too long");
    for (size_t i = 0; i < len; i++)
        if (path[i] == '/') {
            name_at = i + 1;
            depth++;
        }
    if (depth > CW_INBOX_MAX_DEPTH)
        return fail_name (error, path, "too many folders in one another");
    if (!find_parent (inbox, path, name_at > 0 ? name_at - 1 : 0, create, error))
        return FALSE;
    *ret = (CwInboxPlace){
        .raw = g_strndup (path, len),
        .dir = inbox->parent_dir == NULL ? NULL : cw_inbox_dir_ref (inbox->parent_dir),
        .parent = g_strdup (inbox->parent_safe),
        .name = cw_name_make_safe (path + name_at, len - name_at, name_at == 0),
        .top_level = name_at == 0,
    };
    return TRUE;
}

CwInboxDir *
cw_inbox_place_get_old (CwInbox *inbox, const char *parent)
{
    int fd;

    if (g_strcmp0 (inbox->old_parent, parent) == 0)
        return inbox->old_dir;
    cw_inbox_place_forget_old (inbox);
    fd = cw_inbox_tree_walk (inbox->old->fd, parent, FALSE);
    inbox->old_parent = g_strdup (parent);
    inbox->old_dir = fd < 0 ? NULL : cw_inbox_dir_new (fd);
    return inbox->old_dir;
}

void
cw_inbox_place_forget_old (CwInbox *inbox)
{
    g_clear_pointer (&inbox->old_parent, g_free);
    g_clear_pointer (&inbox->old_dir, cw_inbox_dir_unref);
}
