/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* The race for a connection.
 *
 * Everything that may lead to the other side is an attempt of its own (cw-transit-attempt.h): each
 * address the other named, each connection to our sockets, each relay. The sender takes the first
 * that is proved, a relayed one only when no direct one is about to be; the receiver waits to be
 * told. The end of the race ends every other attempt.
 *
 * Direct attempts begin as soon as the other's hints are here. Relays follow `relay_delay` later,
 * each lower priority as much later again; without any delay when one side has no direct hints,
 * since then there is little to wait for. (A Go receiver gives direct connections 5 s and then
 * comes to the relay for 5 s; a Python one comes after 2 s.)
 *
 * Strangers can connect too. At most INBOUND_MAX of them are in the handshake at once, for at most
 * 10 s; one more pushes out the oldest of whatever address has the most. Nobody who has proved the
 * key is ever pushed out, and conversations go before new connections, so somebody who opens many
 * cannot keep the right one out. */

#define G_LOG_DOMAIN "causeway-transit"

#include "cw-transit-private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <sys/socket.h>

#include "cw-transit-address.h"
#include "cw-transit-attempt.h"
#include "cw-transit-hints.h"
#include "cw-transit-stream.h"

#define INBOUND_MAX 32
#define LISTEN_BACKLOG 64
/* How long not to accept when there are no descriptors left. */
#define ACCEPT_PAUSE_MS 250
/* Dialled in all, whatever and how often the other sends hints; our own relay is not counted. */
#define DIALS_MAX (CW_TRANSIT_HINTS_DIRECT_MAX + CW_TRANSIT_HINTS_RELAY_MAX)

/* clang-format off */
G_DEFINE_QUARK (cw-transit-error-quark, cw_transit_error)
/* clang-format on */

/* A relay that is to be tried. */
typedef struct {
    CwTransitHint *hint;
    gboolean ours;
    gboolean loopback;
    gint64 due_us;
    gboolean begun;
} Relay;

struct _CwTransit {
    GObject parent;

    CwTransitRole role;
    gboolean no_direct;
    size_t max_record;
    CwTransitLimits limits;
    GMainContext *context;
    JsonNode *hints;

    GPtrArray *own;        /* of CwTransitOwnAddress */
    GSocket *listeners[2]; /* IPv4, IPv6 */
    guint16 ports[2];
    GSource *accept_sources[2];
    GSource *accept_pause;

    CwTransitKeys keys;
    char relay_side[CW_TRANSIT_RELAY_SIDE_SIZE + 1];
    CwTransitAttemptConfig config;
    GTask *task; /* while connecting */
    gboolean begun;
    GSource *cancel_source;
    GSource *limit;
    gint64 limit_us;

    gboolean hints_known;
    gboolean peer_direct_off;
    unsigned dials;
    GPtrArray *attempts; /* of CwTransitAttempt */
    GPtrArray *relays;   /* of Relay */
    GSource *schedule;   /* begins relays, notices that nothing is left to try */

    /* Sender: a relayed connection that waits for a better one, and the one taken. */
    CwTransitAttempt *candidate;
    CwTransitAttempt *chosen;
    GSource *choice;
    gint64 prefer_direct_until_us;

    GError *direct_error, *relay_error;
};

G_DEFINE_FINAL_TYPE (CwTransit, cw_transit, G_TYPE_OBJECT)

typedef struct {
    GIOStream *stream;
    CwRoute *route;
} Outcome;

static void
outcome_free (Outcome *outcome)
{
    g_clear_object (&outcome->stream);
    g_clear_pointer (&outcome->route, cw_route_free);
    g_free (outcome);
}

static void
relay_free (Relay *relay)
{
    cw_transit_hint_free (relay->hint);
    g_free (relay);
}

static void
clear_source (GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy (*source);
    g_clear_pointer (source, g_source_unref);
}

static void
set_timer (CwTransit *self, GSource **source, gint64 at_us, GSourceFunc func)
{
    clear_source (source);
    *source = g_timeout_source_new (0);
    g_source_set_ready_time (*source, at_us);
    g_source_set_callback (*source, func, self, NULL);
    g_source_attach (*source, self->context);
}

/* --- The end --- */

static void
stop_everything (CwTransit *self)
{
    clear_source (&self->cancel_source);
    clear_source (&self->limit);
    clear_source (&self->schedule);
    clear_source (&self->choice);
    clear_source (&self->accept_pause);
    for (int i = 0; i < 2; i++) {
        clear_source (&self->accept_sources[i]);
        if (self->listeners[i] != NULL)
            g_socket_close (self->listeners[i], NULL);
        g_clear_object (&self->listeners[i]);
    }
    self->candidate = self->chosen = NULL;
    g_ptr_array_set_size (self->attempts, 0);
    g_ptr_array_set_size (self->relays, 0);
    cw_transit_keys_clear (&self->keys);
}

/* Takes @error. The caller must not touch @self afterwards. */
static void
finish_with_error (CwTransit *self, GError *error)
{
    g_autoptr (GTask) task = g_steal_pointer (&self->task);

    g_debug ("%s", error->message);
    stop_everything (self);
    g_task_return_error (task, error);
}

static void
finish_without_route (CwTransit *self, const char *what)
{
    g_autoptr (GString) text = g_string_new (what);

    if (self->direct_error != NULL)
        g_string_append_printf (text, "; direct: %s", self->direct_error->message);
    if (self->relay_error != NULL)
        g_string_append_printf (text, "; relay: %s", self->relay_error->message);
    finish_with_error (
        self, g_error_new_literal (CW_TRANSIT_ERROR, CW_TRANSIT_ERROR_NO_ROUTE, text->str));
}

static gint64
get_rtt_us (GSocket *socket)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (getsockopt (g_socket_get_fd (socket), IPPROTO_TCP, TCP_INFO, &info, &len) < 0
        || info.tcpi_rtt == 0)
        return -1;
    return info.tcpi_rtt;
}

static CwRoute *
make_relay_route (CwTransit *self, CwTransitAttempt *attempt)
{
    g_autofree char *text = cw_transit_hint_dup_text (cw_transit_attempt_get_hint (attempt));
    gboolean off = self->no_direct || self->peer_direct_off;

    /* TCP knows the way to the relay, not the way to the other side. */
    return cw_route_new (CW_ROUTE_RELAY,
                         off ? CW_ROUTE_REASON_DIRECT_OFF : CW_ROUTE_REASON_NO_DIRECT, text, -1);
}

static CwRoute *
make_route (CwTransit *self, CwTransitAttempt *attempt)
{
    GInetAddress *address = cw_transit_attempt_get_address (attempt);
    gboolean near;

    if (cw_transit_attempt_get_path (attempt) == CW_TRANSIT_PATH_RELAY)
        return make_relay_route (self, attempt);
    near = cw_transit_address_get_kind (address) != CW_TRANSIT_ADDRESS_PUBLIC
           || cw_transit_address_is_near (address, self->own);
    g_autofree char *text = g_inet_address_to_string (address);
    return cw_route_new (near ? CW_ROUTE_LAN : CW_ROUTE_DIRECT, CW_ROUTE_REASON_BEST, text,
                         get_rtt_us (cw_transit_attempt_get_socket (attempt)));
}

static void
win (CwTransit *self, CwTransitAttempt *attempt)
{
    g_autoptr (GTask) task = g_steal_pointer (&self->task);
    Outcome *outcome = g_new0 (Outcome, 1);
    size_t early_len;
    const guint8 *early = cw_transit_attempt_get_early (attempt, &early_len);

    outcome->route = make_route (self, attempt);
    outcome->stream = cw_transit_stream_new (cw_transit_attempt_get_socket (attempt), self->role,
                                             &self->keys, self->max_record, early, early_len);
    g_debug ("connected, route '%s'", cw_route_kind_get_name (outcome->route->kind));
    stop_everything (self);
    g_task_return_pointer (task, outcome, (GDestroyNotify)outcome_free);
}

/* --- The sender's choice --- */

static void consider (CwTransit *self, CwTransitAttempt *attempt);
static void check_exhausted (CwTransit *self);

/* Forgets a failed attempt. */
static void
drop (CwTransit *self, CwTransitAttempt *attempt)
{
    gboolean relayed = cw_transit_attempt_get_path (attempt) == CW_TRANSIT_PATH_RELAY;
    GError **last = relayed ? &self->relay_error : &self->direct_error;

    /* What a stranger did on our socket explains nothing. */
    if (cw_transit_attempt_get_path (attempt) != CW_TRANSIT_PATH_INBOUND) {
        g_clear_error (last);
        *last = g_error_copy (cw_transit_attempt_get_error (attempt));
    }
    if (self->candidate == attempt)
        self->candidate = NULL;
    if (self->chosen == attempt)
        self->chosen = NULL;
    g_ptr_array_remove (self->attempts, attempt);
    for (guint i = 0; i < self->attempts->len && self->task != NULL; i++) {
        CwTransitAttempt *other = g_ptr_array_index (self->attempts, i);
        if (cw_transit_attempt_get_state (other) == CW_TRANSIT_ATTEMPT_READY && self->chosen == NULL
            && self->candidate == NULL) {
            consider (self, other);
            return;
        }
    }
    if (self->task != NULL)
        check_exhausted (self);
}

static void
choose (CwTransit *self, CwTransitAttempt *attempt)
{
    clear_source (&self->choice);
    self->candidate = NULL;
    self->chosen = attempt;
    cw_transit_attempt_choose (attempt);
    if (cw_transit_attempt_get_state (attempt) == CW_TRANSIT_ATTEMPT_DONE)
        win (self, attempt);
    else if (cw_transit_attempt_get_state (attempt) == CW_TRANSIT_ATTEMPT_FAILED)
        drop (self, attempt);
}

static gboolean
on_choice (gpointer user_data)
{
    CwTransit *self = user_data;

    choose (self, self->candidate);
    return G_SOURCE_REMOVE;
}

static gboolean
direct_is_near_its_end (CwTransit *self)
{
    for (guint i = 0; i < self->attempts->len; i++) {
        CwTransitAttempt *attempt = g_ptr_array_index (self->attempts, i);
        if (cw_transit_attempt_get_path (attempt) != CW_TRANSIT_PATH_RELAY
            && cw_transit_attempt_get_state (attempt) == CW_TRANSIT_ATTEMPT_TALKING)
            return TRUE;
    }
    return FALSE;
}

/* How long a relayed connection that is ready has to wait for a direct one. */
static gint64
choice_wait_us (CwTransit *self, gint64 now_us)
{
    gint64 wait_us = 0;

    if (!self->hints_known && !self->no_direct)
        wait_us = self->limits.relay_delay_ms * G_GINT64_CONSTANT (1000);
    else if (self->prefer_direct_until_us > now_us)
        wait_us = self->prefer_direct_until_us - now_us;
    if (direct_is_near_its_end (self))
        wait_us = MAX (wait_us, self->limits.grace_ms * G_GINT64_CONSTANT (1000));
    return wait_us;
}

/* A connection is proved; nothing is chosen yet, or another one is. */
static void
consider (CwTransit *self, CwTransitAttempt *attempt)
{
    gint64 now_us = g_get_monotonic_time ();
    gint64 wait_us;

    if (self->chosen != NULL)
        return;
    if (cw_transit_attempt_get_path (attempt) != CW_TRANSIT_PATH_RELAY) {
        choose (self, attempt);
        return;
    }
    if (self->candidate != NULL)
        return;
    wait_us = choice_wait_us (self, now_us);
    if (wait_us == 0) {
        choose (self, attempt);
        return;
    }
    self->candidate = attempt;
    set_timer (self, &self->choice, now_us + wait_us, on_choice);
}

static void
on_attempt (CwTransitAttempt *attempt, gpointer user_data)
{
    CwTransit *self = user_data;

    switch (cw_transit_attempt_get_state (attempt)) {
    case CW_TRANSIT_ATTEMPT_READY:
        consider (self, attempt);
        break;
    case CW_TRANSIT_ATTEMPT_DONE:
        win (self, attempt);
        break;
    case CW_TRANSIT_ATTEMPT_FAILED:
        drop (self, attempt);
        break;
    case CW_TRANSIT_ATTEMPT_DIALLING:
    case CW_TRANSIT_ATTEMPT_TALKING:
    case CW_TRANSIT_ATTEMPT_PROVED:
        break;
    }
}

/* --- Accepting --- */

static gboolean
same_address (CwTransitAttempt *a, CwTransitAttempt *b)
{
    GInetAddress *x = cw_transit_attempt_get_address (a), *y = cw_transit_attempt_get_address (b);

    return x != NULL && y != NULL && g_inet_address_equal (x, y);
}

/* Strangers are those whose handshake is not done. */
static gboolean
is_stranger (CwTransitAttempt *attempt)
{
    return cw_transit_attempt_get_path (attempt) == CW_TRANSIT_PATH_INBOUND
           && cw_transit_attempt_get_state (attempt) == CW_TRANSIT_ATTEMPT_TALKING;
}

/* Pushes out the oldest stranger of the address that has the most, if there are too many
 * (self->attempts is in the order of their beginning). */
static void
push_out_stranger (CwTransit *self)
{
    CwTransitAttempt *victim = NULL;
    unsigned strangers = 0, most = 0;

    for (guint i = 0; i < self->attempts->len; i++) {
        CwTransitAttempt *a = g_ptr_array_index (self->attempts, i);
        unsigned alike = 0;
        if (!is_stranger (a))
            continue;
        strangers++;
        for (guint j = 0; j < self->attempts->len; j++) {
            CwTransitAttempt *b = g_ptr_array_index (self->attempts, j);
            alike += is_stranger (b) && same_address (a, b);
        }
        if (alike > most) {
            most = alike;
            victim = a;
        }
    }
    if (strangers > INBOUND_MAX)
        g_ptr_array_remove (self->attempts, victim);
}

static void begin_accepting (CwTransit *self);

static gboolean
on_accept_pause (gpointer user_data)
{
    CwTransit *self = user_data;

    clear_source (&self->accept_pause);
    begin_accepting (self);
    return G_SOURCE_REMOVE;
}

static gboolean
on_inbound (GSocket *listener, GIOCondition condition, gpointer user_data)
{
    CwTransit *self = user_data;
    g_autoptr (GError) error = NULL;
    g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, &error);
    CwTransitAttempt *attempt;

    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return G_SOURCE_CONTINUE;
    if (socket == NULL) {
        for (int i = 0; i < 2; i++)
            clear_source (&self->accept_sources[i]);
        set_timer (self, &self->accept_pause,
                   g_get_monotonic_time () + ACCEPT_PAUSE_MS * G_GINT64_CONSTANT (1000),
                   on_accept_pause);
        return G_SOURCE_REMOVE;
    }
    attempt = cw_transit_attempt_accept (&self->config, socket);
    g_ptr_array_add (self->attempts, attempt);
    if (cw_transit_attempt_get_state (attempt) == CW_TRANSIT_ATTEMPT_FAILED)
        drop (self, attempt);
    else
        push_out_stranger (self);
    return G_SOURCE_CONTINUE;
}

static void
begin_accepting (CwTransit *self)
{
    for (int i = 0; i < 2; i++) {
        if (self->listeners[i] == NULL)
            continue;
        self->accept_sources[i] = g_socket_create_source (self->listeners[i], G_IO_IN, NULL);
        g_source_set_callback (self->accept_sources[i], G_SOURCE_FUNC (on_inbound), self, NULL);
        /* After the conversations: a flood of new ones must not keep one from its end. */
        g_source_set_priority (self->accept_sources[i], G_PRIORITY_DEFAULT + 10);
        g_source_attach (self->accept_sources[i], self->context);
    }
}

static GSocket *
listen_on (GSocketFamily family, guint16 port)
{
    g_autoptr (GSocket) socket
        = g_socket_new (family, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr (GInetAddress) any = g_inet_address_new_any (family);
    g_autoptr (GSocketAddress) where = g_inet_socket_address_new (any, port);

    if (socket == NULL)
        return NULL;
    g_socket_set_blocking (socket, FALSE);
    g_socket_set_listen_backlog (socket, LISTEN_BACKLOG);
    if (family == G_SOCKET_FAMILY_IPV6)
        g_socket_set_option (socket, IPPROTO_IPV6, IPV6_V6ONLY, TRUE, NULL);
    if (!g_socket_bind (socket, where, FALSE, NULL) || !g_socket_listen (socket, NULL))
        return NULL;
    return g_steal_pointer (&socket);
}

static guint16
get_port (GSocket *socket)
{
    g_autoptr (GSocketAddress) address
        = socket != NULL ? g_socket_get_local_address (socket, NULL) : NULL;

    if (address == NULL)
        return 0;
    return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
}

static void
listen_everywhere (CwTransit *self)
{
    self->listeners[0] = listen_on (G_SOCKET_FAMILY_IPV4, 0);
    self->ports[0] = get_port (self->listeners[0]);
    /* The same port for both is easier on people who write firewall rules. */
    self->listeners[1] = listen_on (G_SOCKET_FAMILY_IPV6, self->ports[0]);
    if (self->listeners[1] == NULL)
        self->listeners[1] = listen_on (G_SOCKET_FAMILY_IPV6, 0);
    self->ports[1] = get_port (self->listeners[1]);
}

static gboolean
is_listening (CwTransit *self)
{
    return self->listeners[0] != NULL || self->listeners[1] != NULL;
}

/* --- Dialling --- */

static void
dial (CwTransit *self,
      CwTransitPath path,
      const CwTransitHint *hint,
      gboolean guarded,
      gboolean loopback)
{
    if (guarded && self->dials == DIALS_MAX)
        return;
    self->dials += guarded;
    g_ptr_array_add (self->attempts,
                     cw_transit_attempt_dial (&self->config, path, hint, guarded, loopback));
}

/* Nothing is under way and nothing will come. */
static void
check_exhausted (CwTransit *self)
{
    gboolean may_come = is_listening (self) && !self->peer_direct_off;

    if (self->attempts->len > 0 || !self->hints_known || may_come || self->schedule != NULL)
        return;
    finish_without_route (self, "there is no way to the other side");
}

static gboolean on_schedule (gpointer user_data);

/* Begins the relays that are due and waits for the next. */
static void
run_schedule (CwTransit *self)
{
    gint64 now_us = g_get_monotonic_time (), next_us = G_MAXINT64;

    clear_source (&self->schedule);
    for (guint i = 0; i < self->relays->len; i++) {
        Relay *relay = g_ptr_array_index (self->relays, i);
        if (relay->begun)
            continue;
        if (relay->due_us > now_us) {
            next_us = MIN (next_us, relay->due_us);
            continue;
        }
        relay->begun = TRUE;
        dial (self, CW_TRANSIT_PATH_RELAY, relay->hint, !relay->ours, relay->loopback);
    }
    if (next_us != G_MAXINT64)
        set_timer (self, &self->schedule, next_us, on_schedule);
}

static gboolean
on_schedule (gpointer user_data)
{
    CwTransit *self = user_data;

    run_schedule (self);
    check_exhausted (self);
    return G_SOURCE_REMOVE;
}

static void
add_relay (CwTransit *self, const CwTransitHint *hint, gboolean ours, gboolean loopback)
{
    Relay *relay;

    for (guint i = 0; i < self->relays->len; i++) {
        relay = g_ptr_array_index (self->relays, i);
        if (cw_transit_hint_equal (relay->hint, hint))
            return;
    }
    relay = g_new0 (Relay, 1);
    relay->hint = cw_transit_hint_new (hint->hostname, hint->port, hint->priority);
    relay->ours = ours;
    relay->loopback = loopback;
    relay->due_us = G_MAXINT64;
    g_ptr_array_add (self->relays, relay);
}

/* How many better priorities there are than @priority. */
static unsigned
priority_class (CwTransit *self, double priority)
{
    g_autoptr (GArray) better = g_array_new (FALSE, FALSE, sizeof (double));

    for (guint i = 0; i < self->relays->len; i++) {
        const Relay *relay = g_ptr_array_index (self->relays, i);
        gboolean counts = relay->hint->priority > priority;
        for (guint j = 0; j < better->len && counts; j++)
            counts = g_array_index (better, double, j) != relay->hint->priority;
        if (counts)
            g_array_append_val (better, relay->hint->priority);
    }
    return better->len;
}

static void
plan_relays (CwTransit *self, gboolean delay)
{
    gint64 now_us = g_get_monotonic_time ();
    gint64 step_us = self->limits.relay_delay_ms * G_GINT64_CONSTANT (1000);

    for (guint i = 0; i < self->relays->len; i++) {
        Relay *relay = g_ptr_array_index (self->relays, i);
        gint64 steps = priority_class (self, relay->hint->priority) + (delay ? 1 : 0);
        /* Our own may have been waiting since before the hints. */
        relay->due_us = MIN (relay->due_us, now_us + steps * step_us);
    }
    /* Not from here, in case it is the end: that must not come before the caller has returned. */
    set_timer (self, &self->schedule, 0, on_schedule);
}

static gboolean
on_limit (gpointer user_data)
{
    finish_without_route (user_data, "no connection came about in time");
    return G_SOURCE_REMOVE;
}

static void
set_limit (CwTransit *self, unsigned from_now_ms)
{
    gint64 at_us = g_get_monotonic_time () + from_now_ms * G_GINT64_CONSTANT (1000);

    if (self->limit_us >= at_us)
        return;
    self->limit_us = at_us;
    set_timer (self, &self->limit, at_us, on_limit);
}

static void
apply_hints (CwTransit *self, CwTransitPeerHints *hints)
{
    gboolean direct = !self->no_direct && !hints->direct_off;
    gboolean both = direct && hints->direct->len > 0 && is_listening (self) && self->own->len > 0;

    self->hints_known = TRUE;
    self->peer_direct_off = hints->direct_off;
    for (guint i = 0; i < hints->direct->len && direct; i++)
        dial (self, CW_TRANSIT_PATH_OUTBOUND, g_ptr_array_index (hints->direct, i), TRUE,
              hints->loopback);
    for (guint i = 0; i < hints->relays->len; i++)
        add_relay (self, g_ptr_array_index (hints->relays, i), FALSE, hints->loopback);
    if (both)
        self->prefer_direct_until_us
            = g_get_monotonic_time () + self->limits.relay_delay_ms * G_GINT64_CONSTANT (1000);
    plan_relays (self, both);
    set_limit (self, self->limits.from_hints_ms);
}

/* --- Object --- */

static void
cw_transit_finalize (GObject *object)
{
    CwTransit *self = CW_TRANSIT (object);

    stop_everything (self);
    g_clear_error (&self->direct_error);
    g_clear_error (&self->relay_error);
    g_ptr_array_unref (self->attempts);
    g_ptr_array_unref (self->relays);
    g_ptr_array_unref (self->own);
    g_clear_pointer (&self->hints, json_node_unref);
    g_main_context_unref (self->context);
    G_OBJECT_CLASS (cw_transit_parent_class)->finalize (object);
}

static void
cw_transit_class_init (CwTransitClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_transit_finalize;
}

static void
cw_transit_init (CwTransit *self)
{
    guint8 side[CW_TRANSIT_RELAY_SIDE_SIZE / 2];

    cw_crypto_init ();
    randombytes_buf (side, sizeof side);
    sodium_bin2hex (self->relay_side, sizeof self->relay_side, side, sizeof side);
    self->limits = (CwTransitLimits)CW_TRANSIT_LIMITS_DEFAULT;
    self->context = g_main_context_ref_thread_default ();
    self->own = cw_transit_address_list_own ();
    self->attempts = g_ptr_array_new_with_free_func ((GDestroyNotify)cw_transit_attempt_free);
    self->relays = g_ptr_array_new_with_free_func ((GDestroyNotify)relay_free);
}

CwTransit *
cw_transit_new (CwTransitRole role, const CwTransitOptions *options, GError **error)
{
    g_autoptr (CwTransit) self = g_object_new (CW_TYPE_TRANSIT, NULL);
    g_autoptr (CwTransitHint) relay = NULL;

    if (options->relay != NULL) {
        relay = cw_transit_hint_parse_relay (options->relay, error);
        if (relay == NULL)
            return NULL;
        add_relay (self, relay, TRUE, TRUE);
    }
    self->role = role;
    self->no_direct = options->no_direct;
    self->max_record = options->max_record;
    if (!self->no_direct)
        listen_everywhere (self);
    self->hints = cw_transit_hints_encode (!self->no_direct, self->own, self->ports[0],
                                           self->ports[1], relay);
    return g_steal_pointer (&self);
}

JsonNode *
cw_transit_get_hints (CwTransit *self)
{
    return self->hints;
}

void
cw_transit_set_max_record (CwTransit *self, size_t max_record)
{
    self->max_record = max_record;
}

void
cw_transit_set_limits (CwTransit *self, const CwTransitLimits *limits)
{
    g_return_if_fail (!self->begun);
    self->limits = *limits;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
    finish_with_error (user_data, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                                       "connecting was cancelled"));
    return G_SOURCE_REMOVE;
}

void
cw_transit_connect_async (CwTransit *self,
                          const CwSecret *key,
                          JsonNode *peer_hints,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
    g_autoptr (CwTransitPeerHints) hints = NULL;
    g_autoptr (GError) error = NULL;

    g_return_if_fail (CW_IS_TRANSIT (self) && !self->begun);
    self->begun = TRUE;
    self->task = g_task_new (self, cancellable, callback, user_data);
    g_task_set_source_tag (self->task, cw_transit_connect_async);
    if (peer_hints != NULL) {
        hints = cw_transit_peer_hints_decode (peer_hints, self->own, &error);
        if (hints == NULL) {
            finish_with_error (self, g_steal_pointer (&error));
            return;
        }
    }
    cw_transit_keys_derive (&self->keys, key->bytes, sizeof key->bytes);
    self->config = (CwTransitAttemptConfig){
        .role = self->role,
        .keys = &self->keys,
        .relay_side = self->relay_side,
        .inbound_limit_ms = self->limits.inbound_ms,
        .func = on_attempt,
        .user_data = self,
    };
    if (cancellable != NULL) {
        self->cancel_source = g_cancellable_source_new (cancellable);
        g_source_set_callback (self->cancel_source, G_SOURCE_FUNC (on_cancelled), self, NULL);
        g_source_attach (self->cancel_source, self->context);
    }
    set_limit (self, self->limits.total_ms);
    begin_accepting (self);
    if (hints != NULL)
        apply_hints (self, hints);
    else
        plan_relays (self, !self->no_direct);
}

gboolean
cw_transit_add_peer_hints (CwTransit *self, JsonNode *peer_hints, GError **error)
{
    g_autoptr (CwTransitPeerHints) hints = NULL;

    g_return_val_if_fail (self->begun, FALSE);
    hints = cw_transit_peer_hints_decode (peer_hints, self->own, error);
    if (hints == NULL)
        return FALSE;
    /* Nothing to do for hints that come when the race is over. */
    if (self->task != NULL)
        apply_hints (self, hints);
    return TRUE;
}

GIOStream *
cw_transit_connect_finish (CwTransit *self,
                           GAsyncResult *result,
                           CwRoute **ret_route,
                           GError **error)
{
    Outcome *outcome = g_task_propagate_pointer (G_TASK (result), error);
    GIOStream *stream;

    if (outcome == NULL)
        return NULL;
    stream = g_steal_pointer (&outcome->stream);
    if (ret_route != NULL)
        *ret_route = g_steal_pointer (&outcome->route);
    outcome_free (outcome);
    return stream;
}
