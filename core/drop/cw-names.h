/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* Names from a peer are data. Pure. */

#include <glib.h>

G_BEGIN_DECLS

/* One path component, made safe to create: invalid UTF-8 and control characters (C0, C1, bidi
 * overrides, line separators) become "_", "/" too; leading and trailing blanks and trailing dots
 * go; ".", "..", "" and names that Windows reserves get a "_"; a leading dot of a top-level item
 * becomes "_" (@top_level), since a hidden file is a surprise; shortened to 255 bytes at a
 * character, keeping the extension. Never NULL, never empty. Free with g_free(). */
char *cw_name_make_safe (const char *name, size_t len, gboolean top_level);

/* "name.ext" and 2 give "name (2).ext"; "a.tar.gz" gives "a (2).tar.gz"; at most 255 bytes. */
char *cw_name_number (const char *name, unsigned n, gboolean is_folder);

/* Does the symlink @path (relative, below a top-level item) with @target stay inside that item,
 * whatever other such links there are? ".." is allowed only before the first name. */
gboolean cw_name_link_stays_inside (const char *path, const char *target);

/* For showing to a person: control characters and bidi overrides as "�", shortened in the middle
 * to @max_chars. Free with g_free(). */
char *cw_name_dup_display (const char *name, size_t max_chars);

G_END_DECLS
