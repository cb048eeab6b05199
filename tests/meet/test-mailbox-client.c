/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* CwMailboxClient over real sockets: with Debian's mailbox server and clients where they are
 * installed, and with a server of libsoup that does what those never do. */
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <signal.h>
#include <string.h>

#include "cw-hashcash.h"
#include "cw-json.h"
#include "cw-mailbox-client.h"

#define APP_ID "example.org/test"
#define WORMHOLE_APP_ID "lothar.com/wormhole/text-or-file-xfer"

/* --- waiting --- */

static gboolean
on_too_late (gpointer data)
{
    g_error ("waited too long for: %s", (const char *)data);
    return G_SOURCE_REMOVE;
}

static guint
start_limit (const char *what)
{
    const char *slow = g_getenv ("CW_TEST_SLOW");

    return g_timeout_add_seconds (40 * (slow != NULL ? (guint)atoi (slow) : 1), on_too_late,
                                  (gpointer)what);
}

#define WAIT_FOR(condition)                                                                        \
    G_STMT_START                                                                                   \
    {                                                                                              \
        guint limit_ = start_limit (#condition);                                                   \
        while (!(condition))                                                                       \
            g_main_context_iteration (NULL, TRUE);                                                 \
        g_source_remove (limit_);                                                                  \
    }                                                                                              \
    G_STMT_END

static gboolean
set_flag (gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

/* What is to happen in this turn of the main loop has happened. */
static void
settle (void)
{
    gboolean idle = FALSE;

    g_idle_add (set_flag, &idle);
    WAIT_FOR (idle);
}

/* --- Debian's mailbox server --- */

typedef struct {
    char *dir;
    char *url;
    guint16 port;
    GSubprocess *process;
} Server;

static guint16
free_port (void)
{
    g_autoptr (GSocket) socket
        = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
    g_autoptr (GSocketAddress) any = g_inet_socket_address_new (loopback, 0);
    g_autoptr (GSocketAddress) bound = NULL;

    g_assert_true (g_socket_bind (socket, any, TRUE, NULL));
    bound = g_socket_get_local_address (socket, NULL);
    return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound));
}

static gboolean
is_listening (guint16 port)
{
    g_autoptr (GSocketClient) client = g_socket_client_new ();
    g_autoptr (GSocketConnection) connection
        = g_socket_client_connect_to_host (client, "127.0.0.1", port, NULL, NULL);

    return connection != NULL;
}

static gboolean
keep_ticking (gpointer data)
{
    return G_SOURCE_CONTINUE;
}

static void
server_start (Server *server, const char *option)
{
    g_autofree char *port
        = g_strdup_printf ("--port=tcp:%u:interface=127.0.0.1", (unsigned)server->port);
    g_autofree char *db = g_strdup_printf ("--channel-db=%s/relay.sqlite", server->dir);
    g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
        G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_autoptr (GError) error = NULL;
    guint tick = g_timeout_add (20, keep_ticking, NULL); /* it does not tell when it listens */

    g_subprocess_launcher_set_cwd (launcher, server->dir);
    server->process = g_subprocess_launcher_spawn (launcher, &error, "twist3", "wormhole-mailbox",
                                                   port, db, option, NULL);
    g_assert_no_error (error);
    WAIT_FOR (is_listening (server->port));
    g_source_remove (tick);
}

static void
server_kill (Server *server)
{
    g_subprocess_force_exit (server->process);
    g_subprocess_wait (server->process, NULL, NULL);
    g_clear_object (&server->process);
}

static Server *
server_new (const char *option)
{
    Server *server = g_new0 (Server, 1);

    server->dir = g_dir_make_tmp ("cw-mailbox-XXXXXX", NULL);
    server->port = free_port ();
    server->url = g_strdup_printf ("ws://127.0.0.1:%u/v1", (unsigned)server->port);
    server_start (server, option);
    return server;
}

static void
server_free (Server *server)
{
    g_autoptr (GDir) dir = g_dir_open (server->dir, 0, NULL);
    const char *name;

    if (server->process != NULL)
        server_kill (server);
    while ((name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *path = g_build_filename (server->dir, name, NULL);
        g_unlink (path);
    }
    g_rmdir (server->dir);
    g_free (server->dir);
    g_free (server->url);
    g_free (server);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Server, server_free)

static gboolean
lacks (const char *program)
{
    g_autofree char *path = g_find_program_in_path (program);
    g_autofree char *why = g_strdup_printf ("%s is not installed", program);

    if (path == NULL)
        g_test_skip (why);
    return path == NULL;
}

/* --- a user --- */

typedef struct {
    CwMailboxClient *client;
    char *code, *motd, *versions;
    char **nameplates;
    GPtrArray *messages;
    GError *failure;
    unsigned keys;
    gboolean offline;
    unsigned times_offline;
    gboolean closed;
    unsigned signals;
} User;

static void
on_text (CwMailboxClient *client, const char *text, char **store)
{
    g_assert_null (*store);
    *store = g_strdup (text);
}

static void
on_nameplates (CwMailboxClient *client, const char *const *nameplates, User *user)
{
    g_strfreev (user->nameplates);
    user->nameplates = g_strdupv ((char **)nameplates);
}

static void
on_key (CwMailboxClient *client, User *user)
{
    user->keys++;
}

static void
on_message (CwMailboxClient *client, GBytes *body, User *user)
{
    g_ptr_array_add (user->messages, g_bytes_ref (body));
}

static void
on_failed (CwMailboxClient *client, GError *error, User *user)
{
    g_assert_null (user->failure);
    user->failure = g_error_copy (error);
}

static void
on_offline (CwMailboxClient *client, gboolean offline, User *user)
{
    g_assert_cmpint (user->offline, !=, offline);
    user->offline = offline;
    user->times_offline += (unsigned)offline;
}

static User *
user_new_with_urls (const char *const *urls, const char *app_id)
{
    User *user = g_new0 (User, 1);
    g_autoptr (GError) error = NULL;

    user->client = cw_mailbox_client_new (urls, app_id, "{\"hello\":1}", &error);
    g_assert_no_error (error);
    user->messages = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
    g_signal_connect (user->client, "code", G_CALLBACK (on_text), &user->code);
    g_signal_connect (user->client, "motd", G_CALLBACK (on_text), &user->motd);
    g_signal_connect (user->client, "confirmed", G_CALLBACK (on_text), &user->versions);
    g_signal_connect (user->client, "nameplates", G_CALLBACK (on_nameplates), user);
    g_signal_connect (user->client, "key", G_CALLBACK (on_key), user);
    g_signal_connect (user->client, "message", G_CALLBACK (on_message), user);
    g_signal_connect (user->client, "failed", G_CALLBACK (on_failed), user);
    g_signal_connect (user->client, "offline", G_CALLBACK (on_offline), user);
    return user;
}

/* Started, with a code: allocated when it is NULL, none at all when it is "". */
static User *
user_new (const char *url, const char *app_id, const char *code)
{
    const char *urls[] = { url, NULL };
    User *user = user_new_with_urls (urls, app_id);
    g_autoptr (GError) error = NULL;

    cw_mailbox_client_start (user->client);
    if (code == NULL)
        cw_mailbox_client_allocate (user->client, 2);
    else if (*code != '\0')
        cw_mailbox_client_set_code (user->client, code, &error);
    g_assert_no_error (error);
    return user;
}

static void
user_free (User *user)
{
    if (user->client != NULL) {
        /* Nothing else may hold it: it is gone at once, whatever it was doing. */
        g_object_add_weak_pointer (G_OBJECT (user->client), (gpointer *)&user->client);
        g_object_unref (user->client);
        g_assert_null (user->client);
    }
    g_free (user->code);
    g_free (user->motd);
    g_free (user->versions);
    g_strfreev (user->nameplates);
    g_ptr_array_unref (user->messages);
    g_clear_error (&user->failure);
    g_free (user);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (User, user_free)

static void
send_text (User *user, const char *text)
{
    g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));

    cw_mailbox_client_send (user->client, body);
}

static void
assert_message (User *user, guint index, const char *text)
{
    gsize len;
    const char *data = g_bytes_get_data (g_ptr_array_index (user->messages, index), &len);

    g_assert_cmpmem (data, len, text, strlen (text));
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer data)
{
    User *user = data;

    cw_mailbox_client_close_finish (CW_MAILBOX_CLIENT (source), result);
    user->closed = TRUE;
}

static void
close_user (User *user, CwMood mood)
{
    cw_mailbox_client_close_async (user->client, mood, on_closed, user);
    g_assert_false (user->closed); /* not from within the call */
    WAIT_FOR (user->closed);
}

static void
assert_failed (User *user, CwMailboxError code)
{
    g_assert_error (user->failure, CW_MAILBOX_ERROR, (int)code);
}

/* --- with Debian's server --- */

static void
test_meet (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) a = NULL;
    g_autoptr (User) b = NULL;
    g_autofree char *verifier_a = NULL;
    g_autofree char *verifier_b = NULL;
    g_auto (CwSecret) key_a = CW_SECRET_INIT;
    g_auto (CwSecret) key_b = CW_SECRET_INIT;

    if (lacks ("twist3"))
        return;
    server = server_new (NULL);
    a = user_new (server->url, APP_ID, NULL);
    g_assert_null (cw_mailbox_client_dup_verifier (a->client));
    send_text (a, "zero");
    WAIT_FOR (a->code != NULL);
    b = user_new (server->url, APP_ID, "");
    cw_mailbox_client_list (b->client);
    WAIT_FOR (b->nameplates != NULL);
    g_assert_cmpuint (g_strv_length (b->nameplates), ==, 1);
    g_assert_true (g_str_has_prefix (a->code, b->nameplates[0]));
    cw_mailbox_client_claim (b->client, b->nameplates[0]);
    g_assert_true (cw_mailbox_client_set_code (b->client, a->code, NULL));
    WAIT_FOR (a->versions != NULL && b->versions != NULL);
    g_assert_cmpstr (a->versions, ==, "{\"hello\":1}");
    g_assert_cmpuint (a->keys, ==, 1);
    send_text (b, "from b");
    send_text (a, "one");
    WAIT_FOR (a->messages->len == 1 && b->messages->len == 2);
    assert_message (a, 0, "from b");
    assert_message (b, 0, "zero");
    assert_message (b, 1, "one");
    verifier_a = cw_mailbox_client_dup_verifier (a->client);
    verifier_b = cw_mailbox_client_dup_verifier (b->client);
    g_assert_cmpstr (verifier_a, ==, verifier_b);
    g_assert_cmpuint (strlen (verifier_a), ==, 64);
    cw_mailbox_client_derive_key (a->client, "purpose", &key_a);
    cw_mailbox_client_derive_key (b->client, "purpose", &key_b);
    g_assert_cmpmem (key_a.bytes, 32, key_b.bytes, 32);
    send_text (a, "last words");
    close_user (a, CW_MOOD_HAPPY);
    WAIT_FOR (b->messages->len == 3);
    cw_mailbox_client_list (b->client);
    g_clear_pointer (&b->nameplates, g_strfreev);
    WAIT_FOR (b->nameplates != NULL);
    g_assert_cmpuint (g_strv_length (b->nameplates), ==, 0);
    close_user (b, CW_MOOD_HAPPY);
    g_assert_true (a->failure == NULL && b->failure == NULL);
    g_assert_cmpuint (a->times_offline + b->times_offline, ==, 0);
}

static void
test_wrong_code (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) a = NULL;
    g_autoptr (User) b = NULL;

    if (lacks ("twist3"))
        return;
    server = server_new (NULL);
    a = user_new (server->url, APP_ID, "7-crossover-clockwork");
    WAIT_FOR (a->code != NULL);
    b = user_new (server->url, APP_ID, "7-crossover-clockworm");
    WAIT_FOR (a->failure != NULL && b->failure != NULL);
    assert_failed (a, CW_MAILBOX_ERROR_WRONG_CODE);
    assert_failed (b, CW_MAILBOX_ERROR_WRONG_CODE);
    close_user (a, CW_MOOD_SCARY); /* after the end it is over at once */
}

static void
test_restart (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) a = NULL;
    g_autoptr (User) b = NULL;

    if (lacks ("twist3"))
        return;
    server = server_new (NULL);
    a = user_new (server->url, APP_ID, NULL);
    WAIT_FOR (a->code != NULL);
    server_kill (server);
    WAIT_FOR (a->offline);
    server_start (server, NULL);
    b = user_new (server->url, APP_ID, a->code);
    WAIT_FOR (a->versions != NULL && b->versions != NULL);
    server_kill (server);
    WAIT_FOR (a->offline && b->offline);
    send_text (a, "said while away");
    server_start (server, NULL);
    send_text (b, "me too");
    WAIT_FOR (a->messages->len == 1 && b->messages->len == 1);
    assert_message (a, 0, "me too");
    assert_message (b, 0, "said while away");
    close_user (a, CW_MOOD_HAPPY);
    close_user (b, CW_MOOD_HAPPY);
}

static void
test_unwelcome (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) user = NULL;

    if (lacks ("twist3"))
        return;
    server = server_new ("--signal-error=not today");
    user = user_new (server->url, APP_ID, NULL);
    WAIT_FOR (user->failure != NULL);
    assert_failed (user, CW_MAILBOX_ERROR_UNWELCOME);
    g_assert_cmpstr (user->failure->message, ==, "not today");
}

static void
test_crowded (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) a = NULL;
    g_autoptr (User) b = NULL;
    g_autoptr (User) c = NULL;

    if (lacks ("twist3"))
        return;
    server = server_new (NULL);
    a = user_new (server->url, APP_ID, "");
    b = user_new (server->url, APP_ID, "");
    cw_mailbox_client_claim (a->client, "5");
    cw_mailbox_client_claim (b->client, "5");
    /* the answer to list comes after that to claim */
    cw_mailbox_client_list (a->client);
    cw_mailbox_client_list (b->client);
    WAIT_FOR (a->nameplates != NULL && b->nameplates != NULL);
    c = user_new (server->url, APP_ID, "5-crossover-clockwork");
    WAIT_FOR (c->failure != NULL);
    assert_failed (c, CW_MAILBOX_ERROR_CROWDED);
    g_assert_true (a->failure == NULL && b->failure == NULL);
}

/* --- with other people's clients --- */

typedef struct {
    GSubprocess *process;
    char *out;
    gboolean done;
} Program;

static void
on_program_done (GObject *source, GAsyncResult *result, gpointer data)
{
    Program *program = data;

    g_subprocess_communicate_utf8_finish (program->process, result, &program->out, NULL, NULL);
    program->done = TRUE;
}

static Program *
program_start (const char *const *argv)
{
    Program *program = g_new0 (Program, 1);
    g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_autoptr (GError) error = NULL;

    g_subprocess_launcher_set_cwd (launcher, g_get_tmp_dir ());
    program->process = g_subprocess_launcher_spawnv (launcher, argv, &error);
    g_assert_no_error (error);
    g_subprocess_communicate_utf8_async (program->process, NULL, NULL, on_program_done, program);
    return program;
}

static void
program_free (Program *program)
{
    if (!program->done) {
        g_subprocess_force_exit (program->process);
        WAIT_FOR (program->done);
    }
    g_object_unref (program->process);
    g_free (program->out);
    g_free (program);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Program, program_free)

static void
test_wormhole_sends (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (Program) wormhole = NULL;
    g_autoptr (User) user = NULL;

    if (lacks ("twist3") || lacks ("wormhole"))
        return;
    server = server_new (NULL);
    {
        const char *argv[] = { "wormhole",
                               "--relay-url",
                               server->url,
                               "send",
                               "--text",
                               "gr\xc3\xbc\xc3\x9f"
                               "e",
                               "--code",
                               "7-guitarist-revenge",
                               NULL };
        wormhole = program_start (argv);
    }
    user = user_new (server->url, WORMHOLE_APP_ID, "7-guitarist-revenge");
    WAIT_FOR (user->messages->len == 1);
    g_assert_cmpstr (user->versions, ==, "{}");
    {
        gsize len;
        const char *data = g_bytes_get_data (g_ptr_array_index (user->messages, 0), &len);
        g_autoptr (JsonNode) root = cw_json_parse_object (data, len, NULL);
        JsonObject *offer = cw_json_get_object (json_node_get_object (root), "offer");
        g_assert_cmpstr (cw_json_get_string (offer, "message"), ==,
                         "gr\xc3\xbc\xc3\x9f"
                         "e");
    }
    send_text (user, "{\"answer\":{\"message_ack\":\"ok\"}}");
    WAIT_FOR (wormhole->done);
    if (!g_subprocess_get_successful (wormhole->process))
        g_error ("wormhole: %s", wormhole->out);
    close_user (user, CW_MOOD_HAPPY);
}

/* Wormhole programs that receive a text from us. */
static void
receive_by (const char *const *argv, Server *server, User *user)
{
    g_autoptr (Program) program = program_start (argv);

    WAIT_FOR (user->versions != NULL);
    send_text (user, "{\"offer\":{\"message\":\"tell them\"}}");
    WAIT_FOR (user->messages->len == 1);
    {
        gsize len;
        const char *data = g_bytes_get_data (g_ptr_array_index (user->messages, 0), &len);
        g_autoptr (JsonNode) root = cw_json_parse_object (data, len, NULL);
        JsonObject *answer = cw_json_get_object (json_node_get_object (root), "answer");
        g_assert_cmpstr (cw_json_get_string (answer, "message_ack"), ==, "ok");
    }
    close_user (user, CW_MOOD_HAPPY);
    WAIT_FOR (program->done);
    if (!g_subprocess_get_successful (program->process) || !strstr (program->out, "tell them"))
        g_error ("%s: %s", argv[0], program->out);
}

static void
test_wormhole_receives (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) user = NULL;

    if (lacks ("twist3") || lacks ("wormhole"))
        return;
    server = server_new (NULL);
    user = user_new (server->url, WORMHOLE_APP_ID, NULL);
    WAIT_FOR (user->code != NULL);
    {
        const char *argv[]
            = { "wormhole", "--relay-url", server->url, "receive", user->code, NULL };
        receive_by (argv, server, user);
    }
}

static void
test_william_receives (void)
{
    g_autoptr (Server) server = NULL;
    g_autoptr (User) user = NULL;

    if (lacks ("twist3") || lacks ("wormhole-william"))
        return;
    server = server_new (NULL);
    user = user_new (server->url, WORMHOLE_APP_ID, NULL);
    WAIT_FOR (user->code != NULL);
    {
        const char *argv[]
            = { "wormhole-william", "--relay-url", server->url, "recv", user->code, NULL };
        receive_by (argv, server, user);
    }
}

/* Whoever has the wrong one: both say so, and nobody waits. */
static void
test_wormhole_wrong_code (void)
{
    static const char *const commands[] = { "send", "receive" };

    for (int i = 0; i < 2; i++) {
        g_autoptr (Server) server = NULL;
        g_autoptr (User) user = NULL;
        g_autoptr (Program) wormhole = NULL;

        if (lacks ("twist3") || lacks ("wormhole"))
            return;
        server = server_new (NULL);
        if (i == 1) {
            user = user_new (server->url, WORMHOLE_APP_ID, "7-guitarist-vengeance");
            WAIT_FOR (user->code != NULL);
        }
        {
            const char *send[]
                = { "wormhole", "--relay-url", server->url,           "send", "--text",
                    "x",        "--code",      "7-guitarist-revenge", NULL };
            const char *receive[] = { "wormhole",  "--relay-url",         server->url,
                                      commands[i], "7-guitarist-revenge", NULL };
            wormhole = program_start (i == 0 ? send : receive);
        }
        if (i == 0)
            user = user_new (server->url, WORMHOLE_APP_ID, "7-guitarist-vengeance");
        WAIT_FOR (user->failure != NULL);
        assert_failed (user, CW_MAILBOX_ERROR_WRONG_CODE);
        WAIT_FOR (wormhole->done);
        g_assert_false (g_subprocess_get_successful (wormhole->process));
        g_assert_nonnull (strstr (wormhole->out, "confirmation failed"));
    }
}

/* --- with a server of our own making --- */

typedef struct {
    SoupServer *soup;
    char *url;
    const char *welcome;
    GPtrArray *connections;
    GPtrArray *received; /* texts */
    unsigned accepted;
} Mock;

static void
on_mock_message (SoupWebsocketConnection *connection, int type, GBytes *bytes, Mock *mock)
{
    gsize len;
    const char *data = g_bytes_get_data (bytes, &len);

    g_assert_cmpint (type, ==, SOUP_WEBSOCKET_DATA_TEXT);
    g_ptr_array_add (mock->received, g_strndup (data, len));
}

static void
on_mock_connection (SoupServer *soup,
                    SoupServerMessage *message,
                    const char *path,
                    SoupWebsocketConnection *connection,
                    gpointer data)
{
    Mock *mock = data;

    mock->accepted++;
    g_ptr_array_add (mock->connections, g_object_ref (connection));
    g_signal_connect (connection, "message", G_CALLBACK (on_mock_message), mock);
    if (mock->welcome != NULL)
        soup_websocket_connection_send_text (connection, mock->welcome);
}

static Mock *
mock_new (const char *welcome, GTlsCertificate *certificate)
{
    Mock *mock = g_new0 (Mock, 1);
    g_autoptr (GError) error = NULL;
    GSList *uris;

    mock->soup = soup_server_new ("tls-certificate", certificate, NULL);
    mock->welcome = welcome;
    mock->connections = g_ptr_array_new_with_free_func (g_object_unref);
    mock->received = g_ptr_array_new_with_free_func (g_free);
    soup_server_add_websocket_handler (mock->soup, "/v1", NULL, NULL, on_mock_connection, mock,
                                       NULL);
    soup_server_listen_local (mock->soup, 0,
                              SOUP_SERVER_LISTEN_IPV4_ONLY
                                  | (certificate != NULL ? SOUP_SERVER_LISTEN_HTTPS : 0),
                              &error);
    g_assert_no_error (error);
    uris = soup_server_get_uris (mock->soup);
    mock->url = g_strdup_printf ("%s://127.0.0.1:%d/v1", certificate != NULL ? "wss" : "ws",
                                 g_uri_get_port (uris->data));
    g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
    return mock;
}

static void
mock_free (Mock *mock)
{
    for (guint i = 0; i < mock->connections->len; i++)
        g_signal_handlers_disconnect_by_data (g_ptr_array_index (mock->connections, i), mock);
    g_ptr_array_unref (mock->connections);
    g_ptr_array_unref (mock->received);
    soup_server_disconnect (mock->soup);
    g_object_unref (mock->soup);
    g_free (mock->url);
    g_free (mock);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Mock, mock_free)

static void
mock_say (Mock *mock, const char *text)
{
    soup_websocket_connection_send_text (
        g_ptr_array_index (mock->connections, mock->connections->len - 1), text);
}

#define WELCOME "{\"type\":\"welcome\",\"welcome\":{}}"

static void
test_unreachable (void)
{
    g_autoptr (Mock) mock = mock_new (WELCOME, NULL);
    g_autofree char *dead = g_strdup_printf ("ws://127.0.0.1:%u/v1", (unsigned)free_port ());
    g_autofree char *root = g_strndup (mock->url, strlen (mock->url) - strlen ("v1"));
    g_autofree char *elsewhere = g_strconcat (root, "elsewhere", NULL);
    const char *bad[] = { dead, elsewhere, NULL };
    const char *good[] = { dead, mock->url, NULL };
    g_autoptr (User) a = user_new_with_urls (bad, APP_ID);
    g_autoptr (User) b = user_new_with_urls (good, APP_ID);

    cw_mailbox_client_start (a->client);
    g_assert_null (a->failure);
    WAIT_FOR (a->failure != NULL);
    assert_failed (a, CW_MAILBOX_ERROR_UNREACHABLE);
    g_assert_nonnull (strstr (a->failure->message, dead));
    g_assert_nonnull (strstr (a->failure->message, "404"));
    /* the second one does */
    cw_mailbox_client_start (b->client);
    WAIT_FOR (mock->received->len == 1);
    g_assert_true (g_str_has_prefix (mock->received->pdata[0], "{\"type\":\"bind\""));
    g_assert_null (b->failure);
}

static void
test_bad_url (void)
{
    static const char *const lists[][3] = { { NULL }, { "http://x/v1" }, { "ws://x/v1", "x" } };

    for (gsize i = 0; i < G_N_ELEMENTS (lists); i++) {
        g_autoptr (GError) error = NULL;
        g_assert_null (cw_mailbox_client_new (lists[i], APP_ID, "{}", &error));
        g_assert_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_URL);
    }
}

/* A certificate that nobody we trust has signed: no. */
static void
test_tls_refused (void)
{
    g_autofree char *dir = g_dir_make_tmp ("cw-tls-XXXXXX", NULL);
    g_autofree char *cert = g_build_filename (dir, "cert.pem", NULL);
    g_autofree char *key = g_build_filename (dir, "key.pem", NULL);
    g_autoptr (GTlsCertificate) certificate = NULL;
    g_autoptr (Mock) mock = NULL;
    g_autoptr (User) user = NULL;
    g_autoptr (GSubprocess) openssl = NULL;
    g_autoptr (GError) error = NULL;

    if (lacks ("openssl"))
        return;
    openssl = g_subprocess_new (
        G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error, "openssl",
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        key, "-out", cert, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        NULL);
    g_assert_no_error (error);
    g_assert_true (g_subprocess_wait_check (openssl, NULL, &error));
    certificate = g_tls_certificate_new_from_files (cert, key, &error);
    g_unlink (cert);
    g_unlink (key);
    g_rmdir (dir);
    if (g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_UNAVAILABLE)) {
        g_test_skip ("GIO has no TLS here (glib-networking is missing)");
        return;
    }
    g_assert_no_error (error);
    mock = mock_new (WELCOME, certificate);
    user = user_new (mock->url, APP_ID, NULL);
    WAIT_FOR (user->failure != NULL);
    assert_failed (user, CW_MAILBOX_ERROR_UNREACHABLE);
    g_assert_cmpuint (mock->accepted, ==, 0);
}

static void
test_stamp (void)
{
    g_autoptr (Mock) mock = mock_new ("{\"type\":\"welcome\",\"welcome\":{\"motd\":\"hi\","
                                      "\"permission-required\":{\"hashcash\":{\"bits\":12,"
                                      "\"resource\":\"mailbox\"}}}}",
                                      NULL);
    g_autoptr (User) user = user_new (mock->url, APP_ID, NULL);
    g_autoptr (JsonNode) root = NULL;
    const char *stamp;

    WAIT_FOR (mock->received->len == 3); /* submit-permissions, bind, allocate */
    root = cw_json_parse_object (mock->received->pdata[0], strlen (mock->received->pdata[0]), NULL);
    g_assert_cmpstr (cw_json_get_string (json_node_get_object (root), "type"), ==,
                     "submit-permissions");
    stamp = cw_json_get_string (json_node_get_object (root), "stamp");
    g_assert_true (g_str_has_prefix (stamp, "1:12:"));
    g_assert_cmpuint (cw_hashcash_value (stamp), >=, 12);
    g_assert_cmpstr (user->motd, ==, "hi");
}

/* Gone while its stamp is being made: the thread stops and finds nobody. */
static void
test_stamp_dropped (void)
{
    g_autoptr (Mock) mock = mock_new ("{\"type\":\"welcome\",\"welcome\":{\"motd\":\"hi\","
                                      "\"permission-required\":{\"hashcash\":{\"bits\":24,"
                                      "\"resource\":\"mailbox\"}}}}",
                                      NULL);
    User *user = user_new (mock->url, APP_ID, NULL);

    WAIT_FOR (user->motd != NULL);
    user_free (user);
    settle ();
}

/* More than we take in one frame ends the connection, and only that. */
static void
test_too_large (void)
{
    g_autoptr (Mock) mock = mock_new (WELCOME, NULL);
    g_autoptr (User) user = user_new (mock->url, APP_ID, NULL);
    g_autofree char *filler = g_strnfill (2 << 20, ' ');
    unsigned before;

    WAIT_FOR (mock->received->len == 2);
    before = mock->accepted;
    mock_say (mock, filler);
    WAIT_FOR (user->times_offline == 1);
    WAIT_FOR (mock->accepted > before);
    g_assert_null (user->failure);
}

static void
drop_it (User *user)
{
    user->signals++;
    g_signal_handlers_disconnect_by_data (user->client, user);
    g_object_add_weak_pointer (G_OBJECT (user->client), (gpointer *)&user->client);
    g_object_unref (user->client);
}

/* The last reference may go in any handler. */
static void
test_drop_in_handler (void)
{
    static const char *const names[] = { "motd", "code", "nameplates", "offline", "failed" };

    for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
        g_autoptr (Mock) mock
            = mock_new ("{\"type\":\"welcome\",\"welcome\":{\"motd\":\"hi\"}}", NULL);
        g_autoptr (User) user = user_new (mock->url, APP_ID, NULL);

        g_signal_connect_swapped (user->client, names[i], G_CALLBACK (drop_it), user);
        cw_mailbox_client_list (user->client);
        if (i > 0)
            WAIT_FOR (mock->received->len == 3);
        if (i == 1) {
            mock_say (mock, "{\"type\":\"allocated\",\"nameplate\":\"4\"}");
            WAIT_FOR (mock->received->len == 4);
            mock_say (mock, "{\"type\":\"claimed\",\"mailbox\":\"m\"}");
        } else if (i == 2) {
            mock_say (mock, "{\"type\":\"nameplates\",\"nameplates\":[]}");
        } else if (i == 3) {
            soup_websocket_connection_close (mock->connections->pdata[0],
                                             SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
        } else if (i == 4) {
            mock_say (mock, "{\"type\":\"error\",\"error\":\"crowded\",\"orig\":{}}");
        }
        WAIT_FOR (user->client == NULL);
        g_assert_cmpuint (user->signals, ==, 1);
        settle ();
    }
}

static void
close_it (User *user)
{
    user->signals++;
    cw_mailbox_client_close_async (user->client, CW_MOOD_ERRORY, on_closed, user);
}

/* Closing from within a handler: nothing is told any more, though more had come with it. */
static void
test_close_in_handler (void)
{
    static const char *const more[] = {
        "{\"type\":\"nameplates\",\"nameplates\":[]}",
        "{\"type\":\"error\",\"error\":\"crowded\",\"orig\":{}}",
    };

    for (gsize i = 0; i < G_N_ELEMENTS (more); i++) {
        g_autoptr (Mock) mock = mock_new (WELCOME, NULL);
        g_autoptr (User) user = user_new (mock->url, APP_ID, "4-crossover");

        g_signal_connect_swapped (user->client, "code", G_CALLBACK (close_it), user);
        cw_mailbox_client_list (user->client);
        WAIT_FOR (mock->received->len == 3);
        mock_say (mock, "{\"type\":\"claimed\",\"mailbox\":\"m\"}");
        mock_say (mock, more[i]);
        WAIT_FOR (user->signals == 1);
        if (i == 0) {
            WAIT_FOR (mock->received->len == 7); /* open, add, release, close */
            mock_say (mock, "{\"type\":\"closed\"}");
        }
        WAIT_FOR (user->closed);
        g_assert_null (user->nameplates);
        g_assert_null (user->failure);
        /* what is called afterwards does nothing */
        cw_mailbox_client_list (user->client);
        send_text (user, "x");
        user->closed = FALSE;
        close_user (user, CW_MOOD_HAPPY);
    }
}

static void
test_close_early (void)
{
    g_autoptr (Mock) mock = mock_new (WELCOME, NULL);
    const char *urls[] = { mock->url, NULL };
    g_autoptr (User) never = user_new_with_urls (urls, APP_ID);
    g_autoptr (User) early = user_new (mock->url, APP_ID, NULL);

    close_user (never, CW_MOOD_LONELY);
    close_user (early, CW_MOOD_LONELY);
    g_assert_true (never->failure == NULL && early->failure == NULL);
}

/* Dropped at any moment, there is no callback into freed memory. */
static void
test_drop_any_time (void)
{
    g_autoptr (Mock) mock = mock_new (WELCOME, NULL);

    for (int turns = 0; turns < 40; turns++) {
        User *user = user_new (mock->url, APP_ID, NULL);
        for (int i = 0; i < turns; i++)
            g_main_context_iteration (NULL, FALSE);
        user_free (user);
    }
    settle ();
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/mailbox-client/meet", test_meet);
    g_test_add_func ("/mailbox-client/wrong-code", test_wrong_code);
    g_test_add_func ("/mailbox-client/restart", test_restart);
    g_test_add_func ("/mailbox-client/unwelcome", test_unwelcome);
    g_test_add_func ("/mailbox-client/crowded", test_crowded);
    g_test_add_func ("/mailbox-client/wormhole/sends", test_wormhole_sends);
    g_test_add_func ("/mailbox-client/wormhole/receives", test_wormhole_receives);
    g_test_add_func ("/mailbox-client/wormhole/wrong-code", test_wormhole_wrong_code);
    g_test_add_func ("/mailbox-client/william/receives", test_william_receives);
    g_test_add_func ("/mailbox-client/unreachable", test_unreachable);
    g_test_add_func ("/mailbox-client/bad-url", test_bad_url);
    g_test_add_func ("/mailbox-client/tls-refused", test_tls_refused);
    g_test_add_func ("/mailbox-client/stamp", test_stamp);
    g_test_add_func ("/mailbox-client/stamp/dropped", test_stamp_dropped);
    g_test_add_func ("/mailbox-client/too-large", test_too_large);
    g_test_add_func ("/mailbox-client/drop/in-handler", test_drop_in_handler);
    g_test_add_func ("/mailbox-client/drop/any-time", test_drop_any_time);
    g_test_add_func ("/mailbox-client/close/in-handler", test_close_in_handler);
    g_test_add_func ("/mailbox-client/close/early", test_close_early);
    return g_test_run ();
}
