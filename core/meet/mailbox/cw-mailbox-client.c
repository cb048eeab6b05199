/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The machine's hands and eyes: a WebSocket by libsoup, the clock, randomness, a thread for the
 * stamp. Everything that is called or happens only goes into the machine and wakes one source;
 * what comes out of it, signals above all, is handled when that source is dispatched. So nothing is
 * emitted from within a call, and a handler may do as it likes, dropping the last reference
 * included. */

#define G_LOG_DOMAIN "causeway-mailbox"

#include "cw-mailbox-client.h"

#include <libsoup/soup.h>
#include <sodium.h>
#include <string.h>

#include "cw-code.h"
#include "cw-hashcash.h"
#include "cw-json.h"
#include "cw-mailbox-message.h"
#include "cw-mailbox-session.h"
#include "cw-mailbox-url.h"
#include "cw-wormhole-keys.h"

#define KEEPALIVE_S 30
/* Two pings without a pong or anything else: libsoup 3.2 sends them, but leaves the rest to us, and
 * TCP takes a quarter of an hour to find out that the other end is gone. */
#define SILENCE_LIMIT_US (75 * G_USEC_PER_SEC)

/* An asynchronous call on its way. It does not keep the client, and when it comes back the client
 * may be gone or have lost interest: then client->attempt (or client->stamping) is another. */
typedef struct {
    GWeakRef client;
    GCancellable *cancellable;
    SoupMessage *message; /* connecting */
    unsigned bits;        /* stamping */
    char *resource;       /* stamping */
} Pending;

struct _CwMailboxClient {
    GObject parent_instance;

    CwMailboxSession *session;
    char **urls;
    SoupSession *soup;
    GSource *source;                 /* ready when the machine has to be looked at */
    Pending *attempt;                /* borrowed; NULL: not connecting */
    Pending *stamping;               /* borrowed; NULL: no stamp is wanted */
    SoupWebsocketConnection *socket; /* NULL: not connected */
    gint64 heard_at;
    GTask *closing;    /* NULL: close_async() was not called, or is done */
    gboolean silenced; /* close_async() was called: no signal any more */
    gboolean ended;    /* the machine said FAILED or CLOSED */
};

enum { MOTD, CODE, NAMEPLATES, KEY, CONFIRMED, MESSAGE, FAILED, OFFLINE, N_SIGNALS };
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (CwMailboxClient, cw_mailbox_client, G_TYPE_OBJECT)

static void
wake (CwMailboxClient *self)
{
    g_source_set_ready_time (self->source, 0);
}

static Pending *
pending_new (CwMailboxClient *self)
{
    Pending *pending = g_new0 (Pending, 1);

    g_weak_ref_init (&pending->client, self);
    pending->cancellable = g_cancellable_new ();
    return pending;
}

static void
pending_free (Pending *pending)
{
    g_weak_ref_clear (&pending->client);
    g_object_unref (pending->cancellable);
    g_clear_object (&pending->message);
    g_free (pending->resource);
    g_free (pending);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pending, pending_free)

/* It is freed by its own callback. */
static void
cancel_pending (Pending **pending)
{
    if (*pending != NULL)
        g_cancellable_cancel ((*pending)->cancellable);
    *pending = NULL;
}

/* What was sent still goes out, and the connection lives until it is closed; but we do not hear of
 * it any more. */
static void
close_socket (SoupWebsocketConnection *socket)
{
    if (soup_websocket_connection_get_state (socket) == SOUP_WEBSOCKET_STATE_CLOSED) {
        g_object_unref (socket);
        return;
    }
    g_signal_connect (socket, "closed", G_CALLBACK (g_object_unref), NULL);
    if (soup_websocket_connection_get_state (socket) == SOUP_WEBSOCKET_STATE_OPEN)
        soup_websocket_connection_close (socket, SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
}

static SoupWebsocketConnection *
take_socket (CwMailboxClient *self)
{
    if (self->socket != NULL)
        g_signal_handlers_disconnect_by_data (self->socket, self);
    return g_steal_pointer (&self->socket);
}

static void
disconnect (CwMailboxClient *self)
{
    SoupWebsocketConnection *socket = take_socket (self);

    cancel_pending (&self->attempt);
    cancel_pending (&self->stamping);
    if (socket != NULL)
        close_socket (socket);
}

/* The connection ended by itself. */
static void
lose (CwMailboxClient *self, const char *reason)
{
    g_autoptr (SoupWebsocketConnection) socket = take_socket (self);

    cancel_pending (&self->stamping);
    cw_mailbox_session_disconnected (self->session, reason, g_get_monotonic_time ());
    wake (self);
}

static void
on_socket_message (SoupWebsocketConnection *socket, int type, GBytes *bytes, CwMailboxClient *self)
{
    gsize len;
    const char *text = g_bytes_get_data (bytes, &len);

    self->heard_at = g_get_monotonic_time ();
    cw_mailbox_session_receive (self->session, text != NULL ? text : "", len, self->heard_at);
    wake (self);
}

static void
on_socket_pong (SoupWebsocketConnection *socket, GBytes *bytes, CwMailboxClient *self)
{
    self->heard_at = g_get_monotonic_time ();
}

static void
on_socket_error (SoupWebsocketConnection *socket, GError *error, CwMailboxClient *self)
{
    lose (self, error->message);
}

static void
on_socket_closed (SoupWebsocketConnection *socket, CwMailboxClient *self)
{
    lose (self, "closed by the server");
}

static void
adopt_socket (CwMailboxClient *self, SoupWebsocketConnection *socket)
{
    self->socket = socket;
    self->heard_at = g_get_monotonic_time ();
    soup_websocket_connection_set_max_incoming_payload_size (socket, CW_MAILBOX_MAX_TEXT);
    soup_websocket_connection_set_keepalive_interval (socket, KEEPALIVE_S);
    g_signal_connect (socket, "message", G_CALLBACK (on_socket_message), self);
    g_signal_connect (socket, "pong", G_CALLBACK (on_socket_pong), self);
    g_signal_connect (socket, "error", G_CALLBACK (on_socket_error), self);
    g_signal_connect (socket, "closed", G_CALLBACK (on_socket_closed), self);
    cw_mailbox_session_connected (self->session, self->heard_at);
}

static char *
describe_failure (const GError *error, SoupMessage *message)
{
    guint status = soup_message_get_status (message);

    if (error->domain == SOUP_WEBSOCKET_ERROR && status != SOUP_STATUS_NONE
        && status != SOUP_STATUS_SWITCHING_PROTOCOLS)
        return g_strdup_printf ("the server answers '%u %s'", status,
                                soup_status_get_phrase (status));
    return g_strdup (error->message);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr (Pending) pending = user_data;
    g_autoptr (CwMailboxClient) self = g_weak_ref_get (&pending->client);
    g_autoptr (GError) error = NULL;
    SoupWebsocketConnection *socket
        = soup_session_websocket_connect_finish (SOUP_SESSION (source), result, &error);

    if (self == NULL || self->attempt != pending) {
        if (socket != NULL)
            close_socket (socket);
        return;
    }
    self->attempt = NULL;
    if (socket != NULL) {
        adopt_socket (self, socket);
    } else {
        g_autofree char *reason = describe_failure (error, pending->message);
        cw_mailbox_session_disconnected (self->session, reason, g_get_monotonic_time ());
    }
    wake (self);
}

static void
connect_to (CwMailboxClient *self, const char *url)
{
    Pending *pending = pending_new (self);

    disconnect (self);
    g_debug ("connecting to %s", url);
    pending->message = soup_message_new (SOUP_METHOD_GET, url);
    soup_message_add_flags (pending->message, SOUP_MESSAGE_NO_REDIRECT);
    self->attempt = pending;
    soup_session_websocket_connect_async (self->soup, pending->message, NULL, NULL,
                                          G_PRIORITY_DEFAULT, pending->cancellable, on_connected,
                                          pending);
}

static void
solve_in_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    Pending *pending = task_data;
    g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
    g_autofree char *date = g_date_time_format (now, "%y%m%d%H%M%S");
    guint8 random[8];
    char random_text[sizeof random * 2 + 1];

    randombytes_buf (random, sizeof random);
    sodium_bin2hex (random_text, sizeof random_text, random, sizeof random);
    g_task_return_pointer (
        task, cw_hashcash_solve (pending->bits, pending->resource, date, random_text, cancellable),
        g_free);
}

static void
on_solved (GObject *source, GAsyncResult *result, gpointer user_data)
{
    Pending *pending = user_data; /* freed with the task */
    g_autoptr (CwMailboxClient) self = g_weak_ref_get (&pending->client);
    g_autofree char *stamp = g_task_propagate_pointer (G_TASK (result), NULL);

    if (self == NULL || self->stamping != pending)
        return;
    self->stamping = NULL;
    cw_mailbox_session_stamp (self->session, stamp, g_get_monotonic_time ());
    wake (self);
}

static void
make_stamp (CwMailboxClient *self, unsigned bits, const char *resource)
{
    Pending *pending = pending_new (self);
    g_autoptr (GTask) task = g_task_new (NULL, pending->cancellable, on_solved, pending);

    pending->bits = bits;
    pending->resource = g_strdup (resource);
    self->stamping = pending;
    g_task_set_source_tag (task, make_stamp);
    g_task_set_task_data (task, pending, (GDestroyNotify)pending_free);
    g_task_run_in_thread (task, solve_in_thread);
}

static void
on_end (CwMailboxClient *self, const GError *error)
{
    g_autoptr (GTask) closing = g_steal_pointer (&self->closing);

    self->ended = TRUE;
    if (closing != NULL)
        g_task_return_boolean (closing, TRUE);
    else if (!self->silenced && error != NULL)
        g_signal_emit (self, signals[FAILED], 0, error);
}

static void
handle_event (CwMailboxClient *self, CwMailboxEvent *event)
{
    switch (event->type) {
    case CW_MAILBOX_EVENT_CONNECT:
        connect_to (self, self->urls[event->index]);
        return;
    case CW_MAILBOX_EVENT_DISCONNECT:
        disconnect (self);
        return;
    case CW_MAILBOX_EVENT_STAMP:
        make_stamp (self, event->bits, event->text);
        return;
    case CW_MAILBOX_EVENT_FAILED:
    case CW_MAILBOX_EVENT_CLOSED:
        on_end (self, event->error);
        return;
    case CW_MAILBOX_EVENT_MOTD:
    case CW_MAILBOX_EVENT_CODE:
    case CW_MAILBOX_EVENT_NAMEPLATES:
    case CW_MAILBOX_EVENT_KEY:
    case CW_MAILBOX_EVENT_CONFIRMED:
    case CW_MAILBOX_EVENT_MESSAGE:
    case CW_MAILBOX_EVENT_OFFLINE:
        break;
    }
    if (self->silenced)
        return;
    switch (event->type) {
    case CW_MAILBOX_EVENT_MOTD:
        g_signal_emit (self, signals[MOTD], 0, event->text);
        return;
    case CW_MAILBOX_EVENT_CODE:
        g_signal_emit (self, signals[CODE], 0, event->text);
        return;
    case CW_MAILBOX_EVENT_NAMEPLATES:
        g_signal_emit (self, signals[NAMEPLATES], 0, event->list);
        return;
    case CW_MAILBOX_EVENT_KEY:
        g_signal_emit (self, signals[KEY], 0);
        return;
    case CW_MAILBOX_EVENT_CONFIRMED:
        g_signal_emit (self, signals[CONFIRMED], 0, event->text);
        return;
    case CW_MAILBOX_EVENT_MESSAGE:
        g_signal_emit (self, signals[MESSAGE], 0, event->body);
        return;
    case CW_MAILBOX_EVENT_OFFLINE:
        g_signal_emit (self, signals[OFFLINE], 0, event->flag);
        return;
    case CW_MAILBOX_EVENT_CONNECT:
    case CW_MAILBOX_EVENT_DISCONNECT:
    case CW_MAILBOX_EVENT_STAMP:
    case CW_MAILBOX_EVENT_FAILED:
    case CW_MAILBOX_EVENT_CLOSED:
        break;
    }
    g_assert_not_reached ();
}

static void
flush_texts (CwMailboxClient *self)
{
    char *text;

    while ((text = cw_mailbox_session_next_text (self->session)) != NULL) {
        /* If it is closing, "closed" comes and all is said again on the next one. */
        if (self->socket != NULL
            && soup_websocket_connection_get_state (self->socket) == SOUP_WEBSOCKET_STATE_OPEN)
            soup_websocket_connection_send_text (self->socket, text);
        g_free (text);
    }
}

static gint64
next_deadline (CwMailboxClient *self)
{
    gint64 deadline = cw_mailbox_session_deadline (self->session);

    if (self->socket != NULL)
        deadline = MIN (deadline, self->heard_at + SILENCE_LIMIT_US);
    return deadline;
}

static gboolean
on_ready (gpointer user_data)
{
    g_autoptr (CwMailboxClient) self = g_object_ref (user_data);
    gint64 now = g_get_monotonic_time ();
    gint64 deadline;
    gboolean more = TRUE;

    g_source_set_ready_time (self->source, -1);
    if (self->socket != NULL && self->heard_at + SILENCE_LIMIT_US <= now)
        lose (self, "the server went silent");
    cw_mailbox_session_expire (self->session, now);
    while (more) {
        g_auto (CwMailboxEvent) event = { 0 };
        flush_texts (self);
        more = cw_mailbox_session_next_event (self->session, &event);
        if (more)
            handle_event (self, &event);
    }
    deadline = next_deadline (self);
    if (deadline != G_MAXINT64)
        g_source_set_ready_time (self->source, deadline);
    return G_SOURCE_CONTINUE;
}

static gboolean
dispatch_source (GSource *source, GSourceFunc callback, gpointer user_data)
{
    return callback (user_data);
}

static void
cw_mailbox_client_dispose (GObject *object)
{
    CwMailboxClient *self = CW_MAILBOX_CLIENT (object);
    g_autoptr (SoupWebsocketConnection) socket = take_socket (self);

    cancel_pending (&self->attempt);
    cancel_pending (&self->stamping);
    if (self->source != NULL)
        g_source_destroy (self->source);
    g_clear_pointer (&self->source, g_source_unref);
    G_OBJECT_CLASS (cw_mailbox_client_parent_class)->dispose (object);
}

static void
cw_mailbox_client_finalize (GObject *object)
{
    CwMailboxClient *self = CW_MAILBOX_CLIENT (object);

    g_clear_pointer (&self->session, cw_mailbox_session_free);
    g_clear_object (&self->soup);
    g_strfreev (self->urls);
    G_OBJECT_CLASS (cw_mailbox_client_parent_class)->finalize (object);
}

static guint
new_signal (const char *name, GType argument)
{
    return g_signal_new (name, CW_TYPE_MAILBOX_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                         G_TYPE_NONE, argument == G_TYPE_NONE ? 0 : 1, argument);
}

static void
cw_mailbox_client_class_init (CwMailboxClientClass *klass)
{
    G_OBJECT_CLASS (klass)->dispose = cw_mailbox_client_dispose;
    G_OBJECT_CLASS (klass)->finalize = cw_mailbox_client_finalize;
    signals[MOTD] = new_signal ("motd", G_TYPE_STRING);
    signals[CODE] = new_signal ("code", G_TYPE_STRING);
    signals[NAMEPLATES] = new_signal ("nameplates", G_TYPE_STRV);
    signals[KEY] = new_signal ("key", G_TYPE_NONE);
    signals[CONFIRMED] = new_signal ("confirmed", G_TYPE_STRING);
    signals[MESSAGE] = new_signal ("message", G_TYPE_BYTES);
    signals[FAILED] = new_signal ("failed", G_TYPE_ERROR);
    signals[OFFLINE] = new_signal ("offline", G_TYPE_BOOLEAN);
}

static void
cw_mailbox_client_init (CwMailboxClient *self)
{
    static GSourceFuncs funcs = { .dispatch = dispatch_source };

    self->soup = soup_session_new_with_options ("user-agent", "causeway/" CW_VERSION, NULL);
    self->source = g_source_new (&funcs, sizeof (GSource));
    g_source_set_static_name (self->source, "mailbox client");
    g_source_set_callback (self->source, on_ready, self, NULL);
    g_source_attach (self->source, g_main_context_get_thread_default ());
}

CwMailboxClient *
cw_mailbox_client_new (const char *const *urls,
                       const char *app_id,
                       const char *app_versions,
                       GError **error)
{
    g_autoptr (CwMailboxClient) self = NULL;
    g_auto (CwSecret) seed = CW_SECRET_INIT;
    g_autoptr (JsonNode) versions
        = cw_json_parse_object (app_versions, strlen (app_versions), NULL);

    g_return_val_if_fail (versions != NULL, NULL);
    if (urls == NULL || urls[0] == NULL) {
        g_set_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_URL, "no mailbox address");
        return NULL;
    }
    for (gsize i = 0; urls[i] != NULL; i++) {
        if (!cw_mailbox_url_check (urls[i], error))
            return NULL;
    }
    cw_crypto_init ();
    randombytes_buf (seed.bytes, sizeof seed.bytes);
    self = g_object_new (CW_TYPE_MAILBOX_CLIENT, NULL);
    self->urls = g_strdupv ((char **)urls);
    self->session = cw_mailbox_session_new (urls, app_id, app_versions, &seed);
    return g_steal_pointer (&self);
}

void
cw_mailbox_client_start (CwMailboxClient *self)
{
    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    cw_mailbox_session_start (self->session, g_get_monotonic_time ());
    wake (self);
}

void
cw_mailbox_client_allocate (CwMailboxClient *self, unsigned n_words)
{
    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    cw_mailbox_session_allocate (self->session, n_words, g_get_monotonic_time ());
    wake (self);
}

gboolean
cw_mailbox_client_set_code (CwMailboxClient *self, const char *code, GError **error)
{
    g_autofree char *normal = NULL;
    gboolean ok;

    g_return_val_if_fail (CW_IS_MAILBOX_CLIENT (self), FALSE);
    normal = cw_code_normalize (code, NULL, error);
    if (normal == NULL)
        return FALSE;
    ok = cw_mailbox_session_set_code (self->session, normal, g_get_monotonic_time (), error);
    sodium_memzero (normal, strlen (normal));
    wake (self);
    return ok;
}

void
cw_mailbox_client_claim (CwMailboxClient *self, const char *nameplate)
{
    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    cw_mailbox_session_claim (self->session, nameplate, g_get_monotonic_time ());
    wake (self);
}

void
cw_mailbox_client_list (CwMailboxClient *self)
{
    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    cw_mailbox_session_list (self->session, g_get_monotonic_time ());
    wake (self);
}

void
cw_mailbox_client_send (CwMailboxClient *self, GBytes *body)
{
    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    cw_mailbox_session_send (self->session, body, g_get_monotonic_time ());
    wake (self);
}

void
cw_mailbox_client_derive_key (CwMailboxClient *self, const char *purpose, CwSecret *ret)
{
    const CwSecret *key;

    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    key = cw_mailbox_session_get_key (self->session);
    g_return_if_fail (key != NULL);
    cw_wormhole_derive_key (key->bytes, sizeof key->bytes, purpose, strlen (purpose), ret->bytes,
                            sizeof ret->bytes);
}

char *
cw_mailbox_client_dup_verifier (CwMailboxClient *self)
{
    guint8 verifier[CW_WORMHOLE_VERIFIER_SIZE];
    const CwSecret *key;
    char *hex;

    g_return_val_if_fail (CW_IS_MAILBOX_CLIENT (self), NULL);
    key = cw_mailbox_session_get_key (self->session);
    if (key == NULL)
        return NULL;
    cw_wormhole_verifier (key, verifier);
    hex = g_malloc (sizeof verifier * 2 + 1);
    return sodium_bin2hex (hex, sizeof verifier * 2 + 1, verifier, sizeof verifier);
}

void
cw_mailbox_client_close_async (CwMailboxClient *self,
                               CwMood mood,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
    g_autoptr (GTask) task = NULL;

    g_return_if_fail (CW_IS_MAILBOX_CLIENT (self));
    task = g_task_new (self, NULL, callback, user_data);
    g_task_set_source_tag (task, cw_mailbox_client_close_async);
    self->silenced = TRUE;
    if (self->ended || self->closing != NULL) {
        g_task_return_boolean (task, TRUE);
        return;
    }
    self->closing = g_steal_pointer (&task);
    cw_mailbox_session_close (self->session, mood, g_get_monotonic_time ());
    wake (self);
}

void
cw_mailbox_client_close_finish (CwMailboxClient *self, GAsyncResult *result)
{
    g_return_if_fail (g_task_is_valid (result, self));
    g_task_propagate_boolean (G_TASK (result), NULL);
}
