/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What a GiB through a Transit stream costs: one thread writes, one reads, over TCP on loopback.
 * Beside it, the same bytes through the cipher alone, and through the sockets alone.
 *
 *   bench-transit [GIB [RECORD [READ]]]      sizes of records and of the reader's buffer in bytes
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cw-transit-record.h"
#include "cw-transit-stream.h"

static guint64 total;
static size_t record_size, read_size;

typedef struct {
    gint64 wall_us;
    double user, sys;
} Cost;

static double
seconds (struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void
cost_now (Cost *cost)
{
    struct rusage usage;

    getrusage (RUSAGE_SELF, &usage);
    cost->wall_us = g_get_monotonic_time ();
    cost->user = seconds (usage.ru_utime);
    cost->sys = seconds (usage.ru_stime);
}

static void
print_since (const char *what, const Cost *before)
{
    double gib = (double)total / (1 << 30);
    double wall;
    Cost now;

    cost_now (&now);
    wall = (double)(now.wall_us - before->wall_us) / 1e6;
    g_print ("%-8s %6.0f MB/s   %.3f s user + %.3f s system = %.3f s a GiB\n", what,
             (double)total / wall / 1e6, (now.user - before->user) / gib,
             (now.sys - before->sys) / gib,
             (now.user - before->user + now.sys - before->sys) / gib);
}

static GSocket *
loopback_listener (guint16 *ret_port)
{
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (loopback, 0);
    g_autoptr (GSocketAddress) got = NULL;
    GSocket *listener
        = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

    if (!g_socket_bind (listener, where, FALSE, NULL) || !g_socket_listen (listener, NULL))
        g_error ("cannot listen");
    got = g_socket_get_local_address (listener, NULL);
    *ret_port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (got));
    return listener;
}

static void
make_pair (GSocket *ret[2])
{
    guint16 port;
    g_autoptr (GSocket) listener = loopback_listener (&port);
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (loopback, port);

    ret[0] = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    if (!g_socket_connect (ret[0], where, NULL, NULL))
        g_error ("cannot connect");
    ret[1] = g_socket_accept (listener, NULL, NULL);
    cw_transit_stream_prepare_socket (ret[0]);
    cw_transit_stream_prepare_socket (ret[1]);
}

static gpointer
write_total (gpointer data)
{
    GOutputStream *out = data;
    g_autofree guint8 *buffer = g_malloc0 (256 << 10);

    for (guint64 done = 0; done < total; done += 256 << 10)
        if (!g_output_stream_write_all (out, buffer, 256 << 10, NULL, NULL, NULL))
            g_error ("write failed");
    return NULL;
}

static void
read_total (GInputStream *in)
{
    g_autofree guint8 *buffer = g_malloc (read_size);

    for (guint64 done = 0; done < total;) {
        gssize n = g_input_stream_read (in, buffer, read_size, NULL, NULL);
        if (n <= 0)
            g_error ("read failed");
        done += (guint64)n;
    }
}

static void
measure_cipher (const CwTransitKeys *keys)
{
    g_autofree guint8 *wire = g_malloc0 (record_size + CW_TRANSIT_RECORD_OVERHEAD);
    guint8 *plain = wire + CW_TRANSIT_RECORD_OVERHEAD;
    CwTransitRecords out, in;
    Cost before;

    cw_transit_records_init (&out, &keys->record_sender);
    cw_transit_records_init (&in, &keys->record_sender);
    cost_now (&before);
    for (guint64 done = 0; done < total; done += record_size) {
        size_t size = cw_transit_records_seal (&out, plain, record_size, wire);
        if (!cw_transit_records_open (&in, wire, size, plain))
            g_error ("open failed");
    }
    print_since ("cipher", &before);
}

static void
measure_streams (const char *what, GIOStream *from, GIOStream *to)
{
    GThread *thread;
    Cost before;

    cost_now (&before);
    thread = g_thread_new ("write", write_total, g_io_stream_get_output_stream (from));
    read_total (g_io_stream_get_input_stream (to));
    g_thread_join (thread);
    print_since (what, &before);
}

int
main (int argc, char **argv)
{
    g_auto (CwTransitKeys) keys = { 0 };
    GSocket *sockets[2];
    GIOStream *streams[2];

    total = (guint64)((argc > 1 ? g_ascii_strtod (argv[1], NULL) : 1) * (1 << 30));
    record_size = argc > 2 ? (size_t)atol (argv[2]) : 64 << 10;
    read_size = argc > 3 ? (size_t)atol (argv[3]) : 256 << 10;
    cw_crypto_init ();
    cw_transit_keys_derive (&keys, "bench", 5);

    measure_cipher (&keys);
    make_pair (sockets);
    for (int i = 0; i < 2; i++)
        streams[i] = G_IO_STREAM (g_socket_connection_factory_create_connection (sockets[i]));
    measure_streams ("sockets", streams[0], streams[1]);
    for (int i = 0; i < 2; i++) {
        g_object_unref (streams[i]);
        g_object_unref (sockets[i]);
    }
    make_pair (sockets);
    for (int i = 0; i < 2; i++) {
        streams[i]
            = cw_transit_stream_new (sockets[i], (CwTransitRole)i, &keys, record_size, NULL, 0);
        g_object_unref (sockets[i]);
    }
    measure_streams ("transit", streams[0], streams[1]);
    for (int i = 0; i < 2; i++)
        g_object_unref (streams[i]);
    return EXIT_SUCCESS;
}
