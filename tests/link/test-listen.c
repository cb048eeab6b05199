/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <gio/gio.h>

#include "cw-listen.h"
#include "cw-origins.h"
#include "sockets.h"

static void
test_forms (void)
{
    static const struct {
        const char *where;
        const char *first; /* before the port */
    } rows[] = {
        { "127.0.0.1:0", "127.0.0.1:" },
        { "[::1]:0", "[::1]:" },
        { "localhost:0", NULL },
        { ":0", NULL },
        { "*:0", NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autoptr (GSocketListener) listener = g_socket_listener_new ();
        g_autoptr (GSocketAddress) first = NULL;
        g_autoptr (GError) error = NULL;
        g_autofree char *text = NULL;
        if (!cw_listen_add (listener, rows[i].where, &first, &error) && rows[i].where[0] == '[') {
            g_test_message ("no IPv6: %s", error->message);
            continue;
        }
        g_assert_no_error (error);
        text = cw_listen_dup_address (first);
        if (rows[i].first != NULL)
            g_assert_true (g_str_has_prefix (text, rows[i].first));
        g_assert_cmpuint (g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (first)), !=, 0);
        g_socket_listener_close (listener);
    }
}

static void
test_bad_forms (void)
{
    static const char *const rows[] = {
        "",        "4000",           "127.0.0.1",       "127.0.0.1:", "127.0.0.1:x",
        ":65536",  "127.0.0.1:-1",   "::1:4000",        "[::1]",      "[::1:4000",
        "[]:4000", "[nonsense]:400", "127.0.0.1:4000 ",
    };

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autoptr (GSocketListener) listener = g_socket_listener_new ();
        g_autoptr (GError) error = NULL;
        g_assert_false (cw_listen_add (listener, rows[i], NULL, &error));
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
    }
}

static void
test_in_use (void)
{
    g_autoptr (GSocketListener) one = g_socket_listener_new ();
    g_autoptr (GSocketListener) two = g_socket_listener_new ();
    g_autoptr (GSocketAddress) first = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree char *text = NULL;

    g_assert_true (cw_listen_add (one, "127.0.0.1:0", &first, NULL));
    text = cw_listen_dup_address (first);
    g_assert_false (cw_listen_add (two, text, NULL, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
    g_assert_nonnull (strstr (error->message, text));
}

static void
on_accepted (GSocket *socket, gpointer user_data)
{
    g_autoptr (GInetSocketAddress) remote = cw_listen_dup_remote (socket);
    char **ret = user_data;

    g_free (*ret);
    *ret = g_inet_address_to_string (g_inet_socket_address_get_address (remote));
}

/* One socket for both families, where an IPv4 client still looks like one. */
static void
test_every_address (void)
{
    g_autoptr (GSocketListener) listener = g_socket_listener_new ();
    g_autoptr (GSocketAddress) first = NULL;
    g_autoptr (CwAcceptor) acceptor = NULL;
    g_autofree char *seen = NULL;
    g_autofree char *address = NULL;

    g_assert_true (cw_listen_add (listener, ":0", &first, NULL));
    acceptor = cw_acceptor_new (listener, on_accepted, &seen);
    address = g_strdup_printf ("127.0.0.1:%u",
                               g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (first)));
    for (int i = 0; i < 3; i++) {
        int fd = sockets_connect (address);
        g_clear_pointer (&seen, g_free);
        while (seen == NULL)
            g_main_context_iteration (NULL, TRUE);
        g_assert_cmpstr (seen, ==, "127.0.0.1");
        close (fd);
    }
    g_clear_pointer (&acceptor, cw_acceptor_free);
    sockets_settle ();
}

typedef struct {
    CwAcceptor *acceptor;
    gboolean called;
} Once;

static void
on_accepted_once (GSocket *socket, gpointer user_data)
{
    Once *once = user_data;

    once->called = TRUE;
    g_clear_pointer (&once->acceptor, cw_acceptor_free);
}

static void
test_freed_inside (void)
{
    g_autoptr (GSocketListener) listener = g_socket_listener_new ();
    g_autoptr (GSocketAddress) first = NULL;
    g_autofree char *address = NULL;
    Once once = { 0 };
    int fd;

    g_assert_true (cw_listen_add (listener, "127.0.0.1:0", &first, NULL));
    address = cw_listen_dup_address (first);
    once.acceptor = cw_acceptor_new (listener, on_accepted_once, &once);
    fd = sockets_connect (address);
    sockets_expect_end (fd);
    g_assert_true (once.called);
}

static void
test_origins (void)
{
    static const struct {
        const char *address;
        gboolean enters;
    } rows[] = {
        { "192.0.2.1", TRUE },
        { "192.0.2.1", TRUE },
        { "192.0.2.1", FALSE },
        { "192.0.2.2", TRUE },
        { "2001:db8::1", TRUE },
        { "2001:db8::2", TRUE },
        { "2001:db8::3:1", FALSE },
        { "2001:db8:0:1::", TRUE },
        { "127.0.0.1", TRUE },
        { "127.0.0.1", TRUE },
        { "127.0.0.1", TRUE },
        { "::1", TRUE },
        { "::1", TRUE },
        { "::1", TRUE },
    };
    CwOrigins *origins = cw_origins_new (2);
    char *entered[G_N_ELEMENTS (rows)] = { NULL };
    g_autoptr (GInetAddress) full = g_inet_address_new_from_string ("192.0.2.1");
    char *again;

    for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
        g_autoptr (GInetAddress) address = g_inet_address_new_from_string (rows[i].address);
        g_assert_cmpint (cw_origins_enter (origins, address, &entered[i]), ==, rows[i].enters);
    }
    cw_origins_leave (origins, g_steal_pointer (&entered[0]));
    g_assert_true (cw_origins_enter (origins, full, &again));
    cw_origins_leave (origins, again);
    for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
        cw_origins_leave (origins, entered[i]);
    cw_origins_free (origins);
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/listen/forms", test_forms);
    g_test_add_func ("/listen/bad-forms", test_bad_forms);
    g_test_add_func ("/listen/in-use", test_in_use);
    g_test_add_func ("/listen/every-address", test_every_address);
    g_test_add_func ("/listen/freed-inside", test_freed_inside);
    g_test_add_func ("/listen/origins", test_origins);
    return g_test_run ();
}
