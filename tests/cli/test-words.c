/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-json.h"
#include "cw-cli-text.h"
#include "cw-cli-words.h"

#define MB G_GINT64_CONSTANT (1000000)

static void
assert_takes (char *text, const char *wanted)
{
    g_assert_cmpstr (text, ==, wanted);
    g_free (text);
}

static void
test_sending (void)
{
    g_autoptr (CwOffer) offer = cw_offer_new ();
    g_autoptr (CwOffer) pipe_offer = cw_offer_new ();
    g_autoptr (CwOffer) text = cw_offer_new ();

    cw_offer_add (offer, CW_ITEM_FILE, "holiday.mp4", 1900 * MB, 1);
    assert_takes (cw_words_sending (offer), "Sending holiday.mp4, 1.9 GB.");
    cw_offer_add (offer, CW_ITEM_FOLDER, "photos", 1300 * MB, 214);
    assert_takes (cw_words_sending (offer),
                  "Sending holiday.mp4 and photos (214 files), 3.2 GB in all.");
    cw_offer_add (offer, CW_ITEM_FOLDER, "one", 0, 1);
    assert_takes (cw_words_items (offer), "holiday.mp4, photos (214 files) and one (1 file)");
    cw_offer_add (offer, CW_ITEM_FILE, "four", 0, 1);
    cw_offer_add (offer, CW_ITEM_FILE, "five", 0, 1);
    assert_takes (cw_words_items (offer),
                  "holiday.mp4, photos (214 files), one (1 file) and 2 more");
    cw_offer_add (pipe_offer, CW_ITEM_FILE, "work.tar", -1, 1);
    assert_takes (cw_words_sending (pipe_offer), "Sending work.tar; its size is not known.");
    text->text = g_strdup ("x");
    assert_takes (cw_words_sending (text), "Sending a text.");
}

/* Five and how many more, but never "and 1 more". */
static void
test_offer_list (void)
{
    g_autoptr (CwOffer) offer = cw_offer_new ();

    cw_offer_add (offer, CW_ITEM_FOLDER, "photos", 1300 * MB, 214);
    for (int i = 0; i < 5; i++)
        cw_offer_add (offer, CW_ITEM_FILE, "写真", 1, 1);
    assert_takes (cw_words_offer_list (offer, 80),
                  "  photos/  214 files, 1.3 GB\n  写真     1 byte\n  写真     1 byte\n"
                  "  写真     1 byte\n  写真     1 byte\n  写真     1 byte");
    cw_offer_add (offer, CW_ITEM_FILE, "a", -1, 1);
    assert_takes (cw_words_offer_list (offer, 80),
                  "  photos/  214 files, 1.3 GB\n  写真     1 byte\n  写真     1 byte\n"
                  "  写真     1 byte\n  写真     1 byte\n"
                  "  and 2 more: 220 files in all");
}

/* Ten thousand items with the longest names make a few short lines. */
static void
test_offer_list_is_bounded (void)
{
    g_autoptr (CwOffer) offer = cw_offer_new ();
    g_autofree char *name = g_strnfill (CW_OFFER_MAX_NAME, 'x');
    g_autofree char *list = NULL;
    g_auto (GStrv) lines = NULL;

    for (int i = 0; i < CW_OFFER_MAX_ITEMS; i++)
        cw_offer_add (offer, CW_ITEM_FILE, name, 1, 1);
    list = cw_words_offer_list (offer, 80);
    lines = g_strsplit (list, "\n", -1);
    g_assert_cmpuint (g_strv_length (lines), ==, 6);
    for (int i = 0; i < 5; i++)
        g_assert_cmpuint (cw_text_columns (lines[i]), <=, 80);
}

static void
test_routes (void)
{
    static const struct {
        CwRoute route;
        const char *words;
    } cases[] = {
        { { CW_ROUTE_DIRECT, CW_ROUTE_REASON_BEST, (char *)"203.0.113.7", 41200 },
          "direct, 203.0.113.7, 41 ms" },
        { { CW_ROUTE_LAN, CW_ROUTE_REASON_BEST, (char *)"fe80::1", 340 },
          "same network, fe80::1, under 1 ms" },
        { { CW_ROUTE_RELAY, CW_ROUTE_REASON_NO_DIRECT, (char *)"relay.example:4001", -1 },
          "relay: no direct connection worked" },
        { { CW_ROUTE_RELAY, CW_ROUTE_REASON_DIRECT_OFF, NULL, 52000 },
          "relay: direct connections are switched off, 52 ms" },
        { { CW_ROUTE_RELAY, CW_ROUTE_REASON_BEST, NULL, -1 }, "relay" },
        { { CW_ROUTE_TAILNET, CW_ROUTE_REASON_BEST, (char *)"100.64.0.1", -1 },
          "tailnet, 100.64.0.1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
        assert_takes (cw_words_route (&cases[i].route), cases[i].words);
}

static void
test_done (void)
{
    CwTransferFigures figures = { .files_done = 215, .bytes_done = 3200000000 };

    assert_takes (cw_words_done (&figures, 34), "Done: 215 files, 3.2 GB in 34 s, verified.");
    figures.bytes_kept = 1200000000;
    assert_takes (cw_words_done (&figures, 0),
                  "Done: 215 files, 3.2 GB in 1 s, verified; 1.2 GB were there already.");
    assert_takes (cw_words_receive_command ("7-a-b", NULL), "causeway receive 7-a-b");
    assert_takes (cw_words_receive_command ("7-a-b", "ws://h:1/v1"),
                  "causeway receive --mailbox ws://h:1/v1 7-a-b");
}

/* Whatever the names, one event is one line that parses and gives them back. */
static void
test_json_names (void)
{
    static const char *const names[] = { "a\nb", "\"\\/", "\001\033\177", "\xe2\x80\xa8", "grüße" };
    int fds[2];
    g_autoptr (CwJson) json = NULL;

    g_assert_cmpint (pipe (fds), ==, 0);
    json = cw_json_new (fds[1]);
    for (size_t i = 0; i < G_N_ELEMENTS (names); i++) {
        char line[512] = "";
        ssize_t n;
        g_autoptr (JsonNode) node = NULL;

        cw_json_text (json, names[i]);
        n = read (fds[0], line, sizeof line - 1);
        g_assert_cmpint (n, >, 0);
        g_assert_true (strchr (line, '\n') == line + n - 1);
        node = json_from_string (line, NULL);
        g_assert_cmpstr (json_object_get_string_member (json_node_get_object (node), "text"), ==,
                         names[i]);
    }
    close (fds[0]);
    close (fds[1]);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/words/sending", test_sending);
    g_test_add_func ("/words/offer-list", test_offer_list);
    g_test_add_func ("/words/offer-list/bounded", test_offer_list_is_bounded);
    g_test_add_func ("/words/routes", test_routes);
    g_test_add_func ("/words/done", test_done);
    g_test_add_func ("/json/names", test_json_names);
    return g_test_run ();
}
