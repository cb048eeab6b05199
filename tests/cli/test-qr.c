/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <qrencode.h>
#include <string.h>

#include "cw-cli-qr.h"
#include "cw-cli-text.h"

#define QUIET 2

/* Module (x, y) as drawn: TRUE light. */
static gboolean
is_light (char **lines, int x, int y)
{
    const char *p = g_utf8_offset_to_pointer (lines[y / 2], x);
    gunichar c = g_utf8_get_char (p);

    if (c == 0x2588)
        return TRUE;
    return y % 2 == 0 ? c == 0x2580 : c == 0x2584;
}

/* What is drawn is what libqrencode made, with light around it. */
static void
test_modules (void)
{
    const char *text = "wormhole-transfer:7-crossover-clockwork";
    QRcode *code = QRcode_encodeString (text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    g_autofree char *drawn = cw_qr_dup (text, 80, FALSE);
    g_auto (GStrv) lines = g_strsplit (drawn, "\n", -1);
    int width = code->width + 2 * QUIET;

    g_assert_cmpuint (g_strv_length (lines), ==, (guint)(width + 1) / 2 + 1);
    for (int y = 0; y < width; y++) {
        g_assert_cmpuint (cw_text_columns (lines[y / 2]), ==, (unsigned)width);
        for (int x = 0; x < width; x++) {
            int cx = x - QUIET, cy = y - QUIET;
            gboolean inside = cx >= 0 && cy >= 0 && cx < code->width && cy < code->width;
            gboolean dark = inside && (code->data[cy * code->width + cx] & 1) != 0;
            g_assert_cmpint (is_light (lines, x, y), ==, !dark);
        }
    }
    QRcode_free (code);
}

static void
test_room (void)
{
    g_autofree char *long_text = g_strnfill (5000, 'x');
    g_autofree char *coloured = cw_qr_dup ("7-a-b", 80, TRUE);

    g_assert_null (cw_qr_dup ("7-a-b", 20, FALSE));
    g_assert_null (cw_qr_dup (long_text, 1000, FALSE));
    g_assert_true (g_str_has_prefix (coloured, "\033[97;40m"));
    g_assert_true (g_str_has_suffix (coloured, "\033[0m\n"));
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/qr/modules", test_modules);
    g_test_add_func ("/qr/room", test_room);
    return g_test_run ();
}
