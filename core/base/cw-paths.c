/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-paths.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
set_errno_error (GError **error, const char *what, const char *path)
{
    int code = errno;

    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s '%s': %s", what, path,
                 g_strerror (code));
    return FALSE;
}

static char *
dup_xdg_dir (const char *variable, const char *below_home, GError **error)
{
    const char *base = g_getenv (variable);
    g_autofree char *dir = NULL;

    /* The specification says to ignore a relative one. */
    if (base != NULL && g_path_is_absolute (base))
        dir = g_build_filename (base, "causeway", NULL);
    else
        dir = g_build_filename (g_get_home_dir (), below_home, "causeway", NULL);
    if (g_mkdir_with_parents (dir, 0700) < 0) {
        set_errno_error (error, "cannot create folder", dir);
        return NULL;
    }
    return g_steal_pointer (&dir);
}

char *
cw_paths_dup_data_dir (GError **error)
{
    return dup_xdg_dir ("XDG_DATA_HOME", ".local/share", error);
}

char *
cw_paths_dup_config_dir (GError **error)
{
    return dup_xdg_dir ("XDG_CONFIG_HOME", ".config", error);
}

char *
cw_paths_dup_download_dir (void)
{
    const char *special = g_get_user_special_dir (G_USER_DIRECTORY_DOWNLOAD);
    g_autofree char *downloads = NULL;

    if (special != NULL && g_file_test (special, G_FILE_TEST_IS_DIR))
        return g_strdup (special);
    downloads = g_build_filename (g_get_home_dir (), "Downloads", NULL);
    if (g_file_test (downloads, G_FILE_TEST_IS_DIR))
        return g_steal_pointer (&downloads);
    return g_strdup (g_get_home_dir ());
}

static gboolean
write_all (int fd, const guint8 *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write (fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        data += n;
        len -= (size_t)n;
    }
    return TRUE;
}

gboolean
cw_paths_write_private (const char *path, const void *data, size_t len, GError **error)
{
    g_autofree char *temp = g_strconcat (path, ".XXXXXX", NULL);
    g_autofree char *dir = g_path_get_dirname (path);
    int fd = g_mkstemp_full (temp, O_RDWR | O_CLOEXEC, 0600);
    gboolean ok;
    int dir_fd;

    if (fd < 0)
        return set_errno_error (error, "cannot create", temp);
    ok = write_all (fd, data, len) && fsync (fd) == 0;
    ok = close (fd) == 0 && ok;
    if (!ok || rename (temp, path) < 0) {
        set_errno_error (error, "cannot write", path);
        unlink (temp);
        return FALSE;
    }
    dir_fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd >= 0) {
        fsync (dir_fd);
        close (dir_fd);
    }
    return TRUE;
}
