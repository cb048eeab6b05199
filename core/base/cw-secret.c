/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-secret.h"

#include <sodium.h>

void
cw_crypto_init (void)
{
    if (sodium_init () < 0)
        g_error ("no source of randomness on this system");
}

void
cw_secret_clear (CwSecret *secret)
{
    sodium_memzero (secret->bytes, sizeof secret->bytes);
}

CwSecret *
cw_secret_new (void)
{
    CwSecret *secret;

    cw_crypto_init ();
    secret = sodium_malloc (sizeof *secret);
    if (secret == NULL)
        g_error ("out of memory for a key");
    sodium_memzero (secret, sizeof *secret);
    return secret;
}

void
cw_secret_free (CwSecret *secret)
{
    sodium_free (secret);
}
