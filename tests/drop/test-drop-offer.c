/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <string.h>

#include "cw-drop-offer.h"

static CwOffer *
make_offer (void)
{
    CwOffer *offer = cw_offer_new ();

    cw_offer_add (offer, CW_ITEM_FILE, "film \"x\".mp4", 1234, 1);
    cw_offer_add (offer, CW_ITEM_FOLDER, "photos", G_GINT64_CONSTANT (5) << 40, 100000);
    offer->n_folders = 17;
    return offer;
}

static void
test_both_ways (void)
{
    g_autoptr (CwOffer) offer = make_offer ();
    g_autofree char *json = cw_drop_offer_make (offer);
    g_autoptr (GError) error = NULL;
    g_autoptr (CwOffer) parsed = cw_drop_offer_parse (json, strlen (json), &error);
    const CwOfferItem *item;

    g_assert_no_error (error);
    g_assert_cmpstr (json, ==,
                     "{\"version\":1,\"folders\":17,\"items\":[{\"kind\":\"file\",\"name\":"
                     "\"film \\\"x\\\".mp4\",\"size\":1234,\"files\":1},{\"kind\":\"folder\","
                     "\"name\":\"photos\",\"size\":5497558138880,\"files\":100000}]}");
    g_assert_null (parsed->text);
    g_assert_cmpuint (parsed->n_folders, ==, 17);
    g_assert_cmpuint (parsed->n_files, ==, 100001);
    g_assert_cmpint (parsed->size, ==, (G_GINT64_CONSTANT (5) << 40) + 1234);
    g_assert_cmpuint (parsed->items->len, ==, 2);
    item = g_ptr_array_index (parsed->items, 1);
    g_assert_cmpint (item->kind, ==, CW_ITEM_FOLDER);
    g_assert_cmpstr (item->name, ==, "photos");
    g_assert_cmpint (item->size, ==, G_GINT64_CONSTANT (5) << 40);
}

static void
test_text_and_pipe (void)
{
    g_autoptr (CwOffer) text = cw_offer_new ();
    g_autoptr (CwOffer) pipe = cw_offer_new ();
    g_autofree char *text_json = NULL;
    g_autofree char *pipe_json = NULL;
    g_autoptr (CwOffer) text_parsed = NULL;
    g_autoptr (CwOffer) pipe_parsed = NULL;

    text->text = g_strdup ("héllo\n");
    text_json = cw_drop_offer_make (text);
    text_parsed = cw_drop_offer_parse (text_json, strlen (text_json), NULL);
    g_assert_cmpstr (text_parsed->text, ==, "héllo\n");
    cw_offer_add (pipe, CW_ITEM_FILE, "input", -1, 1);
    pipe_json = cw_drop_offer_make (pipe);
    pipe_parsed = cw_drop_offer_parse (pipe_json, strlen (pipe_json), NULL);
    g_assert_cmpint (pipe_parsed->size, ==, -1);
}

static void
assert_refused (const char *json, CwDropError code)
{
    g_autoptr (GError) error = NULL;

    if (cw_drop_offer_parse (json, strlen (json), &error) != NULL)
        g_error ("accepted: %s", json);
    g_assert_error (error, CW_DROP_ERROR, (int)code);
}

#define ITEMS(items) "{\"version\":1,\"folders\":0,\"items\":[" items "]}"
#define ITEM(kind, name, rest) "{\"kind\":\"" kind "\",\"name\":\"" name "\"" rest "}"

static void
test_refused (void)
{
    g_autoptr (GString) many = g_string_new ("{\"version\":1,\"folders\":0,\"items\":[");
    g_autofree char *long_text = g_strnfill (CW_DROP_MAX_TEXT + 1, 'x');
    g_autofree char *text = g_strdup_printf ("{\"version\":1,\"text\":\"%s\"}", long_text);

    assert_refused ("", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("[]", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{}", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"version\":\"1\"}", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"version\":2,\"text\":\"x\"}", CW_DROP_ERROR_UNSUPPORTED);
    assert_refused ("{\"version\":1}", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"version\":1,\"text\":5}", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"version\":1,\"text\":\"\\ud800\"}", CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"version\":1,\"items\":{}}", CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (""), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS ("5"), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "a", "")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "", ",\"files\":1")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "a/b", ",\"files\":1")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "..", ",\"files\":1")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "\\ud800", ",\"files\":1")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "a", ",\"files\":2")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("file", "a", ",\"files\":1,\"size\":-1")), CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("folder", "a", ",\"files\":1099511627777")),
                    CW_DROP_ERROR_PROTOCOL);
    assert_refused (ITEMS (ITEM ("symlink", "a", ",\"files\":1")), CW_DROP_ERROR_UNSUPPORTED);
    assert_refused (
        ITEMS (ITEM ("file", "a", ",\"files\":1") "," ITEM ("file", "a", ",\"files\":1")),
        CW_DROP_ERROR_PROTOCOL);
    assert_refused (text, CW_DROP_ERROR_TOO_LARGE);
    for (guint i = 0; i <= CW_OFFER_MAX_ITEMS; i++)
        g_string_append_printf (many, "%s{\"kind\":\"file\",\"name\":\"%u\",\"files\":1}",
                                i > 0 ? "," : "", i);
    g_string_append (many, "]}");
    assert_refused (many->str, CW_DROP_ERROR_TOO_LARGE);
}

/* Sums are capped, not wrapped. */
static void
test_huge (void)
{
    const char *json
        = ITEMS (ITEM ("file", "a", ",\"files\":1,\"size\":9223372036854775807") "," ITEM (
            "file", "b",
            ",\"files\":1,\"size\":9223372036854775807,"
            "\"colour\":\"red\""));
    g_autoptr (CwOffer) offer = cw_drop_offer_parse (json, strlen (json), NULL);

    g_assert_nonnull (offer);
    g_assert_cmpint (offer->size, ==, G_MAXINT64);
}

static void
test_tag (void)
{
    g_autoptr (CwOffer) offer = make_offer ();
    g_autoptr (CwOffer) swapped = cw_offer_new ();
    g_autoptr (CwOffer) other_kind = cw_offer_new ();
    g_autofree char *tag = cw_drop_offer_make_tag (offer, "anna");
    g_autofree char *somebody = cw_drop_offer_make_tag (offer, "bernd");
    g_autofree char *same = NULL;
    g_autofree char *other = NULL;

    /* Order, sizes and counts do not matter: the content is compared anyway. */
    cw_offer_add (swapped, CW_ITEM_FOLDER, "photos", 1, 1);
    cw_offer_add (swapped, CW_ITEM_FILE, "film \"x\".mp4", 2, 1);
    cw_offer_add (other_kind, CW_ITEM_FILE, "photos", 1, 1);
    cw_offer_add (other_kind, CW_ITEM_FILE, "film \"x\".mp4", 2, 1);
    same = cw_drop_offer_make_tag (swapped, "anna");
    other = cw_drop_offer_make_tag (other_kind, "anna");
    g_assert_cmpuint (strlen (tag), ==, 26);
    g_assert_cmpuint (strspn (tag, "abcdefghijklmnopqrstuvwxyz234567"), ==, 26);
    g_assert_cmpstr (tag, ==, same);
    g_assert_cmpstr (tag, !=, somebody);
    g_assert_cmpstr (tag, !=, other);
    cw_offer_add (swapped, CW_ITEM_FILE, "pipe", -1, 1);
    g_assert_null (cw_drop_offer_make_tag (swapped, "anna"));
}

static void
test_answers (void)
{
    g_autofree char *yes = cw_drop_accept_make (TRUE);
    g_autofree char *fresh = cw_drop_accept_make (FALSE);
    g_autofree char *delivered = cw_drop_delivered_make (7, 1);
    const char *minimal = "{\"decision\":\"accept\"}";
    gboolean resume = FALSE;

    g_assert_true (cw_drop_accept_parse (yes, strlen (yes), &resume));
    g_assert_true (resume);
    g_assert_true (cw_drop_accept_parse (fresh, strlen (fresh), &resume));
    g_assert_false (resume);
    g_assert_true (cw_drop_accept_parse (minimal, strlen (minimal), &resume));
    g_assert_false (resume);
    g_assert_false (cw_drop_accept_parse ("", 0, &resume));
    g_assert_false (cw_drop_accept_parse ("{}", 2, &resume));
    g_assert_cmpstr (delivered, ==, "{\"delivered\":7,\"failed\":1}");
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/drop-offer/both-ways", test_both_ways);
    g_test_add_func ("/drop-offer/text-and-pipe", test_text_and_pipe);
    g_test_add_func ("/drop-offer/refused", test_refused);
    g_test_add_func ("/drop-offer/huge", test_huge);
    g_test_add_func ("/drop-offer/tag", test_tag);
    g_test_add_func ("/drop-offer/answers", test_answers);
    return g_test_run ();
}
