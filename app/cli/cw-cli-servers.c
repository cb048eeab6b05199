/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-commands.h"

#include <glib/gi18n.h>
#include <unistd.h>

#include "cw-cli-run.h"
#include "cw-mailbox-server.h"
#include "cw-relay-server.h"

/* Only this computer, until somebody says otherwise. */
#define DEFAULT_MAILBOX_ADDRESS "localhost:4000"
#define DEFAULT_RELAY_ADDRESS "localhost:4001"

static const CwCliSyntax mailbox_syntax = {
    "mailbox",
    "",
    N_ ("Run a mailbox, where two computers with the same code meet. It carries no files, only the "
        "few\nencrypted messages by which they find each other."),
    N_ ("Example:\n"
        "  causeway mailbox --listen :4000\n"
        "and on both computers, with this one's address:\n"
        "  CAUSEWAY_MAILBOX=ws://192.0.2.1:4000/v1 causeway send holiday.mp4"),
};

static const CwCliSyntax relay_syntax = {
    "relay",
    "",
    N_ ("Run a relay, for two computers that no direct connection joins. It sees only encrypted "
        "bytes."),
    N_ ("Example:\n"
        "  causeway relay --listen :4001\n"
        "and on both computers, with this one's address:\n"
        "  CAUSEWAY_TRANSIT_RELAY=tcp:192.0.2.1:4001 causeway send holiday.mp4"),
};

typedef struct {
    CwCliOptions options;
    char *listen;
    char *motd;
} Server;

static void
server_clear (Server *self)
{
    cw_cli_options_clear (&self->options);
    g_free (self->listen);
    g_free (self->motd);
}

/* Until somebody stops it, which is how a server ends well. */
static void
serve (CwRun *run)
{
    gulong id = g_signal_connect_swapped (run->cancellable, "cancelled",
                                          G_CALLBACK (g_main_loop_quit), run->loop);

    if (!g_cancellable_is_cancelled (run->cancellable))
        g_main_loop_run (run->loop);
    g_signal_handler_disconnect (run->cancellable, id);
}

static int
run_mailbox (Server *self, CwRun *run)
{
    g_autoptr (CwMailboxServer) server = cw_mailbox_server_new ();
    g_autoptr (GError) error = NULL;
    g_autofree char *url = NULL;

    cw_mailbox_server_set_motd (server, self->motd);
    if (!cw_mailbox_server_listen (
            server, self->listen != NULL ? self->listen : DEFAULT_MAILBOX_ADDRESS, &error))
        return cw_run_fail (run, error);
    url = cw_mailbox_server_dup_url (server);
    if (run->json != NULL)
        cw_json_listening (run->json, url);
    cw_run_say (run, _ ("The mailbox is at %s until you stop it with Ctrl-C."), url);
    serve (run);
    cw_mailbox_server_stop (server);
    return CW_EXIT_OK;
}

static int
run_relay (Server *self, CwRun *run)
{
    g_autoptr (CwRelayServer) server = cw_relay_server_new ();
    g_autoptr (GError) error = NULL;
    g_autofree char *address = NULL;

    if (!cw_relay_server_listen (
            server, self->listen != NULL ? self->listen : DEFAULT_RELAY_ADDRESS, &error))
        return cw_run_fail (run, error);
    address = cw_relay_server_dup_address (server);
    if (run->json != NULL)
        cw_json_listening (run->json, address);
    cw_run_say (run, _ ("The relay is at %s until you stop it with Ctrl-C."), address);
    serve (run);
    cw_relay_server_stop (server);
    return CW_EXIT_OK;
}

static int
run_server (Server *self,
            const CwCliSyntax *syntax,
            const GOptionEntry *entries,
            int argc,
            char **argv,
            int (*run_it) (Server *self, CwRun *run))
{
    CwRun run;
    int exit_code;

    if (!cw_cli_options_parse (&self->options, syntax, CW_CLI_JSON, entries, &argc, &argv,
                               &exit_code))
        return exit_code;
    if (argc > 1)
        return cw_cli_usage_error (syntax->name, "%s", _ ("this command takes nothing else."));
    cw_run_init (&run, &self->options, CW_SIDE_ANY, STDOUT_FILENO, FALSE);
    exit_code = run_it (self, &run);
    cw_run_clear (&run);
    return exit_code;
}

int
cw_cli_mailbox (int argc, char **argv)
{
    Server self = { 0 };
    const GOptionEntry entries[] = {
        { "listen", 'l', 0, G_OPTION_ARG_STRING, &self.listen,
          N_ ("Where to listen (default localhost:4000; “:4000” is every address)"),
          N_ ("ADDR:PORT") },
        { "motd", 0, 0, G_OPTION_ARG_STRING, &self.motd, N_ ("A message for everybody who comes"),
          N_ ("TEXT") },
        { NULL },
    };
    int exit_code = run_server (&self, &mailbox_syntax, entries, argc, argv, run_mailbox);

    server_clear (&self);
    return exit_code;
}

int
cw_cli_relay (int argc, char **argv)
{
    Server self = { 0 };
    const GOptionEntry entries[] = {
        { "listen", 'l', 0, G_OPTION_ARG_STRING, &self.listen,
          N_ ("Where to listen (default localhost:4001; “:4001” is every address)"),
          N_ ("ADDR:PORT") },
        { NULL },
    };
    int exit_code = run_server (&self, &relay_syntax, entries, argc, argv, run_relay);

    server_clear (&self);
    return exit_code;
}
