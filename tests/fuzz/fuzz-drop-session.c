/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A sender's whole stream, its offer accepted into a folder; then the stream ends. Whatever came,
 * the receiver returns, and what it calls delivered is in the folder. */

#include <fcntl.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cw-drop.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static char *folder;

static void
clear_folder (int dir_fd, const char *name)
{
    int fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *path = NULL;
    g_autoptr (GDir) dir = NULL;
    const char *child;

    if (fd < 0)
        return;
    fchmod (fd, 0700);
    path = g_strdup_printf ("/proc/self/fd/%d", fd);
    dir = g_dir_open (path, 0, NULL);
    while (dir != NULL && (child = g_dir_read_name (dir)) != NULL) {
        if (unlinkat (fd, child, 0) != 0) {
            clear_folder (fd, child);
            unlinkat (fd, child, AT_REMOVEDIR);
        }
    }
    close (fd);
}

static void
remove_folder (void)
{
    clear_folder (AT_FDCWD, folder);
    rmdir (folder);
    g_free (folder);
}

static void
make_folder_once (void)
{
    if (folder != NULL)
        return;
    folder = g_strdup ("/dev/shm/cw-fuzz-XXXXXX");
    if (g_mkdtemp (folder) == NULL) {
        g_free (folder);
        folder = g_dir_make_tmp ("cw-fuzz-XXXXXX", NULL);
    }
    g_assert_nonnull (folder);
    atexit (remove_folder);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (GInputStream) in = g_memory_input_stream_new_from_data (data, (gssize)size, NULL);
    g_autoptr (GOutputStream) out = g_memory_output_stream_new_resizable ();
    g_autoptr (GIOStream) stream = g_simple_io_stream_new (in, out);
    g_autoptr (CwDecision) decision = cw_decision_new ();
    g_autoptr (CwTransfer) transfer = cw_transfer_new ();
    CwDropReceiveArgs args = { .sender_id = "fuzz", .transfer = transfer, .decision = decision };
    g_autoptr (GPtrArray) paths = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree char *text = NULL;
    gboolean ok;

    make_folder_once ();
    cw_decision_accept (decision, folder, -1);
    ok = cw_drop_receive (stream, &args, NULL, &paths, &text, &error);
    g_assert (ok == (error == NULL));
    g_assert (!ok || paths != NULL || text != NULL);
    for (guint i = 0; paths != NULL && i < paths->len; i++) {
        const char *path = g_ptr_array_index (paths, i);
        struct stat st;
        g_assert (g_str_has_prefix (path, folder) && path[strlen (folder)] == '/');
        g_assert_cmpint (lstat (path, &st), ==, 0);
        g_assert (S_ISREG (st.st_mode) || S_ISDIR (st.st_mode));
    }
    /* Leftovers make the next one a resumed one; now and then it starts from nothing. */
    if (paths != NULL || size % 8 == 0)
        clear_folder (AT_FDCWD, folder);
    return 0;
}
