/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The rules of the mailbox server on a fake clock: each row of what the public one was seen to do.
 */

#include <json-glib/json-glib.h>
#include <string.h>

#include "cw-bytes.h"
#include "cw-mailbox-board.h"

#define MINUTE (G_GINT64_CONSTANT (60) * G_USEC_PER_SEC)
#define START (1000 * G_USEC_PER_SEC)
#define UNIX_OFFSET G_GINT64_CONSTANT (1700000000000000)

typedef struct {
    CwMailboxBoard *board;
    gint64 now_us;
    guint64 random;
} Bench;

static Bench *
bench_new (const CwMailboxBoardLimits *limits)
{
    Bench *t = g_new0 (Bench, 1);

    t->now_us = START;
    t->board = cw_mailbox_board_new (NULL, limits, UNIX_OFFSET, t->now_us);
    return t;
}

static void
bench_free (Bench *t)
{
    cw_mailbox_board_free (t->board);
    g_free (t);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Bench, bench_free)

static void
summarize_list (JsonObject *object, GString *out)
{
    JsonArray *list = json_object_get_array_member (object, "nameplates");

    for (guint i = 0; i < json_array_get_length (list); i++)
        g_string_append_printf (
            out, "%s%s", i > 0 ? "," : "",
            json_object_get_string_member (json_array_get_object_element (list, i), "id"));
}

/* "2:message(a,0,beef)"; acks are left out. */
static void
summarize (const CwMailboxOutput *output, GString *out)
{
    static const char *const details[][2] = {
        { "error", "error" },
        { "allocated", "nameplate" },
        { "claimed", "mailbox" },
    };
    g_autoptr (JsonParser) parser = json_parser_new ();
    g_autoptr (GError) error = NULL;
    JsonObject *object;
    const char *type, *text;
    gsize len;

    if (output->text == NULL) {
        g_string_append_printf (out, "%s%u:DROP", out->len > 0 ? " " : "", output->connection);
        return;
    }
    text = g_bytes_get_data (output->text, &len);
    json_parser_load_from_data (parser, text, (gssize)len, &error);
    g_assert_no_error (error);
    object = json_node_get_object (json_parser_get_root (parser));
    type = json_object_get_string_member (object, "type");
    g_assert_true (json_object_has_member (object, "server_tx"));
    if (g_str_equal (type, "ack"))
        return;
    g_string_append_printf (out, "%s%u:%s", out->len > 0 ? " " : "", output->connection, type);
    for (guint i = 0; i < G_N_ELEMENTS (details); i++) {
        if (g_str_equal (type, details[i][0]))
            g_string_append_printf (out, "(%s)",
                                    json_object_get_string_member (object, details[i][1]));
    }
    if (g_str_equal (type, "message"))
        g_string_append_printf (out, "(%s,%s,%s)", json_object_get_string_member (object, "side"),
                                json_object_get_string_member (object, "phase"),
                                json_object_get_string_member (object, "body"));
    if (g_str_equal (type, "nameplates")) {
        g_string_append_c (out, '(');
        summarize_list (object, out);
        g_string_append_c (out, ')');
    }
}

static char *
drain (Bench *t)
{
    GString *out = g_string_new (NULL);
    CwMailboxOutput output;

    while (cw_mailbox_board_next (t->board, &output)) {
        summarize (&output, out);
        g_clear_pointer (&output.text, g_bytes_unref);
    }
    return g_string_free (out, FALSE);
}

/* The first 8 of the random bytes are a counter: mailbox ids are "aaaaaaaaaaaaa" and so on. */
static void
receive (Bench *t, guint connection, const char *text)
{
    guint8 random[CW_MAILBOX_BOARD_RANDOM] = { 0 };

    cw_store_be64 (random, t->random);
    cw_store_be64 (random + 8, t->random);
    t->random++;
    cw_mailbox_board_receive (t->board, connection, text, strlen (text), random, t->now_us);
}

#define say(t, connection, text, expected) say_at (t, connection, text, expected, __LINE__)

static void
say_at (Bench *t, guint connection, const char *text, const char *expected, int line)
{
    g_autofree char *got = NULL;

    receive (t, connection, text);
    got = drain (t);
    if (!g_str_equal (got, expected))
        g_error ("line %d: %s: got \"%s\", expected \"%s\"", line, text, got, expected);
}

static void
bind (Bench *t, guint connection, const char *app, const char *side)
{
    g_autofree char *text
        = g_strdup_printf ("{\"type\": \"bind\", \"appid\": \"%s\", \"side\": \"%s\"}", app, side);
    g_autofree char *welcome = NULL;
    g_autofree char *expected = g_strdup_printf ("%u:welcome", connection);

    cw_mailbox_board_connect (t->board, connection, NULL, 0, t->now_us);
    welcome = drain (t);
    g_assert_cmpstr (welcome, ==, expected);
    say (t, connection, text, "");
}

static char *
next_text (Bench *t)
{
    CwMailboxOutput output;
    g_autoptr (GBytes) text = NULL;

    g_assert_true (cw_mailbox_board_next (t->board, &output));
    text = output.text;
    return g_strndup (g_bytes_get_data (text, NULL), g_bytes_get_size (text));
}

static void
test_welcome (void)
{
    g_autoptr (CwMailboxBoard) board
        = cw_mailbox_board_new ("hello \"you\"", NULL, UNIX_OFFSET, START);
    Bench t = { .board = board, .now_us = START };
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    cw_mailbox_board_connect (board, 1, NULL, 0, START + 1);
    first = next_text (&t);
    g_assert_cmpstr (first, ==,
                     "{\"type\": \"welcome\", \"welcome\": {\"motd\": \"hello \\\"you\\\"\"}, "
                     "\"server_tx\": 1700001000.000001}");
    cw_mailbox_board_connect (board, 2, "2001:db8::7", 4711, START);
    second = next_text (&t);
    g_assert_nonnull (strstr (second, "\"motd\": \"hello \\\"you\\\"\", "
                                      "\"your-address\": {\"ipv6\": \"2001:db8::7\", "
                                      "\"port\": 4711}"));
}

static void
test_acks (void)
{
    static const struct {
        const char *id;
        const char *ack;
    } rows[] = {
        { "", "\"id\": null" },
        { ", \"id\": \"ab\"", "\"id\": \"ab\"" },
        { ", \"id\": 7", "\"id\": 7" },
        { ", \"id\": null", "\"id\": null" },
    };
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autofree char *text = g_strdup_printf ("{\"type\": \"list\"%s}", rows[i].id);
        g_autofree char *ack = NULL;
        g_autofree char *rest = NULL;
        receive (t, 1, text);
        ack = next_text (t);
        g_assert_nonnull (strstr (ack, "\"type\": \"ack\""));
        g_assert_nonnull (strstr (ack, rows[i].ack));
        rest = drain (t);
        g_assert_cmpstr (rest, ==, "1:nameplates()");
    }
}

static void
test_errors (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    cw_mailbox_board_connect (t->board, 1, NULL, 0, t->now_us);
    say (t, 1, "{}", "1:welcome 1:error(missing 'type')");
    say (t, 1, "{\"type\": \"ping\"}", "1:error(ping requires 'ping')");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 3}", "1:pong");
    say (t, 1, "{\"type\": \"list\"}", "1:error(must bind first)");
    say (t, 1, "{\"type\": \"dance\"}", "1:error(must bind first)");
    say (t, 1, "{\"type\": \"bind\", \"side\": \"a\"}", "1:error(bind requires 'appid')");
    say (t, 1, "{\"type\": \"bind\", \"appid\": \"x\"}", "1:error(bind requires 'side')");
    g_assert_false (cw_mailbox_board_is_bound (t->board, 1));
    say (t, 1, "{\"type\": \"bind\", \"appid\": \"x\", \"side\": \"a\"}", "");
    g_assert_true (cw_mailbox_board_is_bound (t->board, 1));
    say (t, 1, "{\"type\": \"bind\", \"appid\": \"x\", \"side\": \"a\"}", "1:error(already bound)");
    say (t, 1, "{\"type\": \"dance\"}", "1:error(unknown type)");
    say (t, 1, "{\"type\": 5}", "1:error(unknown type)");
    say (t, 1, "{\"type\": \"submit-permissions\"}", "1:error(unknown type)");
    say (t, 1, "{\"type\": \"claim\"}", "1:error(claim requires 'nameplate')");
    say (t, 1, "{\"type\": \"release\"}", "1:error(release without nameplate must follow claim)");
    say (t, 1, "{\"type\": \"open\"}", "1:error(open requires 'mailbox')");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"\"}",
         "1:error(must open mailbox before adding)");
    say (t, 1, "{\"type\": \"close\"}", "1:error(close without mailbox must follow open)");
    t->random = 0;
    say (t, 1, "{\"type\": \"allocate\"}", "1:allocated(1)");
    say (t, 1, "{\"type\": \"allocate\"}", "1:error(you already allocated one, don't be greedy)");
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"1\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"1\"}",
         "1:error(only one claim per connection)");
    say (t, 1, "{\"type\": \"release\", \"nameplate\": \"8\"}",
         "1:error(release and claim must use same nameplate)");
    say (t, 1, "{\"type\": \"release\"}", "1:released");
    say (t, 1, "{\"type\": \"release\"}", "1:error(only one release per connection)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"n\"}", "1:error(only one open per connection)");
    say (t, 1, "{\"type\": \"add\", \"body\": \"\"}", "1:error(missing 'phase')");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\"}", "1:error(missing 'body')");
    say (t, 1, "{\"type\": \"close\", \"mailbox\": \"n\"}",
         "1:error(open and close must use same mailbox)");
    say (t, 1, "{\"type\": \"close\", \"mood\": \"happy\"}", "1:closed");
    say (t, 1, "{\"type\": \"close\"}", "1:error(only one close per connection)");
}

static void
test_error_echoes (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    g_autofree char *ack = NULL;
    g_autofree char *error = NULL;

    bind (t, 1, "app", "a");
    receive (t, 1, "{\"type\": \"dance\", \"id\": \"k\", \"x\": [1, {\"y\": null}]}");
    ack = next_text (t);
    error = next_text (t);
    g_assert_nonnull (
        strstr (error, "\"orig\": {\"type\":\"dance\",\"id\":\"k\",\"x\":[1,{\"y\":null}]}"));
}

/* What the public server answers with a dropped connection. */
static void
test_drops (void)
{
    static const char *const texts[] = {
        "",
        "nonsense",
        "[]",
        "\"text\"",
        "{\"type\": \"ping\", \"ping\": 1",
        "{\"type\": \"ping\", \"ping\": 1e999}",
        "{\"type\": \"bind\", \"appid\": 1, \"side\": \"a\"}",
        "{\"type\": \"bind\", \"appid\": \"x\", \"side\": null}",
        "{\"type\": \"claim\", \"nameplate\": 4}",
        "{\"type\": \"claim\", \"nameplate\": \"\"}",
        "{\"type\": \"claim\", \"nameplate\": \"4a\"}",
        "{\"type\": \"claim\", \"nameplate\": \"11111111112222222222333333333344444444445\"}",
        "{\"type\": \"open\", \"mailbox\": 4}",
        "{\"type\": \"open\", \"mailbox\": \"foreign\"}",
        "{\"type\": \"close\", \"mailbox\": \"foreign\"}",
        "{\"type\": \"close\", \"mailbox\": []}",
        "{\"type\": \"list\", \"id\": {}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
        "[[["
        "[[[[[[[[[[[[[[[[[[[[[",
        "\xff",
    };
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "other", "o");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"foreign\"}", "");
    for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
        g_autofree char *welcome = NULL;
        CwMailboxBoardStats stats;
        cw_mailbox_board_connect (t->board, 2, NULL, 0, t->now_us);
        if (strstr (texts[i], "\"bind\"") == NULL)
            receive (t, 2, "{\"type\": \"bind\", \"appid\": \"app\", \"side\": \"s\"}");
        welcome = drain (t);
        say (t, 2, texts[i], "2:DROP");
        say (t, 2, "{\"type\": \"list\"}", "");
        cw_mailbox_board_get_stats (t->board, &stats);
        g_assert_cmpuint (stats.connections, ==, 1);
    }
}

static void
test_allocate_ranges (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 1; i <= 1005; i++) {
        g_autofree char *side = g_strdup_printf ("s%u", i);
        g_autofree char *got = NULL;
        char *name;
        guint64 number;
        bind (t, i, "app", side);
        t->random = i * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
        receive (t, i, "{\"type\": \"allocate\"}");
        got = drain (t);
        name = g_strndup (strchr (got, '(') + 1, strcspn (strchr (got, '(') + 1, ")"));
        number = g_ascii_strtoull (name, NULL, 10);
        g_assert_true (g_hash_table_add (seen, name));
        if (i <= 9)
            g_assert_true (number >= 1 && number <= 9);
        else if (i <= 99)
            g_assert_true (number >= 10 && number <= 99);
        else if (i <= 999)
            g_assert_true (number >= 100 && number <= 999);
        else
            g_assert_true (number >= 1000 && number <= 999999);
    }
}

static void
test_nameplates (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    bind (t, 3, "app", "c");
    bind (t, 4, "other", "a");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    /* Another application's 7 is another one, and not listed here. */
    say (t, 4, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "4:claimed(aaaaaaaaaaaac)");
    say (t, 4, "{\"type\": \"allocate\"}", "4:allocated(3)");
    say (t, 1, "{\"type\": \"list\"}", "1:nameplates(7)");
    say (t, 4, "{\"type\": \"list\"}", "4:nameplates(3,7)");
    say (t, 2, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "2:claimed(aaaaaaaaaaaaa)");
    /* Claiming took one of the mailbox's two places each. */
    say (t, 3, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "3:error(crowded)");
}

static void
test_release (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 2, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "2:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"release\"}", "1:released");
    /* The other still holds it. */
    say (t, 2, "{\"type\": \"list\"}", "2:nameplates(7)");
    bind (t, 3, "app", "a");
    say (t, 3, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "3:error(reclaimed)");
    say (t, 2, "{\"type\": \"release\", \"nameplate\": \"7\"}", "2:released");
    say (t, 2, "{\"type\": \"list\"}", "2:nameplates()");
    /* A nameplate nobody has, and one that is no nameplate. */
    bind (t, 4, "app", "a");
    say (t, 4, "{\"type\": \"release\", \"nameplate\": \"what\"}", "4:released");
    /* Released while alone, the number leads elsewhere afterwards. */
    bind (t, 5, "app", "e");
    t->random = 64;
    say (t, 5, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "5:claimed(aaaaaaaaaaaea)");
}

static void
test_reconnect (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"pake\", \"body\": \"01\", \"id\": \"x\"}",
         "1:message(a,pake,01)");
    cw_mailbox_board_disconnect (t->board, 1);
    /* The same side: claim and open again, messages come again. */
    bind (t, 2, "app", "a");
    say (t, 2, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "2:claimed(aaaaaaaaaaaaa)");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "2:message(a,pake,01)");
    bind (t, 3, "app", "b");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "3:message(a,pake,01)");
    say (t, 3, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"02\"}",
         "2:message(b,0,02) 3:message(b,0,02)");
    /* Closing what it may have closed already, from a new connection. */
    bind (t, 4, "app", "b");
    say (t, 4, "{\"type\": \"close\", \"mailbox\": \"aaaaaaaaaaaaa\", \"mood\": \"happy\"}",
         "4:closed");
    bind (t, 5, "app", "b");
    say (t, 5, "{\"type\": \"close\", \"mailbox\": \"aaaaaaaaaaaaa\", \"mood\": \"happy\"}",
         "5:closed");
}

static void
test_replay_order (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"1\", \"body\": \"01\"}", "1:message(a,1,01)");
    t->now_us++;
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "2:message(a,1,01)");
    say (t, 2, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"02\"}",
         "1:message(b,0,02) 2:message(b,0,02)");
    /* The same phase twice is two messages. */
    say (t, 1, "{\"type\": \"add\", \"phase\": \"1\", \"body\": \"01\"}",
         "1:message(a,1,01) 2:message(a,1,01)");
    bind (t, 3, "app", "a");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}",
         "3:message(a,1,01) 3:message(b,0,02) 3:message(a,1,01)");
}

static void
test_message_text (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    g_autofree char *ack = NULL;
    g_autofree char *live = NULL;
    g_autofree char *replayed = NULL;

    bind (t, 1, "app", "s\xc3\xa9");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    receive (
        t, 1,
        "{\"type\": \"add\", \"phase\": \"a\\\"b\\u0001\", \"body\": \"00ff\", \"id\": \"i\"}");
    ack = next_text (t);
    live = next_text (t);
    g_assert_cmpstr (
        live, ==,
        "{\"type\": \"message\", \"side\": \"s\xc3\xa9\", \"phase\": \"a\\\"b\\u0001\", "
        "\"body\": \"00ff\", \"server_rx\": 1700001000.000000, \"id\": \"i\", "
        "\"server_tx\": 1700001000.000000}");
    t->now_us += 1500000;
    bind (t, 2, "app", "s\xc3\xa9");
    receive (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}");
    g_free (next_text (t));
    replayed = next_text (t);
    g_assert_cmpstr (
        replayed, ==,
        "{\"type\": \"message\", \"side\": \"s\xc3\xa9\", \"phase\": \"a\\\"b\\u0001\", "
        "\"body\": \"00ff\", \"server_rx\": 1700001000.000000, \"id\": \"i\", "
        "\"server_tx\": 1700001001.500000}");
}

static void
test_crowded (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    bind (t, 3, "app", "c");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}", "3:error(crowded)");
    say (t, 3, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"\"}",
         "3:error(must open mailbox before adding)");
    /* Open connections go on, while nobody gets in any more, not even to close. */
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}",
         "1:message(a,0,01) 2:message(a,0,01)");
    bind (t, 4, "app", "a");
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"m\"}", "4:error(crowded)");
    bind (t, 5, "app", "b");
    say (t, 5, "{\"type\": \"close\", \"mailbox\": \"m\"}", "5:error(crowded)");
    /* It stays when both have closed, and until it is forgotten. */
    say (t, 1, "{\"type\": \"close\"}", "1:closed");
    say (t, 2, "{\"type\": \"close\"}", "2:closed");
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"m\"}", "4:error(crowded)");
    /* Another mailbox on the same connection is fine. */
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"n\"}", "");
    t->now_us += 11 * MINUTE;
    cw_mailbox_board_expire (t->board, t->now_us);
    bind (t, 6, "app", "c");
    say (t, 6, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
}

static void
test_same_side_twice (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}",
         "1:message(a,0,01) 2:message(a,0,01)");
}

static void
test_deleted_when_all_closed (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    CwMailboxBoardStats stats;

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}", "1:message(a,0,01)");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "2:message(a,0,01)");
    say (t, 1, "{\"type\": \"close\"}", "1:closed");
    say (t, 2, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"02\"}", "2:message(b,0,02)");
    say (t, 2, "{\"type\": \"close\"}", "2:closed");
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.mailboxes, ==, 0);
    g_assert_cmpuint (stats.bytes, ==, 0);
    /* Opened again it is empty and knows nobody. */
    bind (t, 3, "app", "c");
    bind (t, 4, "app", "d");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
}

static void
test_ghost (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    bind (t, 3, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"close\"}", "1:closed");
    /* Re-opened, but written down as closed. */
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 3, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}",
         "2:message(a,0,01) 3:message(a,0,01)");
    say (t, 2, "{\"type\": \"close\"}", "2:closed");
    say (t, 3, "{\"type\": \"add\", \"phase\": \"1\", \"body\": \"01\"}", "");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}", "3:error(only one open per connection)");
    say (t, 3, "{\"type\": \"close\"}", "3:closed");
}

static void
test_open_after_close (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"close\"}", "1:closed");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"n\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}", "1:message(a,0,01)");
    say (t, 1, "{\"type\": \"close\"}", "1:error(only one close per connection)");
}

static void
test_claim_after_both_closed (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "");
    say (t, 1, "{\"type\": \"close\"}", "1:closed");
    /* The nameplate is still held and leads to the same id, opened afresh. */
    bind (t, 2, "app", "b");
    say (t, 2, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "2:claimed(aaaaaaaaaaaaa)");
    bind (t, 3, "app", "c");
    say (t, 3, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "3:error(crowded)");
}

/* Lets time pass as a server does, with the expiry called whenever it is due. */
static void
pass (Bench *t, gint64 us)
{
    gint64 end = t->now_us + us;

    while (cw_mailbox_board_deadline (t->board) <= end) {
        t->now_us = MAX (t->now_us, cw_mailbox_board_deadline (t->board));
        cw_mailbox_board_expire (t->board, t->now_us);
    }
    t->now_us = end;
}

static void
test_expiry (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    CwMailboxBoardStats stats;

    bind (t, 1, "app", "a");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}", "1:message(a,0,01)");
    /* Somebody has it open: it stays for hours, nameplate and all. */
    pass (t, 300 * MINUTE);
    say (t, 1, "{\"type\": \"list\"}", "1:nameplates(7)");
    cw_mailbox_board_disconnect (t->board, 1);
    pass (t, 9 * MINUTE + 4 * G_USEC_PER_SEC);
    bind (t, 2, "app", "a");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "2:message(a,0,01)");
    cw_mailbox_board_disconnect (t->board, 2);
    /* Touched at 9 min, it is there at 17.5. */
    pass (t, 8 * MINUTE + 26 * G_USEC_PER_SEC);
    bind (t, 3, "app", "a");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "3:message(a,0,01)");
    cw_mailbox_board_disconnect (t->board, 3);
    pass (t, 17 * MINUTE + 31 * G_USEC_PER_SEC);
    bind (t, 4, "app", "a");
    say (t, 4, "{\"type\": \"list\"}", "4:nameplates()");
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.mailboxes, ==, 0);
    g_assert_cmpuint (stats.nameplates, ==, 0);
    g_assert_cmpuint (stats.bytes, ==, 0);
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "");
}

static void
test_expiry_bounds (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    CwMailboxBoardStats stats;

    /* Checks are 5 minutes apart: made just after one, a mailbox lives until the one at 15. */
    g_assert_cmpint (cw_mailbox_board_deadline (t->board), ==, START + 5 * MINUTE);
    pass (t, 5 * MINUTE + 1);
    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    cw_mailbox_board_disconnect (t->board, 1);
    pass (t, 14 * MINUTE + 59 * G_USEC_PER_SEC);
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.mailboxes, ==, 1);
    pass (t, 2 * G_USEC_PER_SEC);
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.mailboxes, ==, 0);
}

static void
test_nameplate_without_mailbox_expires (void)
{
    g_autoptr (Bench) t = bench_new (NULL);

    bind (t, 1, "app", "a");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"close\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "1:closed");
    pass (t, 10 * MINUTE);
    say (t, 1, "{\"type\": \"list\"}", "1:nameplates(7)");
    pass (t, 6 * MINUTE);
    say (t, 1, "{\"type\": \"list\"}", "1:nameplates()");
}

/* Limits */

static void
test_limit_messages (void)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    g_autoptr (Bench) t = NULL;

    limits.max_messages = 2;
    t = bench_new (&limits);
    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}", "1:message(a,0,01)");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"1\", \"body\": \"01\"}", "1:message(a,1,01)");
    say (t, 1, "{\"type\": \"add\", \"phase\": \"2\", \"body\": \"01\"}",
         "1:error(mailbox is full)");
}

static void
add_big (Bench *t, guint connection, gsize len, const char *expected)
{
    g_autofree char *body = g_strnfill (len, 'a');
    g_autofree char *text
        = g_strdup_printf ("{\"type\": \"add\", \"phase\": \"0\", \"body\": \"%s\"}", body);
    g_autofree char *got = NULL;

    receive (t, connection, text);
    got = drain (t);
    g_assert_true (g_str_has_prefix (got, expected));
}

static void
test_limit_bytes (void)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    g_autoptr (Bench) t = NULL;
    CwMailboxBoardStats stats;

    limits.max_mailbox_bytes = 3000;
    limits.max_bytes = 5000;
    t = bench_new (&limits);
    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    add_big (t, 1, 2000, "1:message");
    add_big (t, 1, 2000, "1:error(mailbox is full)");
    bind (t, 2, "app", "a");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"n\"}", "");
    add_big (t, 2, 2000, "2:message");
    /* Both have openers, so that neither gives way. */
    bind (t, 3, "app", "a");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"o\"}", "");
    add_big (t, 3, 2000, "3:error(server is full, try again later)");
    /* Nobody has the first one open now: it does. */
    cw_mailbox_board_disconnect (t->board, 1);
    add_big (t, 3, 2000, "3:message");
    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.bytes, <=, limits.max_bytes);
}

static void
test_limit_mailboxes (void)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    g_autoptr (Bench) t = NULL;
    CwMailboxBoardStats stats;

    limits.max_mailboxes = 2;
    t = bench_new (&limits);
    bind (t, 1, "app", "a");
    bind (t, 2, "app", "b");
    bind (t, 3, "app", "c");
    t->random = 0;
    say (t, 1, "{\"type\": \"claim\", \"nameplate\": \"7\"}", "1:claimed(aaaaaaaaaaaaa)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaaa\"}", "");
    t->now_us++;
    say (t, 2, "{\"type\": \"claim\", \"nameplate\": \"8\"}", "2:claimed(aaaaaaaaaaaae)");
    /* The one nobody has open gives way, with its nameplate. */
    t->now_us++;
    say (t, 3, "{\"type\": \"claim\", \"nameplate\": \"9\"}", "3:claimed(aaaaaaaaaaaag)");
    say (t, 3, "{\"type\": \"list\"}", "3:nameplates(7,9)");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"aaaaaaaaaaaag\"}", "");
    bind (t, 4, "app", "d");
    say (t, 4, "{\"type\": \"open\", \"mailbox\": \"m\"}",
         "4:error(server is full, try again later)");
    say (t, 4, "{\"type\": \"allocate\"}", "4:error(server is full, try again later)");
    cw_mailbox_board_get_stats (t->board, &stats);
    g_assert_cmpuint (stats.mailboxes, ==, 2);
    g_assert_cmpuint (stats.nameplates, ==, 2);
}

static void
test_limit_openers (void)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    g_autoptr (Bench) t = NULL;

    limits.max_openers = 2;
    t = bench_new (&limits);
    bind (t, 1, "app", "a");
    bind (t, 2, "app", "a");
    bind (t, 3, "app", "a");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 2, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 3, "{\"type\": \"open\", \"mailbox\": \"m\"}", "1:DROP");
    say (t, 3, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"01\"}",
         "2:message(a,0,01) 3:message(a,0,01)");
}

static void
test_limit_rate (void)
{
    CwMailboxBoardLimits limits = cw_mailbox_board_limits;
    g_autoptr (Bench) t = NULL;

    limits.burst = 3;
    limits.per_second = 2;
    t = bench_new (&limits);
    bind (t, 1, "app", "a");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "1:pong");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "1:pong");
    t->now_us += G_USEC_PER_SEC;
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "1:pong");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "1:pong");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "1:error(too many requests) 1:DROP");
    say (t, 1, "{\"type\": \"ping\", \"ping\": 1}", "");
}

static void
test_limit_names (void)
{
    g_autoptr (Bench) t = bench_new (NULL);
    g_autofree char *name = g_strnfill (257, 'x');
    g_autofree char *open = g_strdup_printf ("{\"type\": \"open\", \"mailbox\": \"%s\"}", name);
    g_autofree char *add
        = g_strdup_printf ("{\"type\": \"add\", \"phase\": \"%s\", \"body\": \"\"}", name);
    g_autofree char *id = g_strdup_printf ("{\"type\": \"list\", \"id\": \"%s\"}", name);

    bind (t, 1, "app", "a");
    say (t, 1, open, "1:error(too long)");
    say (t, 1, "{\"type\": \"open\", \"mailbox\": \"m\"}", "");
    say (t, 1, add, "1:error(too long)");
    say (t, 1, id, "1:DROP");
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/mailbox-board/welcome", test_welcome);
    g_test_add_func ("/mailbox-board/acks", test_acks);
    g_test_add_func ("/mailbox-board/errors", test_errors);
    g_test_add_func ("/mailbox-board/error-echoes", test_error_echoes);
    g_test_add_func ("/mailbox-board/drops", test_drops);
    g_test_add_func ("/mailbox-board/allocate-ranges", test_allocate_ranges);
    g_test_add_func ("/mailbox-board/nameplates", test_nameplates);
    g_test_add_func ("/mailbox-board/release", test_release);
    g_test_add_func ("/mailbox-board/reconnect", test_reconnect);
    g_test_add_func ("/mailbox-board/replay-order", test_replay_order);
    g_test_add_func ("/mailbox-board/message-text", test_message_text);
    g_test_add_func ("/mailbox-board/crowded", test_crowded);
    g_test_add_func ("/mailbox-board/same-side-twice", test_same_side_twice);
    g_test_add_func ("/mailbox-board/deleted-when-all-closed", test_deleted_when_all_closed);
    g_test_add_func ("/mailbox-board/ghost", test_ghost);
    g_test_add_func ("/mailbox-board/open-after-close", test_open_after_close);
    g_test_add_func ("/mailbox-board/claim-after-both-closed", test_claim_after_both_closed);
    g_test_add_func ("/mailbox-board/expiry", test_expiry);
    g_test_add_func ("/mailbox-board/expiry-bounds", test_expiry_bounds);
    g_test_add_func ("/mailbox-board/nameplate-without-mailbox-expires",
                     test_nameplate_without_mailbox_expires);
    g_test_add_func ("/mailbox-board/limit-messages", test_limit_messages);
    g_test_add_func ("/mailbox-board/limit-bytes", test_limit_bytes);
    g_test_add_func ("/mailbox-board/limit-mailboxes", test_limit_mailboxes);
    g_test_add_func ("/mailbox-board/limit-openers", test_limit_openers);
    g_test_add_func ("/mailbox-board/limit-rate", test_limit_rate);
    g_test_add_func ("/mailbox-board/limit-names", test_limit_names);
    return g_test_run ();
}
