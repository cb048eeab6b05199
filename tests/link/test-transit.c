/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Two people of a code meet: both by our connector in one process, or one of them by Debian's
 * magic-wormhole, through Debian's relay, or badly behaved over a raw socket. */
#include <gio/gunixinputstream.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cw-transit-handshake.h"
#include "cw-transit-private.h"

static const CwSecret key = { { 1, 2, 3 } };
static const CwSecret other_key = { { 3, 2, 1 } };

/* --- Two ends --- */

typedef struct {
    CwTransit *transit;
    GCancellable *cancellable;
    gboolean done;
    GIOStream *stream;
    CwRoute *route;
    GError *error;
} End;

static void
end_init (End *end,
          CwTransitRole role,
          const CwTransitOptions *options,
          const CwTransitLimits *limits)
{
    static const CwTransitOptions none = { 0 };
    g_autoptr (GError) error = NULL;

    memset (end, 0, sizeof *end);
    end->transit = cw_transit_new (role, options != NULL ? options : &none, &error);
    g_assert_no_error (error);
    end->cancellable = g_cancellable_new ();
    if (limits != NULL)
        cw_transit_set_limits (end->transit, limits);
}

static void
end_clear (End *end)
{
    g_clear_object (&end->stream);
    g_clear_pointer (&end->route, cw_route_free);
    g_clear_error (&end->error);
    g_clear_object (&end->cancellable);
    /* Nothing holds on to it. */
    g_assert_finalize_object (end->transit);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
    End *end = user_data;

    g_assert_false (end->done);
    end->done = TRUE;
    end->stream = cw_transit_connect_finish (CW_TRANSIT (source), result, &end->route, &end->error);
    g_assert_true ((end->stream != NULL) == (end->route != NULL));
    g_assert_true ((end->stream == NULL) == (end->error != NULL));
}

static void
end_connect (End *end, const CwSecret *with, JsonNode *peer_hints)
{
    cw_transit_connect_async (end->transit, with, peer_hints, end->cancellable, on_connected, end);
}

static void
end_wait (End *end)
{
    while (!end->done)
        g_main_context_iteration (NULL, TRUE);
}

/* A wait that ends together with a process or another thread: it must not block for ever. */
static gboolean
on_tick (gpointer user_data)
{
    return G_SOURCE_CONTINUE;
}

/* What @transit tells, of which only the direct hints with one of @hosts (NULL: all) are kept. */
static JsonNode *
told (CwTransit *transit, const char *const *hosts)
{
    g_autofree char *text = json_to_string (cw_transit_get_hints (transit), FALSE);
    JsonNode *copy = json_from_string (text, NULL);
    JsonArray *list = json_object_get_array_member (json_node_get_object (copy), "hints-v1");

    for (guint i = 0; i < json_array_get_length (list) && hosts != NULL;) {
        JsonObject *hint = json_array_get_object_element (list, i);
        if (g_str_equal (json_object_get_string_member (hint, "type"), "direct-tcp-v1")
            && !g_strv_contains (hosts, json_object_get_string_member (hint, "hostname")))
            json_array_remove_element (list, i);
        else
            i++;
    }
    return copy;
}

static const char *const only_ipv4[] = { "127.0.0.1", NULL };
static const char *const only_ipv6[] = { "::1", NULL };
static const char *const none[] = { NULL };

static guint16
told_port (CwTransit *transit)
{
    g_autoptr (JsonNode) node = told (transit, only_ipv4);
    JsonArray *list = json_object_get_array_member (json_node_get_object (node), "hints-v1");

    return (guint16)json_object_get_int_member (json_array_get_object_element (list, 0), "port");
}

static void
assert_says (End *from, End *to, const char *text)
{
    g_autoptr (GError) error = NULL;
    char buffer[100];
    gssize n;

    g_output_stream_write_all (g_io_stream_get_output_stream (from->stream), text, strlen (text),
                               NULL, NULL, &error);
    g_assert_no_error (error);
    n = g_input_stream_read (g_io_stream_get_input_stream (to->stream), buffer, sizeof buffer, NULL,
                             &error);
    g_assert_no_error (error);
    g_assert_cmpmem (buffer, n, text, strlen (text));
}

/* Both ends have it, over the same route, and it works. */
static void
assert_met (End *a, End *b, CwRouteKind kind, CwRouteReason reason, const char *address)
{
    End *ends[] = { a, b };

    for (int i = 0; i < 2; i++) {
        end_wait (ends[i]);
        g_assert_no_error (ends[i]->error);
        g_assert_cmpint (ends[i]->route->kind, ==, kind);
        g_assert_cmpint (ends[i]->route->reason, ==, reason);
        if (address != NULL)
            g_assert_cmpstr (ends[i]->route->address, ==, address);
    }
    assert_says (a, b, "one");
    assert_says (b, a, "two");
}

/* --- Direct --- */

static void
meet_direct (const char *const *sender_told, const char *const *receiver_told, const char *address)
{
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    g_autoptr (JsonNode) from_a = told (a.transit, sender_told);
    g_autoptr (JsonNode) from_b = told (b.transit, receiver_told);
    end_connect (&a, &key, from_b);
    end_connect (&b, &key, from_a);
    assert_met (&a, &b, CW_ROUTE_LAN, CW_ROUTE_REASON_BEST, address);
    g_assert_cmpint (a.route->rtt_us, >, 0);
    end_clear (&a);
    end_clear (&b);
}

static void
test_direct_ipv4 (void)
{
    meet_direct (only_ipv4, only_ipv4, "127.0.0.1");
}

static void
test_direct_ipv6 (void)
{
    int fd = socket (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GInetAddress *loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV6);
    GSocketAddress *where = g_inet_socket_address_new (loopback, 0);
    struct sockaddr_storage native;
    gboolean works;

    g_assert_true (g_socket_address_to_native (where, &native, sizeof native, NULL));
    works = fd >= 0 && bind (fd, (struct sockaddr *)&native, sizeof (struct sockaddr_in6)) == 0;
    g_object_unref (where);
    g_object_unref (loopback);
    if (fd >= 0)
        close (fd);
    if (works)
        meet_direct (only_ipv6, only_ipv6, "::1");
    else
        g_test_skip ("this machine has no IPv6 loopback");
}

static void
test_direct_all (void)
{
    meet_direct (NULL, NULL, NULL);
}

/* Like a Go client: one side only listens, or only dials. */
static void
test_direct_one_way (void)
{
    meet_direct (only_ipv4, none, "127.0.0.1");
    meet_direct (none, only_ipv4, "127.0.0.1");
}

static void
test_hints_later (void)
{
    g_autoptr (GError) error = NULL;
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    end_connect (&a, &key, NULL);
    end_connect (&b, &key, NULL);
    while (g_main_context_iteration (NULL, FALSE))
        ;
    g_autoptr (JsonNode) junk = json_from_string ("[]", NULL);
    g_assert_false (cw_transit_add_peer_hints (a.transit, junk, &error));
    g_assert_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_HINTS);
    g_assert_false (a.done);
    g_assert_true (cw_transit_add_peer_hints (b.transit, cw_transit_get_hints (a.transit), NULL));
    assert_met (&a, &b, CW_ROUTE_LAN, CW_ROUTE_REASON_BEST, NULL);
    /* Too late, and harmless. */
    g_assert_true (cw_transit_add_peer_hints (a.transit, cw_transit_get_hints (b.transit), NULL));
    end_clear (&a);
    end_clear (&b);
}

static void
test_bad_hints (void)
{
    g_autoptr (JsonNode) junk = json_from_string ("7", NULL);
    End a;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_connect (&a, &key, junk);
    end_wait (&a);
    g_assert_error (a.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_HINTS);
    end_clear (&a);
}

static void
test_bad_relay_setting (void)
{
    CwTransitOptions options = { .relay = "ws://relay.example" };
    g_autoptr (GError) error = NULL;

    g_assert_null (cw_transit_new (CW_TRANSIT_SENDER, &options, &error));
    g_assert_error (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_BAD_RELAY);
}

static void
test_max_record (void)
{
    static const guint8 zeros[100000];
    guint8 buffer[100000];
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    cw_transit_set_max_record (a.transit, 64 << 10);
    end_connect (&a, &key, cw_transit_get_hints (b.transit));
    end_connect (&b, &key, cw_transit_get_hints (a.transit));
    end_wait (&a);
    end_wait (&b);
    g_assert_cmpint (g_output_stream_write (g_io_stream_get_output_stream (a.stream), zeros,
                                            sizeof zeros, NULL, NULL),
                     ==, sizeof zeros);
    g_assert_cmpint (g_input_stream_read (g_io_stream_get_input_stream (b.stream), buffer,
                                          sizeof buffer, NULL, NULL),
                     ==, 64 << 10);
    end_clear (&a);
    end_clear (&b);
}

/* --- In vain --- */

static const CwTransitLimits short_limits = { 300, 100, 50, 100, 20 };

static void
test_nobody (void)
{
    g_autoptr (JsonNode) silence = json_from_string ("{\"hints-v1\":[]}", NULL);
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, &short_limits);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, &short_limits);
    end_connect (&a, &key, NULL);
    end_connect (&b, &key, silence);
    end_wait (&a);
    end_wait (&b);
    g_assert_error (a.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    g_assert_error (b.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    end_clear (&a);
    end_clear (&b);
}

/* Nothing is listening and nothing can be dialled: no need to wait for the limit. */
static void
test_no_way (void)
{
    CwTransitOptions options = { .no_direct = TRUE };
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, &options, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    end_connect (&a, &key, cw_transit_get_hints (b.transit));
    end_connect (&b, &key, cw_transit_get_hints (a.transit));
    end_wait (&a);
    end_wait (&b);
    g_assert_error (a.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    g_assert_error (b.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    end_clear (&a);
    end_clear (&b);
}

static void
test_wrong_key (void)
{
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, &short_limits);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, &short_limits);
    end_connect (&a, &key, cw_transit_get_hints (b.transit));
    end_connect (&b, &other_key, cw_transit_get_hints (a.transit));
    end_wait (&a);
    end_wait (&b);
    g_assert_error (a.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    g_assert_error (b.error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE);
    end_clear (&a);
    end_clear (&b);
}

static void
test_cancelled (void)
{
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    end_connect (&a, &key, NULL);
    while (g_main_context_iteration (NULL, FALSE))
        ;
    g_cancellable_cancel (a.cancellable);
    end_wait (&a);
    g_assert_error (a.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    /* While it dials, and before it began. */
    end_connect (&b, &key, cw_transit_get_hints (a.transit));
    g_cancellable_cancel (b.cancellable);
    end_wait (&b);
    g_assert_error (b.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    end_clear (&a);
    end_clear (&b);
    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    g_cancellable_cancel (a.cancellable);
    end_connect (&a, &key, NULL);
    end_wait (&a);
    g_assert_error (a.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    /* A dial that was given up ends in its own time. */
    while (g_main_context_iteration (NULL, FALSE))
        ;
    end_clear (&a);
}

/* --- Raw peers --- */

typedef struct {
    GSocket *listener;
    guint16 port;
} RawServer;

static void
raw_listen (RawServer *server)
{
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (loopback, 0);
    g_autoptr (GSocketAddress) got = NULL;

    server->listener
        = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_assert_true (g_socket_bind (server->listener, where, FALSE, NULL));
    g_assert_true (g_socket_listen (server->listener, NULL));
    g_socket_set_blocking (server->listener, FALSE);
    got = g_socket_get_local_address (server->listener, NULL);
    server->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (got));
}

static void
raw_close (RawServer *server)
{
    g_socket_close (server->listener, NULL);
    g_clear_object (&server->listener);
}

static GSocket *
raw_dial (guint16 port)
{
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (loopback, port);
    GSocket *socket
        = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

    g_assert_true (g_socket_connect (socket, where, NULL, NULL));
    g_socket_set_blocking (socket, FALSE);
    return socket;
}

/* Runs the main loop until somebody has connected. */
static GSocket *
raw_accept (RawServer *server)
{
    GSocket *socket;

    while ((socket = g_socket_accept (server->listener, NULL, NULL)) == NULL)
        g_main_context_iteration (NULL, FALSE);
    g_socket_set_blocking (socket, FALSE);
    return socket;
}

static void
raw_say (GSocket *socket, const char *text)
{
    g_assert_cmpint (g_socket_send (socket, text, strlen (text), NULL, NULL), ==, strlen (text));
}

/* Runs the main loop until exactly @text has come, or the end if it is NULL. */
static void
raw_expect (GSocket *socket, const char *text)
{
    char buffer[256];
    size_t got = 0, want = text != NULL ? strlen (text) : 1;

    while (got < want) {
        gssize n = g_socket_receive (socket, buffer + got, want - got, NULL, NULL);
        if (n == 0 && text == NULL)
            return;
        g_assert_cmpint (n, !=, 0);
        if (n > 0)
            got += (size_t)n;
        else
            g_main_context_iteration (NULL, FALSE);
    }
    g_assert_cmpmem (buffer, got, text, want);
}

static void
make_lines (CwTransitHandshake *receiver)
{
    g_auto (CwTransitKeys) keys = { 0 };

    cw_transit_keys_derive (&keys, key.bytes, sizeof key.bytes);
    cw_transit_handshake_init (receiver, CW_TRANSIT_RECEIVER, &keys, NULL);
}

static JsonNode *
hints_to (guint16 port)
{
    g_autofree char *text = g_strdup_printf (
        "{\"abilities-v1\":[{\"type\":\"direct-tcp-v1\"}],\"hints-v1\":[{\"type\":"
        "\"direct-tcp-v1\",\"hostname\":\"127.0.0.1\",\"port\":%u}]}",
        port);

    return json_from_string (text, NULL);
}

/* Somebody else answers at one of the addresses, in several ways; the right one is met all the
 * same. */
static void
test_rubbish (void)
{
    static const char *const rubbish[]
        = { "HTTP/1.0 400 Bad Request\r\n\r\n", "transit receiver 0", "\n", "" };

    for (size_t i = 0; i < G_N_ELEMENTS (rubbish); i++) {
        RawServer server;
        GSocket *stranger, *knocking;
        End a, b;
        raw_listen (&server);
        g_autoptr (JsonNode) wrong = hints_to (server.port);
        end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
        end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
        end_connect (&a, &key, wrong);
        stranger = raw_accept (&server);
        raw_say (stranger, rubbish[i]);
        knocking = raw_dial (told_port (a.transit));
        raw_say (knocking, rubbish[i]);
        g_socket_shutdown (knocking, FALSE, TRUE, NULL);
        end_connect (&b, &key, cw_transit_get_hints (a.transit));
        assert_met (&a, &b, CW_ROUTE_LAN, CW_ROUTE_REASON_BEST, NULL);
        g_object_unref (knocking);
        g_object_unref (stranger);
        raw_close (&server);
        end_clear (&a);
        end_clear (&b);
    }
}

/* A sender speaks first, says go once and nevermind to the rest. */
static void
test_sender_picks_one (void)
{
    CwTransitHandshake lines;
    GSocket *first, *second, *silent;
    End a;

    make_lines (&lines);
    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_connect (&a, &key, NULL);
    silent = raw_dial (told_port (a.transit));
    first = raw_dial (told_port (a.transit));
    second = raw_dial (told_port (a.transit));
    raw_expect (silent, lines.peer_line);
    raw_expect (first, lines.peer_line);
    raw_expect (second, lines.peer_line);
    raw_say (first, lines.own_line);
    raw_expect (first, "go\n");
    end_wait (&a);
    g_assert_no_error (a.error);
    raw_expect (silent, NULL);
    raw_expect (second, NULL);
    g_object_unref (silent);
    g_object_unref (first);
    g_object_unref (second);
    cw_transit_handshake_clear (&lines);
    end_clear (&a);
}

/* A stranger who connects and says nothing is let go. */
static void
test_silent_stranger (void)
{
    CwTransitLimits limits = { 60000, 30000, 2000, 50, 150 };
    CwTransitHandshake lines;
    GSocket *silent;
    End a;

    make_lines (&lines);
    end_init (&a, CW_TRANSIT_SENDER, NULL, &limits);
    end_connect (&a, &key, NULL);
    silent = raw_dial (told_port (a.transit));
    raw_expect (silent, lines.peer_line);
    raw_expect (silent, NULL);
    g_object_unref (silent);
    g_cancellable_cancel (a.cancellable);
    end_wait (&a);
    cw_transit_handshake_clear (&lines);
    end_clear (&a);
}

/* A relayed connection is ready while a direct one is in its handshake: the direct one is taken,
 * or, when nothing comes of it, the relayed one a little later. */
static void
prefer_direct (gboolean direct_comes)
{
    CwTransitLimits limits = { 60000, 30000, 0, 60000, direct_comes ? 60000 : 50 };
    g_autoptr (JsonNode) nothing = json_from_string ("{\"hints-v1\":[]}", NULL);
    g_autofree char *relay_text = NULL;
    CwTransitOptions options = { 0 };
    CwTransitHandshake lines;
    RawServer relay;
    GSocket *direct, *relayed;
    char request[200] = "";
    End a;

    raw_listen (&relay);
    relay_text = g_strdup_printf ("tcp:127.0.0.1:%u", relay.port);
    options.relay = relay_text;
    make_lines (&lines);
    end_init (&a, CW_TRANSIT_SENDER, &options, &limits);
    direct = raw_dial (told_port (a.transit));
    end_connect (&a, &key, NULL);
    raw_expect (direct, lines.peer_line);
    g_assert_true (cw_transit_add_peer_hints (a.transit, nothing, NULL));
    relayed = raw_accept (&relay);
    for (size_t got = 0; !g_str_has_suffix (request, "\n");) {
        gssize n = g_socket_receive (relayed, request + got, sizeof request - 1 - got, NULL, NULL);
        got += n > 0 ? (size_t)n : 0;
        g_main_context_iteration (NULL, FALSE);
    }
    g_assert_true (g_regex_match_simple ("^please relay [0-9a-f]{64} for side [0-9a-f]{16}\n$",
                                         request, 0, 0));
    raw_say (relayed, "ok\n");
    raw_expect (relayed, lines.peer_line);
    raw_say (relayed, lines.own_line);
    /* Until it has been read; then it is ready. */
    for (int i = 0; i < 10; i++)
        g_main_context_iteration (NULL, FALSE);
    if (direct_comes) {
        g_assert_false (a.done);
        raw_say (direct, lines.own_line);
        raw_expect (direct, "go\n");
        raw_expect (relayed, "nevermind\n");
    } else {
        raw_expect (relayed, "go\n");
        raw_expect (direct, NULL);
    }
    end_wait (&a);
    g_assert_no_error (a.error);
    g_assert_cmpint (a.route->kind, ==, direct_comes ? CW_ROUTE_LAN : CW_ROUTE_RELAY);
    g_object_unref (direct);
    g_object_unref (relayed);
    raw_close (&relay);
    cw_transit_handshake_clear (&lines);
    end_clear (&a);
}

static void
test_prefer_direct (void)
{
    prefer_direct (TRUE);
    prefer_direct (FALSE);
}

/* Threads that connect as often as they can and say nothing, or nonsense. */
typedef struct {
    guint16 port;
    int stop; /* atomic */
    int made; /* atomic */
} Flood;

static gpointer
flood (gpointer data)
{
    Flood *f = data;
    GSocket *held[200] = { NULL };

    for (unsigned i = 0; !g_atomic_int_get (&f->stop); i = (i + 1) % G_N_ELEMENTS (held)) {
        g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
        g_autoptr (GSocketAddress) where = g_inet_socket_address_new (loopback, f->port);
        g_clear_object (&held[i]);
        held[i] = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP,
                                NULL);
        if (g_socket_connect (held[i], where, NULL, NULL) && i % 2 == 0)
            g_socket_send (held[i], "transit receiver 00", 19, NULL, NULL);
        g_atomic_int_inc (&f->made);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS (held); i++)
        g_clear_object (&held[i]);
    return NULL;
}

static void
test_flood (void)
{
    Flood f = { 0 };
    GThread *threads[2];
    GSource *tick = g_timeout_source_new (5);
    End a, b;

    end_init (&a, CW_TRANSIT_SENDER, NULL, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, NULL, NULL);
    f.port = told_port (a.transit);
    g_source_set_callback (tick, on_tick, NULL, NULL);
    g_source_attach (tick, NULL);
    end_connect (&a, &key, NULL);
    for (int i = 0; i < 2; i++)
        threads[i] = g_thread_new ("flood", flood, &f);
    while (g_atomic_int_get (&f.made) < 500)
        g_main_context_iteration (NULL, TRUE);
    /* From the flood's own address. */
    g_autoptr (JsonNode) from_a = told (a.transit, only_ipv4);
    end_connect (&b, &key, from_a);
    end_wait (&a);
    end_wait (&b);
    g_atomic_int_set (&f.stop, TRUE);
    for (int i = 0; i < 2; i++)
        g_thread_join (threads[i]);
    g_source_destroy (tick);
    g_source_unref (tick);
    assert_met (&a, &b, CW_ROUTE_LAN, CW_ROUTE_REASON_BEST, NULL);
    end_clear (&a);
    end_clear (&b);
}

/* --- Debian's relay and client --- */

/* GSubprocess waits for its child in a thread of GLib's, which ThreadSanitizer does not understand.
 */
typedef struct {
    GPid pid;
    int in;
    GInputStream *out;
} Child;

static void
child_start (Child *child, const char *const *argv)
{
    g_autoptr (GError) error = NULL;
    int out;

    g_spawn_async_with_pipes (NULL, (char **)argv, NULL,
                              G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                              &child->pid, &child->in, &out, NULL, &error);
    g_assert_no_error (error);
    child->out = g_unix_input_stream_new (out, TRUE);
}

/* Its wait status. */
static int
child_wait (Child *child)
{
    int status;

    g_assert_cmpint (waitpid (child->pid, &status, 0), ==, child->pid);
    close (child->in);
    g_clear_object (&child->out);
    return status;
}

typedef struct {
    Child child;
    char *setting; /* "tcp:127.0.0.1:PORT" */
} DebianRelay;

/* FALSE, and the test skipped, without the package. */
static gboolean
relay_start (DebianRelay *relay)
{
    static const char *const argv[]
        = { "twist3", "transitrelay", "--port=tcp:0:interface=127.0.0.1", NULL };
    static const char marker[] = "Transit starting on ";
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) log = g_string_new (NULL);
    const char *found;
    char buffer[4096];
    gssize n;

    if (system ("twist3 transitrelay --help >/dev/null 2>&1") != 0) {
        g_test_skip ("magic-wormhole-transit-relay is not installed");
        return FALSE;
    }
    child_start (&relay->child, argv);
    do {
        n = g_input_stream_read (relay->child.out, buffer, sizeof buffer, NULL, &error);
        g_assert_no_error (error);
        g_assert_cmpint (n, >, 0);
        g_string_append_len (log, buffer, n);
        found = g_strstr_len (log->str, (gssize)log->len, marker);
    } while (found == NULL || strchr (found, '"') == NULL);
    relay->setting = g_strdup_printf ("tcp:127.0.0.1:%d", atoi (found + strlen (marker)));
    return TRUE;
}

static void
relay_stop (DebianRelay *relay)
{
    kill (relay->child.pid, SIGKILL);
    child_wait (&relay->child);
    g_clear_pointer (&relay->setting, g_free);
}

/* Each end may have direct connections off; then nobody waits before the relay. */
static void
meet_by_relay (gboolean a_off, gboolean b_off, gboolean only_a_has_relay)
{
    DebianRelay relay;
    End a, b;

    if (!relay_start (&relay))
        return;
    CwTransitOptions for_a = { .relay = relay.setting, .no_direct = a_off };
    CwTransitOptions for_b
        = { .relay = only_a_has_relay ? NULL : relay.setting, .no_direct = b_off };
    end_init (&a, CW_TRANSIT_SENDER, &for_a, NULL);
    end_init (&b, CW_TRANSIT_RECEIVER, &for_b, NULL);
    g_autoptr (JsonNode) from_a = told (a.transit, none);
    g_autoptr (JsonNode) from_b = told (b.transit, none);
    end_connect (&a, &key, from_b);
    end_connect (&b, &key, from_a);
    assert_met (&a, &b, CW_ROUTE_RELAY,
                a_off || b_off ? CW_ROUTE_REASON_DIRECT_OFF : CW_ROUTE_REASON_NO_DIRECT,
                relay.setting + strlen ("tcp:"));
    g_assert_cmpint (a.route->rtt_us, ==, -1);
    end_clear (&a);
    end_clear (&b);
    relay_stop (&relay);
}

static void
test_relay (void)
{
    meet_by_relay (FALSE, FALSE, FALSE);
}

static void
test_relay_direct_off (void)
{
    meet_by_relay (TRUE, FALSE, FALSE);
    meet_by_relay (FALSE, TRUE, TRUE);
    meet_by_relay (TRUE, TRUE, FALSE);
}

/* Hints to an address that answers, but wrongly: the relay is taken after its delay. */
static void
test_relay_after_direct_failed (void)
{
    CwTransitLimits limits = { 60000, 30000, 100, 10000, 20 };
    RawServer server;
    DebianRelay relay;
    End a, b;

    if (!relay_start (&relay))
        return;
    raw_listen (&server);
    CwTransitOptions options = { .relay = relay.setting };
    end_init (&a, CW_TRANSIT_SENDER, &options, &limits);
    end_init (&b, CW_TRANSIT_RECEIVER, &options, &limits);
    g_autoptr (JsonNode) wrong = hints_to (server.port);
    end_connect (&a, &key, wrong);
    end_connect (&b, &key, wrong);
    assert_met (&a, &b, CW_ROUTE_RELAY, CW_ROUTE_REASON_NO_DIRECT, NULL);
    raw_close (&server);
    end_clear (&a);
    end_clear (&b);
    relay_stop (&relay);
}

static gboolean
has_python_wormhole (void)
{
    if (system ("/usr/bin/python3 -c 'import wormhole.transit' >/dev/null 2>&1") == 0)
        return TRUE;
    g_test_skip ("magic-wormhole is not installed");
    return FALSE;
}

/* Our end as @role against magic-wormhole's Transit class. */
static void
meet_python (CwTransitRole role, const char *relay, gboolean by_relay)
{
    g_autofree char *script
        = g_build_filename (g_getenv ("CW_SRC"), "tests", "link", "transit-peer.py", NULL);
    CwTransitOptions options = { .relay = relay };
    g_autoptr (GError) error = NULL;
    g_autoptr (GDataInputStream) lines = NULL;
    g_autofree char *line = NULL, *ours = NULL;
    g_autoptr (JsonNode) theirs = NULL;
    char hex[65], buffer[100];
    Child child;
    gssize n;
    End a;

    sodium_bin2hex (hex, sizeof hex, key.bytes, sizeof key.bytes);
    end_init (&a, role, &options, NULL);
    const char *const argv[] = { "/usr/bin/python3",
                                 script,
                                 role == CW_TRANSIT_SENDER ? "receiver" : "sender",
                                 hex,
                                 relay != NULL ? relay : "-",
                                 by_relay ? "relay" : "direct",
                                 NULL };
    child_start (&child, argv);
    lines = g_data_input_stream_new (child.out);
    line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
    g_assert_no_error (error);
    theirs = json_from_string (line, &error);
    g_assert_no_error (error);
    /* It lists 127.0.0.1 only when it has nothing else. */
    g_autoptr (JsonNode) told_ours = told (a.transit, by_relay ? none : NULL);
    ours = json_to_string (told_ours, FALSE);
    end_connect (&a, &key, theirs);
    dprintf (child.in, "%s\n", ours);
    end_wait (&a);
    g_assert_no_error (a.error);
    g_assert_cmpint (a.route->kind, ==, by_relay ? CW_ROUTE_RELAY : CW_ROUTE_LAN);
    n = g_input_stream_read (g_io_stream_get_input_stream (a.stream), buffer, sizeof buffer, NULL,
                             &error);
    g_assert_no_error (error);
    g_assert_cmpmem (buffer, n, "hello from python", 17);
    g_output_stream_write (g_io_stream_get_output_stream (a.stream), "abc", 3, NULL, NULL);
    n = g_input_stream_read (g_io_stream_get_input_stream (a.stream), buffer, sizeof buffer, NULL,
                             &error);
    g_assert_no_error (error);
    g_assert_cmpmem (buffer, n, "cba", 3);
    g_io_stream_close (a.stream, NULL, NULL);
    g_assert_cmpint (child_wait (&child), ==, 0);
    end_clear (&a);
}

static void
test_python_direct (void)
{
    if (!has_python_wormhole ())
        return;
    meet_python (CW_TRANSIT_SENDER, NULL, FALSE);
    meet_python (CW_TRANSIT_RECEIVER, NULL, FALSE);
}

static void
test_python_relay (void)
{
    DebianRelay relay;

    if (!has_python_wormhole () || !relay_start (&relay))
        return;
    meet_python (CW_TRANSIT_SENDER, relay.setting, TRUE);
    meet_python (CW_TRANSIT_RECEIVER, relay.setting, TRUE);
    relay_stop (&relay);
}

int
main (int argc, char **argv)
{
    cw_crypto_init ();
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/transit/direct/ipv4", test_direct_ipv4);
    g_test_add_func ("/transit/direct/ipv6", test_direct_ipv6);
    g_test_add_func ("/transit/direct/all", test_direct_all);
    g_test_add_func ("/transit/direct/one-way", test_direct_one_way);
    g_test_add_func ("/transit/hints-later", test_hints_later);
    g_test_add_func ("/transit/bad-hints", test_bad_hints);
    g_test_add_func ("/transit/bad-relay-setting", test_bad_relay_setting);
    g_test_add_func ("/transit/max-record", test_max_record);
    g_test_add_func ("/transit/nobody", test_nobody);
    g_test_add_func ("/transit/no-way", test_no_way);
    g_test_add_func ("/transit/wrong-key", test_wrong_key);
    g_test_add_func ("/transit/cancelled", test_cancelled);
    g_test_add_func ("/transit/rubbish", test_rubbish);
    g_test_add_func ("/transit/sender-picks-one", test_sender_picks_one);
    g_test_add_func ("/transit/silent-stranger", test_silent_stranger);
    g_test_add_func ("/transit/prefer-direct", test_prefer_direct);
    g_test_add_func ("/transit/flood", test_flood);
    g_test_add_func ("/transit/relay/plain", test_relay);
    g_test_add_func ("/transit/relay/direct-off", test_relay_direct_off);
    g_test_add_func ("/transit/relay/after-direct-failed", test_relay_after_direct_failed);
    g_test_add_func ("/transit/python/direct", test_python_direct);
    g_test_add_func ("/transit/python/relay", test_python_relay);
    return g_test_run ();
}
