/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* bench-mailbox [MAILBOXES [CAUSEWAY]]: how much memory the mailbox server has resident with so
 * many mailboxes open, two connections and the messages of a file transfer in each. The server runs
 * in a process of its own: this program started again, or "CAUSEWAY mailbox". Fails above the
 * limit. */

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cw-listen.h"
#include "cw-mailbox-server.h"

#define LIMIT_KIB (20 * 1000)
#define BODY_BYTES 400 /* of an offer or the like, in hex */

#define REQUEST                                                                                    \
    "GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static int
serve (void)
{
    g_autoptr (CwMailboxServer) server = cw_mailbox_server_new ();
    g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
    g_autoptr (GError) error = NULL;
    g_autofree char *url = NULL;

    if (!cw_mailbox_server_listen (server, "127.0.0.1:0", &error)) {
        g_printerr ("%s\n", error->message);
        return EXIT_FAILURE;
    }
    url = cw_mailbox_server_dup_url (server);
    g_print ("%s\n", url);
    g_main_loop_run (loop);
    return EXIT_SUCCESS;
}

static void
die_with_parent (gpointer unused)
{
    prctl (PR_SET_PDEATHSIG, SIGTERM);
}

/* The port it says it listens on. */
static guint16
start_server (const char *self, const char *causeway, GPid *ret_pid)
{
    const char *own[] = { self, "--serve", NULL };
    const char *theirs[] = { causeway, "mailbox", "--listen", "127.0.0.1:0", NULL };
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) said = g_string_new (NULL);
    g_autofree char *number = NULL;
    const char *port;
    int out;

    if (!g_spawn_async_with_pipes (NULL, (char **)(causeway != NULL ? theirs : own), NULL,
                                   G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL, ret_pid, NULL,
                                   &out, NULL, &error))
        g_error ("%s", error->message);
    while ((port = strstr (said->str, "127.0.0.1:")) == NULL || strchr (port, '\n') == NULL) {
        char block[256];
        ssize_t n = read (out, block, sizeof block);
        if (n <= 0)
            g_error ("the server does not say where it listens");
        g_string_append_len (said, block, n);
    }
    port += strlen ("127.0.0.1:");
    number = g_strndup (port, strspn (port, "0123456789"));
    return (guint16)atoi (number);
}

static void
send_all (int fd, const char *data, gsize len)
{
    while (len > 0) {
        ssize_t n = send (fd, data, len, MSG_NOSIGNAL);
        if (n < 0)
            g_error ("send: %s", g_strerror (errno));
        data += n;
        len -= (gsize)n;
    }
}

static void
say (int fd, const char *text)
{
    gsize len = strlen (text);
    const char header[8] = { (char)0x81, (char)(0x80 | 126), (char)(len >> 8), (char)len };

    send_all (fd, header, sizeof header);
    send_all (fd, text, len);
}

/* Reads on until @part has come. */
static void
hear (int fd, const char *part)
{
    g_autoptr (GString) heard = g_string_new (NULL);

    while (g_strstr_len (heard->str, (gssize)heard->len, part) == NULL) {
        char block[8192];
        ssize_t n = recv (fd, block, sizeof block, 0);
        if (n <= 0)
            g_error ("the connection ended before \"%s\"", part);
        for (ssize_t i = 0; i < n; i++)
            g_string_append_c (heard, block[i] != '\0' ? block[i] : '.');
    }
}

static int
enter (GSocketAddress *address, const char *mailbox, const char *side)
{
    static const char *const phases[] = { "pake", "version", "0", "1" };
    struct sockaddr_storage native;
    g_autofree char *body = g_strnfill (BODY_BYTES, 'a');
    g_autofree char *bind = g_strdup_printf (
        "{\"type\": \"bind\", \"appid\": \"lothar.com/wormhole/text-or-file-xfer\", "
        "\"side\": \"%s\", \"id\": \"0001\"}",
        side);
    g_autofree char *claim = g_strdup_printf (
        "{\"type\": \"claim\", \"nameplate\": \"%s\", \"id\": \"0002\"}", mailbox);
    g_autofree char *open = g_strdup_printf (
        "{\"type\": \"open\", \"mailbox\": \"mailbox-%s\", \"id\": \"0003\"}", mailbox);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_socket_address_to_native (address, &native, sizeof native, NULL);
    if (connect (fd, (struct sockaddr *)&native, sizeof (struct sockaddr_in)) != 0)
        g_error ("connect: %s", g_strerror (errno));
    send_all (fd, REQUEST, strlen (REQUEST));
    say (fd, bind);
    say (fd, claim);
    say (fd, open);
    for (guint i = 0; i < G_N_ELEMENTS (phases); i++) {
        g_autofree char *add = g_strdup_printf (
            "{\"type\": \"add\", \"phase\": \"%s\", \"body\": \"%s\", \"id\": \"%04u\"}", phases[i],
            body, i);
        say (fd, add);
    }
    say (fd, "{\"type\": \"ping\", \"ping\": \"done\"}");
    hear (fd, "\"pong\": \"done\"");
    return fd;
}

static gint64
status_kib (GPid pid, const char *field)
{
    g_autofree char *path = g_strdup_printf ("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL;
    const char *found;

    if (!g_file_get_contents (path, &text, NULL, NULL) || (found = strstr (text, field)) == NULL)
        return -1;
    return g_ascii_strtoll (found + strlen (field), NULL, 10);
}

int
main (int argc, char **argv)
{
    guint mailboxes = argc > 1 ? (guint)atoi (argv[1]) : 1000;
    g_autoptr (GSocketAddress) address = NULL;
    guint files, connections;
    gint64 empty_kib, full_kib, own_kib;
    GPid pid;

    if (argc > 1 && g_str_equal (argv[1], "--serve"))
        return serve ();
    files = cw_listen_raise_files (2 * mailboxes + 64);
    connections = files >= 2 * mailboxes + 64 ? 2 : 1;
    address = g_inet_socket_address_new_from_string (
        "127.0.0.1", start_server (argv[0], argc > 2 ? argv[2] : NULL, &pid));
    empty_kib = status_kib (pid, "VmRSS:");
    for (guint i = 1; i <= mailboxes; i++) {
        g_autofree char *name = g_strdup_printf ("%u", i);
        enter (address, name, "0123456789");
        if (connections == 2)
            enter (address, name, "abcdefabcd");
    }
    full_kib = status_kib (pid, "VmRSS:");
    own_kib = status_kib (pid, "RssAnon:");
    g_print ("1..1\n# %u mailboxes open, %u connections each%s\n"
             "# resident: %.1f MB (%.1f MB of it the server's own), %.1f MB before\n",
             mailboxes, connections, connections < 2 ? " for want of files" : "", full_kib / 976.6,
             own_kib / 976.6, empty_kib / 976.6);
    kill (pid, SIGTERM);
    g_print ("%s 1 resident memory below %d MB\n",
             full_kib > 0 && full_kib < LIMIT_KIB ? "ok" : "not ok", LIMIT_KIB / 1000);
    return full_kib > 0 && full_kib < LIMIT_KIB ? EXIT_SUCCESS : EXIT_FAILURE;
}
