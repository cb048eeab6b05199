/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <sodium.h>
#include <sys/stat.h>

#include "cw-base32.h"
#include "cw-bytes.h"
#include "cw-hash.h"
#include "cw-identity.h"
#include "cw-json.h"
#include "cw-paths.h"

static void
test_bytes (void)
{
    const guint8 wire[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    guint8 out[8];
    CwReader r = cw_reader (wire, 5);
    const guint8 *p;
    guint32 v;

    g_assert_cmpuint (cw_load_be16 (wire), ==, 0x0102);
    g_assert_cmpuint (cw_load_be64 (wire), ==, G_GUINT64_CONSTANT (0x0102030405060708));
    cw_store_be64 (out, cw_load_be64 (wire));
    g_assert_cmpmem (out, 8, wire, 8);
    g_assert_true (cw_reader_be32 (&r, &v));
    g_assert_cmpuint (v, ==, 0x01020304);
    g_assert_false (cw_reader_be32 (&r, &v));
    g_assert_false (cw_reader_bytes (&r, G_MAXSIZE, &p));
    g_assert_cmpuint (r.remaining, ==, 1);
}

/* RFC 4648, section 10 */
static void
test_base32 (void)
{
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "my" },
        { "fo", "mzxq" },
        { "foo", "mzxw6" },
        { "foob", "mzxw6yq" },
        { "fooba", "mzxw6ytb" },
        { "foobar", "mzxw6ytboi" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++) {
        g_autofree char *text
            = cw_base32_encode ((const guint8 *)vectors[i][0], strlen (vectors[i][0]));
        g_assert_cmpstr (text, ==, vectors[i][1]);
    }
}

static void
assert_hkdf (const char *ikm, const char *salt, const char *info, const char *okm)
{
    guint8 bin[3][128], out[128];
    size_t len[3];
    const char *hex[3] = { ikm, salt, info };
    char text[257];

    for (int i = 0; i < 3; i++)
        g_assert_cmpint (
            sodium_hex2bin (bin[i], sizeof bin[i], hex[i], strlen (hex[i]), NULL, &len[i], NULL),
            ==, 0);
    cw_hkdf_sha256 (bin[0], len[0], bin[1], len[1], bin[2], len[2], out, strlen (okm) / 2);
    sodium_bin2hex (text, sizeof text, out, strlen (okm) / 2);
    g_assert_cmpstr (text, ==, okm);
}

/* RFC 5869, appendix A, cases 1 and 3, and python-spake2's test_compat.py. */
static void
test_hkdf (void)
{
    assert_hkdf ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                 "f0f1f2f3f4f5f6f7f8f9",
                 "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                 "34007208d5b887185865");
    assert_hkdf ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
                 "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                 "9d201395faa4b61a96c8");
    assert_hkdf ("01", "01", "",
                 "f0f7dcf9fe847ae58a24e82b13737c52bf6a4a45810f5d819ec3932eaa601290"
                 "72a91afe92cffe2f2327b65ba4e2b2b6b51ed34363c9c4cca58ae7409209b97d76");
}

static void
test_sha256 (void)
{
    g_autoptr (CwSha256) hash = cw_sha256_new ();
    guint8 one[32], two[32];
    char text[65];

    cw_sha256 ("abc", 3, one);
    sodium_bin2hex (text, sizeof text, one, sizeof one);
    g_assert_cmpstr (text, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (int round = 0; round < 2; round++) { /* finish() starts over */
        cw_sha256_update (hash, "a", 1);
        cw_sha256_update (hash, "bc", 2);
        cw_sha256_finish (hash, two);
        g_assert_cmpmem (one, 32, two, 32);
    }
}

static void
test_identity (void)
{
    g_autofree char *dir = g_dir_make_tmp ("cw-identity-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (dir, "identity.key", NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (CwIdentity) first = cw_identity_load_or_create (dir, &error);
    g_autoptr (CwIdentity) again = NULL;
    g_autofree char *fingerprint = NULL;
    g_auto (CwSecret) ab = CW_SECRET_INIT;
    g_auto (CwSecret) ba = CW_SECRET_INIT;
    CwDeviceKey zero = { { 0 } };
    GStatBuf st;

    g_assert_no_error (error);
    g_assert_cmpint (g_stat (path, &st), ==, 0);
    g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
    again = cw_identity_load_or_create (dir, &error);
    g_assert_no_error (error);
    g_assert_true (cw_device_key_equal (cw_identity_get_key (first), cw_identity_get_key (again)));
    fingerprint = cw_device_key_dup_fingerprint (cw_identity_get_key (first));
    g_assert_cmpuint (strlen (fingerprint), ==, 19);
    g_assert_true (cw_identity_shared_secret (first, cw_identity_get_key (again), &ab));
    g_assert_true (cw_identity_shared_secret (again, cw_identity_get_key (first), &ba));
    g_assert_cmpmem (ab.bytes, 32, ba.bytes, 32);
    g_assert_false (cw_identity_shared_secret (first, &zero, &ab));
    g_unlink (path);
    g_rmdir (dir);
}

static void
test_identity_refused (void)
{
    g_autofree char *dir = g_dir_make_tmp ("cw-identity-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (dir, "identity.key", NULL);
    g_autofree char *good = g_strnfill (64, 'a');
    g_autofree char *line = g_strconcat (good, "\n", NULL);
    g_autofree char *after = NULL;
    g_autoptr (GError) error = NULL;

    g_assert_true (g_file_set_contents (path, "not a key\n", -1, NULL));
    g_chmod (path, 0600);
    g_assert_null (cw_identity_load_or_create (dir, &error));
    g_assert_error (error, CW_IDENTITY_ERROR, CW_IDENTITY_ERROR_DAMAGED);
    g_assert_true (g_file_get_contents (path, &after, NULL, NULL));
    g_assert_cmpstr (after, ==, "not a key\n");
    g_clear_error (&error);
    g_assert_true (g_file_set_contents (path, line, -1, NULL));
    g_chmod (path, 0644);
    g_assert_null (cw_identity_load_or_create (dir, &error));
    g_assert_error (error, CW_IDENTITY_ERROR, CW_IDENTITY_ERROR_EXPOSED);
    g_unlink (path);
    g_rmdir (dir);
}

static gpointer
load_identity (gpointer dir)
{
    return cw_identity_load_or_create (dir, NULL);
}

/* Many at once end with one key. */
static void
test_identity_race (void)
{
    g_autofree char *dir = g_dir_make_tmp ("cw-identity-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (dir, "identity.key", NULL);
    GThread *threads[8];
    CwIdentity *got[8];

    for (int i = 0; i < 8; i++)
        threads[i] = g_thread_new ("load", load_identity, dir);
    for (int i = 0; i < 8; i++) {
        got[i] = g_thread_join (threads[i]);
        g_assert_nonnull (got[i]);
        g_assert_true (
            cw_device_key_equal (cw_identity_get_key (got[i]), cw_identity_get_key (got[0])));
    }
    for (int i = 0; i < 8; i++)
        cw_identity_free (got[i]);
    g_unlink (path);
    g_assert_cmpint (g_rmdir (dir), ==, 0); /* no temporary file is left */
}

static JsonNode *
parse (const char *text)
{
    return cw_json_parse_object (text, strlen (text), NULL);
}

static void
test_json (void)
{
    /* RFC 8259; json-glib must not even see the first kind, since it leaks at an error. */
    static const char *const malformed[] = {
        "{",
        "{}}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[}",
        "{1:2}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":nul}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":1]",
        "{\"a\":1} x",
        "{\"a\":\"b}",
    };
    static const char *const well_formed[] = {
        "{}",
        " { } ",
        "{\"a\":[]}",
        "{\"a\":[1,[2,{}],\"\"],\"b\":{\"c\":null}}",
        "{\"a\":-0.5e+10,\"b\":1E2,\"c\":true,\"d\":false}",
        "{\"a\":\"\\ud83d\\ude00\\n\\/\"}",
        "{\"a\":1,\"a\":2}",
    };
    g_autoptr (JsonNode) node
        = parse ("{\"s\":\"a]]\\\"[[\",\"n\":3,\"d\":4.0,\"m\":-1,\"f\":1.5,\"o\":{}}");
    g_autofree char *deep = g_strnfill (1000000, '[');
    g_autofree char *quoted = NULL;
    g_autoptr (JsonNode) odd = NULL;
    g_autoptr (GError) error = NULL;
    JsonObject *object;
    guint64 n;

    /* As an empty GBytes gives it. */
    g_assert_null (cw_json_parse_object (NULL, 0, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);

    g_assert_nonnull (node);
    object = json_node_get_object (node);
    g_assert_cmpstr (cw_json_get_string (object, "s"), ==, "a]]\"[[");
    g_assert_null (cw_json_get_string (object, "n"));
    g_assert_null (cw_json_get_array (object, "o"));
    g_assert_nonnull (cw_json_get_object (object, "o"));
    g_assert_true (cw_json_get_uint (object, "n", &n) && n == 3);
    g_assert_true (cw_json_get_uint (object, "d", &n) && n == 4);
    g_assert_false (cw_json_get_uint (object, "m", &n));
    g_assert_false (cw_json_get_uint (object, "f", &n));
    g_assert_null (parse (""));
    g_assert_null (parse ("[1]"));
    for (gsize i = 0; i < G_N_ELEMENTS (malformed); i++)
        g_assert_null (parse (malformed[i]));
    for (gsize i = 0; i < G_N_ELEMENTS (well_formed); i++) {
        g_autoptr (JsonNode) good = parse (well_formed[i]);
        g_assert_nonnull (good);
    }
    g_assert_null (parse ("{\"a\":'x'}"));
    g_assert_null (parse ("/**/{}"));
    g_assert_null (cw_json_parse_object ("{}\0{}", 5, NULL));
    g_assert_null (parse (deep)); /* json-glib itself would overflow the stack */
    quoted = g_strdup_printf ("{\"a\":\"%s\"}", deep);
    odd = parse (quoted);
    g_assert_nonnull (odd);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    cw_crypto_init ();
    g_test_add_func ("/base/bytes", test_bytes);
    g_test_add_func ("/base/base32", test_base32);
    g_test_add_func ("/base/hkdf", test_hkdf);
    g_test_add_func ("/base/sha256", test_sha256);
    g_test_add_func ("/base/json", test_json);
    g_test_add_func ("/base/identity", test_identity);
    g_test_add_func ("/base/identity/refused", test_identity_refused);
    g_test_add_func ("/base/identity/race", test_identity_race);
    return g_test_run ();
}
