/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A receiver's whole stream, against a sender of one folder with a file and an empty one. Whatever
 * it says, the sender returns; it calls nothing sent that was not. */

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cw-drop.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static char *folder;

static void
remove_folder (void)
{
    g_autofree char *full = g_build_filename (folder, "a", NULL);
    g_autofree char *empty = g_build_filename (folder, "b", NULL);

    g_unlink (full);
    g_unlink (empty);
    g_rmdir (folder);
    g_free (folder);
}

static void
make_folder_once (void)
{
    g_autofree char *full = NULL;
    g_autofree char *empty = NULL;

    if (folder != NULL)
        return;
    folder = g_dir_make_tmp ("cw-fuzz-XXXXXX", NULL);
    g_assert_nonnull (folder);
    full = g_build_filename (folder, "a", NULL);
    empty = g_build_filename (folder, "b", NULL);
    g_assert_true (g_file_set_contents (full, "thirty bytes, no more, no less", 30, NULL));
    g_assert_true (g_file_set_contents (empty, "", 0, NULL));
    atexit (remove_folder);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (GInputStream) in = g_memory_input_stream_new_from_data (data, (gssize)size, NULL);
    g_autoptr (GOutputStream) out = g_memory_output_stream_new_resizable ();
    g_autoptr (GIOStream) stream = g_simple_io_stream_new (in, out);
    g_autoptr (CwTransfer) transfer = cw_transfer_new ();
    g_autoptr (CwOutgoing) outgoing = NULL;
    g_autoptr (GError) error = NULL;
    const char *paths[] = { NULL, NULL };
    CwTransferFigures figures;
    gboolean ok;

    make_folder_once ();
    paths[0] = folder;
    outgoing = cw_outgoing_new (paths, NULL, NULL);
    ok = cw_drop_send (stream, &(CwDropSendArgs){ .outgoing = outgoing, .transfer = transfer },
                       NULL, &error);
    cw_transfer_get_figures (transfer, &figures);
    g_assert (ok == (error == NULL));
    g_assert_cmpuint (figures.files_done + figures.files_failed, <=,
                      2 + 2); /* folder requests fail */
    g_assert_cmpuint (figures.bytes_done, <=, 30);
    g_assert (!ok || figures.files_failed == 0);
    return 0;
}
