/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The mailbox server with plain sockets for clients, on loopback; what its answers say is the
 * board's and tested there. */

#include "cw-mailbox-server.h"
#include "sockets.h"

#define REQUEST                                                                                    \
    "GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define RESPONSE                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define BIND(side) "{\"type\": \"bind\", \"appid\": \"app\", \"side\": \"" side "\"}"
#define OPEN(mailbox) "{\"type\": \"open\", \"mailbox\": \"" mailbox "\"}"

enum {
    TEXT = 1,
    CLOSE = 8,
    PING = 9,
    PONG = 10,
};

static char *url; /* of the server under test */

static CwMailboxServer *
serve (const CwMailboxServerLimits *limits)
{
    CwMailboxServer *server = cw_mailbox_server_new ();
    g_autoptr (GError) error = NULL;

    if (limits != NULL)
        cw_mailbox_server_set_limits (server, limits);
    cw_mailbox_server_set_motd (server, "be nice");
    g_assert_true (cw_mailbox_server_listen (server, "127.0.0.1:0", &error));
    g_assert_no_error (error);
    g_free (url);
    url = cw_mailbox_server_dup_url (server);
    g_assert_true (g_str_has_prefix (url, "ws://127.0.0.1:"));
    g_assert_true (g_str_has_suffix (url, "/v1"));
    return server;
}

static void
finish (CwMailboxServer *server)
{
    g_assert_finalize_object (server);
    /* What was accepting learns of it here. */
    sockets_settle ();
}

/* Masked with zeros, which is a mask like any other. */
static GByteArray *
frame (guint8 opcode, const void *data, gsize len)
{
    GByteArray *out = g_byte_array_new ();
    const guint8 header[14]
        = { 0x80 | opcode,       0x80 | 127,         0,          0, 0, 0, (guint8)(len >> 24),
            (guint8)(len >> 16), (guint8)(len >> 8), (guint8)len };
    const guint8 control[6] = { 0x80 | opcode, (guint8)(0x80 | len) };

    if (opcode >= CLOSE)
        g_byte_array_append (out, control, sizeof control);
    else
        g_byte_array_append (out, header, sizeof header);
    g_byte_array_append (out, data, (guint)len);
    return out;
}

static void
send_frame (int fd, guint8 opcode, const void *data, gsize len)
{
    g_autoptr (GByteArray) bytes = frame (opcode, data, len);

    sockets_send (fd, bytes->data, bytes->len);
}

static void
say (int fd, const char *text)
{
    send_frame (fd, TEXT, text, strlen (text));
}

/* The next frame's payload; NULL at the end of file. */
static char *
read_frame (int fd, guint8 *ret_opcode)
{
    guint8 header[2], more[8];
    gsize len;
    char *text;

    if (sockets_read (fd, header, 2) < 2)
        return NULL;
    *ret_opcode = header[0] & 0x0f;
    len = header[1];
    if (len == 126) {
        sockets_read (fd, more, 2);
        len = (gsize)more[0] << 8 | more[1];
    } else if (len == 127) {
        sockets_read (fd, more, 8);
        len = (gsize)more[5] << 16 | (gsize)more[6] << 8 | more[7];
    }
    text = g_malloc0 (len + 1);
    g_assert_cmpuint (sockets_read (fd, text, len), ==, len);
    return text;
}

/* Reads on until a message holds @part. */
static void
hear (int fd, const char *part)
{
    for (;;) {
        guint8 opcode;
        g_autofree char *text = read_frame (fd, &opcode);
        if (text == NULL)
            g_error ("the connection ended before \"%s\"", part);
        if (strstr (text, part) != NULL)
            return;
    }
}

static void
hear_frame (int fd, guint8 wanted)
{
    guint8 opcode = 0;

    while (opcode != wanted) {
        g_autofree char *text = read_frame (fd, &opcode);
        if (text == NULL)
            g_error ("the connection ended before a frame of kind %d", wanted);
    }
}

/* Everything up to the end of file. */
static void
hear_end (int fd)
{
    char block[4096];

    while (sockets_read (fd, block, sizeof block) > 0)
        ;
    close (fd);
}

static int
upgrade (void)
{
    int fd = sockets_connect (url);

    sockets_say (fd, REQUEST);
    sockets_expect (fd, RESPONSE);
    hear (fd, "\"type\": \"welcome\"");
    return fd;
}

static int
enter (const char *bind, const char *open)
{
    int fd = upgrade ();

    say (fd, bind);
    say (fd, open);
    say (fd, "{\"type\": \"ping\", \"ping\": \"in\"}");
    hear (fd, "\"pong\": \"in\"");
    return fd;
}

static void
expect_works (int a, int b)
{
    say (a, "{\"type\": \"add\", \"phase\": \"0\", \"body\": \"aa\"}");
    hear (b, "\"body\": \"aa\"");
    hear (a, "\"body\": \"aa\"");
    say (b, "{\"type\": \"add\", \"phase\": \"1\", \"body\": \"bb\"}");
    hear (a, "\"body\": \"bb\"");
    hear (b, "\"body\": \"bb\"");
}

static void
test_dialogue (void)
{
    CwMailboxServer *server = serve (NULL);
    int a = sockets_connect (url);
    int b;

    sockets_say (a, REQUEST);
    sockets_expect (a, RESPONSE);
    hear (a, "{\"type\": \"welcome\", \"welcome\": {\"motd\": \"be nice\", \"your-address\": "
             "{\"ipv4\": \"127.0.0.1\", \"port\": ");
    say (a, BIND ("a"));
    say (a, "{\"type\": \"claim\", \"nameplate\": \"7\", \"id\": \"c1\"}");
    hear (a, "\"id\": \"c1\"");
    hear (a, "\"type\": \"claimed\"");
    say (a, OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    expect_works (a, b);
    say (b, "{\"type\": \"close\", \"mood\": \"happy\"}");
    hear (b, "\"type\": \"closed\"");
    send_frame (b, CLOSE, "\x03\xe8", 2);
    hear_frame (b, CLOSE);
    sockets_expect_end (b);
    close (a);
    finish (server);
}

static void
test_http (void)
{
    CwMailboxServer *server = serve (NULL);
    int fd = sockets_connect (url);
    g_autofree char *body = NULL;

    sockets_say (fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    sockets_expect (fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                        "Content-Length: 24\r\nConnection: close\r\n\r\nCauseway mailbox server\n");
    sockets_expect_end (fd);
    fd = sockets_connect (url);
    sockets_say (fd, "please relay me\r\n\r\n");
    sockets_expect (fd, "HTTP/1.1 400 ");
    hear_end (fd);
    finish (server);
}

static void
test_patience (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int fd;

    limits.bind_ms = 40;
    server = serve (&limits);
    sockets_expect_end (sockets_connect (url));
    fd = sockets_connect (url);
    sockets_say (fd, "GET /v1 HTTP/1.1\r\nHost:");
    sockets_expect_end (fd);
    /* Upgraded, and then nothing but commands that need no bind. */
    fd = sockets_connect (url);
    sockets_say (fd, REQUEST);
    hear_end (fd);
    finish (server);
}

static void
test_pings (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int fd;

    limits.ping_ms = 20;
    server = serve (&limits);
    fd = enter (BIND ("a"), OPEN ("m"));
    hear_frame (fd, PING);
    hear_frame (fd, PING);
    send_frame (fd, PING, "are you there", 13);
    hear_frame (fd, PONG);
    close (fd);
    finish (server);
}

static void
test_dead_peer (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int fd;

    limits.silent_ms = 400;
    server = serve (&limits);
    fd = enter (BIND ("a"), OPEN ("m"));
    hear_end (fd);
    finish (server);
}

static void
test_big_message (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    g_autofree char *body = g_strnfill (100 * 1000, 'a');
    g_autofree char *text
        = g_strdup_printf ("{\"type\": \"add\", \"phase\": \"0\", \"body\": \"%s\"}", body);
    CwMailboxServer *server = serve (&limits);
    int fd = enter (BIND ("a"), OPEN ("m"));
    g_autofree char *much = g_strnfill (limits.max_message + 1, 'a');

    say (fd, text);
    hear (fd, body);
    send_frame (fd, TEXT, much, limits.max_message + 1);
    hear_frame (fd, CLOSE);
    sockets_expect_end (fd);
    finish (server);
}

static void
test_dropped_with_a_close_frame (void)
{
    CwMailboxServer *server = serve (NULL);
    int fd = enter (BIND ("a"), OPEN ("m"));

    say (fd, "this is not JSON");
    hear_frame (fd, CLOSE);
    sockets_expect_end (fd);
    finish (server);
}

/* A client is cut off in the middle of what it sends, before it has read what it was sent: all of
 * that still arrives. */
static void
test_last_bytes_arrive (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int fd, small = 16 * 1024;
    g_autofree char *much = g_strnfill (50 * 1000, 'x');
    g_autofree char *ping = g_strdup_printf ("{\"type\": \"ping\", \"ping\": \"%.2000s\"}", much);

    limits.linger_ms = 60 * 1000;
    server = serve (&limits);
    fd = upgrade ();
    g_assert_cmpint (setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), ==, 0);
    for (int i = 0; i < 25; i++)
        say (fd, ping);
    say (fd, "this is not JSON");
    sockets_send (fd, much, 50 * 1000);
    sockets_settle ();
    for (int i = 0; i < 25; i++)
        hear (fd, "\"type\": \"pong\"");
    hear_frame (fd, CLOSE);
    sockets_expect_end (fd);
    finish (server);
}

/* Places taken by those who do not bind are given to those who come. */
static void
test_full (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int idle[3], a, b;

    limits.max_connections = 3;
    server = serve (&limits);
    for (int i = 0; i < 3; i++) {
        idle[i] = i == 1 ? upgrade () : sockets_connect (url);
        sockets_settle ();
    }
    a = enter (BIND ("a"), OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    sockets_expect_end (idle[0]);
    sockets_expect_end (idle[1]);
    expect_works (a, b);
    close (idle[2]);
    sockets_settle ();
    idle[2] = enter (BIND ("c"), OPEN ("n"));
    /* All bound: the next one has to wait. */
    sockets_expect_end (sockets_connect (url));
    expect_works (a, b);
    close (a);
    close (b);
    close (idle[2]);
    finish (server);
}

static void
add_big (int fd, const char *tag, gsize len)
{
    g_autofree char *body = g_strnfill (len, 'a');
    g_autofree char *text = g_strdup_printf (
        "{\"type\": \"add\", \"phase\": \"%s\", \"body\": \"%s%s\"}", tag, body, tag);

    say (fd, text);
    hear (fd, tag);
}

/* One of a mailbox's openers does not read. It goes, the others do not notice. */
static void
test_slow_reader (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    int slow, a, b;

    limits.max_lag = 50 * 1000;
    server = serve (&limits);
    a = enter (BIND ("a"), OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    slow = enter (BIND ("a"), OPEN ("m"));
    g_assert_cmpint (setsockopt (slow, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof (int)), ==, 0);
    /* A mailbox may hold 512 KiB: what the kernel holds of it and the limit are less. */
    for (int i = 0; i < 20; i++) {
        g_autofree char *tag = g_strdup_printf ("tag%d", i);
        add_big (a, tag, 20 * 1000);
        hear (b, tag);
    }
    hear_end (slow);
    expect_works (a, b);
    close (a);
    close (b);
    finish (server);
}

/* As much as goes in while nobody takes it out. */
static gsize
stuff (int fd, GByteArray *bytes)
{
    gsize total = 0;
    guint at = 0;
    gboolean settled = FALSE;

    for (;;) {
        ssize_t n = send (fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);
        if (n < 0 && (errno != EAGAIN || settled))
            return total;
        settled = n < 0;
        if (settled) {
            sockets_settle ();
            continue;
        }
        at = (at + (guint)n) % bytes->len;
        total += (gsize)n;
    }
}

/* Pings have to be answered: whoever does not take the answers is not listened to any more. */
static void
test_ping_flood (void)
{
    CwMailboxServer *server = serve (NULL);
    int a = enter (BIND ("a"), OPEN ("m"));
    int b = enter (BIND ("b"), OPEN ("m"));
    int flood = upgrade ();
    g_autoptr (GByteArray) pings = g_byte_array_new ();
    gsize sent;

    for (int i = 0; i < 10000; i++) {
        g_autoptr (GByteArray) one = frame (PING, "flood", 5);
        g_byte_array_append (pings, one->data, one->len);
    }
    sent = stuff (flood, pings);
    g_test_message ("%zu bytes of pings went in", sent);
    g_assert_cmpuint (sent, <, 32 * 1024 * 1024);
    expect_works (a, b);
    /* Nothing was lost: the answers come when they are taken. */
    hear_frame (flood, PONG);
    close (flood);
    close (a);
    close (b);
    finish (server);
}

/* Commands in a row, their answers taken or not. */
static void
test_command_flood (void)
{
    CwMailboxServer *server = serve (NULL);
    int a = enter (BIND ("a"), OPEN ("m"));
    int b = enter (BIND ("b"), OPEN ("m"));
    int flood = enter (BIND ("f"), OPEN ("n"));
    g_autoptr (GByteArray) bytes = g_byte_array_new ();

    for (int i = 0; i < 1000; i++) {
        g_autoptr (GByteArray) one = frame (TEXT, "{\"type\": \"list\"}", 16);
        g_byte_array_append (bytes, one->data, one->len);
    }
    sockets_send (flood, bytes->data, bytes->len);
    expect_works (a, b);
    hear (flood, "too many requests");
    hear_end (flood);
    /* And without end: it is cut off. */
    flood = enter (BIND ("f"), OPEN ("n"));
    stuff (flood, bytes);
    expect_works (a, b);
    hear_end (flood);
    close (a);
    close (b);
    finish (server);
}

/* Many begin a long message and never end it. Together they may hold so much and no more. */
static void
test_unfinished_messages (void)
{
    CwMailboxServerLimits limits = cw_mailbox_server_limits;
    CwMailboxServer *server;
    g_autofree char *part = g_strnfill (100 * 1000, 'a');
    static const guint8 header[14] = { 0x81, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff };
    int begun[10], a, b, ended = 0;

    limits.max_memory = 500 * 1000;
    server = serve (&limits);
    a = enter (BIND ("a"), OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    for (int i = 0; i < 10; i++) {
        begun[i] = upgrade ();
        sockets_send (begun[i], header, sizeof header);
        sockets_send (begun[i], part, 100 * 1000);
        sockets_settle ();
    }
    expect_works (a, b);
    for (int i = 0; i < 10; i++) {
        char byte;
        ssize_t n = recv (begun[i], &byte, 1, 0);
        ended += n == 0 || (n < 0 && errno != EAGAIN);
        close (begun[i]);
    }
    g_assert_cmpint (ended, >=, 5);
    close (a);
    close (b);
    finish (server);
}

static void
test_nonsense_flood (void)
{
    static const char *const texts[] = {
        "",
        "GET",
        "GET /v1 HTTP/1.1\r\n\r\n",
        REQUEST,
        REQUEST "\x81\x05hello",
        REQUEST "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        "\x16\x03\x01\x02",
        "please relay me\n",
    };
    CwMailboxServer *server = serve (NULL);
    int a = enter (BIND ("a"), OPEN ("m"));
    int b = enter (BIND ("b"), OPEN ("m"));

    for (guint i = 0; i < 200; i++) {
        int fd = sockets_connect (url);
        sockets_say (fd, texts[i % G_N_ELEMENTS (texts)]);
        if (i % 20 == 0)
            expect_works (a, b);
        close (fd);
    }
    expect_works (a, b);
    close (a);
    close (b);
    finish (server);
}

static void
test_many_short (void)
{
    static const char *const texts[] = { "", "GET / HTTP/1.1\r\n\r\n", REQUEST };
    CwMailboxServer *server = serve (NULL);
    guint files = sockets_count_files ();
    int a, b;

    for (guint i = 0; i < 10000; i++) {
        int fd = sockets_connect (url);
        sockets_say (fd, texts[i % G_N_ELEMENTS (texts)]);
        while (g_main_context_iteration (NULL, FALSE))
            ;
        close (fd);
    }
    a = enter (BIND ("a"), OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    expect_works (a, b);
    close (a);
    close (b);
    sockets_settle ();
    g_assert_cmpuint (sockets_count_files (), <=, files);
    finish (server);
}

static void
test_stop (void)
{
    CwMailboxServer *server = serve (NULL);
    int silent = sockets_connect (url);
    int bound = enter (BIND ("a"), OPEN ("m"));
    g_autoptr (GError) error = NULL;

    cw_mailbox_server_stop (server);
    cw_mailbox_server_stop (server);
    sockets_expect_end (silent);
    hear_end (bound);
    g_assert_true (cw_mailbox_server_listen (server, "127.0.0.1:0", &error));
    g_assert_no_error (error);
    finish (server);
}

static void
test_two_addresses (void)
{
    CwMailboxServer *server = serve (NULL);
    CwMailboxServer *other;
    g_autofree char *where = NULL;
    g_autoptr (GError) error = NULL;
    int a, b;

    g_assert_true (cw_mailbox_server_listen (server, "127.0.0.1:0", &error));
    a = enter (BIND ("a"), OPEN ("m"));
    b = enter (BIND ("b"), OPEN ("m"));
    expect_works (a, b);
    close (a);
    close (b);
    /* And one that is taken is an error that changes nothing. */
    where = g_strndup (url + 5, strlen (url) - 5 - 3);
    other = cw_mailbox_server_new ();
    g_assert_false (cw_mailbox_server_listen (other, where, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
    finish (other);
    finish (server);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/mailbox-server/dialogue", test_dialogue);
    g_test_add_func ("/mailbox-server/http", test_http);
    g_test_add_func ("/mailbox-server/patience", test_patience);
    g_test_add_func ("/mailbox-server/pings", test_pings);
    g_test_add_func ("/mailbox-server/dead-peer", test_dead_peer);
    g_test_add_func ("/mailbox-server/big-message", test_big_message);
    g_test_add_func ("/mailbox-server/dropped-with-a-close-frame", test_dropped_with_a_close_frame);
    g_test_add_func ("/mailbox-server/last-bytes-arrive", test_last_bytes_arrive);
    g_test_add_func ("/mailbox-server/full", test_full);
    g_test_add_func ("/mailbox-server/slow-reader", test_slow_reader);
    g_test_add_func ("/mailbox-server/ping-flood", test_ping_flood);
    g_test_add_func ("/mailbox-server/command-flood", test_command_flood);
    g_test_add_func ("/mailbox-server/unfinished-messages", test_unfinished_messages);
    g_test_add_func ("/mailbox-server/nonsense-flood", test_nonsense_flood);
    g_test_add_func ("/mailbox-server/many-short", test_many_short);
    g_test_add_func ("/mailbox-server/two-addresses", test_two_addresses);
    g_test_add_func ("/mailbox-server/stop", test_stop);
    return g_test_run ();
}
