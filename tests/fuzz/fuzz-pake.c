/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The body of a peer's "pake" message, and the version message's text. */
#include <string.h>

#include "cw-mailbox-message.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static CwSpake2 *pake;

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    g_autoptr (GBytes) body = g_bytes_new (data, size);
    g_autofree char *versions = NULL;
    g_auto (CwSecret) key = CW_SECRET_INIT;
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];

    if (pake == NULL) {
        const guint8 random[CW_SPAKE2_RANDOM_SIZE] = { 5 };
        cw_crypto_init ();
        pake = cw_spake2_new (CW_SPAKE2_SYMMETRIC, "4-a", 3, "app", NULL, random);
    }
    if (cw_mailbox_pake_body_parse (body, message)) {
        g_autoptr (GBytes) again = NULL;
        guint8 repeated[CW_SPAKE2_MESSAGE_SIZE];
        cw_spake2_finish (pake, message, sizeof message, &key);
        again = cw_mailbox_pake_body (message);
        g_assert_true (cw_mailbox_pake_body_parse (again, repeated));
        g_assert_cmpmem (message, sizeof message, repeated, sizeof repeated);
    }
    versions = cw_mailbox_version_body_parse (body);
    if (size >= 1)
        cw_spake2_finish (pake, data, size, &key);
    return 0;
}
