/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Theory of operation.
 *
 * A mailbox server stores short messages of exactly two sides. We are one side, under one random
 * name for as long as the session lives: a third name would be refused, and spoil the mailbox for
 * good. All that matters is kept here and none of it by the connection; a connection is only a way
 * to bring the server to the state we want. So there is one function, advance(), which looks at
 * what is wanted and at what was done on this connection, and sends what is missing. It runs after
 * everything that happens; after a reconnection it starts over:
 *
 *   bind, claim (unless the nameplate did its duty), open, our messages, release, close
 *
 * What came before is replayed by the server when the mailbox is opened, our own messages included,
 * and a message of ours is delivered when we see it come back. On a second opening we therefore
 * send a ping behind the open: the pong marks the end of the replay, and what was not in it is
 * added (again). That heals a server that lost its database as well as a lost frame, and does not
 * double messages, which not all clients forgive.
 *
 * A nameplate only leads the peer to the mailbox. It is given back as soon as the peer wrote its
 * first message, and not before, since the peer would get a new mailbox otherwise. While nobody
 * came we claim it again after each reconnection: if the server forgot it, it gives us the new
 * mailbox to which it will send the peer.
 *
 * Limits, each for a server or peer that does not do its part:
 *
 *   10 s     from connecting to welcome; then the next address, the first time
 *   30 s     for the answer to allocate, claim, ping; then reconnect
 *   5 s      for the echo of a message; then reconnect. A mailbox may have been deleted under us,
 *            which the server does not tell; five times in a row is a failure
 *   2 s      after welcome: a connection that ends so soon and brought nothing new was ended by
 *            what we said; six in a row are a failure
 *   1..60 s  between two attempts, growing by half, a quarter of jitter
 *   10 min   without a connection. The server forgets what nobody asks for in 11
 *   3 s      to leave in good order; 20 s when we failed and the server lacks something that the
 *            peer may be waiting for, such as the proof that the codes differ
 *
 * What the peer may make us store: one PAKE message, one version message, and numeric phases that
 * came too early. */

#define G_LOG_DOMAIN "causeway-mailbox"

#include "cw-mailbox-session.h"

#include <sodium.h>
#include <string.h>

#include "cw-bytes.h"
#include "cw-code.h"
#include "cw-hash.h"
#include "cw-hashcash.h"
#include "cw-json.h"
#include "cw-mailbox-message.h"
#include "cw-spake2.h"
#include "cw-wormhole-keys.h"

#define SECOND G_GINT64_CONSTANT (1000000)
#define CONNECT_LIMIT (10 * SECOND)
#define ANSWER_LIMIT (30 * SECOND)
#define ECHO_LIMIT (5 * SECOND)
#define CLOSE_LIMIT (3 * SECOND)
#define DELIVER_LIMIT (20 * SECOND)
#define LOST_LIMIT (10 * 60 * SECOND)
#define RETRY_FIRST SECOND
#define RETRY_MAX (60 * SECOND)
#define HANGUP_WINDOW (2 * SECOND)
#define MAX_HANGUPS 6
#define MAX_GHOSTS 5
#define MAX_EARLY 64
#define MAX_EARLY_BYTES (1 << 20)
#define MAX_PAKE_BODY 4096
#define MAX_PHASE 1000000

#define SIDE_SIZE 5

typedef enum {
    LINK_IDLE,       /* before start() */
    LINK_CONNECTING, /* CONNECT was asked for; ends with connected(), disconnected() or the limit */
    LINK_WELCOMING,  /* connected, waiting for the server's first word */
    LINK_STAMPING,   /* welcome, if we bring a stamp; ends with stamp() */
    LINK_BOUND,      /* commands may be sent */
    LINK_WAITING,    /* disconnected; connects again at the limit */
    LINK_ENDED,      /* FAILED or CLOSED was told; nothing happens any more */
} LinkState;

static const char *const link_names[]
    = { "idle", "connecting", "welcoming", "stamping", "bound", "waiting", "ended" };
G_STATIC_ASSERT (G_N_ELEMENTS (link_names) == LINK_ENDED + 1);

typedef struct {
    char *phase;
    GBytes *body;    /* as it goes to the server */
    gint64 sent_at;  /* on this connection; 0: not yet */
    gboolean echoed; /* on this connection */
    gboolean ever_echoed;
} Outgoing;

struct _CwMailboxSession {
    char **urls;
    char *app_id;
    char *app_versions;
    char side[SIDE_SIZE * 2 + 1];
    CwSecret *seed;
    guint64 n_random;

    LinkState link;
    gint64 link_limit; /* CONNECTING, WELCOMING, WAITING */
    unsigned url;
    GString *attempts;    /* why the addresses tried so far did not do */
    gboolean established; /* a server welcomed us: its address stays */
    gboolean told_offline;
    gint64 lost_at; /* when the last connection ended; established and not BOUND */
    gint64 retry_delay;
    unsigned hangups;
    unsigned ghosts;
    unsigned next_id;

    /* What was done on this connection. */
    struct {
        gboolean list, allocate, claim, claimed, open, release, close;
        gboolean ping;   /* the end of the replay is awaited */
        gint64 asked_at; /* the last of allocate, claim, ping */
        gint64 welcomed_at;
        gboolean brought_news;
    } conn;

    gboolean want_list;
    unsigned want_words; /* allocate: for a code of so many words */
    char *nameplate;
    gboolean claimed_once; /* the server may hold it for us */
    gboolean released;
    char *code;
    char *mailbox;
    gboolean opened_once;
    gboolean told_code;
    gboolean told_motd;

    CwSpake2 *pake;
    CwSecret *key; /* NULL: not yet */
    gboolean confirmed;
    GPtrArray *outgoing; /* of Outgoing */
    GQueue plain;        /* of GBytes: numeric phases, until the key is there */
    unsigned next_out;

    char *peer_side;      /* NULL: nobody came yet */
    GBytes *peer_pake;    /* until there is a code */
    GBytes *peer_version; /* until there is a key */
    gboolean seen_pake;
    gboolean seen_version;
    GHashTable *early; /* phase number to GBytes */
    gsize early_bytes;
    unsigned next_in;

    gboolean leaving; /* close() or a failure: nothing is told any more but the end */
    gboolean closed;
    gint64 left_at;
    CwMood mood;
    GError *failure; /* NULL: close() */

    GQueue texts;
    GQueue events; /* of CwMailboxEvent */
};

static void advance (CwMailboxSession *self, gint64 now);

void
cw_mailbox_event_clear (CwMailboxEvent *event)
{
    g_clear_pointer (&event->text, g_free);
    g_clear_pointer (&event->list, g_strfreev);
    g_clear_pointer (&event->body, g_bytes_unref);
    g_clear_error (&event->error);
}

static void
event_free (CwMailboxEvent *event)
{
    cw_mailbox_event_clear (event);
    g_free (event);
}

static void
outgoing_free (Outgoing *message)
{
    g_free (message->phase);
    g_bytes_unref (message->body);
    g_free (message);
}

/* Bytes nobody can foretell or repeat: one of the seed's 2^64 streams each time. */
static void
draw (CwMailboxSession *self, guint8 *ret, size_t len)
{
    guint8 info[8 + 8] = "mailbox:";

    cw_store_be64 (info + 8, self->n_random++);
    cw_hkdf_sha256 (self->seed->bytes, sizeof self->seed->bytes, NULL, 0, info, sizeof info, ret,
                    len);
}

static void
push_event (CwMailboxSession *self, CwMailboxEvent event)
{
    g_queue_push_tail (&self->events, g_memdup2 (&event, sizeof event));
}

/* For what the user hears of, which is nothing any more once we are leaving. */
static void
tell (CwMailboxSession *self, CwMailboxEvent event)
{
    if (self->leaving)
        cw_mailbox_event_clear (&event);
    else
        push_event (self, event);
}

static void
set_link (CwMailboxSession *self, LinkState link)
{
    g_debug ("%s: %s -> %s", self->side, link_names[self->link], link_names[link]);
    self->link = link;
}

static void
clear_texts (CwMailboxSession *self)
{
    g_queue_clear_full (&self->texts, g_free);
}

static void
send_text (CwMailboxSession *self, char *text)
{
    g_queue_push_tail (&self->texts, text);
}

static gboolean
is_connected (const CwMailboxSession *self)
{
    return self->link == LINK_WELCOMING || self->link == LINK_STAMPING || self->link == LINK_BOUND;
}

/* The end. What is still to be sent goes out before the connection is closed. */
static void
end (CwMailboxSession *self)
{
    if (is_connected (self) || self->link == LINK_CONNECTING)
        push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_DISCONNECT });
    set_link (self, LINK_ENDED);
    if (self->failure != NULL)
        push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_FAILED,
                                            .error = g_steal_pointer (&self->failure) });
    else
        push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_CLOSED });
}

/* FALSE when we are leaving already: the first reason counts. */
static gboolean
set_failure (CwMailboxSession *self, CwMailboxError code, const char *message)
{
    if (self->leaving || self->link == LINK_ENDED)
        return FALSE;
    self->leaving = TRUE;
    self->failure = g_error_new_literal (CW_MAILBOX_ERROR, (int)code, message);
    g_debug ("%s: failed: %s", self->side, message);
    return TRUE;
}

/* The server will not listen any more. */
static void
fail_at_once (CwMailboxSession *self, CwMailboxError code, const char *message)
{
    if (self->link == LINK_ENDED)
        return;
    set_failure (self, code, message);
    end (self);
}

/* The server will, so the peer is told, by what we sent and by our mood. Who calls this must return
 * to advance(). */
static void
fail (CwMailboxSession *self, CwMailboxError code, CwMood mood, const char *message, gint64 now)
{
    if (!set_failure (self, code, message))
        return;
    self->mood = mood;
    self->left_at = now;
}

static void
connect_to (CwMailboxSession *self, unsigned url, gint64 now)
{
    self->url = url;
    self->link_limit = now + CONNECT_LIMIT;
    set_link (self, LINK_CONNECTING);
    push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_CONNECT, .index = url });
}

static void
wait_for_retry (CwMailboxSession *self, gint64 now)
{
    guint8 random[4];
    gint64 jitter;

    draw (self, random, sizeof random);
    jitter = (gint64)cw_load_be32 (random) % (self->retry_delay / 2) - self->retry_delay / 4;
    self->link_limit = now + self->retry_delay + jitter;
    self->retry_delay = MIN (self->retry_delay * 3 / 2, RETRY_MAX);
    set_link (self, LINK_WAITING);
}

/* An attempt to connect led to no welcome. */
static void
attempt_failed (CwMailboxSession *self, const char *reason, gint64 now)
{
    if (self->established) {
        wait_for_retry (self, now);
        return;
    }
    g_string_append_printf (self->attempts, "%scannot reach '%s': %s",
                            self->attempts->len > 0 ? "; " : "", self->urls[self->url], reason);
    if (self->urls[self->url + 1] != NULL && !self->leaving)
        connect_to (self, self->url + 1, now);
    else
        fail_at_once (self, CW_MAILBOX_ERROR_UNREACHABLE, self->attempts->str);
}

/* A connection on which we were welcome has ended. */
static void
connection_lost (CwMailboxSession *self, const char *reason, gint64 now)
{
    clear_texts (self);
    g_debug ("%s: connection lost: %s", self->side, reason);
    for (guint i = 0; i < self->outgoing->len; i++) {
        Outgoing *message = g_ptr_array_index (self->outgoing, i);
        message->sent_at = 0;
        message->echoed = FALSE;
    }
    if (self->conn.brought_news || now - self->conn.welcomed_at >= HANGUP_WINDOW) {
        self->hangups = 0;
        self->retry_delay = RETRY_FIRST;
    } else if (++self->hangups >= MAX_HANGUPS) {
        set_link (self, LINK_WAITING);
        fail_at_once (self, CW_MAILBOX_ERROR_SERVER,
                      "mailbox server ends the connection on every attempt");
        return;
    }
    self->lost_at = now;
    if (!self->told_offline)
        tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_OFFLINE, .flag = TRUE });
    self->told_offline = TRUE;
    wait_for_retry (self, now);
}

static void
reconnect (CwMailboxSession *self, const char *reason, gint64 now)
{
    push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_DISCONNECT });
    connection_lost (self, reason, now);
}

/* Our own messages. */

static void
queue_phase (CwMailboxSession *self, const char *phase, GBytes *body)
{
    Outgoing *message = g_new0 (Outgoing, 1);

    message->phase = g_strdup (phase);
    message->body = body;
    g_ptr_array_add (self->outgoing, message);
}

static void
queue_sealed (CwMailboxSession *self, const char *phase, const void *plain, gsize len)
{
    guint8 nonce[CW_WORMHOLE_NONCE_SIZE];

    draw (self, nonce, sizeof nonce);
    queue_phase (self, phase, cw_wormhole_seal (self->key, self->side, phase, plain, len, nonce));
}

static void
queue_version (CwMailboxSession *self)
{
    g_autofree char *json = g_strdup_printf ("{\"app_versions\":%s}", self->app_versions);

    queue_sealed (self, "version", json, strlen (json));
}

static void
queue_numeric (CwMailboxSession *self, GBytes *body)
{
    g_autofree char *phase = g_strdup_printf ("%u", self->next_out++);
    gsize len;
    const guint8 *data = g_bytes_get_data (body, &len);

    queue_sealed (self, phase, data, len);
}

static gboolean
take_code (CwMailboxSession *self, const char *code)
{
    guint8 random[CW_SPAKE2_RANDOM_SIZE];
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];

    draw (self, random, sizeof random);
    self->pake
        = cw_spake2_new (CW_SPAKE2_SYMMETRIC, code, strlen (code), self->app_id, NULL, random);
    sodium_memzero (random, sizeof random);
    if (self->pake == NULL)
        return FALSE;
    self->code = g_strdup (code);
    cw_spake2_get_message (self->pake, message);
    queue_phase (self, "pake", cw_mailbox_pake_body (message));
    return TRUE;
}

/* The peer's messages, as far as they can be read: its PAKE message once there is a code, its
 * version once there is a key, the numbers in order once the version confirmed the key. */

static void
read_pake (CwMailboxSession *self, gint64 now)
{
    g_autoptr (GBytes) body = g_steal_pointer (&self->peer_pake);
    g_autoptr (CwSecret) key = cw_secret_new ();
    guint8 message[CW_SPAKE2_MESSAGE_SIZE];
    GBytes *plain;

    if (!cw_mailbox_pake_body_parse (body, message)) {
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_ERRORY,
              "peer does not speak this version of the key exchange", now);
        return;
    }
    if (!cw_spake2_finish (self->pake, message, sizeof message, key)) {
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_ERRORY,
              "peer's part of the key exchange is not valid", now);
        return;
    }
    self->key = g_steal_pointer (&key);
    g_clear_pointer (&self->pake, cw_spake2_free);
    /* Before the peer's version is looked at: if the codes differ, it is by our version that the
     * peer learns it. */
    queue_version (self);
    while ((plain = g_queue_pop_head (&self->plain)) != NULL) {
        queue_numeric (self, plain);
        g_bytes_unref (plain);
    }
    tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_KEY });
}

static GBytes *
open_phase (CwMailboxSession *self, const char *phase, GBytes *body)
{
    gsize len;
    const guint8 *data = g_bytes_get_data (body, &len);

    return cw_wormhole_open (self->key, self->peer_side, phase, data, len);
}

static void
read_version (CwMailboxSession *self, gint64 now)
{
    g_autoptr (GBytes) body = g_steal_pointer (&self->peer_version);
    g_autoptr (GBytes) plain = open_phase (self, "version", body);
    g_autofree char *versions = NULL;

    if (plain == NULL) {
        fail (self, CW_MAILBOX_ERROR_WRONG_CODE, CW_MOOD_SCARY,
              "peer's first message does not decrypt: the code was wrong, or somebody guessed",
              now);
        return;
    }
    versions = cw_mailbox_version_body_parse (plain);
    if (versions == NULL) {
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_ERRORY,
              "peer's version message cannot be understood", now);
        return;
    }
    self->confirmed = TRUE;
    tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_CONFIRMED,
                                  .text = g_steal_pointer (&versions) });
}

static gboolean
read_next_number (CwMailboxSession *self, gint64 now)
{
    g_autoptr (GBytes) body = NULL;
    g_autofree char *phase = NULL;
    GBytes *plain;

    if (!g_hash_table_steal_extended (self->early, GUINT_TO_POINTER (self->next_in), NULL,
                                      (gpointer *)&body))
        return FALSE;
    self->early_bytes -= g_bytes_get_size (body);
    phase = g_strdup_printf ("%u", self->next_in++);
    plain = open_phase (self, phase, body);
    if (plain == NULL) {
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_SCARY,
              "a message of the peer does not decrypt", now);
        return FALSE;
    }
    tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_MESSAGE, .body = plain });
    return TRUE;
}

static void
read_peer (CwMailboxSession *self, gint64 now)
{
    if (!self->leaving && self->pake != NULL && self->peer_pake != NULL)
        read_pake (self, now);
    if (!self->leaving && self->key != NULL && self->peer_version != NULL)
        read_version (self, now);
    while (!self->leaving && self->confirmed && read_next_number (self, now))
        ;
}

/* Decimal as we would write it ourselves; anything else is not a number of the protocol's. */
static gboolean
parse_number (const char *phase, unsigned *ret)
{
    guint64 number;

    if (*phase == '0' && phase[1] != '\0')
        return FALSE;
    if (!g_ascii_string_to_unsigned (phase, 10, 0, MAX_PHASE, &number, NULL))
        return FALSE;
    *ret = (unsigned)number;
    return g_ascii_isdigit (*phase);
}

static void
store_number (CwMailboxSession *self, unsigned number, GBytes *body, gint64 now)
{
    if (number < self->next_in
        || g_hash_table_contains (self->early, GUINT_TO_POINTER (number))) /* seen */
        return;
    if (g_hash_table_size (self->early) >= MAX_EARLY
        || g_bytes_get_size (body) > MAX_EARLY_BYTES - self->early_bytes) {
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_ERRORY,
              "peer sends too many messages out of turn", now);
        return;
    }
    self->early_bytes += g_bytes_get_size (body);
    g_hash_table_insert (self->early, GUINT_TO_POINTER (number), g_bytes_ref (body));
    self->conn.brought_news = TRUE;
}

/* Replays repeat everything: each of the peer's phases counts once. */
static void
on_peer_phase (CwMailboxSession *self, const char *phase, GBytes *body, gint64 now)
{
    static const guint8 nothing[1];
    g_autoptr (GBytes) empty = g_bytes_new_static (nothing, 0);
    unsigned number;

    if (body == NULL) /* was not hex: cannot be decrypted or understood either */
        body = empty;
    if (strcmp (phase, "pake") == 0) {
        if (!self->seen_pake && g_bytes_get_size (body) > MAX_PAKE_BODY)
            body = empty;
        if (!self->seen_pake)
            self->peer_pake = g_bytes_ref (body);
        self->conn.brought_news |= !self->seen_pake;
        self->seen_pake = TRUE;
    } else if (strcmp (phase, "version") == 0) {
        if (!self->seen_version)
            self->peer_version = g_bytes_ref (body);
        self->conn.brought_news |= !self->seen_version;
        self->seen_version = TRUE;
    } else if (parse_number (phase, &number)) {
        store_number (self, number, body, now);
    } /* else: of some extension we did not ask for */
    read_peer (self, now);
}

static void
on_echo (CwMailboxSession *self, const char *phase)
{
    for (guint i = 0; i < self->outgoing->len; i++) {
        Outgoing *message = g_ptr_array_index (self->outgoing, i);
        if (strcmp (message->phase, phase) != 0)
            continue;
        self->conn.brought_news |= !message->ever_echoed;
        if (!message->ever_echoed || (!message->echoed && message->sent_at != 0))
            self->ghosts = 0;
        message->echoed = TRUE;
        message->ever_echoed = TRUE;
    }
}

static void
on_phase (CwMailboxSession *self, CwMailboxMessage *message, gint64 now)
{
    if (!self->conn.open) /* nothing is delivered from a closed mailbox */
        return;
    if (strcmp (message->side, self->side) == 0) {
        on_echo (self, message->phase);
        return;
    }
    if (self->peer_side == NULL)
        self->peer_side = g_strdup (message->side);
    /* A mailbox holds two sides. A third one's messages are the server's making. */
    if (strcmp (message->side, self->peer_side) == 0)
        on_peer_phase (self, message->phase, message->body, now);
}

/* The server's answers. */

static void
bind (CwMailboxSession *self, gint64 now)
{
    memset (&self->conn, 0, sizeof self->conn);
    self->conn.welcomed_at = now;
    self->established = TRUE;
    set_link (self, LINK_BOUND);
    send_text (self, cw_mailbox_message_write_bind (self->next_id++, self->app_id, self->side));
    if (self->told_offline)
        tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_OFFLINE, .flag = FALSE });
    self->told_offline = FALSE;
}

static void
on_welcome (CwMailboxSession *self, CwMailboxMessage *message, gint64 now)
{
    if (self->link != LINK_WELCOMING)
        return;
    if (message->error != NULL) {
        fail_at_once (self, CW_MAILBOX_ERROR_UNWELCOME, message->error);
        return;
    }
    if (message->motd != NULL && !self->told_motd)
        tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_MOTD,
                                      .text = g_steal_pointer (&message->motd) });
    self->told_motd = TRUE;
    switch (message->permission) {
    case CW_MAILBOX_PERMISSION_NONE:
        bind (self, now);
        return;
    case CW_MAILBOX_PERMISSION_HASHCASH:
        if (message->bits > CW_HASHCASH_MAX_BITS)
            break;
        set_link (self, LINK_STAMPING);
        push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_STAMP,
                                            .bits = message->bits,
                                            .text = g_steal_pointer (&message->resource) });
        return;
    case CW_MAILBOX_PERMISSION_UNKNOWN:
        break;
    }
    fail_at_once (self, CW_MAILBOX_ERROR_PERMISSION,
                  "mailbox server asks for a permission this program cannot get");
}

static void
on_allocated (CwMailboxSession *self, CwMailboxMessage *message, gint64 now)
{
    guint8 random[CW_MAILBOX_MAX_WORDS];
    g_autofree char *code = NULL;

    if (!self->conn.allocate || self->nameplate != NULL)
        return;
    self->conn.brought_news = TRUE;
    self->nameplate = g_steal_pointer (&message->nameplate);
    self->claimed_once = TRUE; /* allocating claims */
    draw (self, random, sizeof random);
    code = cw_code_make (self->nameplate, random, self->want_words);
    sodium_memzero (random, sizeof random);
    if (!take_code (self, code))
        fail (self, CW_MAILBOX_ERROR_INCOMPATIBLE, CW_MOOD_ERRORY, "code cannot be used", now);
    sodium_memzero (code, strlen (code));
}

static void
on_claimed (CwMailboxSession *self, CwMailboxMessage *message)
{
    if (!self->conn.claim || self->conn.claimed)
        return;
    self->conn.claimed = TRUE;
    if (g_strcmp0 (self->mailbox, message->mailbox) == 0)
        return;
    /* The first one, or the server had forgotten the old one before the peer came. */
    self->conn.brought_news = TRUE;
    g_free (self->mailbox);
    self->mailbox = g_steal_pointer (&message->mailbox);
    self->opened_once = FALSE;
}

static void
on_nameplates (CwMailboxSession *self, char **nameplates)
{
    if (!self->conn.list) {
        g_strfreev (nameplates);
        return;
    }
    self->conn.list = FALSE;
    self->want_list = FALSE;
    tell (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_NAMEPLATES, .list = nameplates });
}

static void
on_error (CwMailboxSession *self, CwMailboxMessage *message, gint64 now)
{
    const char *orig = message->orig != NULL ? message->orig : "";
    g_autofree char *text = NULL;

    if (strcmp (orig, "list") == 0) {
        on_nameplates (self, g_new0 (char *, 1));
    } else if (strcmp (orig, "release") == 0) {
        self->released = TRUE; /* or never was ours; nothing to be done about it */
    } else if (strcmp (orig, "close") == 0) {
        self->closed = TRUE;
    } else if (strcmp (orig, "ping") == 0) {
        self->conn.ping = FALSE; /* an answer it is */
    } else if (g_str_has_prefix (orig, "submit-permission")) {
        text = g_strdup_printf ("mailbox server does not take our stamp: %s", message->error);
        fail_at_once (self, CW_MAILBOX_ERROR_PERMISSION, text);
    } else if (strcmp (message->error, "crowded") == 0) {
        fail_at_once (self, CW_MAILBOX_ERROR_CROWDED, "two others use this code already");
    } else {
        text = g_strdup_printf ("mailbox server refuses '%s': %s", orig, message->error);
        fail (self, CW_MAILBOX_ERROR_SERVER, CW_MOOD_ERRORY, text, now);
    }
}

static void
handle (CwMailboxSession *self, CwMailboxMessage *message, gint64 now)
{
    if (message->type == CW_MAILBOX_MESSAGE_WELCOME) {
        on_welcome (self, message, now);
        return;
    }
    if (self->link != LINK_BOUND) /* it answers what we did not say */
        return;
    switch (message->type) {
    case CW_MAILBOX_MESSAGE_NAMEPLATES:
        on_nameplates (self, g_steal_pointer (&message->nameplates));
        break;
    case CW_MAILBOX_MESSAGE_ALLOCATED:
        on_allocated (self, message, now);
        break;
    case CW_MAILBOX_MESSAGE_CLAIMED:
        on_claimed (self, message);
        break;
    case CW_MAILBOX_MESSAGE_RELEASED:
        self->conn.brought_news |= !self->released;
        self->released = self->released || self->conn.release;
        break;
    case CW_MAILBOX_MESSAGE_PHASE:
        on_phase (self, message, now);
        break;
    case CW_MAILBOX_MESSAGE_CLOSED:
        self->closed = self->closed || self->conn.close;
        break;
    case CW_MAILBOX_MESSAGE_PONG:
        self->conn.ping = FALSE;
        break;
    case CW_MAILBOX_MESSAGE_ERROR:
        on_error (self, message, now);
        break;
    case CW_MAILBOX_MESSAGE_WELCOME:
    case CW_MAILBOX_MESSAGE_OTHER:
        break;
    }
}

/* What is missing on this connection. */

static gboolean
is_awaiting_answer (const CwMailboxSession *self)
{
    return (self->conn.allocate && self->nameplate == NULL)
           || (self->conn.claim && !self->conn.claimed) || self->conn.ping;
}

static void
send_allocate (CwMailboxSession *self, gint64 now)
{
    self->conn.allocate = TRUE;
    self->conn.asked_at = now;
    send_text (self, cw_mailbox_message_write (self->next_id++, "allocate", NULL));
}

static void
send_claim (CwMailboxSession *self, gint64 now)
{
    self->conn.claim = TRUE;
    self->conn.asked_at = now;
    self->claimed_once = TRUE;
    send_text (self, cw_mailbox_message_write (self->next_id++, "claim", "nameplate",
                                               self->nameplate, NULL));
}

static void
send_open (CwMailboxSession *self, gint64 now)
{
    self->conn.open = TRUE;
    send_text (self,
               cw_mailbox_message_write (self->next_id++, "open", "mailbox", self->mailbox, NULL));
    if (self->opened_once) {
        self->conn.ping = TRUE;
        self->conn.asked_at = now;
        send_text (self, cw_mailbox_message_write_ping (self->next_id++));
    }
    self->opened_once = TRUE;
}

static void
send_adds (CwMailboxSession *self, gint64 now)
{
    for (guint i = 0; i < self->outgoing->len; i++) {
        Outgoing *message = g_ptr_array_index (self->outgoing, i);
        if (message->echoed || message->sent_at != 0)
            continue;
        message->sent_at = now;
        send_text (self,
                   cw_mailbox_message_write_add (self->next_id++, message->phase, message->body));
    }
}

static gboolean
has_undelivered (const CwMailboxSession *self)
{
    for (guint i = 0; i < self->outgoing->len; i++) {
        const Outgoing *message = g_ptr_array_index (self->outgoing, i);
        if (!message->ever_echoed)
            return TRUE;
    }
    return FALSE;
}

/* A nameplate that was used once may be gone from the server or be somebody else's by now. */
static gboolean
needs_claim (const CwMailboxSession *self)
{
    if (self->nameplate == NULL || self->conn.claim || self->released || self->peer_side != NULL)
        return FALSE;
    return !self->leaving || (self->claimed_once && self->mailbox == NULL);
}

static gboolean
is_tidy (const CwMailboxSession *self)
{
    if (self->mailbox != NULL)
        return self->closed;
    if (self->conn.allocate && self->nameplate == NULL)
        return FALSE;
    return !self->claimed_once || self->released;
}

static void
advance_bound (CwMailboxSession *self, gint64 now)
{
    if (self->want_list && !self->conn.list) {
        self->conn.list = TRUE;
        send_text (self, cw_mailbox_message_write (self->next_id++, "list", NULL));
    }
    if (self->want_words > 0 && self->nameplate == NULL && !self->conn.allocate && !self->leaving)
        send_allocate (self, now);
    if (needs_claim (self))
        send_claim (self, now);
    if (self->conn.claim && !self->conn.claimed)
        return;
    if (self->mailbox != NULL && !self->conn.open && !self->conn.close
        && (!self->leaving || (self->opened_once && has_undelivered (self))))
        send_open (self, now);
    if (self->conn.open && !self->conn.ping && !self->conn.close)
        send_adds (self, now);
    if (self->claimed_once && self->nameplate != NULL && !self->released && !self->conn.release
        && (self->peer_side != NULL || self->leaving)) {
        self->conn.release = TRUE;
        send_text (self, cw_mailbox_message_write (self->next_id++, "release", "nameplate",
                                                   self->nameplate, NULL));
    }
    if (self->leaving && self->mailbox != NULL && !self->conn.close && !self->conn.ping) {
        self->conn.close = TRUE;
        send_text (self,
                   cw_mailbox_message_write (self->next_id++, "close", "mailbox", self->mailbox,
                                             "mood", cw_mailbox_mood_to_string (self->mood), NULL));
    }
    if (self->code != NULL && self->conn.open && !self->told_code && !self->leaving) {
        self->told_code = TRUE;
        tell (self,
              (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_CODE, .text = g_strdup (self->code) });
    }
}

static void
advance (CwMailboxSession *self, gint64 now)
{
    if (self->link == LINK_BOUND)
        advance_bound (self, now);
    if (self->leaving && self->link != LINK_ENDED && (!self->established || is_tidy (self)))
        end (self);
}

/* Entry points. */

CwMailboxSession *
cw_mailbox_session_new (const char *const *urls,
                        const char *app_id,
                        const char *app_versions,
                        const CwSecret *seed)
{
    CwMailboxSession *self;
    guint8 side[SIDE_SIZE];

    g_return_val_if_fail (urls != NULL && urls[0] != NULL, NULL);
    self = g_new0 (CwMailboxSession, 1);
    self->urls = g_strdupv ((char **)urls);
    self->app_id = g_strdup (app_id);
    self->app_versions = g_strdup (app_versions);
    self->seed = cw_secret_new ();
    *self->seed = *seed;
    draw (self, side, sizeof side);
    sodium_bin2hex (self->side, sizeof self->side, side, sizeof side);
    self->attempts = g_string_new (NULL);
    self->retry_delay = RETRY_FIRST;
    self->outgoing = g_ptr_array_new_with_free_func ((GDestroyNotify)outgoing_free);
    self->early = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
    return self;
}

void
cw_mailbox_session_free (CwMailboxSession *self)
{
    g_strfreev (self->urls);
    g_free (self->app_id);
    g_free (self->app_versions);
    cw_secret_free (self->seed);
    g_string_free (self->attempts, TRUE);
    g_free (self->nameplate);
    if (self->code != NULL)
        sodium_memzero (self->code, strlen (self->code));
    g_free (self->code);
    g_free (self->mailbox);
    g_clear_pointer (&self->pake, cw_spake2_free);
    g_clear_pointer (&self->key, cw_secret_free);
    g_ptr_array_unref (self->outgoing);
    g_queue_clear_full (&self->plain, (GDestroyNotify)g_bytes_unref);
    g_free (self->peer_side);
    g_clear_pointer (&self->peer_pake, g_bytes_unref);
    g_clear_pointer (&self->peer_version, g_bytes_unref);
    g_hash_table_unref (self->early);
    g_clear_error (&self->failure);
    clear_texts (self);
    g_queue_clear_full (&self->events, (GDestroyNotify)event_free);
    g_free (self);
}

void
cw_mailbox_session_start (CwMailboxSession *self, gint64 now)
{
    g_return_if_fail (self->link == LINK_IDLE || self->link == LINK_ENDED);
    if (self->link == LINK_IDLE)
        connect_to (self, 0, now);
}

static gboolean
is_over (const CwMailboxSession *self)
{
    return self->leaving || self->link == LINK_ENDED;
}

void
cw_mailbox_session_allocate (CwMailboxSession *self, unsigned n_words, gint64 now)
{
    g_return_if_fail (n_words >= 1 && n_words <= CW_MAILBOX_MAX_WORDS);
    g_return_if_fail (self->nameplate == NULL && self->want_words == 0);
    if (is_over (self))
        return;
    self->want_words = n_words;
    advance (self, now);
}

void
cw_mailbox_session_claim (CwMailboxSession *self, const char *nameplate, gint64 now)
{
    g_return_if_fail (*nameplate != '\0' && strspn (nameplate, "0123456789") == strlen (nameplate));
    g_return_if_fail (self->want_words == 0);
    if (is_over (self) || self->nameplate != NULL)
        return;
    self->nameplate = g_strdup (nameplate);
    advance (self, now);
}

gboolean
cw_mailbox_session_set_code (CwMailboxSession *self, const char *code, gint64 now, GError **error)
{
    g_autofree char *nameplate = cw_code_dup_nameplate (code);
    const char *wrong = NULL;

    if (nameplate == NULL)
        wrong = "code does not start with a number";
    else if (self->code != NULL || self->want_words > 0)
        wrong = "there is a code already";
    else if (self->nameplate != NULL && strcmp (self->nameplate, nameplate) != 0)
        wrong = "code has another number than the one in use";
    if (wrong != NULL) {
        g_set_error_literal (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE, wrong);
        return FALSE;
    }
    if (is_over (self))
        return TRUE;
    if (!take_code (self, code)) {
        g_set_error_literal (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE,
                             "code cannot be used");
        return FALSE;
    }
    if (self->nameplate == NULL)
        self->nameplate = g_steal_pointer (&nameplate);
    advance (self, now); /* CODE before KEY */
    read_peer (self, now);
    advance (self, now);
    return TRUE;
}

void
cw_mailbox_session_list (CwMailboxSession *self, gint64 now)
{
    if (is_over (self))
        return;
    self->want_list = TRUE;
    advance (self, now);
}

void
cw_mailbox_session_send (CwMailboxSession *self, GBytes *body, gint64 now)
{
    g_return_if_fail (g_bytes_get_size (body) <= CW_MAILBOX_MAX_BODY);
    if (is_over (self))
        return;
    if (self->key != NULL)
        queue_numeric (self, body);
    else
        g_queue_push_tail (&self->plain, g_bytes_ref (body));
    advance (self, now);
}

void
cw_mailbox_session_close (CwMailboxSession *self, CwMood mood, gint64 now)
{
    if (self->link == LINK_ENDED) /* FAILED is on its way, or was told */
        return;
    /* A failure on its way out is no news any more. */
    g_clear_error (&self->failure);
    if (!self->leaving) {
        self->mood = mood;
        self->left_at = now;
    }
    self->leaving = TRUE;
    advance (self, now);
}

void
cw_mailbox_session_connected (CwMailboxSession *self, gint64 now)
{
    if (self->link == LINK_CONNECTING)
        set_link (self, LINK_WELCOMING);
}

void
cw_mailbox_session_disconnected (CwMailboxSession *self, const char *reason, gint64 now)
{
    if (self->link == LINK_CONNECTING || self->link == LINK_WELCOMING
        || self->link == LINK_STAMPING)
        attempt_failed (self, reason, now);
    else if (self->link == LINK_BOUND)
        connection_lost (self, reason, now);
}

void
cw_mailbox_session_receive (CwMailboxSession *self, const char *text, size_t len, gint64 now)
{
    g_auto (CwMailboxMessage) message = { 0 };

    if (!is_connected (self))
        return;
    if (!cw_mailbox_message_parse (text, len, &message)) {
        /* Before it welcomed us it may be anything that speaks WebSocket. */
        if (self->link == LINK_WELCOMING) {
            push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_DISCONNECT });
            attempt_failed (self, "it does not speak the mailbox protocol", now);
        } else {
            fail (self, CW_MAILBOX_ERROR_SERVER, CW_MOOD_ERRORY,
                  "mailbox server sends what is not of the protocol", now);
        }
    } else {
        handle (self, &message, now);
    }
    advance (self, now);
}

void
cw_mailbox_session_stamp (CwMailboxSession *self, const char *stamp, gint64 now)
{
    if (self->link != LINK_STAMPING)
        return;
    if (stamp == NULL) {
        fail_at_once (self, CW_MAILBOX_ERROR_PERMISSION,
                      "stamp that the mailbox server asks for cannot be made");
        return;
    }
    send_text (self, cw_mailbox_message_write (self->next_id++, "submit-permissions", "method",
                                               "hashcash", "stamp", stamp, NULL));
    bind (self, now);
    advance (self, now);
}

static gint64
first_echo_limit (const CwMailboxSession *self)
{
    gint64 limit = G_MAXINT64;

    for (guint i = 0; i < self->outgoing->len; i++) {
        const Outgoing *message = g_ptr_array_index (self->outgoing, i);
        if (message->sent_at != 0 && !message->echoed)
            limit = MIN (limit, message->sent_at + ECHO_LIMIT);
    }
    return limit;
}

static gint64
bound_limit (const CwMailboxSession *self)
{
    gint64 limit = first_echo_limit (self);

    return is_awaiting_answer (self) ? MIN (limit, self->conn.asked_at + ANSWER_LIMIT) : limit;
}

static gint64
link_limit (const CwMailboxSession *self)
{
    gint64 lost_limit = self->established ? self->lost_at + LOST_LIMIT : G_MAXINT64;

    switch (self->link) {
    case LINK_CONNECTING:
    case LINK_WELCOMING:
    case LINK_WAITING:
        return MIN (self->link_limit, lost_limit);
    case LINK_STAMPING:
        return lost_limit;
    case LINK_BOUND:
        return bound_limit (self);
    case LINK_IDLE:
    case LINK_ENDED:
        return G_MAXINT64;
    }
    g_assert_not_reached ();
}

static gint64
leave_limit (const CwMailboxSession *self)
{
    if (!self->leaving || self->link == LINK_ENDED)
        return G_MAXINT64;
    return self->left_at
           + (self->failure != NULL && has_undelivered (self) ? DELIVER_LIMIT : CLOSE_LIMIT);
}

gint64
cw_mailbox_session_deadline (const CwMailboxSession *self)
{
    gint64 link = link_limit (self);
    gint64 leave = leave_limit (self);

    return MIN (link, leave);
}

static void
expire_bound (CwMailboxSession *self, gint64 now)
{
    if (first_echo_limit (self) > now)
        reconnect (self, "no answer in time", now);
    else if (++self->ghosts < MAX_GHOSTS)
        reconnect (self, "a message was not stored in time", now);
    else
        fail_at_once (self, CW_MAILBOX_ERROR_SERVER, "mailbox server does not store our messages");
}

void
cw_mailbox_session_expire (CwMailboxSession *self, gint64 now)
{
    if (cw_mailbox_session_deadline (self) > now)
        return;
    if (leave_limit (self) <= now) {
        end (self);
    } else if (self->link == LINK_BOUND) {
        expire_bound (self, now);
    } else if (self->established && self->lost_at + LOST_LIMIT <= now) {
        fail_at_once (self, CW_MAILBOX_ERROR_LOST,
                      "connection to the mailbox server was lost and did not come back");
    } else if (self->link == LINK_WAITING) {
        connect_to (self, self->url, now);
    } else {
        push_event (self, (CwMailboxEvent){ .type = CW_MAILBOX_EVENT_DISCONNECT });
        attempt_failed (self, "no answer in time", now);
    }
}

char *
cw_mailbox_session_next_text (CwMailboxSession *self)
{
    return g_queue_pop_head (&self->texts);
}

gboolean
cw_mailbox_session_next_event (CwMailboxSession *self, CwMailboxEvent *ret)
{
    g_autofree CwMailboxEvent *event = g_queue_pop_head (&self->events);

    if (event == NULL)
        return FALSE;
    *ret = *event;
    return TRUE;
}

const char *
cw_mailbox_session_get_side (const CwMailboxSession *self)
{
    return self->side;
}

const CwSecret *
cw_mailbox_session_get_key (const CwMailboxSession *self)
{
    return self->key;
}
