/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-hashcash.h"

#include <string.h>

#define SHA1_SIZE 20

static unsigned
count_zero_bits (const guint8 digest[SHA1_SIZE])
{
    unsigned bits = 0;

    for (size_t i = 0; i < SHA1_SIZE; i++) {
        if (digest[i] != 0)
            return bits + (unsigned)__builtin_clz (digest[i]) - 24;
        bits += 8;
    }
    return bits;
}

static unsigned
hash_value (GChecksum *sha1, const char *text, size_t len)
{
    guint8 digest[SHA1_SIZE];
    gsize digest_len = sizeof digest;

    g_checksum_reset (sha1);
    g_checksum_update (sha1, (const guchar *)text, (gssize)len);
    g_checksum_get_digest (sha1, digest, &digest_len);
    return count_zero_bits (digest);
}

unsigned
cw_hashcash_value (const char *stamp)
{
    g_autoptr (GChecksum) sha1 = g_checksum_new (G_CHECKSUM_SHA1);

    return hash_value (sha1, stamp, strlen (stamp));
}

char *
cw_hashcash_solve (unsigned bits,
                   const char *resource,
                   const char *date,
                   const char *random,
                   GCancellable *cancellable)
{
    g_autoptr (GChecksum) sha1 = g_checksum_new (G_CHECKSUM_SHA1);
    g_autofree char *prefix = g_strdup_printf ("1:%u:%s:%s::%s:", bits, date, resource, random);
    size_t prefix_len = strlen (prefix);
    g_autofree char *stamp = g_malloc (prefix_len + 17);

    g_return_val_if_fail (bits <= CW_HASHCASH_MAX_BITS, NULL);
    memcpy (stamp, prefix, prefix_len);
    for (guint64 counter = 0;; counter++) {
        int n = g_snprintf (stamp + prefix_len, 17, "%" G_GINT64_MODIFIER "x", counter);
        if (hash_value (sha1, stamp, prefix_len + (size_t)n) >= bits)
            return g_steal_pointer (&stamp);
        if ((counter & 0xfff) == 0 && g_cancellable_is_cancelled (cancellable))
            return NULL;
    }
}
