/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib.h>
#include <string.h>

#include "cw-code.h"
#include "cw-mailbox-error.h"
#include "cw-mailbox-url.h"

#define CODE "7-crossover-clockwork"

/* The list is the one every client has. */
static void
test_words (void)
{
    g_autoptr (GString) text = g_string_new (NULL);
    g_autofree char *sum = NULL;

    for (unsigned i = 0; i < 256; i++)
        g_string_append_printf (text, "%02x %s %s\n", i, cw_code_word ((guint8)i, 0),
                                cw_code_word ((guint8)i, 1));
    g_assert_cmpuint (text->len, ==, 5199);
    sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, -1);
    g_assert_cmpstr (sum, ==, "cacd83bea851532c0fed1202da82620791f2e08c858cb5c56ab61d449befa404");
}

/* magic-wormhole's test_wordlist.py: bytes 04, 10 */
static void
test_make (void)
{
    const guint8 random[] = { 0x04, 0x10, 0xff, 0x00 };
    g_autofree char *two = cw_code_make ("4", random, 2);
    g_autofree char *four = cw_code_make ("123", random, 4);

    g_assert_cmpstr (two, ==, "4-alkali-assume");
    g_assert_cmpstr (four, ==, "123-alkali-assume-yucatan-aardvark");
}

static void
test_normalize (void)
{
    static const char *const good[][2] = {
        { CODE, CODE },
        { "  7-crossover-clockwork\n", CODE },
        { "7-Crossover-CLOCKWORK", CODE },
        { "7 crossover clockwork", CODE },
        { "7   crossover\tclockwork", CODE },
        { "7 - crossover - clockwork", CODE },
        { "7-crossover -clockwork", CODE },
        { "7\xe2\x80\x93"
          "crossover\xe2\x80\x91"
          "clockwork",
          CODE }, /* en dash, no-break hyphen */
        { "7\xc2\xa0"
          "crossover\xe3\x80\x80"
          "clockwork",
          CODE }, /* no-break, ideographic space */
        { "\xef\xbb\xbf"
          "7-crossover-clockwork\xe2\x80\x8b",
          CODE },                              /* BOM, zero-width space */
        { "7-I", "7-i" },                      /* in any locale */
        { "7-Cafe\xcc\x81", "7-caf\xc3\xa9" }, /* NFC */
        { "1234567890123456789012345678901234567890-x",
          "1234567890123456789012345678901234567890-x" },
        { "007-x", "007-x" },
        { "wormhole-transfer:7-crossover-clockwork", CODE },
        { "WORMHOLE-TRANSFER:7-crossover-clockwork", CODE },
        { " wormhole-transfer:7-crossover-clockwork?version=0&role=follower ", CODE },
        { "wormhole-transfer:7%2Dcrossover%2dclockwork?", CODE },
        { "wormhole-transfer:7-caf%C3%A9", "7-caf\xc3\xa9" },
    };
    static const char *const bad[] = {
        "",
        "   ",
        "-",
        "crossover-clockwork",
        "7",
        "7-",
        "-7-crossover",
        "7crossover-clockwork",
        "7-crossover-",
        "7--crossover",
        "7-crossover--clockwork",
        "+7-x",
        "7.5-x",
        "12345678901234567890123456789012345678901-x",
        "7-\xff",
        "7-a\x01z",
        "7-a\xe2\x80\x8bz",
        "\xd9\xa7-crossover", /* a digit seven, but not an ASCII one */
        "wormhole-transfer:",
        "wormhole-transfer:crossover",
        "wormhole-transfer:7-x?role=leader",
        "wormhole-transfer:7-x?version=1",
        "wormhole-transfer:7-x?version",
        "wormhole-transfer:7-x?colour=red",
        "wormhole-transfer:7-x#there",
        "wormhole-transfer:7-x%00",
        "wormhole-transfer:7-x%2",
        "wormhole-transfer:7-x%ff",
        "wormhole-transfer:7-x?rendezvous=http%3A%2F%2Fexample.org",
        "wormhole-transfer:7-x?rendezvous=%ff",
        "wormhole-transfer:7-x?version=0&versio=0",
        "wormhole-transfer:wormhole-transfer:7-x",
    };
    g_autofree char *long_words = g_strnfill (3000, 'a');
    g_autofree char *too_long = g_strconcat ("7-", long_words, NULL);
    g_autoptr (GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
        g_autofree char *code = cw_code_normalize (good[i][0], NULL, &error);
        g_assert_no_error (error);
        g_assert_cmpstr (code, ==, good[i][1]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autofree char *code = cw_code_normalize (bad[i], NULL, &error);
        if (code != NULL)
            g_error ("'%s' became '%s'", bad[i], code);
        g_assert_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE);
        g_clear_error (&error);
    }
    g_assert_null (cw_code_normalize (too_long, NULL, NULL));
    too_long[400] = '\0';
    g_assert_null (cw_code_normalize (too_long, NULL, NULL));
}

static void
test_uri (void)
{
    static const struct {
        const char *mailbox;
        const char *uri;
        const char *back; /* NULL: the usual */
    } cases[] = {
        { NULL, "wormhole-transfer:" CODE, NULL },
        { "wss://relay.magic-wormhole.io/v1", "wormhole-transfer:" CODE, NULL },
        { "wss://relay.magic-wormhole.io:443/v1", "wormhole-transfer:" CODE, NULL },
        { "ws://relay.magic-wormhole.io:4000/v1", "wormhole-transfer:" CODE, NULL },
        { "ws://192.0.2.7:4000/v1",
          "wormhole-transfer:" CODE "?rendezvous=ws%3A%2F%2F192.0.2.7%3A4000",
          "ws://192.0.2.7:4000/v1" },
        { "wss://[2001:db8::7]/v1",
          "wormhole-transfer:" CODE "?rendezvous=wss%3A%2F%2F%5B2001%3Adb8%3A%3A7%5D",
          "wss://[2001:db8::7]/v1" },
        { "wss://example.org/deep/v1",
          "wormhole-transfer:" CODE "?rendezvous=wss%3A%2F%2Fexample.org%2Fdeep%2Fv1",
          "wss://example.org/deep/v1" },
    };
    g_autofree char *mailbox = NULL;
    g_autofree char *uri = NULL;
    g_autofree char *code = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        g_autofree char *made = cw_code_to_uri (CODE, cases[i].mailbox);
        g_autofree char *back = NULL;
        g_autofree char *again = cw_code_normalize (made, &back, NULL);
        g_assert_cmpstr (made, ==, cases[i].uri);
        g_assert_cmpstr (again, ==, CODE);
        g_assert_cmpstr (back, ==, cases[i].back);
    }
    /* a slash at the end means no path as well */
    code = cw_code_normalize ("wormhole-transfer:7-x?rendezvous=ws://h:1/", &mailbox, NULL);
    g_assert_cmpstr (code, ==, "7-x");
    g_assert_cmpstr (mailbox, ==, "ws://h:1/v1");
    uri = cw_code_to_uri ("7-caf\xc3\xa9 &?", NULL);
    g_assert_cmpstr (uri, ==, "wormhole-transfer:7-caf%C3%A9%20%26%3F");
}

static void
test_nameplate (void)
{
    g_autofree char *number = cw_code_dup_nameplate (CODE);
    g_autofree char *alone = cw_code_dup_nameplate ("123");

    g_assert_cmpstr (number, ==, "7");
    g_assert_cmpstr (alone, ==, "123");
    g_assert_null (cw_code_dup_nameplate (""));
    g_assert_null (cw_code_dup_nameplate ("x-7"));
    g_assert_null (cw_code_dup_nameplate ("7x"));
}

static void
assert_completions (const char *typed,
                    const char *const *nameplates,
                    unsigned n_words,
                    const char *expected)
{
    g_auto (GStrv) got = cw_code_complete (typed, nameplates, n_words);
    g_autofree char *joined = g_strjoinv (" ", got);

    g_assert_cmpstr (joined, ==, expected);
}

/* The cases of magic-wormhole's test_wordlist.py, behind a number. */
static void
test_complete (void)
{
    static const char *const nameplates[] = { "12", "3", "1", "x", "", "123", NULL };
    g_auto (GStrv) all = cw_code_complete ("7-", NULL, 2);

    assert_completions ("7-ar", NULL, 2, "7-armistice- 7-article-");
    assert_completions ("7-armis", NULL, 2, "7-armistice-");
    assert_completions ("7-armistice", NULL, 2, "7-armistice-");
    assert_completions ("7-armistice-ba", NULL, 2,
                        "7-armistice-baboon 7-armistice-backfield 7-armistice-backward "
                        "7-armistice-banjo");
    assert_completions ("7-armistice-ba", NULL, 3,
                        "7-armistice-baboon- 7-armistice-backfield- 7-armistice-backward- "
                        "7-armistice-banjo-");
    assert_completions ("7-armistice-baboon", NULL, 2, "7-armistice-baboon");
    assert_completions ("7-armistice-baboon", NULL, 3, "7-armistice-baboon-");
    assert_completions ("7-armistice-baboon-ar", NULL, 4,
                        "7-armistice-baboon-armistice- 7-armistice-baboon-article-");
    assert_completions ("7-ARMIS", NULL, 2, "7-armistice-");
    assert_completions ("7-xyz", NULL, 2, "");
    assert_completions ("", nameplates, 2, "1- 3- 12- 123-");
    assert_completions ("1", nameplates, 2, "1- 12- 123-");
    assert_completions ("9", nameplates, 2, "");
    assert_completions ("1", NULL, 2, "");
    assert_completions ("x", nameplates, 2, "");
    assert_completions ("-ar", nameplates, 2, "");
    assert_completions ("7-\xff", nameplates, 2, "");
    g_assert_cmpuint (g_strv_length (all), ==, 256);
    g_assert_cmpstr (all[0], ==, "7-adroitness-");
    g_assert_cmpstr (all[255], ==, "7-yucatan-");
}

static void
test_url (void)
{
    static const char *const good[]
        = { "ws://h/v1", "wss://h/v1", "ws://192.0.2.7:4000/v1", "ws://[::1]:4000/v1", "wss://h" };
    static const char *const bad[] = { "",
                                       "h",
                                       "http://h/v1",
                                       "ws://",
                                       "ws:///v1",
                                       "ws://h:0/v1",
                                       "ws://h:99999/v1",
                                       "ws://u:p@h/v1",
                                       "ws://h/v1?a=b",
                                       "ws://h/v1#x",
                                       "wss//h",
                                       "ws://h h/v1" };
    g_autoptr (GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
        g_assert_true (cw_mailbox_url_check (good[i], &error));
        g_assert_no_error (error);
    }
    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        if (cw_mailbox_url_check (bad[i], &error))
            g_error ("'%s' passed", bad[i]);
        g_assert_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_URL);
        g_clear_error (&error);
    }
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/code/words", test_words);
    g_test_add_func ("/code/make", test_make);
    g_test_add_func ("/code/normalize", test_normalize);
    g_test_add_func ("/code/uri", test_uri);
    g_test_add_func ("/code/nameplate", test_nameplate);
    g_test_add_func ("/code/complete", test_complete);
    g_test_add_func ("/code/url", test_url);
    return g_test_run ();
}
