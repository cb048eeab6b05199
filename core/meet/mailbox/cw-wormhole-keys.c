/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-wormhole-keys.h"

#include <sodium.h>
#include <string.h>

#include "cw-hash.h"

G_STATIC_ASSERT (CW_WORMHOLE_NONCE_SIZE == crypto_secretbox_NONCEBYTES);
G_STATIC_ASSERT (CW_WORMHOLE_OVERHEAD == crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES);

void
cw_wormhole_derive_key (const void *key,
                        size_t key_len,
                        const void *purpose,
                        size_t purpose_len,
                        guint8 *ret,
                        size_t ret_len)
{
    cw_hkdf_sha256 (key, key_len, NULL, 0, purpose, purpose_len, ret, ret_len);
}

void
cw_wormhole_phase_key (
    const void *key, size_t key_len, const char *side, const char *phase, CwSecret *ret)
{
    static const char prefix[] = "wormhole:phase:";
    const size_t prefix_len = sizeof prefix - 1;
    guint8 purpose[sizeof prefix - 1 + 2 * CW_SHA256_SIZE];

    memcpy (purpose, prefix, prefix_len);
    cw_sha256 (side, strlen (side), purpose + prefix_len);
    cw_sha256 (phase, strlen (phase), purpose + prefix_len + CW_SHA256_SIZE);
    cw_wormhole_derive_key (key, key_len, purpose, sizeof purpose, ret->bytes, sizeof ret->bytes);
}

void
cw_wormhole_verifier (const CwSecret *key, guint8 ret[CW_WORMHOLE_VERIFIER_SIZE])
{
    static const char purpose[] = "wormhole:verifier";

    cw_wormhole_derive_key (key->bytes, sizeof key->bytes, purpose, strlen (purpose), ret,
                            CW_WORMHOLE_VERIFIER_SIZE);
}

GBytes *
cw_wormhole_seal (const CwSecret *key,
                  const char *side,
                  const char *phase,
                  const void *plain,
                  size_t len,
                  const guint8 nonce[CW_WORMHOLE_NONCE_SIZE])
{
    g_auto (CwSecret) phase_key = CW_SECRET_INIT;
    guint8 *body = g_malloc (CW_WORMHOLE_OVERHEAD + len);

    cw_wormhole_phase_key (key->bytes, sizeof key->bytes, side, phase, &phase_key);
    memcpy (body, nonce, CW_WORMHOLE_NONCE_SIZE);
    crypto_secretbox_easy (body + CW_WORMHOLE_NONCE_SIZE, plain, len, nonce, phase_key.bytes);
    return g_bytes_new_take (body, CW_WORMHOLE_OVERHEAD + len);
}

GBytes *
cw_wormhole_open (
    const CwSecret *key, const char *side, const char *phase, const guint8 *body, size_t len)
{
    g_auto (CwSecret) phase_key = CW_SECRET_INIT;
    g_autofree guint8 *plain = NULL;

    if (len < CW_WORMHOLE_OVERHEAD)
        return NULL;
    cw_wormhole_phase_key (key->bytes, sizeof key->bytes, side, phase, &phase_key);
    plain = g_malloc (MAX (len - CW_WORMHOLE_OVERHEAD, 1));
    if (crypto_secretbox_open_easy (plain, body + CW_WORMHOLE_NONCE_SIZE,
                                    len - CW_WORMHOLE_NONCE_SIZE, body, phase_key.bytes)
        != 0)
        return NULL;
    return g_bytes_new_take (g_steal_pointer (&plain), len - CW_WORMHOLE_OVERHEAD);
}
