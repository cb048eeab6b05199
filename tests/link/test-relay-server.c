/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The relay with plain sockets for clients, on loopback. */

#include "cw-relay-line.h"
#include "cw-relay-server.h"
#include "sockets.h"

#define TOKEN "3f4147851dbd2589d25b654ee9fb35ed0d3e5f19c5c5403e8e6a195c70f0577a"
#define OTHER_TOKEN "996e693df901b47d4f8f1ecaa795df9490482ef32a4f93efffc4c509fc6dd8e6"
#define OLD_LINE "please relay " TOKEN "\n"
#define LINE(side) "please relay " TOKEN " for side " side "\n"
#define SIDE_A "aaaaaaaaaaaaaaaa"
#define SIDE_B "bbbbbbbbbbbbbbbb"
#define SIDE_C "cccccccccccccccc"

static char *address; /* of the server under test */

static CwRelayServer *
serve (const CwRelayServerLimits *limits)
{
    CwRelayServer *server = cw_relay_server_new ();
    g_autoptr (GError) error = NULL;

    if (limits != NULL)
        cw_relay_server_set_limits (server, limits);
    g_assert_true (cw_relay_server_listen (server, "127.0.0.1:0", &error));
    g_assert_no_error (error);
    g_free (address);
    address = cw_relay_server_dup_address (server);
    g_assert_true (g_str_has_prefix (address, "tcp:127.0.0.1:"));
    return server;
}

static void
finish (CwRelayServer *server)
{
    g_assert_finalize_object (server);
    /* What was accepting learns of it here. */
    sockets_settle ();
}

static int
dial (const char *line)
{
    int fd = sockets_connect (address);

    sockets_say (fd, line);
    return fd;
}

/* A client whose line the server has certainly read. */
static int
dial_and_wait (const char *line)
{
    int fd = dial (line);

    sockets_settle ();
    return fd;
}

static void
expect_pair (int a, int b)
{
    sockets_expect (a, CW_RELAY_OK);
    sockets_expect (b, CW_RELAY_OK);
    sockets_say (a, "from a");
    sockets_say (b, "from b");
    sockets_expect (a, "from b");
    sockets_expect (b, "from a");
}

static void
close_pair (int a, int b)
{
    close (a);
    sockets_expect_end (b);
}

static void
test_pairs (void)
{
    static const char *const rows[][2] = {
        { LINE (SIDE_A), LINE (SIDE_B) },
        { OLD_LINE, OLD_LINE },
        { OLD_LINE, LINE (SIDE_A) },
        { LINE (SIDE_A), OLD_LINE },
    };
    CwRelayServer *server = serve (NULL);

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        int a = dial_and_wait (rows[i][0]);
        int b = dial (rows[i][1]);
        expect_pair (a, b);
        close_pair (a, b);
    }
    finish (server);
}

static void
test_line_in_pieces (void)
{
    CwRelayServer *server = serve (NULL);
    int a = sockets_connect (address);
    int b;

    for (const char *c = LINE (SIDE_A); *c != '\0'; c++) {
        sockets_send (a, c, 1);
        sockets_settle ();
    }
    b = dial (LINE (SIDE_B));
    expect_pair (a, b);
    close_pair (b, a);
    finish (server);
}

static void
test_same_side (void)
{
    CwRelayServer *server = serve (NULL);
    int first = dial_and_wait (LINE (SIDE_A));
    int second = dial_and_wait (LINE (SIDE_A));
    int other = dial (LINE (SIDE_B));

    /* The newest is taken, the one left over is told to go. */
    expect_pair (second, other);
    sockets_expect_end (first);
    close_pair (other, second);
    finish (server);
}

static void
test_third_waits (void)
{
    CwRelayServer *server = serve (NULL);
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial_and_wait (LINE (SIDE_B));
    int c = dial_and_wait (LINE (SIDE_A));
    int d = dial (LINE (SIDE_C));

    expect_pair (a, b);
    expect_pair (c, d);
    close_pair (a, b);
    close_pair (c, d);
    finish (server);
}

static void
test_tokens_apart (void)
{
    CwRelayServer *server = serve (NULL);
    int other = dial_and_wait ("please relay " OTHER_TOKEN "\n");
    int a = dial_and_wait (OLD_LINE);
    int b = dial (OLD_LINE);

    expect_pair (a, b);
    close_pair (a, b);
    close (other);
    finish (server);
}

static void
test_impatient (void)
{
    CwRelayServer *server = serve (NULL);
    int fd = dial (OLD_LINE "x");

    sockets_expect (fd, CW_RELAY_IMPATIENT);
    sockets_expect_end (fd);
    fd = dial_and_wait (OLD_LINE);
    sockets_say (fd, "x");
    sockets_expect (fd, CW_RELAY_IMPATIENT);
    sockets_expect_end (fd);
    finish (server);
}

static void
test_bad_handshake (void)
{
    static const char *const rows[] = {
        "\n",
        "GET / HTTP/1.1\r\n\r\n",
        "please relay me\n",
        "please relay " TOKEN " for side short\n",
        "please relay " TOKEN "0\n",
    };
    CwRelayServer *server = serve (NULL);

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        int fd = dial (rows[i]);
        sockets_expect (fd, CW_RELAY_BAD);
        sockets_expect_end (fd);
    }
    finish (server);
}

/* The answer arrives although the client goes on sending and never reads what it should. */
static void
test_bad_handshake_with_much_behind (void)
{
    CwRelayServer *server = serve (NULL);
    int fd = sockets_connect (address);
    g_autofree char *much = g_strnfill (200 * 1000, 'x');

    sockets_send (fd, much, 200 * 1000);
    sockets_expect (fd, CW_RELAY_BAD);
    sockets_expect_end (fd);
    finish (server);
}

/* As much as goes in while nobody takes it out. */
static gsize
stuff (int fd)
{
    static const char block[64 * 1024];
    gsize total = 0;

    for (;;) {
        ssize_t n = send (fd, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) {
            total += (gsize)n;
            continue;
        }
        sockets_settle ();
        n = send (fd, block, sizeof block, MSG_NOSIGNAL);
        if (n <= 0)
            return total;
        total += (gsize)n;
    }
}

static gsize
read_to_end (int fd)
{
    g_autofree char *block = g_malloc (64 * 1024);
    gsize total = 0, n;

    while ((n = sockets_read (fd, block, 64 * 1024)) > 0)
        total += n;
    return total;
}

static void
test_back_pressure_and_flush (void)
{
    CwRelayServer *server = serve (NULL);
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));
    gsize sent;

    expect_pair (a, b);
    sent = stuff (a);
    g_test_message ("%zu bytes sent and not read", sent);
    g_assert_cmpuint (sent, <, 64 * 1024 * 1024);
    /* Closed with all that under way: every byte arrives before the end. */
    close (a);
    g_assert_cmpuint (read_to_end (b), ==, sent);
    close (b);
    finish (server);
}

/* The same while there is much in the other direction that nobody will take. */
static void
test_flush_against_the_stream (void)
{
    CwRelayServer *server = serve (NULL);
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));
    gsize len = 300 * 1000;
    g_autofree char *block = g_malloc0 (len);

    expect_pair (a, b);
    stuff (b);
    sockets_send (a, block, len);
    /* What a closing socket has not delivered is lost, as it has unread bytes itself. */
    sockets_settle ();
    close (a);
    sockets_settle ();
    g_assert_cmpuint (read_to_end (b), ==, len);
    close (b);
    finish (server);
}

static void
test_receiver_goes_away (void)
{
    CwRelayServer *server = serve (NULL);
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));

    expect_pair (a, b);
    stuff (a);
    close (b);
    read_to_end (a);
    close (a);
    finish (server);
}

static void
test_much (void)
{
    static const gsize LEN = 32 * 1024 * 1024;
    CwRelayServer *server = serve (NULL);
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));
    g_autofree guint32 *out = g_malloc (LEN);
    g_autofree guint32 *in = g_malloc0 (LEN);
    gsize sent = 0, got = 0;

    for (gsize i = 0; i < LEN / 4; i++)
        out[i] = (guint32)i * 2654435761u;
    expect_pair (a, b);
    while (got < LEN) {
        ssize_t n = sent < LEN ? send (a, (char *)out + sent, LEN - sent, MSG_NOSIGNAL) : -1;
        ssize_t m = recv (b, (char *)in + got, LEN - got, 0);
        if (n > 0)
            sent += (gsize)n;
        if (m > 0)
            got += (gsize)m;
        if (n <= 0 && m <= 0)
            g_main_context_iteration (NULL, FALSE);
    }
    g_assert_true (memcmp (in, out, LEN) == 0);
    close_pair (a, b);
    finish (server);
}

/* Each limit on a server of its own, so that a slow machine cannot run into the others. */
static void
test_patience_for_a_line (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;

    limits.line_ms = 40;
    server = serve (&limits);
    sockets_expect_end (sockets_connect (address));
    sockets_expect_end (dial ("please relay "));
    finish (server);
}

static void
test_patience_for_a_partner (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;

    limits.wait_ms = 40;
    server = serve (&limits);
    sockets_expect_end (dial (OLD_LINE));
    finish (server);
}

static void
test_patience_with_a_pair (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;
    int a, b;

    limits.stall_ms = 40;
    server = serve (&limits);
    a = dial_and_wait (LINE (SIDE_A));
    b = dial (LINE (SIDE_B));
    sockets_expect (a, CW_RELAY_OK);
    sockets_expect (b, CW_RELAY_OK);
    sockets_expect_end (a);
    sockets_expect_end (b);
    finish (server);
}

/* Every place is taken by clients that say nothing or wait: a pair still gets through. */
static void
test_full (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;
    int idle[4], a, b;

    limits.max_connections = 4;
    server = serve (&limits);
    idle[0] = dial_and_wait ("please relay " OTHER_TOKEN "\n");
    for (int i = 1; i < 4; i++) {
        idle[i] = sockets_connect (address);
        sockets_settle ();
    }
    a = dial_and_wait (LINE (SIDE_A));
    b = dial (LINE (SIDE_B));
    expect_pair (a, b);
    sockets_expect_end (idle[1]);
    sockets_expect_end (idle[2]);
    /* Pairs stay whoever comes. */
    for (int i = 0; i < 20; i++)
        close (dial_and_wait ("please relay " OTHER_TOKEN "\n"));
    sockets_say (a, "still here");
    sockets_expect (b, "still here");
    close_pair (a, b);
    close (idle[0]);
    close (idle[3]);
    finish (server);
}

static void
test_max_pairs (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;
    int a, b, c, d;

    limits.max_pairs = 1;
    server = serve (&limits);
    a = dial_and_wait (LINE (SIDE_A));
    b = dial (LINE (SIDE_B));
    expect_pair (a, b);
    c = dial_and_wait (LINE (SIDE_A));
    d = dial (LINE (SIDE_B));
    sockets_expect_end (d);
    close_pair (a, b);
    /* The one that waited is still good for it. */
    d = dial (LINE (SIDE_B));
    expect_pair (c, d);
    close_pair (c, d);
    finish (server);
}

static void
test_max_per_token (void)
{
    CwRelayServerLimits limits = cw_relay_server_limits;
    CwRelayServer *server;
    int first, second, third, other;

    limits.max_per_token = 2;
    server = serve (&limits);
    first = dial_and_wait (LINE (SIDE_A));
    second = dial_and_wait (LINE (SIDE_A));
    third = dial (LINE (SIDE_A));
    sockets_expect_end (first);
    other = dial (LINE (SIDE_B));
    expect_pair (third, other);
    sockets_expect_end (second);
    close_pair (third, other);
    finish (server);
}

/* Others flood with nonsense, with long lines and with a stream nobody takes, while a pair works.
 */
static void
test_flood (void)
{
    CwRelayServer *server = serve (NULL);
    g_autofree char *block = g_strnfill (64 * 1024, 'x');
    int stuck_a = dial_and_wait ("please relay " OTHER_TOKEN "\n");
    int stuck_b = dial ("please relay " OTHER_TOKEN "\n");
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));

    expect_pair (stuck_a, stuck_b);
    expect_pair (a, b);
    stuff (stuck_a);
    for (int i = 0; i < 200; i++) {
        int flood = sockets_connect (address);
        G_GNUC_UNUSED ssize_t n = send (flood, block, 64 * 1024, MSG_NOSIGNAL);
        g_autofree char *text = g_strdup_printf ("round %d", i);
        sockets_say (a, text);
        sockets_expect (b, text);
        close (flood);
    }
    close (stuck_a);
    close (stuck_b);
    close_pair (a, b);
    finish (server);
}

static void
test_many_short (void)
{
    CwRelayServer *server = serve (NULL);
    guint files = sockets_count_files ();
    int a, b;

    for (int i = 0; i < 10000; i++) {
        int fd = sockets_connect (address);
        if (i % 3 == 1)
            sockets_say (fd, "please re");
        if (i % 3 == 2)
            sockets_say (fd, OLD_LINE);
        close (fd);
        while (g_main_context_iteration (NULL, FALSE))
            ;
    }
    a = dial_and_wait (LINE (SIDE_A));
    b = dial (LINE (SIDE_B));
    expect_pair (a, b);
    close_pair (a, b);
    sockets_settle ();
    g_assert_cmpuint (sockets_count_files (), <=, files + 4);
    finish (server);
}

static void
test_stop (void)
{
    CwRelayServer *server = serve (NULL);
    int silent = sockets_connect (address);
    int waiting = dial ("please relay " OTHER_TOKEN "\n");
    int a = dial_and_wait (LINE (SIDE_A));
    int b = dial (LINE (SIDE_B));
    g_autoptr (GError) error = NULL;

    expect_pair (a, b);
    cw_relay_server_stop (server);
    cw_relay_server_stop (server);
    sockets_expect_end (silent);
    sockets_expect_end (waiting);
    sockets_expect_end (a);
    sockets_expect_end (b);
    g_assert_true (cw_relay_server_listen (server, "127.0.0.1:0", &error));
    g_assert_no_error (error);
    finish (server);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/relay-server/pairs", test_pairs);
    g_test_add_func ("/relay-server/line-in-pieces", test_line_in_pieces);
    g_test_add_func ("/relay-server/same-side", test_same_side);
    g_test_add_func ("/relay-server/third-waits", test_third_waits);
    g_test_add_func ("/relay-server/tokens-apart", test_tokens_apart);
    g_test_add_func ("/relay-server/impatient", test_impatient);
    g_test_add_func ("/relay-server/bad-handshake", test_bad_handshake);
    g_test_add_func ("/relay-server/bad-handshake-with-much-behind",
                     test_bad_handshake_with_much_behind);
    g_test_add_func ("/relay-server/back-pressure-and-flush", test_back_pressure_and_flush);
    g_test_add_func ("/relay-server/flush-against-the-stream", test_flush_against_the_stream);
    g_test_add_func ("/relay-server/receiver-goes-away", test_receiver_goes_away);
    g_test_add_func ("/relay-server/much", test_much);
    g_test_add_func ("/relay-server/patience-for-a-line", test_patience_for_a_line);
    g_test_add_func ("/relay-server/patience-for-a-partner", test_patience_for_a_partner);
    g_test_add_func ("/relay-server/patience-with-a-pair", test_patience_with_a_pair);
    g_test_add_func ("/relay-server/full", test_full);
    g_test_add_func ("/relay-server/max-pairs", test_max_pairs);
    g_test_add_func ("/relay-server/max-per-token", test_max_per_token);
    g_test_add_func ("/relay-server/flood", test_flood);
    g_test_add_func ("/relay-server/many-short", test_many_short);
    g_test_add_func ("/relay-server/stop", test_stop);
    return g_test_run ();
}
