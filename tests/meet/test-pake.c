/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* SPAKE2, HKDF and the keys of a wormhole against published values (tests/vectors/). */
#include <glib.h>
#include <sodium.h>
#include <string.h>

#include "cw-hash.h"
#include "cw-spake2.h"
#include "cw-wormhole-keys.h"

static GKeyFile *
load_vectors (const char *name)
{
    g_autofree char *path = g_build_filename (g_getenv ("CW_SRC"), "tests", "vectors", name, NULL);
    GKeyFile *file = g_key_file_new ();
    g_autoptr (GError) error = NULL;

    g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &error);
    g_assert_no_error (error);
    return file;
}

static GBytes *
get_hex (GKeyFile *file, const char *group, const char *key)
{
    g_autofree char *hex = g_key_file_get_string (file, group, key, NULL);
    size_t cap, len;
    guint8 *bin;

    if (hex == NULL)
        g_error ("no %s in [%s]", key, group);
    cap = strlen (hex) / 2;
    bin = g_malloc (cap + 1);
    g_assert_cmpint (sodium_hex2bin (bin, cap + 1, hex, strlen (hex), NULL, &len, NULL), ==, 0);
    g_assert_cmpuint (len * 2, ==, strlen (hex));
    return g_bytes_new_take (bin, len);
}

static void
assert_hex (GKeyFile *file, const char *group, const char *key, const void *data, size_t len)
{
    g_autofree char *expected = g_key_file_get_string (file, group, key, NULL);
    g_autofree char *got = g_malloc (len * 2 + 1);

    g_assert_cmpstr (sodium_bin2hex (got, len * 2 + 1, data, len), ==, expected);
}

/* The groups called "PREFIX NUMBER", which must be @n. */
typedef void (*VectorFunc) (GKeyFile *file, const char *group);

static void
for_each (GKeyFile *file, const char *prefix, unsigned n, VectorFunc func)
{
    g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
    g_autofree char *start = g_strconcat (prefix, " ", NULL);
    unsigned seen = 0;

    for (char **group = groups; *group != NULL; group++) {
        if (g_str_has_prefix (*group, start) && g_ascii_isdigit ((*group)[strlen (start)])) {
            func (file, *group);
            seen++;
        }
    }
    g_assert_cmpuint (seen, ==, n);
}

static void
check_password_scalar (GKeyFile *file, const char *group)
{
    g_autoptr (GBytes) password = get_hex (file, group, "password");
    guint8 scalar[32];

    cw_spake2_password_scalar (g_bytes_get_data (password, NULL), g_bytes_get_size (password),
                               scalar);
    assert_hex (file, group, "scalar", scalar, sizeof scalar);
}

static void
test_password_scalar (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("spake2.ini");

    for_each (file, "password-scalar", 4, check_password_scalar);
}

/* @number times 256 plus @byte, modulo 2^255 - 19; little-endian. */
static void
shift_in (guint8 number[32], guint8 byte)
{
    guint8 wide[33];
    unsigned carry;

    wide[0] = byte;
    memcpy (wide + 1, number, 32);
    for (int round = 0; round < 2; round++) { /* 2^255 is 19 */
        carry = 19u * ((unsigned)wide[32] << 1 | wide[31] >> 7);
        wide[32] = 0;
        wide[31] &= 0x7f;
        for (int i = 0; i < 32; i++) {
            carry += wide[i];
            wide[i] = (guint8)carry;
            carry >>= 8;
        }
    }
    memcpy (number, wide, 32);
}

/* As the comment in cw-spake2.c says. What is not on the curve is what sodium cannot add. */
static void
derive_element (const void *seed, size_t seed_len, guint8 ret[32])
{
    static const char info[] = "SPAKE2 arbitrary element";
    guint8 okm[48], y[32] = { 0 };

    cw_hkdf_sha256 (seed, seed_len, NULL, 0, info, strlen (info), okm, sizeof okm);
    for (size_t i = 0; i < sizeof okm; i++)
        shift_in (y, okm[i]);
    while (crypto_core_ed25519_add (ret, y, y) != 0)
        sodium_increment (y, sizeof y);
    crypto_core_ed25519_add (ret, ret, ret);
    crypto_core_ed25519_add (ret, ret, ret);
    g_assert_cmpint (crypto_core_ed25519_is_valid_point (ret), ==, 1);
}

static void
check_element (GKeyFile *file, const char *group)
{
    g_autoptr (GBytes) seed = get_hex (file, group, "seed");
    guint8 element[32];

    /* The seeds here are the bytes 'A' and 'B'. */
    derive_element (g_bytes_get_data (seed, NULL), g_bytes_get_size (seed), element);
    assert_hex (file, group, "element", element, sizeof element);
}

static void
test_element (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("spake2.ini");

    for_each (file, "element", 2, check_element);
}

/* Our constants are what their seeds say: message minus x*B is pw times the point. */
static void
test_fixed_points (void)
{
    static const char *const seeds[] = { "symmetric", "M", "N" };
    guint8 random[64] = { 0 }, message[33], point[32], pw[32], base[32], mask[32];

    random[63] = 1; /* x = 1 */
    cw_spake2_password_scalar ("password", 8, pw);
    for (int role = CW_SPAKE2_SYMMETRIC; role <= CW_SPAKE2_B; role++) {
        g_autoptr (CwSpake2) pake
            = cw_spake2_new ((CwSpake2Role)role, "password", 8, "", "", random);
        guint8 one[32] = { 1 };

        cw_spake2_get_message (pake, message);
        derive_element (seeds[role], strlen (seeds[role]), point);
        crypto_scalarmult_ed25519_base_noclamp (base, one);
        g_assert_cmpint (crypto_core_ed25519_sub (mask, message + 1, base), ==, 0);
        g_assert_cmpint (crypto_scalarmult_ed25519_noclamp (point, pw, point), ==, 0);
        g_assert_cmpmem (mask, 32, point, 32);
    }
}

static void
stream (const char *seed, guint8 ret[64])
{
    for (int i = 0; i < 2; i++) {
        g_autofree char *text = g_strdup_printf ("prng-%d-%s", i, seed);
        cw_sha256 (text, strlen (text), ret + 32 * i);
    }
}

static void
get_random (GKeyFile *file, const char *group, const char *key, guint8 ret[64])
{
    g_autofree char *seed = g_key_file_get_string (file, group, key, NULL);

    stream (seed, ret);
}

static void
test_stream (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("spake2.ini");
    guint8 out[64];

    stream ("A", out);
    assert_hex (file, "stream A", "start", out, 16);
    stream ("B", out);
    assert_hex (file, "stream B", "start", out, 16);
}

/* The secret given as the published scalar gives the same message as the stream it came from. */
static void
check_scalar (GKeyFile *file,
              const char *group,
              const char *key,
              CwSpake2Role role,
              GBytes *password,
              const char *id,
              const guint8 message[33])
{
    g_autoptr (GBytes) scalar = get_hex (file, group, key);
    const guint8 *le = g_bytes_get_data (scalar, NULL);
    g_autoptr (CwSpake2) pake = NULL;
    guint8 random[64] = { 0 }, again[33];

    for (int i = 0; i < 32; i++)
        random[63 - i] = le[i];
    pake = cw_spake2_new (role, g_bytes_get_data (password, NULL), g_bytes_get_size (password), id,
                          id, random);
    cw_spake2_get_message (pake, again);
    g_assert_cmpmem (again, 33, message, 33);
}

static void
check_exchange (GKeyFile *file, const char *group, gboolean symmetric)
{
    CwSpake2Role role_a = symmetric ? CW_SPAKE2_SYMMETRIC : CW_SPAKE2_A;
    CwSpake2Role role_b = symmetric ? CW_SPAKE2_SYMMETRIC : CW_SPAKE2_B;
    g_autoptr (GBytes) password = get_hex (file, group, "password");
    g_autofree char *id = g_key_file_get_string (file, group, "id", NULL);
    const char *shared_id = id != NULL ? id : "";
    g_autoptr (CwSpake2) a = NULL;
    g_autoptr (CwSpake2) b = NULL;
    g_auto (CwSecret) key = CW_SECRET_INIT;
    guint8 random[64], message_a[33], message_b[33];

    get_random (file, group, "seed-a", random);
    a = cw_spake2_new (role_a, g_bytes_get_data (password, NULL), g_bytes_get_size (password),
                       shared_id, shared_id, random);
    get_random (file, group, "seed-b", random);
    b = cw_spake2_new (role_b, g_bytes_get_data (password, NULL), g_bytes_get_size (password),
                       shared_id, shared_id, random);
    cw_spake2_get_message (a, message_a);
    cw_spake2_get_message (b, message_b);
    assert_hex (file, group, "message-a", message_a, sizeof message_a);
    assert_hex (file, group, "message-b", message_b, sizeof message_b);
    check_scalar (file, group, "x", role_a, password, shared_id, message_a);
    check_scalar (file, group, "y", role_b, password, shared_id, message_b);
    g_assert_true (cw_spake2_finish (a, message_b, sizeof message_b, &key));
    assert_hex (file, group, "key", key.bytes, sizeof key.bytes);
    cw_secret_clear (&key);
    g_assert_true (cw_spake2_finish (b, message_a, sizeof message_a, &key));
    assert_hex (file, group, "key", key.bytes, sizeof key.bytes);
    if (g_key_file_has_key (file, group, "k", NULL)) {
        g_autoptr (GBytes) k = get_hex (file, group, "k");
        cw_spake2_transcript_key (role_a, g_bytes_get_data (password, NULL),
                                  g_bytes_get_size (password), shared_id, NULL, message_a + 1, 32,
                                  message_b + 1, 32, g_bytes_get_data (k, NULL), 32, key.bytes);
        assert_hex (file, group, "key", key.bytes, sizeof key.bytes);
    }
}

static void
test_exchange (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("spake2.ini");

    check_exchange (file, "asymmetric", FALSE);
    check_exchange (file, "symmetric", TRUE);
    check_exchange (file, "symmetric wormhole", TRUE);
}

static void
check_transcript (GKeyFile *file, const char *group)
{
    static const char *const names[] = { "role", "password", "id-a", "id-b", "x", "y", "k" };
    g_auto (GStrv) v = g_new0 (char *, G_N_ELEMENTS (names) + 1);
    CwSpake2Role role;
    guint8 key[32];

    for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
        v[i] = g_key_file_get_string (file, group, names[i], NULL);
    role = g_str_equal (v[0], "symmetric") ? CW_SPAKE2_SYMMETRIC : CW_SPAKE2_A;
    cw_spake2_transcript_key (role, v[1], strlen (v[1]), v[2], v[3], v[4], strlen (v[4]), v[5],
                              strlen (v[5]), v[6], strlen (v[6]), key);
    assert_hex (file, group, "key", key, sizeof key);
    if (role == CW_SPAKE2_SYMMETRIC) { /* in either order */
        cw_spake2_transcript_key (role, v[1], strlen (v[1]), v[2], NULL, v[5], strlen (v[5]), v[4],
                                  strlen (v[4]), v[6], strlen (v[6]), key);
        assert_hex (file, group, "key", key, sizeof key);
    }
}

static void
test_transcript (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("spake2.ini");

    for_each (file, "transcript", 4, check_transcript);
}

static void
test_refused (void)
{
    guint8 random[64], own[33], bad[34] = { 'S' };
    g_autoptr (CwSpake2) pake = NULL;
    g_auto (CwSecret) key = CW_SECRET_INIT;

    stream ("1", random);
    pake = cw_spake2_new (CW_SPAKE2_SYMMETRIC, "pw", 2, "id", NULL, random);
    cw_spake2_get_message (pake, own);
    g_assert_false (cw_spake2_finish (pake, own, sizeof own, &key)); /* thrown back */
    g_assert_false (cw_spake2_finish (pake, bad, 33, &key));         /* of low order */
    bad[1] = 1;                                                      /* the identity */
    g_assert_false (cw_spake2_finish (pake, bad, 33, &key));
    bad[1] = 2; /* not on the curve */
    g_assert_false (cw_spake2_finish (pake, bad, 33, &key));
    stream ("2", random);
    g_clear_pointer (&pake, cw_spake2_free);
    pake = cw_spake2_new (CW_SPAKE2_SYMMETRIC, "pw", 2, "id", NULL, random);
    g_assert_true (cw_spake2_finish (pake, own, sizeof own, &key));
    memcpy (bad, own, sizeof own);
    g_assert_false (cw_spake2_finish (pake, bad, 32, &key));
    g_assert_false (cw_spake2_finish (pake, bad, 34, &key));
    g_assert_false (cw_spake2_finish (pake, bad, 0, &key));
    bad[0] = 'A';
    g_assert_false (cw_spake2_finish (pake, bad, 33, &key));
    /* no scalar */
    memset (random, 0, sizeof random);
    g_assert_null (cw_spake2_new (CW_SPAKE2_SYMMETRIC, "pw", 2, "id", NULL, random));
}

/* Another password or application gives another key on both sides. */
static void
test_differ (void)
{
    static const char *const passwords[] = { "4-a-b", "4-a-b", "4-a-c" };
    static const char *const ids[] = { "one", "two", "one" };
    guint8 random[64], message[33];
    g_autoptr (CwSpake2) first = NULL;
    CwSecret keys[4];

    stream ("1", random);
    first = cw_spake2_new (CW_SPAKE2_SYMMETRIC, "4-a-b", 5, "one", NULL, random);
    cw_spake2_get_message (first, message);
    stream ("2", random);
    for (int i = 0; i < 3; i++) {
        g_autoptr (CwSpake2) other
            = cw_spake2_new (CW_SPAKE2_SYMMETRIC, passwords[i], 5, ids[i], NULL, random);
        guint8 theirs[33];
        g_assert_true (cw_spake2_finish (other, message, 33, &keys[i]));
        if (i == 0) {
            cw_spake2_get_message (other, theirs);
            g_assert_true (cw_spake2_finish (first, theirs, 33, &keys[3]));
        }
    }
    g_assert_cmpmem (keys[0].bytes, 32, keys[3].bytes, 32);
    g_assert_cmpint (memcmp (keys[0].bytes, keys[1].bytes, 32), !=, 0);
    g_assert_cmpint (memcmp (keys[0].bytes, keys[2].bytes, 32), !=, 0);
}

static void
check_hkdf (GKeyFile *file, const char *group)
{
    g_autoptr (GBytes) ikm = get_hex (file, group, "ikm");
    g_autoptr (GBytes) salt = get_hex (file, group, "salt");
    g_autoptr (GBytes) info = get_hex (file, group, "info");
    g_autoptr (GBytes) okm = get_hex (file, group, "okm");
    size_t len = g_bytes_get_size (okm);
    g_autofree guint8 *out = g_malloc (len);

    cw_hkdf_sha256 (g_bytes_get_data (ikm, NULL), g_bytes_get_size (ikm),
                    g_bytes_get_data (salt, NULL), g_bytes_get_size (salt),
                    g_bytes_get_data (info, NULL), g_bytes_get_size (info), out, len);
    assert_hex (file, group, "okm", out, len);
}

static void
test_hkdf (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("hkdf.ini");

    for_each (file, "hkdf", 20, check_hkdf);
}

static void
check_purpose (GKeyFile *file, const char *group)
{
    g_autoptr (GBytes) key = get_hex (file, group, "key");
    g_autofree char *purpose = g_key_file_get_string (file, group, "purpose", NULL);
    g_autoptr (GBytes) out = get_hex (file, group, "out");
    guint8 got[32];

    cw_wormhole_derive_key (g_bytes_get_data (key, NULL), g_bytes_get_size (key), purpose,
                            strlen (purpose), got, g_bytes_get_size (out));
    assert_hex (file, group, "out", got, g_bytes_get_size (out));
}

static void
check_phase_key (GKeyFile *file, const char *group)
{
    g_autoptr (GBytes) key = get_hex (file, group, "key");
    g_autofree char *side = g_key_file_get_string (file, group, "side", NULL);
    g_autofree char *phase = g_key_file_get_string (file, group, "phase", NULL);
    g_auto (CwSecret) got = CW_SECRET_INIT;

    cw_wormhole_phase_key (g_bytes_get_data (key, NULL), g_bytes_get_size (key), side, phase, &got);
    assert_hex (file, group, "out", got.bytes, sizeof got.bytes);
}

static void
get_secret (GKeyFile *file, const char *group, CwSecret *ret)
{
    g_autoptr (GBytes) key = get_hex (file, group, "key");

    g_assert_cmpuint (g_bytes_get_size (key), ==, sizeof ret->bytes);
    memcpy (ret->bytes, g_bytes_get_data (key, NULL), sizeof ret->bytes);
}

static void
test_keys (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("wormhole-keys.ini");
    static const char purpose[] = "lothar.com/wormhole/text-or-file-xfer/transit-key";
    g_auto (CwSecret) key = CW_SECRET_INIT;
    guint8 out[32];

    for_each (file, "purpose", 2, check_purpose);
    for_each (file, "phase-key", 11, check_phase_key);
    get_secret (file, "run", &key);
    cw_wormhole_verifier (&key, out);
    assert_hex (file, "run", "verifier", out, 32);
    cw_wormhole_derive_key (key.bytes, 32, purpose, strlen (purpose), out, 32);
    assert_hex (file, "run", "transit-key", out, 32);
}

static void
check_body (GKeyFile *file, const char *group)
{
    g_auto (CwSecret) key = CW_SECRET_INIT;
    g_autofree char *side = g_key_file_get_string (file, group, "side", NULL);
    g_autofree char *phase = g_key_file_get_string (file, group, "phase", NULL);
    g_autoptr (GBytes) plain = get_hex (file, group, "plain");
    g_autoptr (GBytes) nonce = get_hex (file, group, "nonce");
    g_autoptr (GBytes) body = NULL;
    g_autoptr (GBytes) opened = NULL;
    g_autofree guint8 *broken = NULL;
    const guint8 *data;
    gsize len;

    get_secret (file, group, &key);
    body = cw_wormhole_seal (&key, side, phase, g_bytes_get_data (plain, NULL),
                             g_bytes_get_size (plain), g_bytes_get_data (nonce, NULL));
    data = g_bytes_get_data (body, &len);
    assert_hex (file, group, "body", data, len);
    opened = cw_wormhole_open (&key, side, phase, data, len);
    g_assert_true (g_bytes_equal (opened, plain));
    g_assert_null (cw_wormhole_open (&key, "other", phase, data, len));
    g_assert_null (cw_wormhole_open (&key, side, "other", data, len));
    for (gsize cut = 0; cut < len; cut++)
        g_assert_null (cw_wormhole_open (&key, side, phase, data, cut));
    broken = g_memdup2 (data, len);
    for (gsize i = 0; i < len; i++) {
        broken[i] ^= 1;
        g_assert_null (cw_wormhole_open (&key, side, phase, broken, len));
        broken[i] ^= 1;
    }
}

static void
test_body (void)
{
    g_autoptr (GKeyFile) file = load_vectors ("wormhole-keys.ini");
    g_autoptr (GBytes) plain = get_hex (file, "secretbox", "plain");
    g_autoptr (GBytes) nonce = get_hex (file, "secretbox", "nonce");
    g_autoptr (GBytes) key = get_hex (file, "secretbox", "key");
    guint8 body[24 + 16 + 16];
    g_auto (CwSecret) secret = CW_SECRET_INIT;
    g_autoptr (GBytes) empty = NULL;
    g_autoptr (GBytes) opened = NULL;
    guint8 zero[24] = { 0 };

    for_each (file, "body", 3, check_body);
    /* This one is published with the phase's key itself: libsodium's construction is theirs. */
    memcpy (body, g_bytes_get_data (nonce, NULL), 24);
    crypto_secretbox_easy (body + 24, g_bytes_get_data (plain, NULL), g_bytes_get_size (plain),
                           body, g_bytes_get_data (key, NULL));
    assert_hex (file, "secretbox", "body", body, sizeof body);
    /* empty bodies are bodies too */
    empty = cw_wormhole_seal (&secret, "side", "0", "", 0, zero);
    opened = cw_wormhole_open (&secret, "side", "0", g_bytes_get_data (empty, NULL),
                               g_bytes_get_size (empty));
    g_assert_nonnull (opened);
    g_assert_cmpuint (g_bytes_get_size (opened), ==, 0);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    cw_crypto_init ();
    g_test_add_func ("/pake/password-scalar", test_password_scalar);
    g_test_add_func ("/pake/element", test_element);
    g_test_add_func ("/pake/fixed-points", test_fixed_points);
    g_test_add_func ("/pake/stream", test_stream);
    g_test_add_func ("/pake/exchange", test_exchange);
    g_test_add_func ("/pake/transcript", test_transcript);
    g_test_add_func ("/pake/refused", test_refused);
    g_test_add_func ("/pake/differ", test_differ);
    g_test_add_func ("/pake/hkdf", test_hkdf);
    g_test_add_func ("/pake/keys", test_keys);
    g_test_add_func ("/pake/body", test_body);
    return g_test_run ();
}
