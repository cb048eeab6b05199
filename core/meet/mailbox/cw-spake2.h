/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#pragma once

/* SPAKE2 on Ed25519 as Magic Wormhole uses it (not RFC 9382: other fixed points, transcript and key
 * schedule). Two people who know the same password get the same key; anybody else who takes part
 * in the exchange has tried one password and learnt whether it was right, no more. Pure: the
 * randomness is an argument.
 *
 *   message   offset 0: the role, 'S' symmetric, 'A' or 'B'; offset 1: an element, 32 bytes
 *   element   X = x*B + pw*S   (A: + pw*M, B: + pw*N)
 *   key       SHA-256 (SHA-256 (password) || ids || elements || K), K = x * (Y - pw*S)
 *
 * The wormhole only uses the symmetric role; A and B exist because most published vectors are
 * theirs. */

#include <glib.h>

#include "cw-secret.h"

G_BEGIN_DECLS

#define CW_SPAKE2_ELEMENT_SIZE 32
#define CW_SPAKE2_MESSAGE_SIZE (1 + CW_SPAKE2_ELEMENT_SIZE)
#define CW_SPAKE2_RANDOM_SIZE 64

typedef enum {
    CW_SPAKE2_SYMMETRIC,
    CW_SPAKE2_A,
    CW_SPAKE2_B,
} CwSpake2Role;

typedef struct _CwSpake2 CwSpake2;

/* @random becomes the secret scalar: a big-endian number modulo the group's order. @id_b is not
 * used by the symmetric role. NULL when a scalar comes out as zero, which honest randomness does
 * once in 2^252 tries. */
CwSpake2 *cw_spake2_new (CwSpake2Role role,
                         const void *password,
                         size_t password_len,
                         const char *id_a,
                         const char *id_b,
                         const guint8 random[CW_SPAKE2_RANDOM_SIZE]);
void cw_spake2_free (CwSpake2 *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CwSpake2, cw_spake2_free)

void cw_spake2_get_message (const CwSpake2 *self, guint8 ret[CW_SPAKE2_MESSAGE_SIZE]);

/* The key from the other side's message. FALSE when that is not a message of the role we expect,
 * not an element of the group, or our own thrown back at us. */
gboolean cw_spake2_finish (const CwSpake2 *self,
                           const guint8 *message,
                           size_t len,
                           CwSecret *ret_key);

/* Two steps on their own, for the published vectors. */
void cw_spake2_password_scalar (const void *password,
                                size_t len,
                                guint8 ret[CW_SPAKE2_ELEMENT_SIZE]);
/* The key of a finished exchange. @x, @y: the elements of A and B, or of the two sides in any order
 * when @role is symmetric; texts of any length in the vectors. */
void cw_spake2_transcript_key (CwSpake2Role role,
                               const void *password,
                               size_t password_len,
                               const char *id_a,
                               const char *id_b,
                               const void *x,
                               size_t x_len,
                               const void *y,
                               size_t y_len,
                               const void *k,
                               size_t k_len,
                               guint8 ret[32]);

G_END_DECLS
