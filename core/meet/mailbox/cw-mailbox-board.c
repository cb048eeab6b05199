/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#define G_LOG_DOMAIN "causeway-mailbox"

/* The protocol is the one of the public server (magic-wormhole-mailbox-server 0.4 to 0.8).
 *
 * A nameplate is a short public number that leads to a mailbox. Each side that claims it is written
 * down, as claimed or released; it goes when all have released. A mailbox keeps messages and the
 * sides that ever opened it, as open or closed; it goes, with its messages, when all have closed.
 * A third side spoils a mailbox: it is written down too, so that from then on every open of every
 * side is "crowded" until the mailbox is forgotten, while connections that have it open go on.
 * A connection that has a mailbox open when it is deleted keeps a ghost: it may add, is
 * acknowledged, and nothing comes of it.
 *
 * Every 5 minutes mailboxes with an opener are touched, and those not touched for 11 minutes are
 * forgotten together with their nameplates. */

#include "cw-mailbox-board.h"

#include <math.h>

#include "cw-base32.h"
#include "cw-bytes.h"
#include "cw-json.h"

#define EXPIRATION_US (11 * 60 * G_USEC_PER_SEC)
#define CHECK_PERIOD_US (5 * 60 * G_USEC_PER_SEC)

#define MAX_SIDES 2
/* Of a nameplate; more than two are "crowded" already, and need only be known to be released. */
#define MAX_CLAIMS 8
#define MAX_NAME 256 /* bytes of an app-id, a side, a mailbox id or a phase */
#define MAX_NAMEPLATE 40
#define MAX_ID 128 /* bytes of a message's id as JSON */
/* Characters {, [, : and comma in one message; the messages of this protocol have a dozen. */
#define MAX_STRUCTURE 100
#define MESSAGE_OVERHEAD 64
#define BYTES_PER_TOKEN 4096
#define LIST_TOKENS 10

const CwMailboxBoardLimits cw_mailbox_board_limits = {
    .max_mailboxes = 4096,
    .max_openers = 32,
    .max_messages = 1000,
    .max_mailbox_bytes = 512 * 1024,
    .max_bytes = 16 * 1024 * 1024,
    .burst = 500,
    .per_second = 50,
};

typedef struct {
    char *name;    /* GRefString */
    gboolean live; /* a nameplate's: claimed; a mailbox's: open */
} Side;

typedef struct {
    char *id;
    char *app;                 /* GRefString */
    Side sides[MAX_SIDES + 1]; /* the third is the one that crowds it */
    guint n_sides;
    GPtrArray *messages; /* of JSON members without braces, in order; NULL while there are none */
    gsize bytes;
    GPtrArray *openers; /* Connections, the oldest first */
    gint64 updated_us;
} Mailbox;

typedef struct {
    char *key; /* nameplate_key() */
    char *name;
    char *app; /* GRefString */
    char *mailbox_id;
    Side sides[MAX_CLAIMS];
    guint n_sides;
    gint64 updated_us;
} Nameplate;

typedef struct {
    guint number;
    char *app;  /* GRefString; NULL until bound */
    char *side; /* GRefString */
    gboolean allocated;
    gboolean claimed;
    gboolean released;
    gboolean closed;
    char *nameplate;  /* named by claim */
    char *mailbox_id; /* named by open */
    Mailbox *mailbox; /* open now */
    gboolean ghost;   /* open, but deleted meanwhile */
    gint64 tokens_us; /* of time: what it may spend, one command being 1 s / per_second */
    gint64 tokens_at_us;
} Connection;

struct _CwMailboxBoard {
    CwMailboxBoardLimits limits;
    char *motd;
    gint64 unix_offset_us;
    gint64 now_us; /* of the call under way */
    gint64 next_check_us;
    GHashTable *connections; /* number to Connection */
    GHashTable *mailboxes;   /* id to Mailbox: ids are unique over all applications */
    GHashTable *nameplates;  /* nameplate_key() to Nameplate */
    gsize bytes;
    GQueue outputs; /* of CwMailboxOutput */
};

/* Output */

static void
queue_output (CwMailboxBoard *self, guint connection, GBytes *text)
{
    CwMailboxOutput *output = g_new (CwMailboxOutput, 1);

    output->connection = connection;
    output->text = text;
    g_queue_push_tail (&self->outputs, output);
}

static void
append_time (GString *out, const char *member, gint64 unix_us)
{
    g_string_append_printf (out, "\"%s\": %" G_GINT64_FORMAT ".%06d", member,
                            unix_us / G_USEC_PER_SEC, (int)(unix_us % G_USEC_PER_SEC));
}

/* @members: "\"a\": 1, \"b\": 2", or NULL. */
static GBytes *
render (CwMailboxBoard *self, const char *type, const char *members)
{
    GString *out = g_string_sized_new (96 + (members != NULL ? strlen (members) : 0));

    g_string_append_printf (out, "{\"type\": \"%s\", ", type);
    if (members != NULL)
        g_string_append_printf (out, "%s, ", members);
    append_time (out, "server_tx", self->now_us + self->unix_offset_us);
    g_string_append_c (out, '}');
    return g_string_free_to_bytes (out);
}

static void
send (CwMailboxBoard *self, Connection *c, const char *type, const char *members)
{
    queue_output (self, c->number, render (self, type, members));
}

/* A JSON string with its quotes. */
static char *
quote (const char *text)
{
    g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), text);

    return json_to_string (node, FALSE);
}

static void
send_named (
    CwMailboxBoard *self, Connection *c, const char *type, const char *member, const char *value)
{
    g_autofree char *quoted = quote (value);
    g_autofree char *members = g_strdup_printf ("\"%s\": %s", member, quoted);

    send (self, c, type, members);
}

static void
send_error (CwMailboxBoard *self, Connection *c, const char *error, JsonNode *orig)
{
    g_autofree char *quoted = quote (error);
    g_autofree char *text = json_to_string (orig, FALSE);
    g_autofree char *members = g_strdup_printf ("\"error\": %s, \"orig\": %s", quoted, text);

    send (self, c, "error", members);
}

/* Connections */

static void
connection_leave (Connection *c)
{
    if (c->mailbox != NULL)
        g_ptr_array_remove (c->mailbox->openers, c);
    c->mailbox = NULL;
    c->ghost = FALSE;
}

static void
connection_free (gpointer data)
{
    Connection *c = data;

    connection_leave (c);
    g_clear_pointer (&c->app, g_ref_string_release);
    g_clear_pointer (&c->side, g_ref_string_release);
    g_free (c->nameplate);
    g_free (c->mailbox_id);
    g_free (c);
}

static void
drop (CwMailboxBoard *self, Connection *c)
{
    queue_output (self, c->number, NULL);
    g_hash_table_remove (self->connections, GUINT_TO_POINTER (c->number));
}

/* Mailboxes */

static void
sides_clear (Side *sides, guint n)
{
    for (guint i = 0; i < n; i++)
        g_ref_string_release (sides[i].name);
}

static Side *
sides_find (Side *sides, guint n, const char *name)
{
    for (guint i = 0; i < n; i++) {
        if (g_str_equal (sides[i].name, name))
            return &sides[i];
    }
    return NULL;
}

static gboolean
sides_any_live (const Side *sides, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (sides[i].live)
            return TRUE;
    }
    return FALSE;
}

static void
mailbox_free (gpointer data)
{
    Mailbox *m = data;

    for (guint i = 0; i < m->openers->len; i++) {
        Connection *c = m->openers->pdata[i];
        c->mailbox = NULL;
        c->ghost = TRUE;
    }
    g_ptr_array_unref (m->openers);
    g_clear_pointer (&m->messages, g_ptr_array_unref);
    sides_clear (m->sides, m->n_sides);
    g_ref_string_release (m->app);
    g_free (m->id);
    g_free (m);
}

static void
mailbox_delete (CwMailboxBoard *self, Mailbox *m)
{
    self->bytes -= m->bytes;
    g_hash_table_remove (self->mailboxes, m->id);
}

/* The mailbox that has been quiet longest and that nobody has open, other than @except. */
static Mailbox *
find_stalest (CwMailboxBoard *self, const Mailbox *except)
{
    Mailbox *stalest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init (&iter, self->mailboxes);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Mailbox *m = value;
        if (m != except && m->openers->len == 0
            && (stalest == NULL || m->updated_us < stalest->updated_us))
            stalest = m;
    }
    return stalest;
}

static gboolean
make_room_for_mailbox (CwMailboxBoard *self)
{
    Mailbox *stalest;

    if (g_hash_table_size (self->mailboxes) < self->limits.max_mailboxes)
        return TRUE;
    stalest = find_stalest (self, NULL);
    if (stalest == NULL)
        return FALSE;
    mailbox_delete (self, stalest);
    return TRUE;
}

static gboolean
make_room_for_bytes (CwMailboxBoard *self, const Mailbox *m, gsize bytes)
{
    while (self->bytes + bytes > self->limits.max_bytes) {
        Mailbox *stalest = find_stalest (self, m);
        if (stalest == NULL)
            return FALSE;
        mailbox_delete (self, stalest);
    }
    return TRUE;
}

typedef enum {
    OPEN_OK,
    OPEN_CROWDED,
    OPEN_FULL,
    OPEN_FOREIGN, /* the id belongs to another application */
} OpenResult;

/* Makes the mailbox if it is not there, and writes @side down. */
static OpenResult
mailbox_open (CwMailboxBoard *self, const char *id, char *app, char *side, Mailbox **ret_mailbox)
{
    Mailbox *m = g_hash_table_lookup (self->mailboxes, id);

    if (m != NULL && !g_str_equal (m->app, app))
        return OPEN_FOREIGN;
    if (m == NULL) {
        if (!make_room_for_mailbox (self))
            return OPEN_FULL;
        m = g_new0 (Mailbox, 1);
        m->id = g_strdup (id);
        m->app = g_ref_string_acquire (app);
        m->openers = g_ptr_array_new ();
        g_hash_table_insert (self->mailboxes, m->id, m);
    }
    m->updated_us = self->now_us;
    if (m->n_sides <= MAX_SIDES && sides_find (m->sides, m->n_sides, side) == NULL)
        m->sides[m->n_sides++] = (Side){ .name = g_ref_string_acquire (side), .live = TRUE };
    if (m->n_sides > MAX_SIDES)
        return OPEN_CROWDED;
    *ret_mailbox = m;
    return OPEN_OK;
}

static void
mailbox_close (CwMailboxBoard *self, Mailbox *m, const char *side)
{
    Side *found = sides_find (m->sides, m->n_sides, side);

    if (found != NULL)
        found->live = FALSE;
    if (!sides_any_live (m->sides, m->n_sides))
        mailbox_delete (self, m);
}

/* Nameplates */

/* A nameplate's name is digits, so this cannot be read in two ways. */
static char *
nameplate_key (const char *app, const char *name)
{
    return g_strdup_printf ("%s:%s", name, app);
}

static Nameplate *
find_nameplate (CwMailboxBoard *self, const char *app, const char *name)
{
    g_autofree char *key = nameplate_key (app, name);

    return g_hash_table_lookup (self->nameplates, key);
}

static void
nameplate_free (gpointer data)
{
    Nameplate *n = data;

    sides_clear (n->sides, n->n_sides);
    g_ref_string_release (n->app);
    g_free (n->mailbox_id);
    g_free (n->name);
    g_free (n->key);
    g_free (n);
}

static gboolean
make_room_for_nameplate (CwMailboxBoard *self)
{
    Nameplate *stalest = NULL;
    GHashTableIter iter;
    gpointer value;

    if (g_hash_table_size (self->nameplates) < self->limits.max_mailboxes)
        return TRUE;
    g_hash_table_iter_init (&iter, self->nameplates);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Nameplate *n = value;
        Mailbox *m = g_hash_table_lookup (self->mailboxes, n->mailbox_id);
        if ((m == NULL || m->openers->len == 0)
            && (stalest == NULL || n->updated_us < stalest->updated_us))
            stalest = n;
    }
    if (stalest == NULL)
        return FALSE;
    g_hash_table_remove (self->nameplates, stalest->key);
    return TRUE;
}

static char *
make_mailbox_id (CwMailboxBoard *self, const guint8 random[8])
{
    guint64 number = cw_load_be64 (random);

    for (;; number++) {
        guint8 bytes[8];
        g_autofree char *id = NULL;
        cw_store_be64 (bytes, number);
        id = cw_base32_encode (bytes, sizeof bytes);
        if (!g_hash_table_contains (self->mailboxes, id))
            return g_steal_pointer (&id);
    }
}

static char *
free_name_between (CwMailboxBoard *self, const char *app, guint low, guint high, guint64 random)
{
    g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

    for (guint i = low; i < high; i++) {
        g_autofree char *name = g_strdup_printf ("%u", i);
        if (find_nameplate (self, app, name) == NULL)
            g_ptr_array_add (names, g_steal_pointer (&name));
    }
    return names->len > 0 ? g_strdup (names->pdata[random % names->len]) : NULL;
}

/* The shortest length that has a free number, and one of its free numbers at random. */
static char *
free_name (CwMailboxBoard *self, const char *app, guint64 random)
{
    char *name;

    for (guint low = 1; low < 1000; low *= 10) {
        name = free_name_between (self, app, low, low * 10, random);
        if (name != NULL)
            return name;
    }
    /* There are fewer nameplates than numbers here, so that this ends. */
    for (;; random++) {
        name = g_strdup_printf ("%u", (guint)(1000 + random % (1000000 - 1000)));
        if (find_nameplate (self, app, name) == NULL)
            return name;
        g_free (name);
    }
}

static Nameplate *
nameplate_new (CwMailboxBoard *self, char *app, const char *name, const guint8 random[8])
{
    Nameplate *n = g_new0 (Nameplate, 1);

    n->key = nameplate_key (app, name);
    n->name = g_strdup (name);
    n->app = g_ref_string_acquire (app);
    n->mailbox_id = make_mailbox_id (self, random);
    g_hash_table_insert (self->nameplates, n->key, n);
    return n;
}

/* NULL when it worked, else the error for the client. */
static const char *
claim (CwMailboxBoard *self,
       Connection *c,
       const char *name,
       const guint8 random[8],
       Nameplate **ret_nameplate)
{
    Nameplate *n = find_nameplate (self, c->app, name);
    Mailbox *unused;
    Side *side;

    if (n == NULL) {
        if (!make_room_for_nameplate (self))
            return "server is full, try again later";
        n = nameplate_new (self, c->app, name, random);
    }
    n->updated_us = self->now_us;
    side = sides_find (n->sides, n->n_sides, c->side);
    if (side != NULL && !side->live)
        return "reclaimed";
    if (side == NULL && n->n_sides < MAX_CLAIMS)
        n->sides[n->n_sides++] = (Side){ .name = g_ref_string_acquire (c->side), .live = TRUE };
    switch (mailbox_open (self, n->mailbox_id, c->app, c->side, &unused)) {
    case OPEN_OK:
        break;
    case OPEN_CROWDED:
        return "crowded";
    case OPEN_FOREIGN: /* somebody guessed 64 random bits, or opened the id first by chance */
    case OPEN_FULL:
        return "server is full, try again later";
    }
    if (n->n_sides > MAX_SIDES)
        return "crowded";
    *ret_nameplate = n;
    return NULL;
}

static void
release (CwMailboxBoard *self, Connection *c, const char *name)
{
    Nameplate *n = find_nameplate (self, c->app, name);
    Side *side = n != NULL ? sides_find (n->sides, n->n_sides, c->side) : NULL;

    if (side == NULL)
        return;
    side->live = FALSE;
    if (!sides_any_live (n->sides, n->n_sides))
        g_hash_table_remove (self->nameplates, n->key);
}

/* Commands. Each answers through send() and returns the error to tell, or DROP where the public
 * server fails without a word: a value of a wrong type is no client's slip of the moment. */

static const char DROP[] = "";

typedef struct {
    JsonObject *object;
    JsonNode *root;
    const guint8 *random;
} Command;

/* A member that must be a string: FALSE when it is there and is not. *@ret NULL when it is absent.
 */
static gboolean
get_string (const Command *cmd, const char *member, const char **ret)
{
    JsonNode *node = json_object_get_member (cmd->object, member);

    *ret = NULL;
    if (node == NULL)
        return TRUE;
    if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
        return FALSE;
    *ret = json_node_get_string (node);
    return TRUE;
}

static gboolean
is_nameplate (const char *name)
{
    size_t len = strlen (name);

    return len > 0 && len <= MAX_NAMEPLATE && strspn (name, "0123456789") == len;
}

/* A member as JSON text, "null" when it is absent; NULL when it is no plain value. */
static char *
dup_scalar (const Command *cmd, const char *member)
{
    JsonNode *node = json_object_get_member (cmd->object, member);

    if (node == NULL)
        return g_strdup ("null");
    if (!JSON_NODE_HOLDS_VALUE (node) && !JSON_NODE_HOLDS_NULL (node))
        return NULL;
    return json_to_string (node, FALSE);
}

/* Pays for a command out of what the connection has saved up. FALSE when it cannot, and was told.
 */
static gboolean
pay (CwMailboxBoard *self, Connection *c, gsize tokens)
{
    gint64 token_us = G_USEC_PER_SEC / self->limits.per_second;
    gint64 most = token_us * self->limits.burst;

    c->tokens_us = MIN (most, c->tokens_us + (self->now_us - c->tokens_at_us));
    c->tokens_at_us = self->now_us;
    c->tokens_us -= token_us * (gint64)tokens;
    if (c->tokens_us >= 0)
        return TRUE;
    send (self, c, "error", "\"error\": \"too many requests\"");
    return FALSE;
}

static const char *
on_ping (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    JsonNode *node = json_object_get_member (cmd->object, "ping");
    g_autofree char *value = NULL;
    g_autofree char *members = NULL;

    if (node == NULL)
        return "ping requires 'ping'";
    value = json_to_string (node, FALSE);
    members = g_strdup_printf ("\"pong\": %s", value);
    send (self, c, "pong", members);
    return NULL;
}

static const char *
on_bind (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    const char *app, *side;

    if (c->app != NULL)
        return "already bound";
    if (!get_string (cmd, "appid", &app) || !get_string (cmd, "side", &side))
        return DROP;
    if (app == NULL)
        return "bind requires 'appid'";
    if (side == NULL)
        return "bind requires 'side'";
    if (strlen (app) > MAX_NAME || strlen (side) > MAX_NAME)
        return "too long";
    c->app = g_ref_string_new_intern (app);
    c->side = g_ref_string_new_intern (side);
    return NULL;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
    return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static const char *
on_list (CwMailboxBoard *self, Connection *c)
{
    g_autoptr (GPtrArray) names = g_ptr_array_new ();
    g_autoptr (GString) members = g_string_new ("\"nameplates\": [");
    GHashTableIter iter;
    gpointer value;

    if (!pay (self, c, LIST_TOKENS))
        return DROP;
    g_hash_table_iter_init (&iter, self->nameplates);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Nameplate *n = value;
        if (g_str_equal (n->app, c->app))
            g_ptr_array_add (names, n->name);
    }
    g_ptr_array_sort (names, compare_names);
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf (members, "%s{\"id\": \"%s\"}", i > 0 ? ", " : "",
                                (const char *)names->pdata[i]);
    g_string_append_c (members, ']');
    send (self, c, "nameplates", members->str);
    return NULL;
}

static const char *
on_allocate (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    g_autofree char *name = NULL;
    Nameplate *n;
    const char *error;

    if (c->allocated)
        return "you already allocated one, don't be greedy";
    name = free_name (self, c->app, cw_load_be64 (cmd->random + 8));
    error = claim (self, c, name, cmd->random, &n);
    if (error != NULL)
        return error;
    c->allocated = TRUE;
    send_named (self, c, "allocated", "nameplate", name);
    return NULL;
}

static const char *
on_claim (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    const char *name, *error;
    Nameplate *n;

    if (!get_string (cmd, "nameplate", &name))
        return DROP;
    if (name == NULL)
        return "claim requires 'nameplate'";
    if (c->claimed)
        return "only one claim per connection";
    if (!is_nameplate (name))
        return DROP;
    c->claimed = TRUE;
    c->nameplate = g_strdup (name);
    error = claim (self, c, name, cmd->random, &n);
    if (error != NULL)
        return error;
    send_named (self, c, "claimed", "mailbox", n->mailbox_id);
    return NULL;
}

static const char *
on_release (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    const char *name;

    if (c->released)
        return "only one release per connection";
    if (!get_string (cmd, "nameplate", &name))
        return DROP;
    if (name != NULL && c->nameplate != NULL && !g_str_equal (name, c->nameplate))
        return "release and claim must use same nameplate";
    if (name == NULL)
        name = c->nameplate;
    if (name == NULL)
        return "release without nameplate must follow claim";
    c->released = TRUE;
    release (self, c, name);
    send (self, c, "released", NULL);
    return NULL;
}

static const char *
open_error (OpenResult result)
{
    switch (result) {
    case OPEN_OK:
        return NULL;
    case OPEN_CROWDED:
        return "crowded";
    case OPEN_FULL:
        return "server is full, try again later";
    case OPEN_FOREIGN:
        break;
    }
    return DROP;
}

static void
replay (CwMailboxBoard *self, Connection *c)
{
    for (guint i = 0; c->mailbox->messages != NULL && i < c->mailbox->messages->len; i++)
        send (self, c, "message", c->mailbox->messages->pdata[i]);
}

static const char *
on_open (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    const char *id, *error;
    Mailbox *m = NULL;

    if (c->mailbox != NULL || c->ghost)
        return "only one open per connection";
    if (!get_string (cmd, "mailbox", &id))
        return DROP;
    if (id == NULL)
        return "open requires 'mailbox'";
    if (strlen (id) > MAX_NAME)
        return "too long";
    g_free (c->mailbox_id);
    c->mailbox_id = g_strdup (id);
    error = open_error (mailbox_open (self, id, c->app, c->side, &m));
    if (error != NULL)
        return error;
    /* With two sides only, a full house is dead connections of a client that came back often. */
    if (m->openers->len >= self->limits.max_openers)
        drop (self, m->openers->pdata[0]);
    g_ptr_array_add (m->openers, c);
    c->mailbox = m;
    replay (self, c);
    return NULL;
}

static void
broadcast (CwMailboxBoard *self, Mailbox *m, const char *members)
{
    g_autoptr (GBytes) text = render (self, "message", members);

    for (guint i = 0; i < m->openers->len; i++) {
        Connection *c = m->openers->pdata[i];
        queue_output (self, c->number, g_bytes_ref (text));
    }
}

static const char *
store (CwMailboxBoard *self, Mailbox *m, const char *members)
{
    gsize bytes = strlen (members) + MESSAGE_OVERHEAD;

    if (m->messages != NULL && m->messages->len >= self->limits.max_messages)
        return "mailbox is full";
    if (m->bytes + bytes > self->limits.max_mailbox_bytes)
        return "mailbox is full";
    if (!make_room_for_bytes (self, m, bytes))
        return "server is full, try again later";
    if (m->messages == NULL)
        m->messages = g_ptr_array_new_with_free_func (g_free);
    g_ptr_array_add (m->messages, g_strdup (members));
    m->bytes += bytes;
    self->bytes += bytes;
    m->updated_us = self->now_us;
    return NULL;
}

static const char *
on_add (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    g_autofree char *side = NULL;
    g_autofree char *phase = NULL;
    g_autofree char *body = NULL;
    g_autofree char *id = NULL;
    g_autoptr (GString) members = NULL;
    const char *error;

    if (c->mailbox == NULL && !c->ghost)
        return "must open mailbox before adding";
    if (!json_object_has_member (cmd->object, "phase"))
        return "missing 'phase'";
    if (!json_object_has_member (cmd->object, "body"))
        return "missing 'body'";
    phase = dup_scalar (cmd, "phase");
    body = dup_scalar (cmd, "body");
    id = dup_scalar (cmd, "id");
    if (phase == NULL || body == NULL || id == NULL)
        return DROP;
    if (strlen (phase) > MAX_NAME)
        return "too long";
    if (c->ghost)
        return NULL;
    side = quote (c->side);
    members = g_string_new (NULL);
    g_string_append_printf (members, "\"side\": %s, \"phase\": %s, \"body\": %s, ", side, phase,
                            body);
    append_time (members, "server_rx", self->now_us + self->unix_offset_us);
    g_string_append_printf (members, ", \"id\": %s", id);
    error = store (self, c->mailbox, members->str);
    if (error == NULL)
        broadcast (self, c->mailbox, members->str);
    return error;
}

static const char *
on_close (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    const char *id;
    Mailbox *m = c->mailbox;

    if (c->closed)
        return "only one close per connection";
    if (!get_string (cmd, "mailbox", &id))
        return DROP;
    if (id != NULL && c->mailbox_id != NULL && !g_str_equal (id, c->mailbox_id))
        return "open and close must use same mailbox";
    if (id == NULL)
        id = c->mailbox_id;
    if (id == NULL)
        return "close without mailbox must follow open";
    if (strlen (id) > MAX_NAME)
        return "too long";
    /* A client that came back to close: it may not know whether its first close arrived. */
    if (m == NULL && !c->ghost) {
        const char *error = open_error (mailbox_open (self, id, c->app, c->side, &m));
        if (error != NULL)
            return error;
    }
    connection_leave (c);
    c->closed = TRUE;
    if (m != NULL)
        mailbox_close (self, m, c->side);
    send (self, c, "closed", NULL);
    return NULL;
}

static const char *
dispatch (CwMailboxBoard *self, Connection *c, const Command *cmd, const char *type)
{
    if (g_str_equal (type, "ping"))
        return on_ping (self, c, cmd);
    if (g_str_equal (type, "bind"))
        return on_bind (self, c, cmd);
    if (c->app == NULL)
        return "must bind first";
    if (g_str_equal (type, "list"))
        return on_list (self, c);
    if (g_str_equal (type, "allocate"))
        return on_allocate (self, c, cmd);
    if (g_str_equal (type, "claim"))
        return on_claim (self, c, cmd);
    if (g_str_equal (type, "release"))
        return on_release (self, c, cmd);
    if (g_str_equal (type, "open"))
        return on_open (self, c, cmd);
    if (g_str_equal (type, "add"))
        return on_add (self, c, cmd);
    if (g_str_equal (type, "close"))
        return on_close (self, c, cmd);
    return "unknown type";
}

/* Receiving */

/* Few enough values that no trick with their names makes work for the parser's hash tables. */
static gboolean
is_simple (const char *text, gsize len)
{
    guint structure = 0;

    for (gsize i = 0; i < len; i++) {
        if (text[i] == '{' || text[i] == '[' || text[i] == ':' || text[i] == ',')
            structure++;
    }
    return structure <= MAX_STRUCTURE;
}

/* A number such as 1e999 is read as infinity, which JSON cannot say when we echo it. */
static gboolean
is_finite (JsonNode *node)
{
    g_autoptr (GList) items = NULL;

    switch (json_node_get_node_type (node)) {
    case JSON_NODE_VALUE:
        return json_node_get_value_type (node) != G_TYPE_DOUBLE
               || isfinite (json_node_get_double (node));
    case JSON_NODE_ARRAY:
        items = json_array_get_elements (json_node_get_array (node));
        break;
    case JSON_NODE_OBJECT:
        items = json_object_get_values (json_node_get_object (node));
        break;
    case JSON_NODE_NULL:
        break;
    }
    for (GList *l = items; l != NULL; l = l->next) {
        if (!is_finite (l->data))
            return FALSE;
    }
    return TRUE;
}

/* The ack, then what the command says; TRUE unless the connection is to be dropped. */
static gboolean
obey (CwMailboxBoard *self, Connection *c, const Command *cmd)
{
    g_autofree char *id = NULL;
    g_autofree char *members = NULL;
    const char *type, *error;

    if (!json_object_has_member (cmd->object, "type")) {
        send_error (self, c, "missing 'type'", cmd->root);
        return TRUE;
    }
    id = dup_scalar (cmd, "id");
    if (id == NULL || strlen (id) > MAX_ID)
        return FALSE;
    members = g_strdup_printf ("\"id\": %s", id);
    send (self, c, "ack", members);
    if (!get_string (cmd, "type", &type))
        type = "";
    error = dispatch (self, c, cmd, type);
    if (error == DROP)
        return FALSE;
    if (error != NULL)
        send_error (self, c, error, cmd->root);
    return TRUE;
}

void
cw_mailbox_board_receive (CwMailboxBoard *self,
                          guint connection,
                          const char *text,
                          gsize len,
                          const guint8 random[CW_MAILBOX_BOARD_RANDOM],
                          gint64 now_us)
{
    Connection *c = g_hash_table_lookup (self->connections, GUINT_TO_POINTER (connection));
    g_autoptr (JsonNode) root = NULL;
    Command cmd;

    if (c == NULL)
        return;
    self->now_us = MAX (self->now_us, now_us);
    if (!pay (self, c, 1 + len / BYTES_PER_TOKEN)) {
        drop (self, c);
        return;
    }
    if (len > 0 && is_simple (text, len))
        root = cw_json_parse_object (text, len, NULL);
    if (root == NULL || !is_finite (root)) {
        drop (self, c);
        return;
    }
    cmd.root = root;
    cmd.object = json_node_get_object (root);
    cmd.random = random;
    if (!obey (self, c, &cmd))
        drop (self, c);
}

void
cw_mailbox_board_connect (
    CwMailboxBoard *self, guint connection, const char *ip, guint port, gint64 now_us)
{
    Connection *c = g_new0 (Connection, 1);
    g_autoptr (GString) members = g_string_new ("\"welcome\": {");

    g_return_if_fail (!g_hash_table_contains (self->connections, GUINT_TO_POINTER (connection)));
    self->now_us = MAX (self->now_us, now_us);
    c->number = connection;
    c->tokens_at_us = self->now_us;
    c->tokens_us = G_MAXINT32;
    g_hash_table_insert (self->connections, GUINT_TO_POINTER (connection), c);
    if (self->motd != NULL) {
        g_autofree char *motd = quote (self->motd);
        g_string_append_printf (members, "\"motd\": %s%s", motd, ip != NULL ? ", " : "");
    }
    if (ip != NULL)
        g_string_append_printf (members, "\"your-address\": {\"%s\": \"%s\", \"port\": %u}",
                                strchr (ip, ':') != NULL ? "ipv6" : "ipv4", ip, port);
    g_string_append_c (members, '}');
    send (self, c, "welcome", members->str);
}

void
cw_mailbox_board_disconnect (CwMailboxBoard *self, guint connection)
{
    g_hash_table_remove (self->connections, GUINT_TO_POINTER (connection));
}

gboolean
cw_mailbox_board_is_bound (CwMailboxBoard *self, guint connection)
{
    Connection *c = g_hash_table_lookup (self->connections, GUINT_TO_POINTER (connection));

    return c != NULL && c->app != NULL;
}

gboolean
cw_mailbox_board_next (CwMailboxBoard *self, CwMailboxOutput *ret_output)
{
    g_autofree CwMailboxOutput *output = g_queue_pop_head (&self->outputs);

    if (output == NULL)
        return FALSE;
    *ret_output = *output;
    return TRUE;
}

/* Time */

gint64
cw_mailbox_board_deadline (const CwMailboxBoard *self)
{
    return self->next_check_us;
}

static gboolean
mailbox_is_old (CwMailboxBoard *self, Mailbox *m)
{
    if (m->openers->len > 0)
        m->updated_us = self->now_us;
    return m->updated_us <= self->now_us - EXPIRATION_US;
}

/* Of a nameplate whose mailbox both sides have closed without releasing, the last claim counts. */
static gboolean
nameplate_is_old (CwMailboxBoard *self, Nameplate *n)
{
    Mailbox *m = g_hash_table_lookup (self->mailboxes, n->mailbox_id);

    return m != NULL ? mailbox_is_old (self, m) : n->updated_us <= self->now_us - EXPIRATION_US;
}

void
cw_mailbox_board_expire (CwMailboxBoard *self, gint64 now_us)
{
    GHashTableIter iter;
    gpointer value;

    if (now_us < self->next_check_us)
        return;
    self->now_us = MAX (self->now_us, now_us);
    self->next_check_us = self->now_us + CHECK_PERIOD_US;
    g_hash_table_iter_init (&iter, self->nameplates);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        if (nameplate_is_old (self, value))
            g_hash_table_iter_remove (&iter);
    }
    g_hash_table_iter_init (&iter, self->mailboxes);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Mailbox *m = value;
        if (mailbox_is_old (self, m)) {
            self->bytes -= m->bytes;
            g_hash_table_iter_remove (&iter);
        }
    }
}

void
cw_mailbox_board_get_stats (CwMailboxBoard *self, CwMailboxBoardStats *ret_stats)
{
    ret_stats->connections = g_hash_table_size (self->connections);
    ret_stats->mailboxes = g_hash_table_size (self->mailboxes);
    ret_stats->nameplates = g_hash_table_size (self->nameplates);
    ret_stats->bytes = self->bytes;
}

CwMailboxBoard *
cw_mailbox_board_new (const char *motd,
                      const CwMailboxBoardLimits *limits,
                      gint64 unix_offset_us,
                      gint64 now_us)
{
    CwMailboxBoard *self = g_new0 (CwMailboxBoard, 1);

    self->limits = limits != NULL ? *limits : cw_mailbox_board_limits;
    self->motd = g_strdup (motd);
    self->unix_offset_us = unix_offset_us;
    self->now_us = now_us;
    self->next_check_us = now_us + CHECK_PERIOD_US;
    self->connections = g_hash_table_new_full (NULL, NULL, NULL, connection_free);
    self->mailboxes = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, mailbox_free);
    self->nameplates = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, nameplate_free);
    g_queue_init (&self->outputs);
    return self;
}

void
cw_mailbox_board_free (CwMailboxBoard *self)
{
    CwMailboxOutput output;

    while (cw_mailbox_board_next (self, &output))
        g_clear_pointer (&output.text, g_bytes_unref);
    g_hash_table_unref (self->connections);
    g_hash_table_unref (self->nameplates);
    g_hash_table_unref (self->mailboxes);
    g_free (self->motd);
    g_free (self);
}
