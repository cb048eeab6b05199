/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

/* RFC 4648 base32 in lower case without padding: letters and digits that survive being read out
 * and typed. Free with g_free(). */
char *cw_base32_encode (const guint8 *data, size_t len);
