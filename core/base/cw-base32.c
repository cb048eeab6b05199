/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-base32.h"

char *
cw_base32_encode (const guint8 *data, size_t len)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    GString *out = g_string_sized_new (len * 8 / 5 + 2);
    guint32 acc = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < len; i++) {
        acc = acc << 8 | data[i];
        for (bits += 8; bits >= 5; bits -= 5)
            g_string_append_c (out, alphabet[acc >> (bits - 5) & 31]);
    }
    if (bits > 0)
        g_string_append_c (out, alphabet[acc << (5 - bits) & 31]);
    return g_string_free (out, FALSE);
}
