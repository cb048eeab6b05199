/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-spake2.h"

#include <sodium.h>
#include <string.h>

#include "cw-hash.h"

#define SCALAR_SIZE crypto_core_ed25519_SCALARBYTES

G_STATIC_ASSERT (CW_SPAKE2_ELEMENT_SIZE == crypto_core_ed25519_BYTES);
G_STATIC_ASSERT (CW_SPAKE2_RANDOM_SIZE == crypto_core_ed25519_NONREDUCEDSCALARBYTES);

/* The fixed points, from nothing-up-my-sleeve seeds: HKDF-SHA256 (seed, info "SPAKE2 arbitrary
 * element", 48 bytes), big-endian modulo 2^255-19, gives y; the first y, y+1, ... on the curve,
 * times 8. tests/meet/test-pake.c derives them again. */
static const guint8 point_s[CW_SPAKE2_ELEMENT_SIZE] = {
    /* seed "symmetric" */
    0x6f, 0x00, 0xda, 0xe8, 0x7c, 0x1b, 0xe1, 0xa7, 0x3b, 0x59, 0x22, 0xef, 0x43, 0x1c, 0xd8, 0xf5,
    0x78, 0x79, 0x56, 0x9c, 0x22, 0x2d, 0x22, 0xb1, 0xcd, 0x71, 0xe8, 0x54, 0x6a, 0xb8, 0xe6, 0xf1,
};
static const guint8 point_m[CW_SPAKE2_ELEMENT_SIZE] = {
    /* seed "M" */
    0x15, 0xcf, 0xd1, 0x8e, 0x38, 0x59, 0x52, 0x98, 0x2b, 0x6a, 0x8f, 0x8c, 0x78, 0x54, 0x96, 0x3b,
    0x58, 0xe3, 0x43, 0x88, 0xc8, 0xe6, 0xda, 0xe8, 0x91, 0xdb, 0x75, 0x64, 0x81, 0xa0, 0x23, 0x12,
};
static const guint8 point_n[CW_SPAKE2_ELEMENT_SIZE] = {
    /* seed "N" */
    0xf0, 0x4f, 0x2e, 0x7e, 0xb7, 0x34, 0xb2, 0xa8, 0xf8, 0xb4, 0x72, 0xea, 0xf9, 0xc3, 0xc6, 0x32,
    0x57, 0x6a, 0xc6, 0x4a, 0xea, 0x65, 0x0b, 0x49, 0x6a, 0x8a, 0x20, 0xff, 0x00, 0xe5, 0x83, 0xc3,
};

static const struct {
    char own;              /* first byte of our message */
    char peer;             /* first byte of theirs */
    const guint8 *blind;   /* hides our element */
    const guint8 *unblind; /* hides theirs */
} roles[] = {
    [CW_SPAKE2_SYMMETRIC] = { 'S', 'S', point_s, point_s },
    [CW_SPAKE2_A] = { 'A', 'B', point_m, point_n },
    [CW_SPAKE2_B] = { 'B', 'A', point_n, point_m },
};

/* Lives in sodium_malloc() memory. */
struct _CwSpake2 {
    CwSpake2Role role;
    guint8 x[SCALAR_SIZE];
    guint8 pw[SCALAR_SIZE];
    guint8 element[CW_SPAKE2_ELEMENT_SIZE];
    guint8 password_hash[CW_SHA256_SIZE];
    guint8 id_a_hash[CW_SHA256_SIZE];
    guint8 id_b_hash[CW_SHA256_SIZE];
};

/* Scalars are hashed to as big-endian numbers, though the curve's own are little-endian. */
static void
reduce_be (const guint8 *number, size_t len, guint8 ret[SCALAR_SIZE])
{
    guint8 wide[crypto_core_ed25519_NONREDUCEDSCALARBYTES] = { 0 };

    g_assert (len <= sizeof wide);
    for (size_t i = 0; i < len; i++)
        wide[i] = number[len - 1 - i];
    crypto_core_ed25519_scalar_reduce (ret, wide);
    sodium_memzero (wide, sizeof wide);
}

void
cw_spake2_password_scalar (const void *password, size_t len, guint8 ret[SCALAR_SIZE])
{
    static const char info[] = "SPAKE2 pw";
    guint8 okm[32 + 16]; /* 16 more than the order has, so that no scalar is likelier */

    cw_hkdf_sha256 (password, len, NULL, 0, info, strlen (info), okm, sizeof okm);
    reduce_be (okm, sizeof okm, ret);
    sodium_memzero (okm, sizeof okm);
}

CwSpake2 *
cw_spake2_new (CwSpake2Role role,
               const void *password,
               size_t password_len,
               const char *id_a,
               const char *id_b,
               const guint8 random[CW_SPAKE2_RANDOM_SIZE])
{
    CwSpake2 *self;
    guint8 base[CW_SPAKE2_ELEMENT_SIZE], mask[CW_SPAKE2_ELEMENT_SIZE];
    gboolean ok;

    cw_crypto_init ();
    self = sodium_malloc (sizeof *self);
    if (self == NULL)
        g_error ("out of memory for a key");
    self->role = role;
    reduce_be (random, CW_SPAKE2_RANDOM_SIZE, self->x);
    cw_spake2_password_scalar (password, password_len, self->pw);
    cw_sha256 (password, password_len, self->password_hash);
    cw_sha256 (id_a, strlen (id_a), self->id_a_hash);
    if (role != CW_SPAKE2_SYMMETRIC)
        cw_sha256 (id_b, strlen (id_b), self->id_b_hash);
    /* The clamping variants would change the scalars: noclamp throughout. */
    ok = crypto_scalarmult_ed25519_base_noclamp (base, self->x) == 0
         && crypto_scalarmult_ed25519_noclamp (mask, self->pw, roles[role].blind) == 0
         && crypto_core_ed25519_add (self->element, base, mask) == 0;
    sodium_memzero (base, sizeof base);
    sodium_memzero (mask, sizeof mask);
    if (!ok)
        g_clear_pointer (&self, cw_spake2_free);
    return self;
}

void
cw_spake2_free (CwSpake2 *self)
{
    sodium_free (self);
}

void
cw_spake2_get_message (const CwSpake2 *self, guint8 ret[CW_SPAKE2_MESSAGE_SIZE])
{
    ret[0] = (guint8)roles[self->role].own;
    memcpy (ret + 1, self->element, sizeof self->element);
}

typedef struct {
    const guint8 *password_hash;
    const guint8 *id_a_hash;
    const guint8 *id_b_hash; /* not in the symmetric role */
} Hashes;

static void
hash_transcript (CwSpake2Role role,
                 const Hashes *hashes,
                 const void *x,
                 size_t x_len,
                 const void *y,
                 size_t y_len,
                 const void *k,
                 size_t k_len,
                 guint8 ret[32])
{
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    gboolean swap = FALSE;

    if (role == CW_SPAKE2_SYMMETRIC) { /* neither is first: order them as byte strings */
        int order = memcmp (x, y, MIN (x_len, y_len));
        swap = order > 0 || (order == 0 && x_len > y_len);
    }
    cw_sha256_update (hash, hashes->password_hash, CW_SHA256_SIZE);
    cw_sha256_update (hash, hashes->id_a_hash, CW_SHA256_SIZE);
    if (role != CW_SPAKE2_SYMMETRIC)
        cw_sha256_update (hash, hashes->id_b_hash, CW_SHA256_SIZE);
    cw_sha256_update (hash, swap ? y : x, swap ? y_len : x_len);
    cw_sha256_update (hash, swap ? x : y, swap ? x_len : y_len);
    cw_sha256_update (hash, k, k_len);
    cw_sha256_finish (hash, ret);
}

void
cw_spake2_transcript_key (CwSpake2Role role,
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
                          guint8 ret[32])
{
    guint8 password_hash[CW_SHA256_SIZE], id_a_hash[CW_SHA256_SIZE], id_b_hash[CW_SHA256_SIZE];
    Hashes hashes = { password_hash, id_a_hash, id_b_hash };

    cw_sha256 (password, password_len, password_hash);
    cw_sha256 (id_a, strlen (id_a), id_a_hash);
    if (role != CW_SPAKE2_SYMMETRIC)
        cw_sha256 (id_b, strlen (id_b), id_b_hash);
    hash_transcript (role, &hashes, x, x_len, y, y_len, k, k_len, ret);
    sodium_memzero (password_hash, sizeof password_hash);
}

gboolean
cw_spake2_finish (const CwSpake2 *self, const guint8 *message, size_t len, CwSecret *ret_key)
{
    const Hashes hashes = { self->password_hash, self->id_a_hash, self->id_b_hash };
    guint8 mask[CW_SPAKE2_ELEMENT_SIZE], open[CW_SPAKE2_ELEMENT_SIZE], k[CW_SPAKE2_ELEMENT_SIZE];
    const guint8 *element = message + 1;
    gboolean we_are_first = self->role != CW_SPAKE2_B;
    gboolean ok;

    if (len != CW_SPAKE2_MESSAGE_SIZE || message[0] != roles[self->role].peer
        || crypto_core_ed25519_is_valid_point (element) != 1
        || sodium_memcmp (element, self->element, sizeof self->element) == 0)
        return FALSE;
    /* Each of these also fails when the result is the identity. */
    ok = crypto_scalarmult_ed25519_noclamp (mask, self->pw, roles[self->role].unblind) == 0
         && crypto_core_ed25519_sub (open, element, mask) == 0
         && crypto_scalarmult_ed25519_noclamp (k, self->x, open) == 0;
    if (ok)
        hash_transcript (self->role, &hashes, we_are_first ? self->element : element,
                         CW_SPAKE2_ELEMENT_SIZE, we_are_first ? element : self->element,
                         CW_SPAKE2_ELEMENT_SIZE, k, sizeof k, ret_key->bytes);
    sodium_memzero (mask, sizeof mask);
    sodium_memzero (open, sizeof open);
    sodium_memzero (k, sizeof k);
    return ok;
}
