/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <string.h>

#include "cw-ws-peer.h"

#define GREETING "hello\n"
/* The example of RFC 6455, 1.3 */
#define REQUEST                                                                                    \
    "GET /v1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"                       \
    "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"           \
    "Origin: http://example.com\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define RESPONSE                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
/* RFC 6455, 5.7: a masked text message "Hello" */
static const guint8 hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 };

/* Feeds bytes from an exact heap copy until there is an event or none are left. */
static CwWsEvent
feed_some (CwWsPeer *peer, const void *data, gsize *len)
{
    g_autofree guint8 *copy = g_memdup2 (data, *len);
    const guint8 *at = copy;

    return cw_ws_peer_receive (peer, &at, len);
}

static CwWsEvent
feed (CwWsPeer *peer, const void *data, gsize len)
{
    CwWsEvent event = feed_some (peer, data, &len);

    g_assert_cmpuint (len, ==, 0);
    return event;
}

/* Takes the output, whatever it is. */
static GBytes *
take_output (CwWsPeer *peer)
{
    gsize len;
    const guint8 *data = cw_ws_peer_peek (peer, &len);
    GBytes *bytes = g_bytes_new (data, len);

    cw_ws_peer_sent (peer, len);
    return bytes;
}

static void
expect_output (CwWsPeer *peer, const void *data, gsize len)
{
    g_autoptr (GBytes) bytes = take_output (peer);

    g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), data, len);
}

static CwWsPeer *
open_peer (gsize max_message)
{
    CwWsPeer *peer = cw_ws_peer_new ("/v1", GREETING, max_message);

    g_assert_cmpint (feed (peer, REQUEST, strlen (REQUEST)), ==, CW_WS_OPEN);
    expect_output (peer, RESPONSE, strlen (RESPONSE));
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, 0);
    return peer;
}

/* A frame masked with 01 02 03 04. */
static GByteArray *
frame (guint8 first, const void *data, gsize len)
{
    GByteArray *out = g_byte_array_new ();
    guint8 header[14] = { first };
    gsize at = 2;

    if (len < 126) {
        header[1] = (guint8)(0x80 | len);
    } else if (len < 65536) {
        header[1] = 0x80 | 126;
        header[at++] = (guint8)(len >> 8);
        header[at++] = (guint8)len;
    } else {
        header[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            header[at++] = (guint8)((guint64)len >> shift);
    }
    for (guint8 i = 1; i <= 4; i++)
        header[at++] = i;
    g_byte_array_append (out, header, (guint)at);
    for (gsize i = 0; i < len; i++) {
        guint8 byte = ((const guint8 *)data)[i] ^ (guint8)(i % 4 + 1);
        g_byte_array_append (out, &byte, 1);
    }
    return out;
}

static CwWsEvent
feed_frame (CwWsPeer *peer, guint8 first, const void *data, gsize len)
{
    g_autoptr (GByteArray) bytes = frame (first, data, len);

    return feed (peer, bytes->data, bytes->len);
}

static void
expect_message (CwWsPeer *peer, const void *data, gsize len)
{
    gsize got_len;
    const char *got = cw_ws_peer_get_message (peer, &got_len);

    g_assert_cmpmem (got, got_len, data, len);
}

/* A close frame with this code, and nothing after it. */
static void
expect_close (CwWsPeer *peer, guint16 code)
{
    const guint8 expected[] = { 0x88, 2, (guint8)(code >> 8), (guint8)code };

    expect_output (peer, expected, sizeof expected);
    g_assert_true (cw_ws_peer_is_closing (peer));
    cw_ws_peer_send_text (peer, "late", 4);
    cw_ws_peer_send_ping (peer);
    g_assert_cmpint (feed (peer, hello, sizeof hello), ==, CW_WS_CLOSING);
    expect_output (peer, "", 0);
}

static void
test_upgrade (void)
{
    g_autoptr (CwWsPeer) peer = open_peer (1000);

    g_assert_true (cw_ws_peer_is_open (peer));
    g_assert_cmpint (feed (peer, hello, sizeof hello), ==, CW_WS_MESSAGE);
    expect_message (peer, "Hello", 5);
}

static void
test_byte_by_byte (void)
{
    g_autoptr (CwWsPeer) peer = cw_ws_peer_new ("/v1", GREETING, 1000);

    for (gsize i = 0; i < strlen (REQUEST); i++)
        g_assert_cmpint (feed (peer, REQUEST + i, 1), ==,
                         i + 1 < strlen (REQUEST) ? CW_WS_MORE : CW_WS_OPEN);
    for (int times = 0; times < 2; times++) {
        for (gsize i = 0; i < sizeof hello; i++)
            g_assert_cmpint (feed (peer, hello + i, 1), ==,
                             i + 1 < sizeof hello ? CW_WS_MORE : CW_WS_MESSAGE);
        expect_message (peer, "Hello", 5);
    }
}

static void
test_all_at_once (void)
{
    g_autoptr (CwWsPeer) peer = cw_ws_peer_new ("/v1", GREETING, 1000);
    g_autoptr (GByteArray) all = g_byte_array_new ();
    const guint8 *data;
    gsize len;

    g_byte_array_append (all, (const guint8 *)REQUEST, strlen (REQUEST));
    g_byte_array_append (all, hello, sizeof hello);
    g_byte_array_append (all, hello, sizeof hello);
    data = all->data;
    len = all->len;
    g_assert_cmpint (cw_ws_peer_receive (peer, &data, &len), ==, CW_WS_OPEN);
    g_assert_cmpint (cw_ws_peer_receive (peer, &data, &len), ==, CW_WS_MESSAGE);
    expect_message (peer, "Hello", 5);
    g_assert_cmpint (cw_ws_peer_receive (peer, &data, &len), ==, CW_WS_MESSAGE);
    expect_message (peer, "Hello", 5);
    g_assert_cmpint (cw_ws_peer_receive (peer, &data, &len), ==, CW_WS_MORE);
    g_assert_cmpuint (len, ==, 0);
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, strlen (RESPONSE));
}

static void
test_http (void)
{
    static const struct {
        const char *request;
        const char *status;
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n" },
        { "GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n" },
        { "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" },
        { "GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 426 " },
        { "GET /v1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Version: 13\r\n\r\n",
          "HTTP/1.1 426 " },
        { "GET /v1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 8\r\n\r\n",
          "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n" },
        { "GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 " },
        { "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 " },
        { "nonsense\r\n\r\n", "HTTP/1.1 400 " },
        { "\r\n\r\n", "HTTP/1.1 400 " },
        { "please relay me\n\r\n\r\n", "HTTP/1.1 400 " },
    };

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autoptr (CwWsPeer) peer = cw_ws_peer_new ("/v1", GREETING, 1000);
        g_autoptr (GBytes) output = NULL;
        g_autofree char *text = NULL;
        g_assert_cmpint (feed (peer, rows[i].request, strlen (rows[i].request)), ==, CW_WS_CLOSING);
        output = take_output (peer);
        text = g_strndup (g_bytes_get_data (output, NULL), g_bytes_get_size (output));
        g_assert_true (g_str_has_prefix (text, rows[i].status));
        g_assert_nonnull (strstr (text, "\r\nConnection: close\r\n"));
        if (strstr (rows[i].status, "200") != NULL)
            g_assert_true (g_str_has_suffix (text, "\r\n\r\n" GREETING));
    }
}

static void
test_endless_head (void)
{
    g_autoptr (CwWsPeer) peer = cw_ws_peer_new ("/v1", GREETING, 1000);
    g_autofree char *much = g_strnfill (100 * 1000, 'x');
    gsize len = 100 * 1000;
    g_autoptr (GBytes) output = NULL;

    g_assert_cmpint (feed_some (peer, much, &len), ==, CW_WS_CLOSING);
    output = take_output (peer);
    g_assert_true (g_str_has_prefix (g_bytes_get_data (output, NULL), "HTTP/1.1 431 "));
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, 0);
}

static void
test_fragments (void)
{
    g_autoptr (CwWsPeer) peer = open_peer (1000);
    static const guint8 pong[] = { 0x8a, 1, 'p' };

    g_assert_cmpint (feed_frame (peer, 0x01, "Hel", 3), ==, CW_WS_MORE);
    /* A control frame between is answered, and does not disturb. */
    g_assert_cmpint (feed_frame (peer, 0x89, "p", 1), ==, CW_WS_MORE);
    expect_output (peer, pong, sizeof pong);
    g_assert_cmpint (feed_frame (peer, 0x00, "", 0), ==, CW_WS_MORE);
    g_assert_cmpint (feed_frame (peer, 0x80, "lo", 2), ==, CW_WS_MESSAGE);
    expect_message (peer, "Hello", 5);
    g_assert_cmpint (feed_frame (peer, 0x82, "binary", 6), ==, CW_WS_MESSAGE);
    expect_message (peer, "binary", 6);
    g_assert_cmpint (feed_frame (peer, 0x81, "", 0), ==, CW_WS_MESSAGE);
    expect_message (peer, "", 0);
    g_assert_cmpint (feed_frame (peer, 0x8a, "pong", 4), ==, CW_WS_MORE);
    expect_output (peer, "", 0);
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, 0);
}

static void
test_lengths (void)
{
    static const gsize lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, 100 * 1000 };

    for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
        g_autoptr (CwWsPeer) peer = open_peer (100 * 1000);
        g_autofree char *text = g_strnfill (lengths[i], 't');
        g_autoptr (GBytes) output = NULL;
        const guint8 *data;
        gsize len;
        g_assert_cmpint (feed_frame (peer, 0x81, text, lengths[i]), ==, CW_WS_MESSAGE);
        expect_message (peer, text, lengths[i]);
        cw_ws_peer_send_text (peer, text, lengths[i]);
        output = take_output (peer);
        data = g_bytes_get_data (output, &len);
        g_assert_cmpuint (data[0], ==, 0x81);
        g_assert_cmpuint (data[1], ==,
                          lengths[i] < 126 ? lengths[i] : (lengths[i] < 65536 ? 126u : 127u));
        g_assert_cmpuint (len, ==,
                          lengths[i] + (lengths[i] < 126 ? 2u : (lengths[i] < 65536 ? 4u : 10u)));
    }
}

static void
test_wrong_frames (void)
{
    static const struct {
        const char *what;
        guint8 bytes[16];
        gsize len;
        guint16 code;
    } rows[] = {
        { "not masked", { 0x81, 0x05 }, 6, 1002 },
        { "reserved bit", { 0xc1, 0x80 }, 6, 1002 },
        { "reserved opcode", { 0x83, 0x80 }, 6, 1002 },
        { "reserved control", { 0x8b, 0x80 }, 6, 1002 },
        { "control in fragments", { 0x09, 0x80 }, 6, 1002 },
        { "long control", { 0x89, 0xfe, 0, 126 }, 8, 1002 },
        { "continues nothing", { 0x80, 0x80 }, 6, 1002 },
        { "too long", { 0x81, 0xfe, 0x03, 0xe9 }, 8, 1009 },
        { "absurdly long",
          { 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
          14,
          1009 },
    };

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autoptr (CwWsPeer) peer = open_peer (1000);
        g_test_message ("%s", rows[i].what);
        g_assert_cmpint (feed (peer, rows[i].bytes, rows[i].len), ==, CW_WS_CLOSING);
        expect_close (peer, rows[i].code);
    }
}

static void
test_new_message_inside_another (void)
{
    g_autoptr (CwWsPeer) peer = open_peer (1000);
    g_autoptr (GByteArray) again = frame (0x01, "", 0);

    g_assert_cmpint (feed_frame (peer, 0x01, "a", 1), ==, CW_WS_MORE);
    g_assert_cmpint (feed (peer, again->data, again->len), ==, CW_WS_CLOSING);
    expect_close (peer, 1002);
}

/* Fragments count together. */
static void
test_long_in_fragments (void)
{
    g_autoptr (CwWsPeer) peer = open_peer (1000);
    g_autofree char *text = g_strnfill (600, 't');
    gsize len;
    g_autoptr (GByteArray) second = frame (0x00, text, 600);

    g_assert_cmpint (feed_frame (peer, 0x01, text, 600), ==, CW_WS_MORE);
    len = second->len;
    g_assert_cmpint (feed_some (peer, second->data, &len), ==, CW_WS_CLOSING);
    expect_close (peer, 1009);
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, 0);
}

static void
test_not_utf8 (void)
{
    static const char *const texts[] = { "\xff", "\xc3", "\xed\xa0\x80" };

    for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
        g_autoptr (CwWsPeer) peer = open_peer (1000);
        g_assert_cmpint (feed_frame (peer, 0x81, texts[i], strlen (texts[i])), ==, CW_WS_CLOSING);
        expect_close (peer, 1007);
    }
}

static void
test_closing (void)
{
    static const guint8 ping[] = { 0x89, 0 };
    g_autoptr (CwWsPeer) theirs = open_peer (1000);
    g_autoptr (CwWsPeer) ours = open_peer (1000);

    g_assert_cmpint (feed_frame (theirs, 0x88,
                                 "\x03\xe8"
                                 "bye",
                                 5),
                     ==, CW_WS_CLOSING);
    expect_close (theirs, 1000);
    cw_ws_peer_send_ping (ours);
    expect_output (ours, ping, sizeof ping);
    cw_ws_peer_close (ours, 1008);
    expect_close (ours, 1008);
}

/* What is sent in pieces comes out in order, and sent bytes do not pile up. */
static void
test_output_in_pieces (void)
{
    g_autoptr (CwWsPeer) peer = open_peer (1000);
    g_autoptr (GByteArray) got = g_byte_array_new ();
    g_autofree char *text = g_strnfill (50 * 1000, 'x');
    gsize len, expected = 0;

    for (int i = 0; i < 8; i++) {
        cw_ws_peer_send_text (peer, text, 50 * 1000);
        expected += 50 * 1000 + 4;
    }
    while (cw_ws_peer_peek (peer, &len), len > 0) {
        len = MIN (len, 7001);
        g_byte_array_append (got, cw_ws_peer_peek (peer, &(gsize){ 0 }), (guint)len);
        cw_ws_peer_sent (peer, len);
        g_assert_cmpuint (cw_ws_peer_get_memory (peer), <=, expected - got->len + 64 * 1024);
    }
    g_assert_cmpuint (got->len, ==, expected);
    for (gsize at = 0; at < got->len; at += 50 * 1000 + 4)
        g_assert_cmpmem (got->data + at, 4, "\x81\x7e\xc3\x50", 4);
    g_assert_cmpuint (cw_ws_peer_get_memory (peer), ==, 0);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/ws-peer/upgrade", test_upgrade);
    g_test_add_func ("/ws-peer/byte-by-byte", test_byte_by_byte);
    g_test_add_func ("/ws-peer/all-at-once", test_all_at_once);
    g_test_add_func ("/ws-peer/http", test_http);
    g_test_add_func ("/ws-peer/endless-head", test_endless_head);
    g_test_add_func ("/ws-peer/fragments", test_fragments);
    g_test_add_func ("/ws-peer/lengths", test_lengths);
    g_test_add_func ("/ws-peer/wrong-frames", test_wrong_frames);
    g_test_add_func ("/ws-peer/new-message-inside-another", test_new_message_inside_another);
    g_test_add_func ("/ws-peer/long-in-fragments", test_long_in_fragments);
    g_test_add_func ("/ws-peer/not-utf8", test_not_utf8);
    g_test_add_func ("/ws-peer/closing", test_closing);
    g_test_add_func ("/ws-peer/output-in-pieces", test_output_in_pieces);
    return g_test_run ();
}
