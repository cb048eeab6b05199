/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* This device's long-lived X25519 key pair. The public half names the device; the private half
 * never leaves this file but for the shared secrets computed from it. */

#include <glib.h>

#include "cw-secret.h"

G_BEGIN_DECLS

typedef enum {
    CW_IDENTITY_ERROR_STORE,   /* the key file cannot be read or written */
    CW_IDENTITY_ERROR_DAMAGED, /* it is there, but is not a key: never replaced silently */
    CW_IDENTITY_ERROR_EXPOSED, /* other people of this computer can read or replace it */
} CwIdentityError;
#define CW_IDENTITY_ERROR cw_identity_error_quark ()
GQuark cw_identity_error_quark (void);

/* A device's public key. Compared with cw_device_key_equal(), printed only as a fingerprint. */
typedef struct {
    guint8 bytes[32];
} CwDeviceKey;

gboolean cw_device_key_equal (const CwDeviceKey *a, const CwDeviceKey *b);

/* 80 bits of the key's hash in base32, in groups of four, made to be read out and compared:
 * "k3qf-7hx2-mzpa-4wta". Free with g_free(). */
char *cw_device_key_dup_fingerprint (const CwDeviceKey *key);

typedef struct _CwIdentity CwIdentity;

/* Loads "identity.key" (0600, one line of hex and a newline) from @data_dir, or makes it. Two
 * processes that make it at once end with the same one. Thread-safe; free with
 * cw_identity_free(). */
CwIdentity *cw_identity_load_or_create (const char *data_dir, GError **error);
void cw_identity_free (CwIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwIdentity, cw_identity_free)

const CwDeviceKey *cw_identity_get_key (const CwIdentity *identity);

/* X25519 with a peer's key (RFC 7748). FALSE when the peer's key is of low order. */
gboolean cw_identity_shared_secret (const CwIdentity *identity,
                                    const CwDeviceKey *peer,
                                    CwSecret *ret);

G_END_DECLS
