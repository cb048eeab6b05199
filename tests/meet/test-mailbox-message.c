/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib.h>
#include <string.h>

#include "cw-hashcash.h"
#include "cw-mailbox-message.h"

static gboolean
parse (const char *text, CwMailboxMessage *ret)
{
    return cw_mailbox_message_parse (text, strlen (text), ret);
}

/* As Debian's server writes them. */
static void
test_parse (void)
{
    g_auto (CwMailboxMessage) message = { 0 };

    g_assert_true (parse ("{\"welcome\": {\"motd\": \"hi\", \"current_cli_version\": \"1\"}, "
                          "\"type\": \"welcome\", \"server_tx\": 1700000000.5}",
                          &message));
    g_assert_cmpint (message.type, ==, CW_MAILBOX_MESSAGE_WELCOME);
    g_assert_cmpstr (message.motd, ==, "hi");
    g_assert_null (message.error);
    g_assert_cmpint (message.permission, ==, CW_MAILBOX_PERMISSION_NONE);
    cw_mailbox_message_clear (&message);
    g_assert_true (parse ("{\"id\": \"ab12\", \"type\": \"ack\", \"server_tx\": 1.5}", &message));
    g_assert_cmpint (message.type, ==, CW_MAILBOX_MESSAGE_OTHER);
    g_assert_true (parse ("{\"type\": \"nameplates\", \"nameplates\": [{\"id\": \"1\"}, {\"id\": "
                          "\"x\"}, {}, 5, {\"id\": 7}, {\"id\": \"23\"}]}",
                          &message));
    g_assert_cmpuint (g_strv_length (message.nameplates), ==, 2);
    g_assert_cmpstr (message.nameplates[1], ==, "23");
    cw_mailbox_message_clear (&message);
    g_assert_true (parse ("{\"type\": \"allocated\", \"nameplate\": \"5\"}", &message));
    g_assert_cmpstr (message.nameplate, ==, "5");
    cw_mailbox_message_clear (&message);
    g_assert_true (parse ("{\"type\": \"claimed\", \"mailbox\": \"abc234\"}", &message));
    g_assert_cmpstr (message.mailbox, ==, "abc234");
    cw_mailbox_message_clear (&message);
    g_assert_true (parse ("{\"side\": \"0123456789\", \"phase\": \"pake\", \"body\": \"7b7D\", "
                          "\"server_rx\": 2.5, \"id\": \"ffff\", \"type\": \"message\"}",
                          &message));
    g_assert_cmpstr (message.side, ==, "0123456789");
    g_assert_cmpstr (message.phase, ==, "pake");
    g_assert_cmpmem (g_bytes_get_data (message.body, NULL), g_bytes_get_size (message.body), "{}",
                     2);
    cw_mailbox_message_clear (&message);
    g_assert_true (parse ("{\"type\": \"error\", \"error\": \"crowded\", \"orig\": {\"type\": "
                          "\"claim\", \"nameplate\": \"4\"}}",
                          &message));
    g_assert_cmpint (message.type, ==, CW_MAILBOX_MESSAGE_ERROR);
    g_assert_cmpstr (message.error, ==, "crowded");
    g_assert_cmpstr (message.orig, ==, "claim");
}

static void
test_refuse (void)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"type\":5}",
        "{\"type\":\"welcome\"}",
        "{\"type\":\"welcome\",\"welcome\":[]}",
        "{\"type\":\"allocated\"}",
        "{\"type\":\"allocated\",\"nameplate\":7}",
        "{\"type\":\"allocated\",\"nameplate\":\"x\"}",
        "{\"type\":\"allocated\",\"nameplate\":\"\"}",
        "{\"type\":\"allocated\",\"nameplate\":\"11111111111111111111111111111111111111111\"}",
        "{\"type\":\"claimed\"}",
        "{\"type\":\"claimed\",\"mailbox\":\"\"}",
        "{\"type\":\"nameplates\",\"nameplates\":{}}",
        "{\"type\":\"nameplates\"}",
    };
    g_autofree char *long_name = g_strnfill (300, 'm');
    g_autofree char *too_long
        = g_strdup_printf ("{\"type\":\"claimed\",\"mailbox\":\"%s\"}", long_name);
    g_autofree char *deep = g_strnfill (100000, '[');
    g_autofree char *huge = g_strnfill (CW_MAILBOX_MAX_TEXT + 1, ' ');
    CwMailboxMessage message;

    for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
        if (parse (bad[i], &message))
            g_error ("'%s' passed", bad[i]);
    }
    g_assert_false (parse (too_long, &message));
    g_assert_false (parse (deep, &message));
    memcpy (huge, "{\"type\":\"closed\"}", 17);
    g_assert_false (parse (huge, &message));
}

/* The peer writes these members and the server does not look: never the server's fault. */
static void
test_peer_members (void)
{
    static const char *const odd[] = {
        "{\"type\":\"message\"}",
        "{\"type\":\"message\",\"side\":\"\",\"phase\":\"0\"}",
        "{\"type\":\"message\",\"side\":\"a\",\"phase\":5,\"body\":\"00\"}",
    };
    static const char *const not_hex[] = { "5", "\"0\"", "\"0g\"", "\"00 \"", "null", "[]" };

    for (gsize i = 0; i < G_N_ELEMENTS (odd); i++) {
        g_auto (CwMailboxMessage) message = { 0 };
        g_assert_true (parse (odd[i], &message));
        g_assert_cmpint (message.type, ==, CW_MAILBOX_MESSAGE_OTHER);
    }
    for (gsize i = 0; i < G_N_ELEMENTS (not_hex); i++) {
        g_auto (CwMailboxMessage) message = { 0 };
        g_autofree char *text = g_strdup_printf (
            "{\"type\":\"message\",\"side\":\"a\",\"phase\":\"0\",\"body\":%s}", not_hex[i]);
        g_assert_true (parse (text, &message));
        g_assert_cmpint (message.type, ==, CW_MAILBOX_MESSAGE_PHASE);
        g_assert_null (message.body);
    }
}

/* What ends on a terminal. */
static void
test_prose (void)
{
    g_auto (CwMailboxMessage) message = { 0 };
    g_autofree char *filler = g_strnfill (5000, 'a');
    g_autofree char *text = NULL;

    g_assert_true (parse ("{\"type\":\"welcome\",\"welcome\":{\"error\":"
                          "\"a\\u001b[31m\\r\\n\\u202eb\\u0000c\"}}",
                          &message));
    g_assert_true (g_str_has_prefix (message.error, "a [31m \n b"));
    cw_mailbox_message_clear (&message);
    text = g_strdup_printf ("{\"type\":\"error\",\"error\":\"%s\"}", filler);
    g_assert_true (parse (text, &message));
    g_assert_cmpuint (strlen (message.error), ==, 2000);
    g_assert_null (message.orig);
}

static void
test_write (void)
{
    g_autoptr (GBytes) body = g_bytes_new_static ("\x01\xff", 2);
    g_autofree char *bind = cw_mailbox_message_write_bind (0x1a2, "app", "side");
    g_autofree char *add = cw_mailbox_message_write_add (1, "0", body);
    g_autofree char *ping = cw_mailbox_message_write_ping (0x10002);
    g_autofree char *list = cw_mailbox_message_write (3, "list", NULL);
    g_autofree char *quoted = cw_mailbox_message_write (4, "open", "mailbox", "a\"\\\n", NULL);

    g_assert_cmpstr (bind, ==,
                     "{\"type\":\"bind\",\"id\":\"01a2\",\"appid\":\"app\",\"side\":"
                     "\"side\",\"client_version\":[\"causeway\",\"" CW_VERSION "\"]}");
    g_assert_cmpstr (add, ==,
                     "{\"type\":\"add\",\"id\":\"0001\",\"phase\":\"0\",\"body\":"
                     "\"01ff\"}");
    g_assert_cmpstr (ping, ==, "{\"type\":\"ping\",\"id\":\"0002\",\"ping\":2}");
    g_assert_cmpstr (list, ==, "{\"type\":\"list\",\"id\":\"0003\"}");
    g_assert_cmpstr (quoted, ==,
                     "{\"type\":\"open\",\"id\":\"0004\",\"mailbox\":\"a\\\"\\\\\\n\"}");
}

/* magic-wormhole.rs, src/core/key.rs */
static void
test_pake_body (void)
{
    g_autofree char *path
        = g_build_filename (g_getenv ("CW_SRC"), "tests", "vectors", "wormhole-keys.ini", NULL);
    g_autoptr (GKeyFile) file = g_key_file_new ();
    g_autofree char *json_hex = NULL;
    g_autofree char *message_hex = NULL;
    g_autofree char *body_text = NULL;
    g_auto (CwMailboxMessage) message = { 0 };
    g_autoptr (GBytes) made = NULL;
    g_autoptr (GString) hex = g_string_new (NULL);
    guint8 pake[CW_SPAKE2_MESSAGE_SIZE];

    g_assert_true (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL));
    json_hex = g_key_file_get_string (file, "pake-body", "json", NULL);
    message_hex = g_key_file_get_string (file, "pake-body", "message", NULL);
    body_text = g_strdup_printf (
        "{\"type\":\"message\",\"side\":\"a\",\"phase\":\"pake\",\"body\":\"%s\"}", json_hex);
    g_assert_true (parse (body_text, &message));
    g_assert_true (cw_mailbox_pake_body_parse (message.body, pake));
    for (gsize i = 0; i < sizeof pake; i++)
        g_string_append_printf (hex, "%02x", pake[i]);
    g_assert_cmpstr (hex->str, ==, message_hex);
    made = cw_mailbox_pake_body (pake);
    g_assert_true (g_bytes_equal (made, message.body));
}

static char *
parse_version (const char *text)
{
    g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));

    return cw_mailbox_version_body_parse (body);
}

static void
test_version_body (void)
{
    g_autofree char *python = parse_version ("{\"app_versions\": {}}");
    g_autofree char *rust
        = parse_version ("{\"abilities\":[],\"app_versions\":{\"abilities\":[\"transfer-v1\"]}}");
    g_autofree char *none = parse_version ("{}");
    g_autofree char *odd = parse_version ("{\"app_versions\":[]}");

    g_assert_cmpstr (python, ==, "{}");
    g_assert_cmpstr (rust, ==, "{\"abilities\":[\"transfer-v1\"]}");
    g_assert_cmpstr (none, ==, "{}");
    g_assert_cmpstr (odd, ==, "{}");
    g_assert_null (parse_version (""));
    g_assert_null (parse_version ("[]"));
    g_assert_null (parse_version ("{\"app_versions\":{}"));
}

static void
test_hashcash (void)
{
    g_autofree char *stamp = cw_hashcash_solve (12, "res", "250101120000", "abcd", NULL);
    g_autoptr (GCancellable) cancelled = g_cancellable_new ();

    /* the example of hashcash's own documentation */
    g_assert_cmpuint (cw_hashcash_value ("1:20:060408:adam@cypherspace.org::1QTjaYd7niiQA/sc:ePa"),
                      ==, 20);
    g_assert_true (g_str_has_prefix (stamp, "1:12:250101120000:res::abcd:"));
    g_assert_cmpuint (cw_hashcash_value (stamp), >=, 12);
    g_cancellable_cancel (cancelled);
    g_assert_null (cw_hashcash_solve (24, "res", "250101120000", "abcd", cancelled));
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/mailbox-message/parse", test_parse);
    g_test_add_func ("/mailbox-message/refuse", test_refuse);
    g_test_add_func ("/mailbox-message/peer-members", test_peer_members);
    g_test_add_func ("/mailbox-message/prose", test_prose);
    g_test_add_func ("/mailbox-message/write", test_write);
    g_test_add_func ("/mailbox-message/pake-body", test_pake_body);
    g_test_add_func ("/mailbox-message/version-body", test_version_body);
    g_test_add_func ("/mailbox-message/hashcash", test_hashcash);
    return g_test_run ();
}
