/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <string.h>

#include "cw-drop-error.h"
#include "cw-hash.h"
#include "cw-v1-private.h"

/* As Debian 12's magic-wormhole 0.12.0 and wormhole-william 1.0.6 sent them. */
#define PY_TRANSIT                                                                                 \
    "{\"transit\": {\"abilities-v1\": [{\"type\": \"direct-tcp-v1\"}, {\"type\": "                 \
    "\"relay-v1\"}], \"hints-v1\": [{\"type\": \"direct-tcp-v1\", \"priority\": 0.0, "             \
    "\"hostname\": \"192.0.2.2\", \"port\": 43347}, {\"type\": \"relay-v1\", \"hints\": "          \
    "[{\"type\": \"direct-tcp-v1\", \"priority\": 0.0, \"hostname\": \"127.0.0.1\", "              \
    "\"port\": 47114}]}]}}"
#define PY_FILE "{\"offer\": {\"file\": {\"filename\": \"f.bin\", \"filesize\": 50000}}}"
#define PY_DIRECTORY                                                                               \
    "{\"offer\": {\"directory\": {\"mode\": \"zipfile/deflated\", \"dirname\": \"d\", "            \
    "\"zipsize\": 301, \"numbytes\": 11, \"numfiles\": 3}}}"
#define PY_ANSWER "{\"answer\": {\"file_ack\": \"ok\"}}"
#define GO_TRANSIT                                                                                 \
    "{\"transit\":{\"abilities-v1\":[{\"type\":\"direct-tcp-v1\"},{\"type\":\"relay-v1\"}],"       \
    "\"hints-v1\":[{\"hostname\":\"192.0.2.2\",\"port\":41933,\"priority\":0,"                     \
    "\"type\":\"direct-tcp-v1\",\"hints\":null},{\"hostname\":\"\",\"port\":0,\"priority\":0,"     \
    "\"type\":\"relay-v1\",\"hints\":[{\"hostname\":\"transit.magic-wormhole.io\","                \
    "\"port\":4001,\"priority\":2,\"type\":\"direct-tcp-v1\"}]}]}}"
#define GO_DIRECTORY                                                                               \
    "{\"offer\":{\"directory\":{\"dirname\":\"d\",\"mode\":\"zipfile/deflated\","                  \
    "\"numbytes\":11,\"numfiles\":3,\"zipsize\":359}}}"
#define GO_ANSWER "{\"answer\":{\"file_ack\":\"ok\"}}"
#define GO_ACK                                                                                     \
    "{\"ack\":\"ok\",\"sha256\":\"2e55d33a07cb36941a5b2b67828935cdc6390212765fd6fd532ce3df51dcf9a" \
    "3\"}"

static CwV1Message *
parse (const char *text)
{
    g_autoptr (GError) error = NULL;
    CwV1Message *message = cw_v1_message_parse (text, strlen (text), &error);

    g_assert_no_error (error);
    g_assert_nonnull (message);
    return message;
}

static void
assert_refused (const char *text, CwDropError code)
{
    g_autoptr (GError) error = NULL;
    CwV1Message *message = cw_v1_message_parse (text, strlen (text), &error);

    if (message != NULL)
        g_error ("accepted: %s", text);
    g_assert_error (error, CW_DROP_ERROR, (int)code);
}

static const CwOfferItem *
only_item (const CwV1Message *message)
{
    g_assert_nonnull (message->offer);
    g_assert_cmpuint (message->offer->items->len, ==, 1);
    return g_ptr_array_index (message->offer->items, 0);
}

static void
test_transit (void)
{
    static const char *const vectors[] = { PY_TRANSIT, GO_TRANSIT };

    for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++) {
        g_autoptr (CwV1Message) message = parse (vectors[i]);
        JsonObject *transit = json_node_get_object (message->transit);
        g_autoptr (GBytes) again = NULL;
        g_autoptr (CwV1Message) reparsed = NULL;
        g_autofree char *text = NULL;

        g_assert_cmpuint (
            json_array_get_length (json_object_get_array_member (transit, "hints-v1")), ==, 2);
        g_assert_null (message->offer);
        g_assert_null (message->error);
        again = cw_v1_make_transit (message->transit);
        text = g_strndup (g_bytes_get_data (again, NULL), g_bytes_get_size (again));
        reparsed = parse (text);
        g_assert_true (json_node_equal (message->transit, reparsed->transit));
    }
}

static void
test_file (void)
{
    g_autoptr (CwV1Message) message = parse (PY_FILE);
    const CwOfferItem *item = only_item (message);

    g_assert_cmpint (message->offer_kind, ==, CW_V1_FILE);
    g_assert_cmpuint (message->offer_wire_size, ==, 50000);
    g_assert_cmpint (item->kind, ==, CW_ITEM_FILE);
    g_assert_cmpstr (item->name, ==, "f.bin");
    g_assert_cmpint (item->size, ==, 50000);
    g_assert_cmpuint (message->offer->n_files, ==, 1);
}

static void
test_directory (void)
{
    static const char *const vectors[] = { PY_DIRECTORY, GO_DIRECTORY };

    for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++) {
        g_autoptr (CwV1Message) message = parse (vectors[i]);
        const CwOfferItem *item = only_item (message);

        g_assert_cmpint (message->offer_kind, ==, CW_V1_DIRECTORY);
        g_assert_cmpuint (message->offer_wire_size, ==, i == 0 ? 301 : 359);
        g_assert_cmpint (item->kind, ==, CW_ITEM_FOLDER);
        g_assert_cmpstr (item->name, ==, "d");
        g_assert_cmpint (item->size, ==, 11);
        g_assert_cmpuint (item->n_files, ==, 3);
    }
}

static void
test_text_answers_errors (void)
{
    g_autoptr (CwV1Message) text = parse ("{\"offer\": {\"message\": \"gr\\u00fc\\u00dfe\"}}");
    g_autoptr (CwV1Message) py = parse (PY_ANSWER);
    g_autoptr (CwV1Message) go = parse (GO_ANSWER);
    g_autoptr (CwV1Message) message_ack = parse ("{\"answer\": {\"message_ack\": \"ok\"}}");
    g_autoptr (CwV1Message) no = parse ("{\"answer\": {\"file_ack\": \"no\"}}");
    g_autoptr (CwV1Message) failed = parse ("{\"error\": \"transfer rejected\"}");
    g_autoptr (CwV1Message) unknown = parse ("{\"wave\": [1, {\"x\": null}]}");

    g_assert_cmpint (text->offer_kind, ==, CW_V1_TEXT);
    g_assert_cmpstr (text->offer->text, ==, "grüße");
    g_assert_true (py->file_ack && !py->message_ack);
    g_assert_true (go->file_ack && !go->message_ack);
    g_assert_true (message_ack->message_ack && !message_ack->file_ack);
    g_assert_false (no->file_ack);
    g_assert_cmpstr (failed->error, ==, "transfer rejected");
    g_assert_null (unknown->offer);
    g_assert_null (unknown->error);
}

static void
test_grouped (void)
{
    g_autoptr (CwV1Message) message
        = parse ("{\"x\": 1, \"answer\": {\"file_ack\": \"ok\"}, \"transit\": {}, \"error\": "
                 "\"e\", \"offer\": {\"file\": {\"filesize\": 1, \"filename\": \"f\"}}}");

    g_assert_true (message->file_ack);
    g_assert_nonnull (message->transit);
    g_assert_cmpstr (message->error, ==, "e");
    g_assert_cmpstr (only_item (message)->name, ==, "f");
}

static void
test_truncated (void)
{
    static const char *const vectors[]
        = { PY_TRANSIT, PY_FILE, PY_DIRECTORY, PY_ANSWER, GO_TRANSIT, GO_DIRECTORY, GO_ANSWER };

    for (gsize i = 0; i < G_N_ELEMENTS (vectors); i++)
        for (gsize len = 0; len < strlen (vectors[i]); len++) {
            g_autofree char *cut = g_strndup (vectors[i], len);
            assert_refused (cut, CW_DROP_ERROR_PROTOCOL);
        }
}

static guint64
parse_size (const char *number)
{
    g_autofree char *text = g_strdup_printf (
        "{\"offer\": {\"file\": {\"filename\": \"f\", \"filesize\": %s}}}", number);
    g_autoptr (CwV1Message) message = cw_v1_message_parse (text, strlen (text), NULL);

    return message != NULL ? message->offer_wire_size : G_MAXUINT64;
}

static void
test_sizes (void)
{
    static const char *const bad[] = {
        "-1",  "-0.5",  "1.5",  "1e999", "9223372036854775808",    "18446744073709551615", "1e19",
        "NaN", "\"5\"", "null", "[1]",   "99999999999999999999999"
    };

    g_assert_cmpuint (parse_size ("0"), ==, 0);
    g_assert_cmpuint (parse_size ("5e3"), ==, 5000);
    g_assert_cmpuint (parse_size ("4294967296.0"), ==, G_GUINT64_CONSTANT (4294967296));
    g_assert_cmpuint (parse_size ("9223372036854775807"), ==, G_MAXINT64);
    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
        g_assert_cmpuint (parse_size (bad[i]), ==, G_MAXUINT64);
}

static char *
parse_name (const char *json)
{
    g_autofree char *text = g_strdup_printf (
        "{\"offer\": {\"file\": {\"filename\": \"%s\", \"filesize\": 1}}}", json);
    g_autoptr (GError) error = NULL;
    g_autoptr (CwV1Message) message = cw_v1_message_parse (text, strlen (text), &error);

    if (message != NULL)
        return g_strdup (only_item (message)->name);
    return g_strdup_printf ("error %d", error->code);
}

static void
test_names (void)
{
    static const char *const good[][2] = {
        { "a.txt", "a.txt" },     { "/etc/passwd", "passwd" },
        { "../../x", "x" },       { "a/b/", "b" },
        { ".bashrc", ".bashrc" }, { "...", "..." },
        { "C:\\\\a", "C:\\a" },   { "..x", "..x" },
        { "\\u202e", "\u202e" },
    };
    static const char *const bad[] = { "", "/", ".", "..", "a/..", "a/.", "//", "\\u0000" };
    g_autofree char *bad_name = g_strdup_printf ("error %d", CW_DROP_ERROR_BAD_NAME);
    g_autofree char *long_name = g_strnfill (CW_OFFER_MAX_NAME + 1, 'a');
    g_autofree char *refused = parse_name (long_name);
    g_autofree char *protocol = g_strdup_printf ("error %d", CW_DROP_ERROR_PROTOCOL);

    for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
        g_autofree char *name = parse_name (good[i][0]);
        g_assert_cmpstr (name, ==, good[i][1]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        g_autofree char *name = parse_name (bad[i]);
        g_assert_cmpstr (name, ==, bad_name);
    }
    g_assert_cmpstr (refused, ==, protocol);
}

static void
test_refused (void)
{
    static const char *const nonsense[] = {
        "",
        "null",
        "[]",
        "\"offer\"",
        "{\"offer\": []}",
        "{\"offer\": null}",
        "{\"offer\": {\"message\": 5}}",
        "{\"offer\": {\"file\": null}}",
        "{\"offer\": {\"file\": {\"filename\": \"f\"}}}",
        "{\"offer\": {\"file\": {\"filesize\": 1}}}",
        "{\"offer\": {\"directory\": []}}",
        "{\"offer\": {\"directory\": {\"dirname\": \"d\", \"zipsize\": 1, \"numbytes\": 1, "
        "\"numfiles\": 1}}}",
        "{\"offer\": {\"directory\": {\"mode\": \"zipfile\", \"dirname\": \"d\", \"zipsize\": 1, "
        "\"numbytes\": 1}}}",
        "{\"transit\": []}",
        "{\"transit\": null}",
        "{\"answer\": \"ok\"}",
        "{\"error\": {}}",
        "{\"error\": \"\xff\"}",
        "{\"a\": \"\\ud800\"}",
    };
    g_autofree char *deep = g_strnfill (200000, '[');
    g_autofree char *padding = g_strnfill (1024 * 1024, ' ');
    g_autofree char *longest = g_strconcat (PY_FILE, padding, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS (nonsense); i++)
        assert_refused (nonsense[i], CW_DROP_ERROR_PROTOCOL);
    assert_refused (deep, CW_DROP_ERROR_PROTOCOL);
    assert_refused (longest, CW_DROP_ERROR_PROTOCOL);
    assert_refused ("{\"offer\": {}}", CW_DROP_ERROR_UNSUPPORTED);
    assert_refused ("{\"offer\": {\"hologram\": {}}}", CW_DROP_ERROR_UNSUPPORTED);
    assert_refused ("{\"offer\": {\"directory\": {\"mode\": \"tarball\", \"dirname\": \"d\", "
                    "\"zipsize\": 1, \"numbytes\": 1, \"numfiles\": 1}}}",
                    CW_DROP_ERROR_UNSUPPORTED);
}

static void
test_long_error (void)
{
    g_autofree char *words = g_strnfill (999, 'x');
    g_autofree char *text = g_strconcat ("{\"error\": \"", words, "\u00fc and so on\"}", NULL);
    g_autoptr (CwV1Message) message = parse (text);

    g_assert_cmpstr (message->error, ==, words);
}

static void
assert_bytes (GBytes *bytes, const char *text)
{
    g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, strlen (text));
    g_bytes_unref (bytes);
}

static void
test_made (void)
{
    const guint8 sha256[32] = { 0x0a, 0xff };

    assert_bytes (cw_v1_make_text_offer ("a \"b\""), "{\"offer\":{\"message\":\"a \\\"b\\\"\"}}");
    assert_bytes (cw_v1_make_file_offer ("f", 5),
                  "{\"offer\":{\"file\":{\"filename\":\"f\",\"filesize\":5}}}");
    assert_bytes (cw_v1_make_directory_offer ("d", 9, 5, 2),
                  "{\"offer\":{\"directory\":{\"mode\":\"zipfile/deflated\",\"dirname\":\"d\","
                  "\"zipsize\":9,\"numbytes\":5,\"numfiles\":2}}}");
    assert_bytes (cw_v1_make_answer (CW_V1_TEXT), "{\"answer\":{\"message_ack\":\"ok\"}}");
    assert_bytes (cw_v1_make_answer (CW_V1_FILE), "{\"answer\":{\"file_ack\":\"ok\"}}");
    assert_bytes (cw_v1_make_answer (CW_V1_DIRECTORY), "{\"answer\":{\"file_ack\":\"ok\"}}");
    assert_bytes (cw_v1_make_error ("no"), "{\"error\":\"no\"}");
    assert_bytes (cw_v1_make_ack (sha256),
                  "{\"ack\":\"ok\",\"sha256\":\"0aff00000000000000000000000000000000000000000000000"
                  "0000000000000\"}");
}

static void
assert_ack (const char *text, const guint8 sha256[32], int code, const char *message)
{
    g_autoptr (GError) error = NULL;
    gboolean ok = cw_v1_check_ack (text, strlen (text), sha256, &error);

    g_assert_cmpint (ok, ==, code < 0);
    if (code >= 0)
        g_assert_error (error, CW_DROP_ERROR, code);
    if (message != NULL)
        g_assert_cmpstr (error->message, ==, message);
}

static void
test_ack (void)
{
    const guint8 sha256[32] = { 0x2e, 0x55, 0xd3, 0x3a, 0x07, 0xcb, 0x36, 0x94, 0x1a, 0x5b, 0x2b,
                                0x67, 0x82, 0x89, 0x35, 0xcd, 0xc6, 0x39, 0x02, 0x12, 0x76, 0x5f,
                                0xd6, 0xfd, 0x53, 0x2c, 0xe3, 0xdf, 0x51, 0xdc, 0xf9, 0xa3 };
    const guint8 other[32] = { 0 };

    assert_ack (GO_ACK, sha256, -1, NULL);
    assert_ack (GO_ACK, other, CW_DROP_ERROR_VERIFY, NULL);
    assert_ack ("{\"ack\": \"ok\"}", sha256, -1, NULL);
    assert_ack ("{\"ack\": \"ok\", \"sha256\": null}", sha256, CW_DROP_ERROR_VERIFY, NULL);
    assert_ack ("{\"ack\": \"ok\", \"sha256\": \"2e55\"}", sha256, CW_DROP_ERROR_VERIFY, NULL);
    assert_ack ("{\"ack\": \"failed\"}", sha256, CW_DROP_ERROR_PEER_FAILED, "failed");
    assert_ack ("{\"ack\": \"failed\", \"error\": \"full\"}", sha256, CW_DROP_ERROR_PEER_FAILED,
                "full");
    assert_ack ("{\"ack\": 1}", sha256, CW_DROP_ERROR_PROTOCOL, NULL);
    assert_ack ("ok", sha256, CW_DROP_ERROR_PROTOCOL, NULL);
    for (gsize len = 0; len < strlen (GO_ACK); len++) {
        g_autofree char *cut = g_strndup (GO_ACK, len);
        assert_ack (cut, sha256, CW_DROP_ERROR_PROTOCOL, NULL);
    }
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/v1/message/transit", test_transit);
    g_test_add_func ("/v1/message/file", test_file);
    g_test_add_func ("/v1/message/directory", test_directory);
    g_test_add_func ("/v1/message/text-answers-errors", test_text_answers_errors);
    g_test_add_func ("/v1/message/grouped", test_grouped);
    g_test_add_func ("/v1/message/truncated", test_truncated);
    g_test_add_func ("/v1/message/sizes", test_sizes);
    g_test_add_func ("/v1/message/names", test_names);
    g_test_add_func ("/v1/message/refused", test_refused);
    g_test_add_func ("/v1/message/long-error", test_long_error);
    g_test_add_func ("/v1/message/made", test_made);
    g_test_add_func ("/v1/message/ack", test_ack);
    return g_test_run ();
}
