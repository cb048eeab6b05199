/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>

/* Connections the kernel holds for us until they are accepted. */
#define BACKLOG 512
/* A name such as "localhost" has several addresses, all to listen on one port. Port 0 is chosen by
 * the first; the same number can be taken on another, then a new one is tried. */
#define PORT_TRIES 8

/* Splits at the last colon: host ("" and "*" are every address) and port. */
static gboolean
split (const char *where, char **ret_host, guint16 *ret_port, GError **error)
{
    const char *colon = strrchr (where, ':');
    g_autofree char *host = NULL;
    guint64 port;

    if (colon == NULL || !g_ascii_string_to_unsigned (colon + 1, 10, 0, G_MAXUINT16, &port, NULL)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                     "'%s' is not an address and port such as 127.0.0.1:4000", where);
        return FALSE;
    }
    if (where[0] == '[' && colon - where >= 2 && colon[-1] == ']')
        host = g_strndup (where + 1, (gsize)(colon - where) - 2);
    else
        host = g_strndup (where, (gsize)(colon - where));
    /* "::1" without brackets: which colon starts the port is a guess. */
    if (where[0] != '[' && strchr (host, ':') != NULL) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                     "'%s': an IPv6 address needs brackets, as in [::1]:4000", where);
        return FALSE;
    }
    if (where[0] == '[' && !g_hostname_is_ip_address (host)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                     "'%s' does not have an IPv6 address in its brackets", where);
        return FALSE;
    }
    *ret_host = g_steal_pointer (&host);
    *ret_port = (guint16)port;
    return TRUE;
}

static GSocket *
bind_one (GInetAddress *address, guint16 port, gboolean dual, GError **error)
{
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (address, port);
    g_autoptr (GSocket) socket = g_socket_new (g_inet_address_get_family (address),
                                               G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);

    if (socket == NULL)
        return NULL;
    /* Said either way, so that net.ipv6.bindv6only does not decide what ":4000" means. */
    if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6)
        g_socket_set_option (socket, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1, NULL);
    g_socket_set_listen_backlog (socket, BACKLOG);
    if (!g_socket_bind (socket, where, TRUE, error) || !g_socket_listen (socket, error))
        return NULL;
    return g_steal_pointer (&socket);
}

static guint16
bound_port (GSocket *socket)
{
    g_autoptr (GSocketAddress) address = g_socket_get_local_address (socket, NULL);

    return address != NULL ? g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)) : 0;
}

/* Every address: one IPv6 socket that speaks IPv4 too, or IPv4 where there is no IPv6. */
static GPtrArray *
bind_any (guint16 port, GError **error)
{
    g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
    g_autoptr (GInetAddress) any6 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV6);
    g_autoptr (GInetAddress) any4 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GError) error6 = NULL;
    GSocket *socket = bind_one (any6, port, TRUE, &error6);

    if (socket == NULL && g_error_matches (error6, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)) {
        g_propagate_error (error, g_steal_pointer (&error6));
        return NULL;
    }
    if (socket == NULL)
        socket = bind_one (any4, port, FALSE, error);
    if (socket == NULL)
        return NULL;
    g_ptr_array_add (sockets, socket);
    return g_steal_pointer (&sockets);
}

/* All of @addresses on one port. An address this machine lacks is passed over while another works:
 * "localhost" names ::1 also where IPv6 is switched off. */
static GPtrArray *
bind_all (GList *addresses, guint16 port, GError **error)
{
    g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
    g_autoptr (GError) first = NULL;

    for (GList *l = addresses; l != NULL; l = l->next) {
        g_autoptr (GError) local = NULL;
        GSocket *socket = bind_one (l->data, port, FALSE, &local);
        if (socket == NULL && g_error_matches (local, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)) {
            g_propagate_error (error, g_steal_pointer (&local));
            return NULL;
        }
        if (socket == NULL) {
            if (first == NULL)
                first = g_steal_pointer (&local);
            continue;
        }
        g_ptr_array_add (sockets, socket);
        if (port == 0)
            port = bound_port (socket);
    }
    if (sockets->len == 0) {
        g_propagate_error (error, g_steal_pointer (&first));
        return NULL;
    }
    return g_steal_pointer (&sockets);
}

static GPtrArray *
bind_host (const char *host, guint16 port, GError **error)
{
    g_autoptr (GResolver) resolver = g_resolver_get_default ();
    g_autolist (GInetAddress) addresses = NULL;
    g_autoptr (GPtrArray) sockets = NULL;
    g_autoptr (GError) local = NULL;

    addresses = g_resolver_lookup_by_name (resolver, host, NULL, error);
    if (addresses == NULL)
        return NULL;
    for (int tries = port == 0 ? PORT_TRIES : 1; sockets == NULL && tries > 0; tries--) {
        g_clear_error (&local);
        sockets = bind_all (addresses, port, &local);
    }
    if (sockets == NULL)
        g_propagate_error (error, g_steal_pointer (&local));
    return g_steal_pointer (&sockets);
}

gboolean
cw_listen_add (GSocketListener *listener,
               const char *where,
               GSocketAddress **ret_first,
               GError **error)
{
    g_autofree char *host = NULL;
    g_autoptr (GPtrArray) sockets = NULL;
    guint16 port;

    if (!split (where, &host, &port, error))
        return FALSE;
    if (*host == '\0' || g_str_equal (host, "*"))
        sockets = bind_any (port, error);
    else
        sockets = bind_host (host, port, error);
    if (sockets == NULL) {
        g_prefix_error (error, "cannot listen on '%s': ", where);
        return FALSE;
    }
    for (guint i = 0; i < sockets->len; i++) {
        if (!g_socket_listener_add_socket (listener, sockets->pdata[i], NULL, error))
            return FALSE;
    }
    if (ret_first != NULL)
        *ret_first = g_socket_get_local_address (sockets->pdata[0], NULL);
    return TRUE;
}

char *
cw_listen_dup_address (GSocketAddress *address)
{
    GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS (address);
    GInetAddress *host = g_inet_socket_address_get_address (inet);
    g_autofree char *text = g_inet_address_to_string (host);
    gboolean six = g_inet_address_get_family (host) == G_SOCKET_FAMILY_IPV6;

    return g_strdup_printf (six ? "[%s]:%u" : "%s:%u", text, g_inet_socket_address_get_port (inet));
}

GInetSocketAddress *
cw_listen_dup_remote (GSocket *socket)
{
    static const guint8 mapped[12] = { [10] = 0xff, [11] = 0xff };
    g_autoptr (GSocketAddress) address = g_socket_get_remote_address (socket, NULL);
    g_autoptr (GInetAddress) plain = NULL;
    GInetSocketAddress *inet;
    GInetAddress *host;
    const guint8 *bytes;

    if (address == NULL || !G_IS_INET_SOCKET_ADDRESS (address))
        return NULL;
    inet = G_INET_SOCKET_ADDRESS (address);
    host = g_inet_socket_address_get_address (inet);
    bytes = g_inet_address_to_bytes (host);
    if (g_inet_address_get_family (host) != G_SOCKET_FAMILY_IPV6
        || memcmp (bytes, mapped, sizeof mapped) != 0)
        return g_object_ref (inet);
    plain = g_inet_address_new_from_bytes (bytes + sizeof mapped, G_SOCKET_FAMILY_IPV4);
    return G_INET_SOCKET_ADDRESS (
        g_inet_socket_address_new (plain, g_inet_socket_address_get_port (inet)));
}

void
cw_listen_keep_alive (GSocket *socket)
{
    g_socket_set_keepalive (socket, TRUE);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPIDLE, 60, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPINTVL, 30, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPCNT, 4, NULL);
    g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
}

guint
cw_listen_raise_files (guint wanted)
{
    struct rlimit limit;

    if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = limit;
        raised.rlim_cur = MIN ((rlim_t)wanted, limit.rlim_max);
        if (setrlimit (RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return (guint)MIN (limit.rlim_cur, (rlim_t)G_MAXUINT);
}

/* Accepting */

#define RETRY_MS 1000

struct _CwAcceptor {
    GSocketListener *listener;
    GCancellable *cancellable;
    GMainContext *context;
    GSource *retry;
    CwAcceptFunc accepted; /* NULL once freed: an answer may still be on its way */
    gpointer user_data;
};

static void accept_next (CwAcceptor *self);

static void
acceptor_destroy (CwAcceptor *self)
{
    g_object_unref (self->listener);
    g_object_unref (self->cancellable);
    g_main_context_unref (self->context);
    g_free (self);
}

static gboolean
on_retry (gpointer user_data)
{
    CwAcceptor *self = user_data;

    g_clear_pointer (&self->retry, g_source_unref);
    accept_next (self);
    return G_SOURCE_REMOVE;
}

static void
on_accepted (GObject *listener, GAsyncResult *result, gpointer user_data)
{
    CwAcceptor *self = user_data;
    g_autoptr (GSocket) socket
        = g_socket_listener_accept_socket_finish (G_SOCKET_LISTENER (listener), result, NULL, NULL);

    if (self->accepted == NULL) {
        acceptor_destroy (self);
        return;
    }
    if (socket == NULL) {
        self->retry = g_timeout_source_new (RETRY_MS);
        g_source_set_callback (self->retry, on_retry, self, NULL);
        g_source_attach (self->retry, self->context);
        return;
    }
    self->accepted (socket, self->user_data);
    if (self->accepted == NULL)
        acceptor_destroy (self);
    else
        accept_next (self);
}

static void
accept_next (CwAcceptor *self)
{
    g_socket_listener_accept_socket_async (self->listener, self->cancellable, on_accepted, self);
}

CwAcceptor *
cw_acceptor_new (GSocketListener *listener, CwAcceptFunc accepted, gpointer user_data)
{
    CwAcceptor *self = g_new0 (CwAcceptor, 1);

    self->listener = g_object_ref (listener);
    self->cancellable = g_cancellable_new ();
    self->context = g_main_context_ref_thread_default ();
    self->accepted = accepted;
    self->user_data = user_data;
    accept_next (self);
    return self;
}

void
cw_acceptor_free (CwAcceptor *self)
{
    self->accepted = NULL;
    g_socket_listener_close (self->listener);
    if (self->retry != NULL) {
        g_source_destroy (self->retry);
        g_source_unref (self->retry);
        acceptor_destroy (self);
        return;
    }
    g_cancellable_cancel (self->cancellable);
}
