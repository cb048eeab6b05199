/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* SHA-256 and HKDF, by libcrypto: it uses the processor's SHA instructions (about 1,700 MB/s here,
 * where libsodium does 317 and GLib less), and the Transit acknowledgement needs SHA-256 over
 * every byte. Its types stay in cw-hash.c. */

#include <glib.h>

#define CW_SHA256_SIZE 32

typedef struct _CwSha256 CwSha256;

CwSha256 *cw_sha256_new (void);
void cw_sha256_free (CwSha256 *hash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwSha256, cw_sha256_free)

void cw_sha256_update (CwSha256 *hash, const void *data, size_t len);
/* Gives the digest and starts over. */
void cw_sha256_finish (CwSha256 *hash, guint8 ret_digest[CW_SHA256_SIZE]);

void cw_sha256 (const void *data, size_t len, guint8 ret_digest[CW_SHA256_SIZE]);

/* HKDF-SHA256 (RFC 5869), extract and expand; an empty @salt means a string of zeros, as the RFC
 * has it. @ret_len at most 255 * 32. */
void cw_hkdf_sha256 (const void *ikm,
                     size_t ikm_len,
                     const void *salt,
                     size_t salt_len,
                     const void *info,
                     size_t info_len,
                     guint8 *ret,
                     size_t ret_len);
