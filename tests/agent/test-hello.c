/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "cw-hello.h"

static CwIdentity *
make_identity (void)
{
    g_autofree char *dir = g_dir_make_tmp ("cw-hello-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (dir, "identity.key", NULL);
    CwIdentity *identity = cw_identity_load_or_create (dir, NULL);

    g_unlink (path);
    g_rmdir (dir);
    return identity;
}

static void
test_round (void)
{
    g_autoptr (CwIdentity) anna = make_identity ();
    g_autoptr (CwIdentity) bernd = make_identity ();
    g_autofree char *a = cw_hello_make ("Anna's laptop", cw_identity_get_key (anna));
    g_autofree char *b = cw_hello_make ("Bernd \"x\"\n", cw_identity_get_key (bernd));
    g_autoptr (CwHello) from_anna = cw_hello_parse (a);
    g_autoptr (CwHello) from_bernd = cw_hello_parse (b);
    g_auto (CwSecret) meeting = { { 1, 2, 3 } };
    g_auto (CwSecret) at_anna = CW_SECRET_INIT;
    g_auto (CwSecret) at_bernd = CW_SECRET_INIT;
    g_auto (CwSecret) forged = CW_SECRET_INIT;

    g_assert_true (from_anna->is_causeway);
    g_assert_cmpstr (from_anna->name, ==, "Anna's laptop");
    g_assert_null (strchr (from_bernd->name, '\n'));
    g_assert_true (cw_device_key_equal (&from_anna->key, cw_identity_get_key (anna)));
    g_assert_true (cw_hello_derive_link_key (from_bernd, anna, &meeting, &at_anna));
    g_assert_true (cw_hello_derive_link_key (from_anna, bernd, &meeting, &at_bernd));
    g_assert_cmpmem (at_anna.bytes, 32, at_bernd.bytes, 32);
    /* Whoever only claims to be Anna gets another key. */
    {
        g_autoptr (CwIdentity) eve = make_identity ();
        g_assert_true (cw_hello_derive_link_key (from_bernd, eve, &meeting, &forged));
    }
    g_assert_true (memcmp (forged.bytes, at_bernd.bytes, 32) != 0);
}

static void
test_strangers (void)
{
    static const char *const others[] = {
        "{}",
        "",
        "[]",
        "nonsense",
        "{\"abilities\":[\"transfer-v1\"]}",
        "{\"causeway\":1}",
        "{\"causeway\":{\"version\":0,\"identity\":\"%s\"}}",
        "{\"causeway\":{\"version\":1}}",
        "{\"causeway\":{\"version\":1,\"identity\":\"00\"}}",
        "{\"causeway\":{\"version\":1,\"identity\":17}}",
        "{\"causeway\":{\"version\":\"1\",\"identity\":\"00\"}}",
    };
    g_autofree char *zeros = g_strnfill (64, '0');
    g_autofree char *low = NULL;
    g_autofree char *newer = NULL;
    g_autoptr (CwIdentity) anna = make_identity ();
    g_auto (CwSecret) meeting = CW_SECRET_INIT;
    g_auto (CwSecret) key = CW_SECRET_INIT;

    for (gsize i = 0; i < G_N_ELEMENTS (others); i++) {
        g_autoptr (CwHello) hello = cw_hello_parse (others[i]);
        g_assert_false (hello->is_causeway);
    }
    newer = g_strdup_printf ("{\"causeway\":{\"version\":9,\"identity\":\"%s\",\"x\":[]}}", zeros);
    {
        g_autoptr (CwHello) hello = cw_hello_parse (newer);
        g_assert_true (hello->is_causeway);
        g_assert_null (hello->name);
        /* A key of low order makes no secret. */
        g_assert_false (cw_hello_derive_link_key (hello, anna, &meeting, &key));
    }
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    cw_crypto_init ();
    g_test_add_func ("/hello/round", test_round);
    g_test_add_func ("/hello/strangers", test_strangers);
    return g_test_run ();
}
