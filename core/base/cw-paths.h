/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

/* Our folders under the XDG ones (the environment is honoured at every call; GLib caches it at
 * the first). Both made 0700 when they are missing. NULL and @error when that fails, or when there
 * is no home at all. Free with g_free(). */
char *cw_paths_dup_data_dir (GError **error);   /* $XDG_DATA_HOME/causeway */
char *cw_paths_dup_config_dir (GError **error); /* $XDG_CONFIG_HOME/causeway */

/* Where received files go when nobody said otherwise: the desktop's download folder, else
 * ~/Downloads if it exists, else home. */
char *cw_paths_dup_download_dir (void);

/* Writes @len bytes so that @path has all of them or its old content: temporary file, fsync,
 * rename, fsync of the folder. */
gboolean cw_paths_write_private (const char *path, const void *data, size_t len, GError **error);
