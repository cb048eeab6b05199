/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "mailbox-world.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "cw-json.h"

typedef struct {
    char *mailbox;
    GHashTable *sides; /* to whether it released */
} Nameplate;

typedef struct {
    char *side, *phase, *body;
} Stored;

typedef struct {
    GHashTable *sides; /* to whether it closed */
    GPtrArray *messages;
} Mailbox;

typedef struct {
    unsigned number;
    User *user;
    char *side;
    char *mailbox; /* listening to */
    gboolean claimed, opened, allocated, released, did_close;
    gint64 up_until, down_until; /* the last frame's arrival */
} Connection;

typedef enum {
    DIALLED,  /* an attempt has an outcome */
    UPWARD,   /* a frame reaches the server */
    DOWNWARD, /* a frame reaches the user */
    BREAK,    /* the server hangs up */
} What;

typedef struct {
    gint64 at;
    guint64 serial;
    What what;
    User *user;
    unsigned number; /* of the connection, or of the attempt */
    char *text;
} Happening;

static void
happening_free (Happening *h)
{
    g_free (h->text);
    g_free (h);
}

static int
compare_happenings (gconstpointer a, gconstpointer b, gpointer data)
{
    const Happening *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->serial < y->serial ? -1 : 1;
}

static void
schedule (World *world, gint64 at, What what, User *user, unsigned number, char *text)
{
    Happening *h = g_new0 (Happening, 1);

    *h = (Happening){ at, world->serial++, what, user, number, text };
    g_sequence_insert_sorted (world->queue, h, compare_happenings, NULL);
}

static gboolean
chance (World *world, unsigned percent)
{
    return percent > 0 && (unsigned)g_rand_int_range (world->rand, 0, 100) < percent;
}

/* When a frame sent now arrives; frames do not overtake each other. */
static gint64
arrival (World *world, gint64 *until)
{
    gint64 at = world->now + g_rand_int_range (world->rand, 1000, 200000);

    *until = MAX (*until, at);
    return *until;
}

static void
stored_free (Stored *stored)
{
    g_free (stored->side);
    g_free (stored->phase);
    g_free (stored->body);
    g_free (stored);
}

static void
nameplate_free (Nameplate *nameplate)
{
    g_free (nameplate->mailbox);
    g_hash_table_unref (nameplate->sides);
    g_free (nameplate);
}

static void
mailbox_free (Mailbox *mailbox)
{
    g_hash_table_unref (mailbox->sides);
    g_ptr_array_unref (mailbox->messages);
    g_free (mailbox);
}

static void
connection_free (Connection *c)
{
    g_free (c->side);
    g_free (c->mailbox);
    g_free (c);
}

/* --- the server --- */

static void
say (World *world, Connection *c, char *text)
{
    schedule (world, arrival (world, &c->down_until), DOWNWARD, c->user, c->number, text);
}

static void
say_error (World *world, Connection *c, const char *error, const char *type)
{
    say (world, c,
         g_strdup_printf ("{\"type\":\"error\",\"error\":\"%s\",\"orig\":{\"type\":\"%s\"}}", error,
                          type));
}

static void
say_stored (World *world, Connection *c, const Stored *stored)
{
    int times = chance (world, world->twice_percent) ? 2 : 1;

    while (times-- > 0)
        say (world, c,
             g_strdup_printf ("{\"type\":\"message\",\"side\":\"%s\",\"phase\":\"%s\","
                              "\"body\":\"%s\",\"server_rx\":1.5,\"id\":\"0000\"}",
                              stored->side, stored->phase, stored->body));
}

static Mailbox *
get_mailbox (World *world, const char *id)
{
    Mailbox *mailbox = g_hash_table_lookup (world->mailboxes, id);

    if (mailbox == NULL) {
        mailbox = g_new0 (Mailbox, 1);
        mailbox->sides = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
        mailbox->messages = g_ptr_array_new_with_free_func ((GDestroyNotify)stored_free);
        g_hash_table_insert (world->mailboxes, g_strdup (id), mailbox);
    }
    return mailbox;
}

static gboolean
enter_mailbox (World *world, const char *id, const char *side)
{
    Mailbox *mailbox = get_mailbox (world, id);

    if (!g_hash_table_contains (mailbox->sides, side))
        g_hash_table_insert (mailbox->sides, g_strdup (side), GINT_TO_POINTER (FALSE));
    world->most_sides = MAX (world->most_sides, g_hash_table_size (mailbox->sides));
    return g_hash_table_size (mailbox->sides) <= 2;
}

/* NULL: crowded; "": reclaimed. */
static const char *
claim (World *world, const char *number, const char *side)
{
    Nameplate *nameplate = g_hash_table_lookup (world->nameplates, number);

    if (nameplate == NULL) {
        nameplate = g_new0 (Nameplate, 1);
        nameplate->mailbox = g_strdup_printf ("mailbox%u", world->next_mailbox++);
        nameplate->sides = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert (world->nameplates, g_strdup (number), nameplate);
    }
    if (GPOINTER_TO_INT (g_hash_table_lookup (nameplate->sides, side)))
        return "";
    g_hash_table_insert (nameplate->sides, g_strdup (side), GINT_TO_POINTER (FALSE));
    return enter_mailbox (world, nameplate->mailbox, side) ? nameplate->mailbox : NULL;
}

static gboolean
all_true (GHashTable *table)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init (&iter, table);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        if (!GPOINTER_TO_INT (value))
            return FALSE;
    }
    return TRUE;
}

static void
on_allocate (World *world, Connection *c)
{
    unsigned number = 1;
    g_autofree char *text = NULL;

    g_assert_false (c->allocated);
    c->allocated = TRUE;
    do {
        g_free (text);
        text = g_strdup_printf ("%u", number++);
    } while (g_hash_table_contains (world->nameplates, text));
    claim (world, text, c->side);
    say (world, c, g_strdup_printf ("{\"type\":\"allocated\",\"nameplate\":\"%s\"}", text));
}

static void
on_claim (World *world, Connection *c, JsonObject *message)
{
    const char *mailbox = claim (world, cw_json_get_string (message, "nameplate"), c->side);

    g_assert_false (c->claimed);
    c->claimed = TRUE;
    if (mailbox == NULL)
        say_error (world, c, "crowded", "claim");
    else if (*mailbox == '\0')
        say_error (world, c, "reclaimed", "claim");
    else
        say (world, c, g_strdup_printf ("{\"type\":\"claimed\",\"mailbox\":\"%s\"}", mailbox));
}

static void
on_release (World *world, Connection *c, JsonObject *message)
{
    const char *number = cw_json_get_string (message, "nameplate");
    Nameplate *nameplate = g_hash_table_lookup (world->nameplates, number);

    g_assert_false (c->released);
    c->released = TRUE;
    if (nameplate != NULL && g_hash_table_contains (nameplate->sides, c->side)) {
        g_hash_table_insert (nameplate->sides, g_strdup (c->side), GINT_TO_POINTER (TRUE));
        if (all_true (nameplate->sides))
            g_hash_table_remove (world->nameplates, number);
    }
    say (world, c, g_strdup ("{\"type\":\"released\"}"));
}

static void
on_open (World *world, Connection *c, JsonObject *message)
{
    const char *id = cw_json_get_string (message, "mailbox");
    Mailbox *mailbox = get_mailbox (world, id);
    unsigned n = mailbox->messages->len;
    g_autofree unsigned *order = g_new (unsigned, n);

    g_assert_false (c->opened);
    c->opened = TRUE;
    if (!enter_mailbox (world, id, c->side)) {
        say_error (world, c, "crowded", "open");
        return;
    }
    c->mailbox = g_strdup (id);
    for (unsigned i = 0; i < n; i++) {
        unsigned j = world->shuffle ? (unsigned)g_rand_int_range (world->rand, 0, (int)i + 1) : i;
        order[i] = order[j];
        order[j] = i;
    }
    for (unsigned i = 0; i < n; i++)
        say_stored (world, c, g_ptr_array_index (mailbox->messages, order[i]));
}

static void
store (World *world, const char *mailbox_id, const char *side, const char *phase, const char *body)
{
    Mailbox *mailbox = g_hash_table_lookup (world->mailboxes, mailbox_id);
    Stored *stored = g_new0 (Stored, 1);
    GHashTableIter iter;
    gpointer value;

    g_assert_nonnull (mailbox);
    *stored = (Stored){ g_strdup (side), g_strdup (phase), g_strdup (body) };
    g_ptr_array_add (mailbox->messages, stored);
    g_hash_table_iter_init (&iter, world->connections);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
        Connection *c = value;
        if (g_strcmp0 (c->mailbox, mailbox_id) == 0)
            say_stored (world, c, stored);
    }
}

static void
on_close (World *world, Connection *c, JsonObject *message)
{
    const char *id = cw_json_get_string (message, "mailbox");
    Mailbox *mailbox = get_mailbox (world, id);

    g_assert_false (c->did_close);
    c->did_close = TRUE;
    g_clear_pointer (&c->mailbox, g_free);
    g_string_append_printf (world->moods, "%s ", cw_json_get_string (message, "mood"));
    enter_mailbox (world, id, c->side);
    g_hash_table_insert (mailbox->sides, g_strdup (c->side), GINT_TO_POINTER (TRUE));
    if (all_true (mailbox->sides))
        g_hash_table_remove (world->mailboxes, id);
    say (world, c, g_strdup ("{\"type\":\"closed\"}"));
}

static void
on_list (World *world, Connection *c)
{
    g_autoptr (GString) text = g_string_new ("{\"type\":\"nameplates\",\"nameplates\":[");
    GHashTableIter iter;
    gpointer key;
    const char *comma = "";

    g_hash_table_iter_init (&iter, world->nameplates);
    while (g_hash_table_iter_next (&iter, &key, NULL)) {
        g_string_append_printf (text, "%s{\"id\":\"%s\"}", comma, (char *)key);
        comma = ",";
    }
    g_string_append (text, "]}");
    say (world, c, g_strdup (text->str));
}

static void
on_command (World *world, Connection *c, const char *type, JsonObject *message)
{
    guint64 ping;

    if (strcmp (type, "bind") == 0) {
        g_assert_null (c->side);
        g_assert_cmpstr (cw_json_get_string (message, "appid"), ==, APP_ID);
        c->side = g_strdup (cw_json_get_string (message, "side"));
        g_assert_cmpstr (c->side, ==, cw_mailbox_session_get_side (c->user->session));
    } else if (strcmp (type, "ping") == 0) {
        g_assert_true (cw_json_get_uint (message, "ping", &ping));
        say (world, c, g_strdup_printf ("{\"type\":\"pong\",\"pong\":%u}", (unsigned)ping));
    } else if (strcmp (type, "submit-permissions") == 0) {
        g_assert_null (c->side);
        g_assert_cmpstr (cw_json_get_string (message, "method"), ==, "hashcash");
        g_assert_cmpstr (cw_json_get_string (message, "stamp"), ==, "stamp of 20 for resource");
    } else if (g_strcmp0 (world->fail_on, "bind") == 0) {
        say_error (world, c, "must bind first", type);
    } else {
        g_assert_nonnull (c->side);
        if (strcmp (type, "list") == 0)
            on_list (world, c);
        else if (strcmp (type, "allocate") == 0)
            on_allocate (world, c);
        else if (strcmp (type, "claim") == 0)
            on_claim (world, c, message);
        else if (strcmp (type, "release") == 0)
            on_release (world, c, message);
        else if (strcmp (type, "open") == 0)
            on_open (world, c, message);
        else if (strcmp (type, "close") == 0)
            on_close (world, c, message);
        else if (strcmp (type, "add") == 0 && c->mailbox == NULL)
            say_error (world, c, "must open mailbox before adding", type);
        else if (strcmp (type, "add") == 0 && !world->ghost)
            store (world, c->mailbox, c->side, cw_json_get_string (message, "phase"),
                   cw_json_get_string (message, "body"));
    }
}

static void
server_hangs_up (World *world, Connection *c)
{
    schedule (world, arrival (world, &c->down_until), BREAK, c->user, c->number, NULL);
    g_hash_table_remove (world->connections, GUINT_TO_POINTER (c->number));
}

static void
server_receives (World *world, Connection *c, const char *text)
{
    g_autoptr (JsonNode) root = cw_json_parse_object (text, strlen (text), NULL);
    JsonObject *message = json_node_get_object (root);
    const char *type = cw_json_get_string (message, "type");

    if (world->mute)
        return;
    say (world, c,
         g_strdup_printf ("{\"type\":\"ack\",\"id\":\"%s\"}", cw_json_get_string (message, "id")));
    if (g_strcmp0 (world->hang_up_on, type) == 0)
        server_hangs_up (world, c);
    else if (g_strcmp0 (world->fail_on, type) == 0)
        say_error (world, c, "no such luck", type);
    else if (g_strcmp0 (world->silent_on, type) != 0)
        on_command (world, c, type, message);
}

static Connection *
find_connection (World *world, unsigned number)
{
    return g_hash_table_lookup (world->connections, GUINT_TO_POINTER (number));
}

/* --- users --- */

static void
dial (User *user, unsigned url)
{
    World *world = user->world;

    user->dials++;
    user->last_url = url;
    user->dialled_at = world->now;
    user->dialling++;
    user->connection = 0;
    if ((world->url_dead & 1u << url) == 0)
        schedule (world, world->now + g_rand_int_range (world->rand, 1000, 200000), DIALLED, user,
                  user->dialling, NULL);
}

static void
take_event (User *user, CwMailboxEvent *event)
{
    static const char *const names[]
        = { "connect", "disconnect", "stamp",   "motd",    "code",   "nameplates",
            "key",     "confirmed",  "message", "offline", "failed", "closed" };
    Connection *c;

    g_ptr_array_add (user->log, (gpointer)names[event->type]);
    /* Nothing follows the end. */
    g_assert_true (user->failure == NULL && !user->closed);
    switch (event->type) {
    case CW_MAILBOX_EVENT_CONNECT:
        dial (user, event->index);
        break;
    case CW_MAILBOX_EVENT_DISCONNECT:
        c = find_connection (user->world, user->connection);
        user->dialling++;
        user->connection = 0;
        if (c != NULL) /* NULL text: the end of the stream */
            schedule (user->world, c->up_until + 1, UPWARD, user, c->number, NULL);
        break;
    case CW_MAILBOX_EVENT_STAMP: {
        g_autofree char *stamp = g_strdup_printf ("stamp of %u for %s", event->bits, event->text);
        user->stamps++;
        cw_mailbox_session_stamp (user->session, stamp, user->world->now);
        break;
    }
    case CW_MAILBOX_EVENT_MOTD:
        user->motds++;
        g_free (user->motd);
        user->motd = g_steal_pointer (&event->text);
        break;
    case CW_MAILBOX_EVENT_CODE:
        user->codes++;
        g_free (user->code);
        user->code = g_steal_pointer (&event->text);
        break;
    case CW_MAILBOX_EVENT_NAMEPLATES:
        g_strfreev (user->nameplates);
        user->nameplates = g_steal_pointer (&event->list);
        break;
    case CW_MAILBOX_EVENT_KEY:
        user->keys++;
        break;
    case CW_MAILBOX_EVENT_CONFIRMED:
        user->confirmations++;
        g_free (user->versions);
        user->versions = g_steal_pointer (&event->text);
        break;
    case CW_MAILBOX_EVENT_MESSAGE:
        g_ptr_array_add (user->messages, g_steal_pointer (&event->body));
        break;
    case CW_MAILBOX_EVENT_OFFLINE:
        *(event->flag ? &user->offline : &user->online) += 1;
        break;
    case CW_MAILBOX_EVENT_FAILED:
        user->failure = g_steal_pointer (&event->error);
        break;
    case CW_MAILBOX_EVENT_CLOSED:
        user->closed = TRUE;
        break;
    }
}

void
user_settle (User *user)
{
    World *world = user->world;
    gboolean more = TRUE;

    while (more) {
        g_auto (CwMailboxEvent) event = { 0 };
        Connection *c = find_connection (world, user->connection);
        char *text;
        while ((text = cw_mailbox_session_next_text (user->session)) != NULL) {
            if (c == NULL) { /* the server hung up, which we are about to hear */
                g_free (text);
                continue;
            }
            schedule (world, arrival (world, &c->up_until), UPWARD, user, c->number, text);
        }
        more = cw_mailbox_session_next_event (user->session, &event);
        if (more)
            take_event (user, &event);
    }
}

static void
lose_connection (User *user)
{
    user->connection = 0;
    cw_mailbox_session_disconnected (user->session, "it broke", user->world->now);
}

static void
answer_dial (User *user)
{
    World *world = user->world;
    Connection *c;

    if (world->down || (world->url_down & 1u << user->last_url) != 0) {
        cw_mailbox_session_disconnected (user->session, "refused", world->now);
        return;
    }
    c = g_new0 (Connection, 1);
    c->number = ++world->next_connection;
    c->user = user;
    g_hash_table_insert (world->connections, GUINT_TO_POINTER (c->number), c);
    user->connection = c->number;
    cw_mailbox_session_connected (user->session, world->now);
    if (!world->mute)
        say (world, c,
             g_strdup_printf ("{\"type\":\"welcome\",\"welcome\":%s}",
                              world->welcome != NULL ? world->welcome : "{}"));
}

/* --- the world --- */

World *
world_new (guint32 seed)
{
    World *world = g_new0 (World, 1);

    world->now = 1000 * SECOND;
    world->rand = g_rand_new_with_seed (seed);
    world->users = g_ptr_array_new ();
    world->queue = g_sequence_new ((GDestroyNotify)happening_free);
    world->nameplates
        = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)nameplate_free);
    world->mailboxes
        = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)mailbox_free);
    world->connections = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify)connection_free);
    world->moods = g_string_new (NULL);
    return world;
}

static void
user_free (User *user)
{
    cw_mailbox_session_free (user->session);
    g_free (user->code);
    g_free (user->versions);
    g_free (user->motd);
    g_strfreev (user->nameplates);
    g_ptr_array_unref (user->messages);
    g_ptr_array_unref (user->log);
    g_clear_error (&user->failure);
    g_free (user);
}

void
world_free (World *world)
{
    for (guint i = 0; i < world->users->len; i++)
        user_free (g_ptr_array_index (world->users, i));
    g_ptr_array_unref (world->users);
    g_rand_free (world->rand);
    g_sequence_free (world->queue);
    g_hash_table_unref (world->nameplates);
    g_hash_table_unref (world->mailboxes);
    g_hash_table_unref (world->connections);
    g_string_free (world->moods, TRUE);
    g_free (world);
}

User *
world_add_user (World *world, unsigned n_urls)
{
    static const char *const urls[] = { "ws://one/v1", "ws://two/v1", "ws://three/v1", NULL };
    User *user = g_new0 (User, 1);
    CwSecret seed;

    g_assert_cmpuint (n_urls, <=, 3);
    for (gsize i = 0; i < sizeof seed.bytes; i++)
        seed.bytes[i] = (guint8)g_rand_int (world->rand);
    user->world = world;
    user->session = cw_mailbox_session_new (urls + 3 - n_urls, APP_ID, "{\"hello\":1}", &seed);
    user->messages = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
    user->log = g_ptr_array_new ();
    g_ptr_array_add (world->users, user);
    return user;
}

static void
happen (World *world, Happening *h)
{
    Connection *c = find_connection (world, h->number);

    switch (h->what) {
    case DIALLED:
        if (h->number == h->user->dialling)
            answer_dial (h->user);
        break;
    case UPWARD:
        if (c == NULL)
            break;
        if (h->text == NULL)
            g_hash_table_remove (world->connections, GUINT_TO_POINTER (h->number));
        else
            server_receives (world, c, h->text);
        break;
    case DOWNWARD:
        if (h->number != h->user->connection)
            break;
        cw_mailbox_session_receive (h->user->session, h->text, strlen (h->text), world->now);
        break;
    case BREAK:
        if (h->number == h->user->connection)
            lose_connection (h->user);
        break;
    }
    if ((h->what == UPWARD || h->what == DOWNWARD) && world->drops_left > 0
        && chance (world, world->drop_percent)) {
        world->drops_left--;
        user_settle (h->user);
        world_cut (world, h->user);
    }
}

/* The next thing that happens, no later than @until; FALSE when nothing does. */
static gboolean
step (World *world, gint64 until)
{
    GSequenceIter *first = g_sequence_get_begin_iter (world->queue);
    Happening *h = g_sequence_iter_is_end (first) ? NULL : g_sequence_get (first);
    gint64 at = h != NULL ? h->at : G_MAXINT64;
    User *due = NULL;

    for (guint i = 0; i < world->users->len; i++) {
        User *user = g_ptr_array_index (world->users, i);
        gint64 deadline;
        user_settle (user);
        deadline = cw_mailbox_session_deadline (user->session);
        if (deadline < at) {
            at = deadline;
            due = user;
        }
    }
    /* settling may have scheduled something earlier */
    first = g_sequence_get_begin_iter (world->queue);
    if (!g_sequence_iter_is_end (first) && ((Happening *)g_sequence_get (first))->at <= at) {
        h = g_sequence_get (first);
        at = h->at;
        due = NULL;
    }
    if (at > until)
        return FALSE;
    world->now = MAX (world->now, at);
    if (due != NULL) {
        cw_mailbox_session_expire (due->session, world->now);
        user_settle (due);
    } else {
        Happening copy = *h;
        h->text = NULL;
        g_sequence_remove (first);
        happen (world, &copy);
        user_settle (copy.user);
        g_free (copy.text);
    }
    return TRUE;
}

gboolean
world_run (World *world, WorldDone done, gint64 limit_us)
{
    gint64 until = world->now + limit_us;

    for (guint i = 0; i < world->users->len; i++)
        user_settle (g_ptr_array_index (world->users, i));
    while (!done (world)) {
        if (!step (world, until))
            return done (world);
    }
    return TRUE;
}

void
world_pass (World *world, gint64 span_us)
{
    gint64 until = world->now + span_us;

    while (step (world, until))
        ;
    world->now = until;
}

void
world_cut (World *world, User *user)
{
    if (user->connection == 0)
        return;
    g_hash_table_remove (world->connections, GUINT_TO_POINTER (user->connection));
    lose_connection (user);
}

void
world_restart_server (World *world, gboolean forget)
{
    for (guint i = 0; i < world->users->len; i++) {
        world_cut (world, g_ptr_array_index (world->users, i));
        user_settle (g_ptr_array_index (world->users, i));
    }
    g_hash_table_remove_all (world->connections);
    if (forget) {
        g_hash_table_remove_all (world->nameplates);
        g_hash_table_remove_all (world->mailboxes);
    }
}

void
world_forge (World *world, User *user, const char *side, const char *phase, const char *body_hex)
{
    Connection *c = find_connection (world, user->connection);

    g_assert_nonnull (c);
    g_assert_nonnull (c->mailbox);
    store (world, c->mailbox, side, phase, body_hex);
}
