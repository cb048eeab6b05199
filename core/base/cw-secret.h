/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

#include <glib.h>

/* 32 secret bytes that are wiped when they go out of scope: g_auto (CwSecret) key = CW_SECRET_INIT;
 * A key that lives for long belongs in cw_secret_new(), whose memory is locked. */
typedef struct {
    guint8 bytes[32];
} CwSecret;

#define CW_SECRET_INIT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

void cw_secret_clear (CwSecret *secret);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CwSecret, cw_secret_clear)

/* In memory that is locked, guarded and wiped by cw_secret_free(). Never fails: without locked
 * memory (a low RLIMIT_MEMLOCK) the guard pages and the wiping remain. */
CwSecret *cw_secret_new (void);
void cw_secret_free (CwSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwSecret, cw_secret_free)

/* Must run before anything secret is made; safe to call often and from any thread. Aborts if the
 * system has no source of randomness. */
void cw_crypto_init (void);
