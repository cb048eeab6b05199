/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* What is computed from a wormhole's key once the PAKE gave it. Pure.
 *
 *   purpose                                            used for
 *   "wormhole:phase:" SHA-256 (side) SHA-256 (phase)   one message; side is its sender's
 *   "wormhole:verifier"                                what two people may compare
 *   anything else                                      the application
 *
 * each with HKDF-SHA256 (key, no salt, info = purpose). A message's body is
 *
 *   0    24     nonce
 *   24   16+n   crypto_secretbox of the n bytes, under the key of its side and phase
 *
 * so a body moved to another phase, or thrown back at its sender, does not open. */

#include <glib.h>

#include "cw-secret.h"

G_BEGIN_DECLS

#define CW_WORMHOLE_NONCE_SIZE 24
#define CW_WORMHOLE_OVERHEAD (CW_WORMHOLE_NONCE_SIZE + 16)
#define CW_WORMHOLE_VERIFIER_SIZE 32

/* The key is 32 bytes outside of the test vectors. */
void cw_wormhole_derive_key (const void *key,
                             size_t key_len,
                             const void *purpose,
                             size_t purpose_len,
                             guint8 *ret,
                             size_t ret_len);
void cw_wormhole_phase_key (
    const void *key, size_t key_len, const char *side, const char *phase, CwSecret *ret);
void cw_wormhole_verifier (const CwSecret *key, guint8 ret[CW_WORMHOLE_VERIFIER_SIZE]);

/* @nonce must be fresh: random, or never used with this side and phase. */
GBytes *cw_wormhole_seal (const CwSecret *key,
                          const char *side,
                          const char *phase,
                          const void *plain,
                          size_t len,
                          const guint8 nonce[CW_WORMHOLE_NONCE_SIZE]);
/* NULL when the body is not from somebody who has the key. */
GBytes *cw_wormhole_open (
    const CwSecret *key, const char *side, const char *phase, const guint8 *body, size_t len);

G_END_DECLS
