/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* A session is one meeting by code and the one transfer that comes of it.
 *
 *   START      connecting to the mailbox, a code is made, set or typed
 *   WAITING    the code is known; nobody, or nobody with the right code, is there yet
 *   VERIFYING  both know the code; our person compares the verifier
 *   ROUTING    messages go over the mailbox: hints, and with a plain wormhole client the offer
 *   ASKING     a plain client's offer waits for our person
 *   MOVING     the connection stands and an engine has it (between two Causeways the offer and the
 *              answer travel on it too)
 *   CLOSING    the result is known; the mailbox is being told
 *   FINISHED   "finished" was emitted
 *
 * Between two Causeways (both announce it in their "version" messages) the connection comes first
 * and drop/1 runs on it; it is keyed by both identities. With any other client the order is that of
 * Wormhole file transfer v1: offer and answer over the mailbox, then the connection for the bytes.
 * The next way to connect (our own links) takes the place of CwTransit in start_connecting(); all
 * that follows gets a GIOStream and a CwRoute and does not know.
 */
#define G_LOG_DOMAIN "causeway-session"

#include "cw-session.h"

#include <string.h>

#include "cw-hello.h"
#include "cw-mailbox-client.h"
#include "cw-session-job.h"
#include "cw-transit.h"

#define APP_ID "lothar.com/wormhole/text-or-file-xfer"
/* The v1 text that Python hard-codes, whatever the app-id. */
#define V1_TRANSIT_PURPOSE APP_ID "/transit-key"
#define LINK_PURPOSE "causeway/link/1"
/* Larger records save calls; every Causeway reads them, old clients would be slow with them. */
#define CAUSEWAY_RECORD (256 * 1024)
/* The mailbox does not tell when the peer's program dies, so silence has a limit: a program
 * answers by itself within the first, a person within the second. */
#define PROGRAM_LIMIT_S 120
#define PERSON_LIMIT_S (15 * 60)
/* A plain client sends two messages before it must wait for one of ours. */
#define MAX_HELD 8
/* A message of the mailbox: hex and JSON around it stay below what a Go client reads at once. */
#define MAX_MESSAGE (12 * 1024)
/* What v1 peers are told, in "error". */
#define TEXT_REJECTED "transfer rejected"
#define TEXT_CANCELLED "transfer cancelled"
#define TEXT_NO_ROUTE "no connection between the two sides worked"

typedef enum {
    STATE_START,
    STATE_WAITING,
    STATE_VERIFYING,
    STATE_ROUTING,
    STATE_ASKING,
    STATE_MOVING,
    STATE_CLOSING,
    STATE_FINISHED,
} State;

static const char *const state_names[]
    = { "START", "WAITING", "VERIFYING", "ROUTING", "ASKING", "MOVING", "CLOSING", "FINISHED" };
G_STATIC_ASSERT (G_N_ELEMENTS (state_names) == STATE_FINISHED + 1);

struct _CwSession {
    GObject parent_instance;

    /* Fixed at construction */
    gboolean sending;
    CwSettings *settings;
    const CwIdentity *identity;
    char *code;
    unsigned code_length;
    gboolean verify;
    gboolean no_direct;
    CwOutgoing *outgoing;
    char *text;

    State state;
    GCancellable *cancellable;
    CwTransfer *transfer;
    CwMailboxClient *mailbox;
    CwHello *hello; /* from "confirmed" on */
    GQueue held;    /* of GBytes: messages that came while our person compares the verifier */
    CwPeer peer;

    CwTransit *transit;
    gboolean hints_sent;
    gboolean connecting;
    JsonNode *peer_hints;
    GIOStream *stream;

    /* v1 */
    CwV1Source *source;
    CwV1Message *offer; /* the sender's, when we receive */
    gboolean answered;  /* the receiver said yes */
    char *peer_error;   /* came while an engine runs */

    CwDecision *decision; /* drop/1 */
    char *folder;         /* accepted into */
    int output_fd;

    guint limit_source;
    gboolean job_running;
    GError *result; /* with STATE_CLOSING; NULL: success */
    GPtrArray *paths;
};

G_DEFINE_FINAL_TYPE (CwSession, cw_session, G_TYPE_OBJECT)

enum {
    SIGNAL_MOTD,
    SIGNAL_NAMEPLATES,
    SIGNAL_CODE,
    SIGNAL_OFFLINE,
    SIGNAL_PEER,
    SIGNAL_VERIFY,
    SIGNAL_ROUTE,
    SIGNAL_OFFER,
    SIGNAL_TEXT,
    SIGNAL_ACCEPTED,
    SIGNAL_FINISHED,
    N_SIGNALS
};
static guint signals[N_SIGNALS];

static void finish (CwSession *self, GError *error);

static void
set_state (CwSession *self, State state)
{
    if (self->state == state)
        return;
    g_debug ("%s: %s -> %s", self->sending ? "send" : "receive", state_names[self->state],
             state_names[state]);
    self->state = state;
}

static gboolean
is_over (CwSession *self)
{
    return self->state >= STATE_CLOSING;
}

/* --- The limit on silence --- */

static gboolean
on_limit (gpointer user_data)
{
    CwSession *self = user_data;

    self->limit_source = 0;
    finish (self, g_error_new (CW_DROP_ERROR, CW_DROP_ERROR_PEER_LOST,
                               "no answer from the other side in time"));
    return G_SOURCE_REMOVE;
}

static void
set_limit (CwSession *self, guint seconds)
{
    g_clear_handle_id (&self->limit_source, g_source_remove);
    if (seconds > 0)
        self->limit_source = g_timeout_add_seconds (seconds, on_limit, self);
}

/* --- The end --- */

/* What a v1 peer is told of our failure: enough to act on, nothing about this computer. */
static const char *
text_for_peer (const GError *error)
{
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return TEXT_CANCELLED;
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_DECLINED))
        return TEXT_REJECTED;
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_NO_SPACE))
        return "not enough space on the receiving side";
    if (g_error_matches (error, CW_DROP_ERROR, CW_DROP_ERROR_UNSUPPORTED))
        return "unknown offer type";
    if (g_error_matches (error, CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE))
        return TEXT_NO_ROUTE;
    return "transfer failed";
}

/* Errors the peer caused or knows of already are not sent back to it. */
static gboolean
peer_knows (const GError *error)
{
    if (error->domain == CW_MAILBOX_ERROR)
        return TRUE;
    if (error->domain != CW_DROP_ERROR)
        return FALSE;
    return error->code == CW_DROP_ERROR_PEER_CANCELLED || error->code == CW_DROP_ERROR_PEER_FAILED
           || error->code == CW_DROP_ERROR_PEER_LOST || error->code == CW_DROP_ERROR_DECLINED
           || error->code == CW_DROP_ERROR_INCOMPLETE;
}

static CwMood
mood_for (CwSession *self, const GError *error)
{
    if (error == NULL)
        return CW_MOOD_HAPPY;
    if (g_error_matches (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_WRONG_CODE))
        return CW_MOOD_SCARY;
    return self->hello == NULL ? CW_MOOD_LONELY : CW_MOOD_ERRORY;
}

static void
emit_finished (CwSession *self)
{
    g_autoptr (CwSession) keep = g_object_ref (self);

    set_state (self, STATE_FINISHED);
    g_signal_emit (self, signals[SIGNAL_FINISHED], 0, self->result);
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr (CwSession) self = user_data;

    cw_mailbox_client_close_finish (CW_MAILBOX_CLIENT (source), result);
    emit_finished (self);
}

static gboolean
on_idle_finished (gpointer user_data)
{
    emit_finished (user_data);
    return G_SOURCE_REMOVE;
}

/* Closes the mailbox, if it is still ours, and finishes. */
static void
close_and_finish (CwSession *self)
{
    if (self->mailbox != NULL) {
        g_autoptr (CwMailboxClient) mailbox = g_steal_pointer (&self->mailbox);
        g_signal_handlers_disconnect_by_data (mailbox, self);
        cw_mailbox_client_close_async (mailbox, mood_for (self, self->result), on_closed,
                                       g_object_ref (self));
    } else {
        g_idle_add_full (G_PRIORITY_DEFAULT, on_idle_finished, g_object_ref (self), g_object_unref);
    }
}

/* Takes @error (NULL: success). The first call counts. A running engine is stopped, and its end
 * waited for, first. */
static void
finish (CwSession *self, GError *error)
{
    if (is_over (self)) {
        g_clear_error (&error);
        return;
    }
    set_limit (self, 0);
    /* On a connection between two Causeways the engine says it, and the mailbox is gone by then. */
    if (error != NULL && self->hello != NULL && self->mailbox != NULL && !peer_knows (error)) {
        g_autoptr (GBytes) bytes = cw_v1_make_error (text_for_peer (error));
        cw_mailbox_client_send (self->mailbox, bytes);
    }
    set_state (self, STATE_CLOSING);
    self->result = error;
    g_cancellable_cancel (self->cancellable);
    if (self->decision != NULL)
        cw_decision_decline (self->decision);
    if (!self->job_running)
        close_and_finish (self);
}

static void
finish_literal (CwSession *self, GQuark domain, int code, const char *message)
{
    finish (self, g_error_new_literal (domain, code, message));
}

/* The common end of every engine: the error it gives is the session's, unless the session was
 * ended from outside or a v1 peer said in words why it stopped. */
static void
on_engine_done (CwSession *self, CwSessionJob *job)
{
    GError *error = g_steal_pointer (&job->error);

    self->job_running = FALSE;
    if (job->paths != NULL) {
        g_clear_pointer (&self->paths, g_ptr_array_unref);
        self->paths = g_steal_pointer (&job->paths);
    }
    if (self->stream != NULL)
        g_io_stream_close (self->stream, NULL, NULL);
    if (is_over (self)) {
        g_clear_error (&error);
        close_and_finish (self);
        return;
    }
    if (error != NULL && self->peer_error != NULL) {
        g_clear_error (&error);
        error = g_error_new_literal (CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED, self->peer_error);
    }
    if (error == NULL && job->received_text != NULL)
        g_signal_emit (self, signals[SIGNAL_TEXT], 0, job->received_text);
    finish (self, error);
}

/* --- Engines --- */

static void
on_offered (CwSession *self, const CwOffer *offer)
{
    if (!is_over (self))
        g_signal_emit (self, signals[SIGNAL_OFFER], 0, offer);
}

static void
on_accepted (CwSession *self)
{
    if (!is_over (self))
        g_signal_emit (self, signals[SIGNAL_ACCEPTED], 0);
}

static void
start_job (CwSession *self, CwSessionJob *job)
{
    self->job_running = TRUE;
    set_limit (self, 0);
    cw_session_job_start (job);
}

static void
start_engine (CwSession *self)
{
    CwSessionJob *job = cw_session_job_new (self, self->stream, self->transfer, self->cancellable);

    job->done = on_engine_done;
    job->offered = on_offered;
    job->accepted = on_accepted;
    job->outgoing = self->outgoing;
    job->text = g_strdup (self->text);
    job->source = self->source;
    job->offer = self->offer;
    job->folder = g_strdup (self->folder);
    job->output_fd = self->output_fd;
    if (self->hello->is_causeway && self->sending) {
        job->run = cw_session_job_drop_send;
    } else if (self->hello->is_causeway) {
        self->decision = cw_decision_new ();
        job->decision = cw_decision_ref (self->decision);
        job->sender_id = cw_device_key_dup_fingerprint (&self->hello->key);
        job->run = cw_session_job_drop_receive;
    } else if (self->sending) {
        job->run = cw_session_job_v1_send;
    } else {
        job->run = cw_session_job_v1_receive;
    }
    start_job (self, job);
}

/* --- The connection --- */

static void
on_mailbox_left (GObject *source, GAsyncResult *result, gpointer user_data)
{
    cw_mailbox_client_close_finish (CW_MAILBOX_CLIENT (source), result);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr (CwSession) self = user_data;
    g_autoptr (CwRoute) route = NULL;
    GError *error = NULL;
    GIOStream *stream = cw_transit_connect_finish (CW_TRANSIT (source), result, &route, &error);

    if (is_over (self) || stream == NULL) {
        g_clear_object (&stream);
        finish (self, error);
        return;
    }
    self->stream = stream;
    set_state (self, STATE_MOVING);
    g_signal_emit (self, signals[SIGNAL_ROUTE], 0, route);
    if (is_over (self))
        return;
    if (self->hello->is_causeway && self->mailbox != NULL) {
        /* All else is said on the connection: the mailbox is free for others. */
        g_autoptr (CwMailboxClient) mailbox = g_steal_pointer (&self->mailbox);
        g_signal_handlers_disconnect_by_data (mailbox, self);
        cw_mailbox_client_close_async (mailbox, CW_MOOD_HAPPY, on_mailbox_left, NULL);
    }
    if (!self->hello->is_causeway)
        g_signal_emit (self, signals[SIGNAL_ACCEPTED], 0);
    if (!is_over (self))
        start_engine (self);
}

static void
send_hints (CwSession *self)
{
    g_autoptr (GBytes) bytes = NULL;

    if (self->hints_sent)
        return;
    self->hints_sent = TRUE;
    bytes = cw_v1_make_transit (cw_transit_get_hints (self->transit));
    cw_mailbox_client_send (self->mailbox, bytes);
}

static gboolean
derive_transit_key (CwSession *self, CwSecret *ret)
{
    g_auto (CwSecret) meeting = CW_SECRET_INIT;

    if (!self->hello->is_causeway) {
        cw_mailbox_client_derive_key (self->mailbox, V1_TRANSIT_PURPOSE, ret);
        return TRUE;
    }
    cw_mailbox_client_derive_key (self->mailbox, LINK_PURPOSE, &meeting);
    return cw_hello_derive_link_key (self->hello, self->identity, &meeting, ret);
}

/* Starts as soon as all that must come before it has: the peer's hints, and in v1 the yes. */
static void
start_connecting (CwSession *self)
{
    g_auto (CwSecret) key = CW_SECRET_INIT;

    if (self->connecting || self->peer_hints == NULL || !self->hints_sent)
        return;
    if (!self->hello->is_causeway && !self->answered)
        return;
    if (!derive_transit_key (self, &key)) {
        finish_literal (self, CW_DROP_ERROR, CW_DROP_ERROR_PROTOCOL,
                        "the peer's identity is not a usable key");
        return;
    }
    self->connecting = TRUE;
    set_limit (self, 0); /* CwTransit has its own */
    set_state (self, STATE_ROUTING);
    cw_transit_connect_async (self->transit, &key, self->peer_hints, self->cancellable,
                              on_connected, g_object_ref (self));
}

/* --- v1: offer and answer over the mailbox --- */

static void
send_v1_offer (CwSession *self)
{
    g_autoptr (GBytes) offer = self->text != NULL ? cw_v1_make_text_offer (self->text)
                                                  : cw_v1_source_make_offer (self->source);

    if (g_bytes_get_size (offer) > MAX_MESSAGE) {
        finish_literal (self, CW_DROP_ERROR, CW_DROP_ERROR_LONG_TEXT,
                        "text is too long for a plain wormhole client");
        return;
    }
    if (self->text == NULL)
        send_hints (self);
    cw_mailbox_client_send (self->mailbox, offer);
    set_limit (self, PERSON_LIMIT_S);
}

static void
on_measured (CwSession *self, CwSessionJob *job)
{
    self->job_running = FALSE;
    if (is_over (self)) {
        close_and_finish (self);
    } else if (!job->ok) {
        finish (self, g_steal_pointer (&job->error));
    } else {
        self->source = g_steal_pointer (&job->new_source);
        send_v1_offer (self);
    }
}

static void
start_v1_send (CwSession *self)
{
    CwSessionJob *job;

    if (self->text != NULL) {
        send_v1_offer (self);
        return;
    }
    job = cw_session_job_new (self, NULL, self->transfer, self->cancellable);
    job->outgoing = self->outgoing;
    job->run = cw_session_job_v1_measure;
    job->done = on_measured;
    start_job (self, job);
}

static void
take_peer_error (CwSession *self, const char *text)
{
    GQuark domain = CW_DROP_ERROR;
    int code = CW_DROP_ERROR_PEER_FAILED;

    if (strcmp (text, TEXT_REJECTED) == 0) {
        code = CW_DROP_ERROR_DECLINED;
    } else if (strcmp (text, TEXT_CANCELLED) == 0) {
        code = CW_DROP_ERROR_PEER_CANCELLED;
    } else if (strcmp (text, TEXT_NO_ROUTE) == 0) {
        /* It only gave up a little before us. */
        domain = CW_TRANSIT_ERROR;
        code = CW_TRANSIT_ERROR_NO_ROUTE;
    }
    if (self->job_running && self->stream != NULL) {
        /* The engine sees the connection end and may know better (a hash that differs). */
        g_free (self->peer_error);
        self->peer_error = g_strdup (text);
        cw_transit_stream_set_timeout (self->stream, 5);
        return;
    }
    finish_literal (self, domain, code, text);
}

static void
take_offer (CwSession *self, CwV1Message *message)
{
    if (self->sending || self->offer != NULL || self->hello->is_causeway)
        return;
    self->offer = message;
    if (message->offer_kind != CW_V1_TEXT)
        send_hints (self);
    set_limit (self, 0);
    set_state (self, STATE_ASKING);
    g_signal_emit (self, signals[SIGNAL_OFFER], 0, message->offer);
}

static void
take_answer (CwSession *self, const CwV1Message *message)
{
    if (!self->sending || self->answered || self->hello->is_causeway)
        return;
    if (self->text != NULL && message->message_ack) {
        self->answered = TRUE;
        finish (self, NULL);
    } else if (self->source != NULL && message->file_ack) {
        self->answered = TRUE;
        set_limit (self, PROGRAM_LIMIT_S);
    }
}

static void
take_message (CwSession *self, GBytes *body)
{
    g_autoptr (CwV1Message) message = NULL;
    GError *error = NULL;
    gsize len;
    const char *data = g_bytes_get_data (body, &len);

    if (is_over (self))
        return;
    message = cw_v1_message_parse (data, len, &error);
    if (message == NULL) {
        finish (self, error);
        return;
    }
    if (message->error != NULL) {
        take_peer_error (self, message->error);
        return;
    }
    if (self->state == STATE_VERIFYING) {
        if (self->held.length < MAX_HELD)
            g_queue_push_tail (&self->held, g_bytes_ref (body));
        return;
    }
    if (message->transit != NULL && self->peer_hints == NULL) {
        self->peer_hints = json_node_ref (message->transit);
        if (!self->sending)
            send_hints (self);
    }
    take_answer (self, message);
    if (is_over (self))
        return;
    if (message->offer != NULL) {
        take_offer (self, g_steal_pointer (&message));
        if (is_over (self))
            return;
    }
    start_connecting (self);
}

static void
on_message (CwMailboxClient *mailbox, GBytes *body, CwSession *self)
{
    take_message (self, body);
}

/* --- Meeting --- */

/* Both know the code, and our person has nothing against it. */
static void
begin (CwSession *self)
{
    CwTransitOptions options = {
        .relay = self->settings->transit_relay,
        .no_direct = self->no_direct,
        .max_record = self->hello->is_causeway ? CAUSEWAY_RECORD : 0,
    };
    GError *error = NULL;

    set_state (self, STATE_ROUTING);
    self->transit = cw_transit_new (self->sending ? CW_TRANSIT_SENDER : CW_TRANSIT_RECEIVER,
                                    &options, &error);
    if (self->transit == NULL) {
        finish (self, error);
        return;
    }
    set_limit (self, self->verify || self->hello->is_causeway ? PERSON_LIMIT_S : PROGRAM_LIMIT_S);
    if (self->hello->is_causeway)
        send_hints (self);
    else if (self->sending)
        start_v1_send (self);
}

static void
on_confirmed (CwMailboxClient *mailbox, const char *versions, CwSession *self)
{
    if (is_over (self) || self->hello != NULL)
        return;
    self->hello = cw_hello_parse (versions);
    self->peer.is_causeway = self->hello->is_causeway;
    self->peer.name = self->hello->name;
    if (self->hello->is_causeway)
        self->peer.fingerprint = cw_device_key_dup_fingerprint (&self->hello->key);
    g_signal_emit (self, signals[SIGNAL_PEER], 0);
    if (is_over (self))
        return;
    if (self->verify) {
        g_autofree char *verifier = cw_mailbox_client_dup_verifier (self->mailbox);
        set_state (self, STATE_VERIFYING);
        g_signal_emit (self, signals[SIGNAL_VERIFY], 0, verifier);
    } else {
        begin (self);
    }
}

static void
on_code (CwMailboxClient *mailbox, const char *code, CwSession *self)
{
    if (is_over (self))
        return;
    set_state (self, STATE_WAITING);
    g_signal_emit (self, signals[SIGNAL_CODE], 0, code);
}

static void
on_motd (CwMailboxClient *mailbox, const char *text, CwSession *self)
{
    g_signal_emit (self, signals[SIGNAL_MOTD], 0, text);
}

static void
on_nameplates (CwMailboxClient *mailbox, const char *const *nameplates, CwSession *self)
{
    g_signal_emit (self, signals[SIGNAL_NAMEPLATES], 0, nameplates);
}

static void
on_offline (CwMailboxClient *mailbox, gboolean offline, CwSession *self)
{
    g_signal_emit (self, signals[SIGNAL_OFFLINE], 0, offline);
}

static void
on_failed (CwMailboxClient *mailbox, GError *error, CwSession *self)
{
    g_signal_handlers_disconnect_by_data (mailbox, self);
    g_clear_object (&self->mailbox);
    /* Once the bytes flow, or the way to them is known, the mailbox is no longer needed. */
    if (self->connecting)
        g_debug ("mailbox lost while connected: %s", error->message);
    else
        finish (self, g_error_copy (error));
}

void
cw_session_start (CwSession *self)
{
    g_autofree char *hello = NULL;
    GError *error = NULL;

    g_return_if_fail (CW_IS_SESSION (self) && self->mailbox == NULL);
    hello = cw_hello_make (self->settings->name, cw_identity_get_key (self->identity));
    self->mailbox = cw_mailbox_client_new ((const char *const *)self->settings->mailbox_urls,
                                           APP_ID, hello, &error);
    if (self->mailbox == NULL) {
        finish (self, error);
        return;
    }
    g_signal_connect (self->mailbox, "motd", G_CALLBACK (on_motd), self);
    g_signal_connect (self->mailbox, "code", G_CALLBACK (on_code), self);
    g_signal_connect (self->mailbox, "nameplates", G_CALLBACK (on_nameplates), self);
    g_signal_connect (self->mailbox, "confirmed", G_CALLBACK (on_confirmed), self);
    g_signal_connect (self->mailbox, "message", G_CALLBACK (on_message), self);
    g_signal_connect (self->mailbox, "offline", G_CALLBACK (on_offline), self);
    g_signal_connect (self->mailbox, "failed", G_CALLBACK (on_failed), self);
    cw_mailbox_client_start (self->mailbox);
    if (self->code != NULL) {
        if (!cw_mailbox_client_set_code (self->mailbox, self->code, &error))
            finish (self, error);
    } else if (self->sending) {
        cw_mailbox_client_allocate (self->mailbox, self->code_length);
    }
}

void
cw_session_list_nameplates (CwSession *self)
{
    g_return_if_fail (CW_IS_SESSION (self));
    if (self->mailbox != NULL)
        cw_mailbox_client_list (self->mailbox);
}

void
cw_session_claim (CwSession *self, const char *nameplate)
{
    g_return_if_fail (CW_IS_SESSION (self));
    if (self->mailbox != NULL)
        cw_mailbox_client_claim (self->mailbox, nameplate);
}

gboolean
cw_session_set_code (CwSession *self, const char *code, GError **error)
{
    g_return_val_if_fail (CW_IS_SESSION (self), FALSE);
    if (self->mailbox == NULL) /* over already: "finished" says why */
        return TRUE;
    return cw_mailbox_client_set_code (self->mailbox, code, error);
}

/* --- Answers --- */

void
cw_session_confirm (CwSession *self, gboolean same)
{
    g_return_if_fail (CW_IS_SESSION (self));
    if (self->state != STATE_VERIFYING)
        return;
    if (!same) {
        finish_literal (self, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the verifiers differ");
        return;
    }
    begin (self);
    while (!g_queue_is_empty (&self->held)) {
        g_autoptr (GBytes) body = g_queue_pop_head (&self->held);
        take_message (self, body);
    }
}

void
cw_session_accept (CwSession *self, const char *folder, int output_fd)
{
    g_autoptr (GBytes) answer = NULL;

    g_return_if_fail (CW_IS_SESSION (self));
    if (is_over (self) || self->answered)
        return;
    g_free (self->folder);
    self->folder = g_strdup (folder != NULL ? folder : self->settings->folder);
    self->output_fd = output_fd;
    if (self->decision != NULL) {
        self->answered = TRUE;
        cw_decision_accept (self->decision, self->folder, output_fd);
        g_signal_emit (self, signals[SIGNAL_ACCEPTED], 0);
        return;
    }
    g_return_if_fail (self->state == STATE_ASKING && self->mailbox != NULL);
    self->answered = TRUE;
    answer = cw_v1_make_answer (self->offer->offer_kind);
    cw_mailbox_client_send (self->mailbox, answer);
    if (self->offer->offer_kind == CW_V1_TEXT) {
        g_signal_emit (self, signals[SIGNAL_TEXT], 0, self->offer->offer->text);
        finish (self, NULL);
        return;
    }
    set_limit (self, PROGRAM_LIMIT_S);
    start_connecting (self);
}

void
cw_session_decline (CwSession *self)
{
    g_return_if_fail (CW_IS_SESSION (self));
    if (is_over (self) || self->answered)
        return;
    self->answered = TRUE;
    if (self->decision != NULL) {
        cw_decision_decline (self->decision); /* the engine tells the peer and ends */
        return;
    }
    if (self->mailbox != NULL) {
        g_autoptr (GBytes) bytes = cw_v1_make_error (TEXT_REJECTED);
        cw_mailbox_client_send (self->mailbox, bytes);
    }
    finish_literal (self, CW_DROP_ERROR, CW_DROP_ERROR_DECLINED, "offer declined");
}

void
cw_session_cancel (CwSession *self)
{
    g_return_if_fail (CW_IS_SESSION (self));
    finish_literal (self, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
}

/* --- What is known --- */

void
cw_session_get_figures (CwSession *self, CwTransferFigures *ret)
{
    cw_transfer_get_figures (self->transfer, ret);
}

GPtrArray *
cw_session_dup_failures (CwSession *self)
{
    return cw_transfer_dup_failures (self->transfer);
}

GPtrArray *
cw_session_get_paths (CwSession *self)
{
    return self->paths;
}

const CwPeer *
cw_session_get_peer (CwSession *self)
{
    return &self->peer;
}

/* --- GObject --- */

static CwSession *
session_new (const CwSessionOptions *options, gboolean sending)
{
    CwSession *self = g_object_new (CW_TYPE_SESSION, NULL);

    self->sending = sending;
    self->settings = cw_settings_copy (options->settings);
    self->identity = options->identity;
    self->code = g_strdup (options->code);
    self->code_length
        = options->code_length > 0 ? options->code_length : self->settings->code_length;
    self->verify = options->verify;
    self->no_direct = options->no_direct;
    return self;
}

CwSession *
cw_session_new_send (const CwSessionOptions *options, CwOutgoing *outgoing, const char *text)
{
    CwSession *self;

    g_return_val_if_fail ((outgoing != NULL) != (text != NULL), NULL);
    self = session_new (options, TRUE);
    self->outgoing = outgoing;
    self->text = g_strdup (text);
    return self;
}

CwSession *
cw_session_new_receive (const CwSessionOptions *options)
{
    return session_new (options, FALSE);
}

static void
cw_session_finalize (GObject *object)
{
    CwSession *self = CW_SESSION (object);

    set_limit (self, 0);
    if (self->mailbox != NULL)
        g_signal_handlers_disconnect_by_data (self->mailbox, self);
    g_clear_object (&self->mailbox);
    g_clear_object (&self->transit);
    g_clear_object (&self->stream);
    g_clear_pointer (&self->peer_hints, json_node_unref);
    g_queue_clear_full (&self->held, (GDestroyNotify)g_bytes_unref);
    g_clear_pointer (&self->source, cw_v1_source_free);
    g_clear_pointer (&self->offer, cw_v1_message_free);
    g_clear_pointer (&self->outgoing, cw_outgoing_free);
    g_clear_pointer (&self->decision, cw_decision_unref);
    g_clear_pointer (&self->hello, cw_hello_free);
    g_clear_pointer (&self->settings, cw_settings_free);
    g_clear_pointer (&self->paths, g_ptr_array_unref);
    g_clear_error (&self->result);
    g_free (self->peer.fingerprint);
    g_free (self->code);
    g_free (self->text);
    g_free (self->peer_error);
    g_free (self->folder);
    cw_transfer_unref (self->transfer);
    g_object_unref (self->cancellable);
    G_OBJECT_CLASS (cw_session_parent_class)->finalize (object);
}

static guint
new_signal (const char *name, GType parameter)
{
    return g_signal_new (name, CW_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                         parameter != G_TYPE_NONE ? 1 : 0, parameter);
}

static void
cw_session_class_init (CwSessionClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_session_finalize;
    signals[SIGNAL_MOTD] = new_signal ("motd", G_TYPE_STRING);
    signals[SIGNAL_NAMEPLATES] = new_signal ("nameplates", G_TYPE_STRV);
    signals[SIGNAL_CODE] = new_signal ("code", G_TYPE_STRING);
    signals[SIGNAL_OFFLINE] = new_signal ("offline", G_TYPE_BOOLEAN);
    signals[SIGNAL_PEER] = new_signal ("peer", G_TYPE_NONE);
    signals[SIGNAL_VERIFY] = new_signal ("verify", G_TYPE_STRING);
    signals[SIGNAL_ROUTE] = new_signal ("route", G_TYPE_POINTER);
    signals[SIGNAL_OFFER] = new_signal ("offer", G_TYPE_POINTER);
    signals[SIGNAL_TEXT] = new_signal ("text", G_TYPE_STRING);
    signals[SIGNAL_ACCEPTED] = new_signal ("accepted", G_TYPE_NONE);
    signals[SIGNAL_FINISHED] = new_signal ("finished", G_TYPE_ERROR);
}

static void
cw_session_init (CwSession *self)
{
    self->cancellable = g_cancellable_new ();
    self->transfer = cw_transfer_new ();
    self->output_fd = -1;
}
