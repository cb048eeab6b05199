/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-keys.h"

#include <sodium.h>
#include <string.h>

#include "cw-hash.h"

static void
derive_one (CwSecret *secret, const void *transit_key, size_t len, const char *info)
{
    cw_hkdf_sha256 (transit_key, len, NULL, 0, info, strlen (info), secret->bytes,
                    sizeof secret->bytes);
}

void
cw_transit_keys_derive (CwTransitKeys *keys, const void *transit_key, size_t len)
{
    derive_one (&keys->sender, transit_key, len, "transit_sender");
    derive_one (&keys->receiver, transit_key, len, "transit_receiver");
    derive_one (&keys->relay_token, transit_key, len, "transit_relay_token");
    derive_one (&keys->record_sender, transit_key, len, "transit_record_sender_key");
    derive_one (&keys->record_receiver, transit_key, len, "transit_record_receiver_key");
}

void
cw_transit_keys_clear (CwTransitKeys *keys)
{
    sodium_memzero (keys, sizeof *keys);
}
