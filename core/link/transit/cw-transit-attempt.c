/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-transit-attempt.h"

#include <string.h>

#include "cw-transit-address.h"
#include "cw-transit-stream.h"

/* A handshake is some 200 bytes; what comes with it in one read is the first record's beginning. */
#define READ_SIZE 4096

struct _CwTransitAttempt {
    const CwTransitAttemptConfig *config;
    CwTransitPath path;
    CwTransitAttemptState state;
    CwTransitHint *hint;
    gboolean guarded, loopback;
    GError *error;
    GCancellable *dialling;
    gboolean abandoned; /* freed while it was being dialled: on_dialled() does it */
    GSocket *socket;
    GInetAddress *address;
    CwTransitHandshake hs;
    guint8 in[READ_SIZE];
    size_t in_start, in_end;
    GSource *source;
    GIOCondition waiting_for;
    GSource *limit;
};

static void
clear_source (GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy (*source);
    g_clear_pointer (source, g_source_unref);
}

/* Takes @error. */
static void
fail (CwTransitAttempt *a, GError *error)
{
    if (a->state == CW_TRANSIT_ATTEMPT_FAILED) {
        g_error_free (error);
        return;
    }
    a->state = CW_TRANSIT_ATTEMPT_FAILED;
    a->error = error;
    clear_source (&a->source);
    clear_source (&a->limit);
    if (a->socket != NULL)
        g_socket_close (a->socket, NULL);
}

static void
fail_text (CwTransitAttempt *a, const char *text)
{
    fail (a, g_error_new_literal (CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE, text));
}

static void
send_queued (CwTransitAttempt *a)
{
    while (a->hs.out_len > 0) {
        g_autoptr (GError) error = NULL;
        gssize n = g_socket_send_with_blocking (a->socket, a->hs.out, a->hs.out_len, FALSE, NULL,
                                                &error);
        if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            return;
        if (n < 0) {
            fail (a, g_steal_pointer (&error));
            return;
        }
        cw_transit_handshake_sent (&a->hs, (size_t)n);
    }
}

static gboolean
wants_input (const CwTransitAttempt *a)
{
    return a->hs.state == CW_TRANSIT_HANDSHAKE_RELAY || a->hs.state == CW_TRANSIT_HANDSHAKE_PEER
           || a->hs.state == CW_TRANSIT_HANDSHAKE_VERDICT;
}

static void
receive_some (CwTransitAttempt *a)
{
    g_autoptr (GError) error = NULL;
    gssize n = g_socket_receive_with_blocking (a->socket, (char *)a->in, sizeof a->in, FALSE, NULL,
                                               &error);

    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return;
    if (n < 0) {
        fail (a, g_steal_pointer (&error));
        return;
    }
    if (n == 0) {
        fail_text (a, a->hs.state == CW_TRANSIT_HANDSHAKE_RELAY
                          ? "the relay closed the connection"
                          : "the other side closed the connection");
        return;
    }
    a->in_end = (size_t)n;
    a->in_start = cw_transit_handshake_receive (&a->hs, a->in, a->in_end);
}

/* The attempt's state as the handshake has it. */
static void
follow_handshake (CwTransitAttempt *a)
{
    if (a->state == CW_TRANSIT_ATTEMPT_FAILED)
        return;
    switch (a->hs.state) {
    case CW_TRANSIT_HANDSHAKE_RELAY:
    case CW_TRANSIT_HANDSHAKE_PEER:
        a->state = CW_TRANSIT_ATTEMPT_TALKING;
        break;
    case CW_TRANSIT_HANDSHAKE_READY:
        a->state = CW_TRANSIT_ATTEMPT_READY;
        break;
    case CW_TRANSIT_HANDSHAKE_VERDICT:
        a->state = CW_TRANSIT_ATTEMPT_PROVED;
        break;
    case CW_TRANSIT_HANDSHAKE_DONE:
        if (a->hs.out_len == 0)
            a->state = CW_TRANSIT_ATTEMPT_DONE;
        break;
    case CW_TRANSIT_HANDSHAKE_REFUSED:
        fail_text (a, "the sender took another connection");
        break;
    case CW_TRANSIT_HANDSHAKE_FAILED:
        fail_text (a, a->path == CW_TRANSIT_PATH_RELAY
                          ? "the relay or who is behind it gave a wrong answer"
                          : "somebody else answered");
        break;
    }
}

static gboolean on_ready (GSocket *socket, GIOCondition condition, gpointer user_data);

static void
watch (CwTransitAttempt *a)
{
    GIOCondition wanted = (wants_input (a) ? G_IO_IN : 0) | (a->hs.out_len > 0 ? G_IO_OUT : 0);

    if (a->state == CW_TRANSIT_ATTEMPT_FAILED || a->state == CW_TRANSIT_ATTEMPT_DONE)
        wanted = 0;
    if (wanted == a->waiting_for && (wanted == 0 || a->source != NULL))
        return;
    clear_source (&a->source);
    a->waiting_for = wanted;
    if (wanted == 0)
        return;
    a->source = g_socket_create_source (a->socket, wanted, NULL);
    g_source_set_callback (a->source, G_SOURCE_FUNC (on_ready), a, NULL);
    g_source_attach (a->source, g_main_context_get_thread_default ());
}

/* One step of the conversation. */
static void
advance (CwTransitAttempt *a, gboolean readable)
{
    if (readable && wants_input (a))
        receive_some (a);
    if (a->state != CW_TRANSIT_ATTEMPT_FAILED)
        send_queued (a);
    follow_handshake (a);
    if (a->state != CW_TRANSIT_ATTEMPT_TALKING)
        clear_source (&a->limit);
    watch (a);
}

static gboolean
on_ready (GSocket *socket, GIOCondition condition, gpointer user_data)
{
    CwTransitAttempt *a = user_data;
    CwTransitAttemptState before = a->state;

    advance (a, (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR)) != 0);
    /* The callback may free it; the source is already as it should be. */
    if (a->state != before)
        a->config->func (a, a->config->user_data);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_limit (gpointer user_data)
{
    CwTransitAttempt *a = user_data;

    fail_text (a, "the handshake took too long");
    a->config->func (a, a->config->user_data);
    return G_SOURCE_REMOVE;
}

static void
begin_handshake (CwTransitAttempt *a)
{
    const char *side = a->path == CW_TRANSIT_PATH_RELAY ? a->config->relay_side : NULL;

    g_socket_set_blocking (a->socket, FALSE);
    g_socket_set_timeout (a->socket, 0);
    cw_transit_stream_prepare_socket (a->socket);
    cw_transit_handshake_init (&a->hs, a->config->role, a->config->keys, side);
    a->state = CW_TRANSIT_ATTEMPT_TALKING;
    advance (a, FALSE);
}

static CwTransitAttempt *
attempt_new (const CwTransitAttemptConfig *config, CwTransitPath path)
{
    CwTransitAttempt *a = g_new0 (CwTransitAttempt, 1);

    a->config = config;
    a->path = path;
    a->state = CW_TRANSIT_ATTEMPT_DIALLING;
    return a;
}

static GInetAddress *
dup_remote_address (GSocket *socket)
{
    g_autoptr (GSocketAddress) address = g_socket_get_remote_address (socket, NULL);

    if (!G_IS_INET_SOCKET_ADDRESS (address))
        return NULL;
    return g_object_ref (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
}

CwTransitAttempt *
cw_transit_attempt_accept (const CwTransitAttemptConfig *config, GSocket *socket)
{
    CwTransitAttempt *a = attempt_new (config, CW_TRANSIT_PATH_INBOUND);

    a->socket = g_object_ref (socket);
    a->address = dup_remote_address (socket);
    a->limit = g_timeout_source_new (config->inbound_limit_ms);
    g_source_set_callback (a->limit, on_limit, a, NULL);
    g_source_attach (a->limit, g_main_context_get_thread_default ());
    begin_handshake (a);
    return a;
}

/* Names in a peer's hints can lead anywhere; nothing has been said yet on this connection. */
static gboolean
may_talk_to (const CwTransitAttempt *a)
{
    CwTransitAddressKind kind;

    if (a->address == NULL)
        return FALSE;
    kind = cw_transit_address_get_kind (a->address);
    return !a->guarded || kind == CW_TRANSIT_ADDRESS_LOCAL || kind == CW_TRANSIT_ADDRESS_PUBLIC
           || (kind == CW_TRANSIT_ADDRESS_LOOPBACK && a->loopback);
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
    CwTransitAttempt *a = user_data;
    g_autoptr (GError) error = NULL;
    g_autoptr (GSocketConnection) connection
        = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);

    g_clear_object (&a->dialling);
    if (a->abandoned) {
        cw_transit_attempt_free (a);
        return;
    }
    if (connection == NULL) {
        fail (a, g_steal_pointer (&error));
    } else {
        a->socket = g_object_ref (g_socket_connection_get_socket (connection));
        a->address = dup_remote_address (a->socket);
        if (may_talk_to (a))
            begin_handshake (a);
        else
            fail_text (a, "the other side named an address that is not to be used");
    }
    a->config->func (a, a->config->user_data);
}

CwTransitAttempt *
cw_transit_attempt_dial (const CwTransitAttemptConfig *config,
                         CwTransitPath path,
                         const CwTransitHint *hint,
                         gboolean guarded,
                         gboolean loopback)
{
    CwTransitAttempt *a = attempt_new (config, path);
    g_autoptr (GSocketClient) client = g_socket_client_new ();
    g_autoptr (GSocketConnectable) where = g_network_address_new (hint->hostname, hint->port);

    a->hint = cw_transit_hint_new (hint->hostname, hint->port, hint->priority);
    a->guarded = guarded;
    a->loopback = loopback;
    a->dialling = g_cancellable_new ();
    /* Straight there: a proxy is neither direct nor a relay that speaks Transit. */
    g_socket_client_set_enable_proxy (client, FALSE);
    g_socket_client_connect_async (client, where, a->dialling, on_dialled, a);
    return a;
}

void
cw_transit_attempt_free (CwTransitAttempt *a)
{
    if (a->dialling != NULL) {
        a->abandoned = TRUE;
        g_cancellable_cancel (a->dialling);
        return;
    }
    clear_source (&a->source);
    clear_source (&a->limit);
    if (a->state == CW_TRANSIT_ATTEMPT_READY && a->hs.state == CW_TRANSIT_HANDSHAKE_READY) {
        cw_transit_handshake_refuse (&a->hs);
        send_queued (a);
    }
    if (a->socket != NULL && a->state != CW_TRANSIT_ATTEMPT_DONE)
        g_socket_close (a->socket, NULL);
    cw_transit_handshake_clear (&a->hs);
    g_clear_object (&a->socket);
    g_clear_object (&a->address);
    g_clear_error (&a->error);
    g_clear_pointer (&a->hint, cw_transit_hint_free);
    g_free (a);
}

void
cw_transit_attempt_choose (CwTransitAttempt *a)
{
    g_return_if_fail (a->state == CW_TRANSIT_ATTEMPT_READY);
    cw_transit_handshake_choose (&a->hs);
    advance (a, FALSE);
}

CwTransitAttemptState
cw_transit_attempt_get_state (const CwTransitAttempt *a)
{
    return a->state;
}

CwTransitPath
cw_transit_attempt_get_path (const CwTransitAttempt *a)
{
    return a->path;
}

const GError *
cw_transit_attempt_get_error (const CwTransitAttempt *a)
{
    return a->error;
}

const CwTransitHint *
cw_transit_attempt_get_hint (const CwTransitAttempt *a)
{
    return a->hint;
}

GInetAddress *
cw_transit_attempt_get_address (const CwTransitAttempt *a)
{
    return a->address;
}

GSocket *
cw_transit_attempt_get_socket (const CwTransitAttempt *a)
{
    return a->socket;
}

const guint8 *
cw_transit_attempt_get_early (const CwTransitAttempt *a, size_t *ret_len)
{
    *ret_len = a->in_end - a->in_start;
    return a->in + a->in_start;
}
