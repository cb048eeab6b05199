/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

/* @text as a QR code of UTF-8 half blocks, two modules a character high, with its quiet zone, each
 * line ended; light on dark, forced to white on black with @colour. NULL when it does not fit into
 * @width columns or into a QR code at all. Free with g_free(). */
char *cw_qr_dup (const char *text, unsigned width, gboolean colour);
