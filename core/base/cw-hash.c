/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

struct _CwSha256 {
    EVP_MD_CTX *ctx;
};

/* Looking an algorithm up costs more than hashing a small file, so it is done once. */
static const EVP_MD *
sha256_md (void)
{
    static gsize once;
    static EVP_MD *md;

    if (g_once_init_enter (&once)) {
        md = EVP_MD_fetch (NULL, "SHA256", NULL);
        if (md == NULL)
            g_error ("libcrypto has no SHA-256");
        g_once_init_leave (&once, 1);
    }
    return md;
}

CwSha256 *
cw_sha256_new (void)
{
    CwSha256 *hash = g_new0 (CwSha256, 1);

    hash->ctx = EVP_MD_CTX_new ();
    if (hash->ctx == NULL || !EVP_DigestInit_ex2 (hash->ctx, sha256_md (), NULL))
        g_error ("SHA-256 failed to start");
    return hash;
}

void
cw_sha256_free (CwSha256 *hash)
{
    EVP_MD_CTX_free (hash->ctx);
    g_free (hash);
}

void
cw_sha256_update (CwSha256 *hash, const void *data, size_t len)
{
    if (!EVP_DigestUpdate (hash->ctx, data, len))
        g_error ("SHA-256 failed");
}

void
cw_sha256_finish (CwSha256 *hash, guint8 ret_digest[CW_SHA256_SIZE])
{
    if (!EVP_DigestFinal_ex (hash->ctx, ret_digest, NULL)
        || !EVP_DigestInit_ex2 (hash->ctx, sha256_md (), NULL))
        g_error ("SHA-256 failed");
}

void
cw_sha256 (const void *data, size_t len, guint8 ret_digest[CW_SHA256_SIZE])
{
    if (!EVP_Digest (data, len, ret_digest, NULL, sha256_md (), NULL))
        g_error ("SHA-256 failed");
}

void
cw_hkdf_sha256 (const void *ikm,
                size_t ikm_len,
                const void *salt,
                size_t salt_len,
                const void *info,
                size_t info_len,
                guint8 *ret,
                size_t ret_len)
{
    EVP_KDF *kdf = EVP_KDF_fetch (NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new (kdf);
    OSSL_PARAM params[5], *p = params;

    *p++ = OSSL_PARAM_construct_utf8_string (OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
    *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_KEY, (void *)ikm, ikm_len);
    if (salt_len > 0)
        *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_SALT, (void *)salt, salt_len);
    *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_INFO, (void *)info, info_len);
    *p = OSSL_PARAM_construct_end ();
    if (EVP_KDF_derive (ctx, ret, ret_len, params) <= 0)
        g_error ("HKDF failed");
    EVP_KDF_CTX_free (ctx);
    EVP_KDF_free (kdf);
}
