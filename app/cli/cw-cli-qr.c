/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-qr.h"

#include <qrencode.h>

#define QUIET 2 /* modules; the standard's 4 cost lines, and readers are content with 2 */

/* Light: outside of the code too. */
static gboolean
is_light (const QRcode *code, int x, int y)
{
    if (x < 0 || y < 0 || x >= code->width || y >= code->width)
        return TRUE;
    return (code->data[y * code->width + x] & 1) == 0;
}

char *
cw_qr_dup (const char *text, unsigned width, gboolean colour)
{
    static const char *const blocks[] = { " ", "▄", "▀", "█" };
    QRcode *code = QRcode_encodeString (text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    GString *out;

    if (code == NULL)
        return NULL;
    if ((unsigned)(code->width + 2 * QUIET) > width) {
        QRcode_free (code);
        return NULL;
    }
    out = g_string_new (NULL);
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        if (colour)
            g_string_append (out, "\033[97;40m");
        for (int x = -QUIET; x < code->width + QUIET; x++) {
            /* The width is odd, so the last line of characters has an upper half only. */
            gboolean lower = y + 1 < code->width + QUIET && is_light (code, x, y + 1);
            g_string_append (out, blocks[2 * is_light (code, x, y) + lower]);
        }
        g_string_append (out, colour ? "\033[0m\n" : "\n");
    }
    QRcode_free (code);
    return g_string_free (out, FALSE);
}
