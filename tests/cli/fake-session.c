/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* CwSession without a network: it does what the test says, line by line, and says what the program
 * asked of it. Both go over the socket of file descriptor $CW_FAKE_FD:
 *
 *   to here:    one JSON object a line, "do" names the signal to emit or the figure to set
 *   from here:  one line a call: "accept FOLDER FD", "decline", "claim 7", …
 *
 * Linked in place of core/agent/cw-session.c, so that all that a terminal shows can be tested event
 * by event, without waiting for anything. */
#include "cw-session.h"

#include <errno.h>
#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cw-mailbox-client.h"
#include "cw-transit.h"

struct _CwSession {
    GObject parent_instance;
    CwOutgoing *outgoing;
    CwTransfer *transfer;
    GPtrArray *paths;
    CwPeer peer;
    char *claimed;
    int fd;
    guint source_id;
    GString *input;
};

G_DEFINE_FINAL_TYPE (CwSession, cw_session, G_TYPE_OBJECT)

static const char *const domains[] = { "drop", "mailbox", "transit", "identity", "settings", "io" };

static GQuark
get_domain (const char *name)
{
    const GQuark quarks[] = { CW_DROP_ERROR,     CW_MAILBOX_ERROR,  CW_TRANSIT_ERROR,
                              CW_IDENTITY_ERROR, CW_SETTINGS_ERROR, G_IO_ERROR };

    for (size_t i = 0; i < G_N_ELEMENTS (domains); i++)
        if (g_strcmp0 (domains[i], name) == 0)
            return quarks[i];
    g_error ("no domain %s", name);
}

static void tell (CwSession *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
tell (CwSession *self, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list args;

    va_start (args, format);
    text = g_strdup_vprintf (format, args);
    va_end (args);
    line = g_strconcat (text, "\n", NULL);
    g_assert_cmpint (write (self->fd, line, strlen (line)), ==, (ssize_t)strlen (line));
}

/* --- What the test says --- */

static const char *
get_string (JsonObject *object, const char *name)
{
    return json_object_get_string_member_with_default (object, name, NULL);
}

static gint64
get_int (JsonObject *object, const char *name)
{
    return json_object_get_int_member_with_default (object, name, 0);
}

static GError *
make_error (JsonObject *object)
{
    return g_error_new (get_domain (get_string (object, "domain")), (int)get_int (object, "code"),
                        "%s", get_string (object, "message"));
}

static char **
get_strings (JsonObject *object, const char *name)
{
    JsonArray *array = json_object_get_array_member (object, name);
    GStrvBuilder *builder = g_strv_builder_new ();
    char **strings;

    for (guint i = 0; i < json_array_get_length (array); i++)
        g_strv_builder_add (builder, json_array_get_string_element (array, i));
    strings = g_strv_builder_end (builder);
    g_strv_builder_unref (builder);
    return strings;
}

static CwOffer *
make_offer (JsonObject *object)
{
    CwOffer *offer = cw_offer_new ();
    JsonArray *items = json_object_get_array_member (object, "items");

    offer->text = g_strdup (get_string (object, "text"));
    for (guint i = 0; i < json_array_get_length (items); i++) {
        JsonObject *item = json_array_get_object_element (items, i);
        cw_offer_add (offer, (CwItemKind)get_int (item, "kind"), get_string (item, "name"),
                      get_int (item, "size"), (guint64)get_int (item, "files"));
    }
    return offer;
}

static void
emit_route (CwSession *self, JsonObject *object)
{
    CwRoute *route = cw_route_new ((CwRouteKind)get_int (object, "kind"),
                                   (CwRouteReason)get_int (object, "reason"),
                                   get_string (object, "address"), get_int (object, "rtt_us"));

    g_signal_emit_by_name (self, "route", route);
    cw_route_free (route);
}

static void
set_figures (CwSession *self, JsonObject *object)
{
    CwTransferFigures now;
    const char *current = get_string (object, "current");

    cw_transfer_set_total (self->transfer, get_int (object, "total"),
                           (guint64)get_int (object, "files_total"));
    cw_transfer_get_figures (self->transfer, &now);
    cw_transfer_add_kept (self->transfer, (guint64)get_int (object, "kept") - now.bytes_kept);
    cw_transfer_get_figures (self->transfer, &now);
    cw_transfer_add_bytes (self->transfer, (guint64)get_int (object, "bytes") - now.bytes_done);
    for (guint64 i = now.files_done; i < (guint64)get_int (object, "files"); i++)
        cw_transfer_end_file (self->transfer);
    if (current != NULL)
        cw_transfer_begin_file (self->transfer, current);
}

static void
set_peer (CwSession *self, JsonObject *object)
{
    g_free (self->peer.name);
    g_free (self->peer.fingerprint);
    self->peer.name = g_strdup (get_string (object, "name"));
    self->peer.fingerprint = g_strdup (get_string (object, "fingerprint"));
    self->peer.is_causeway = self->peer.name != NULL;
    g_signal_emit_by_name (self, "peer");
}

static void
emit_finished (CwSession *self, JsonObject *object)
{
    g_autoptr (GError) error = get_string (object, "domain") != NULL ? make_error (object) : NULL;

    g_clear_handle_id (&self->source_id, g_source_remove);
    g_signal_emit_by_name (self, "finished", error);
}

static void
obey (CwSession *self, JsonObject *object)
{
    const char *what = get_string (object, "do");

    if (strcmp (what, "motd") == 0 || strcmp (what, "code") == 0 || strcmp (what, "verify") == 0
        || strcmp (what, "text") == 0) {
        g_signal_emit_by_name (self, what, get_string (object, "text"));
    } else if (strcmp (what, "nameplates") == 0) {
        g_auto (GStrv) list = get_strings (object, "list");
        g_signal_emit_by_name (self, what, list);
    } else if (strcmp (what, "offline") == 0) {
        g_signal_emit_by_name (self, what, (gboolean)get_int (object, "value"));
    } else if (strcmp (what, "peer") == 0) {
        set_peer (self, object);
    } else if (strcmp (what, "route") == 0) {
        emit_route (self, object);
    } else if (strcmp (what, "offer") == 0) {
        g_autoptr (CwOffer) offer = make_offer (object);
        g_signal_emit_by_name (self, what, offer);
    } else if (strcmp (what, "accepted") == 0) {
        g_signal_emit_by_name (self, what);
    } else if (strcmp (what, "figures") == 0) {
        set_figures (self, object);
    } else if (strcmp (what, "failure") == 0) {
        g_autoptr (GError) error = make_error (object);
        cw_transfer_fail_file (self->transfer, get_string (object, "path"), error);
    } else if (strcmp (what, "paths") == 0) {
        g_auto (GStrv) list = get_strings (object, "list");
        for (char **p = list; *p != NULL; p++)
            g_ptr_array_add (self->paths, g_strdup (*p));
    } else if (strcmp (what, "finish") == 0) {
        emit_finished (self, object);
    } else {
        g_error ("the fake session cannot do '%s'", what);
    }
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
    g_autoptr (CwSession) self = g_object_ref (data);
    char buffer[4096];
    ssize_t n = read (fd, buffer, sizeof buffer);
    char *end;

    if (n <= 0) /* the test is gone */
        exit (99);
    g_string_append_len (self->input, buffer, n);
    while (self->source_id != 0
           && (end = memchr (self->input->str, '\n', self->input->len)) != NULL) {
        g_autoptr (JsonNode) node = NULL;
        *end = '\0';
        node = json_from_string (self->input->str, NULL);
        g_string_erase (self->input, 0, end - self->input->str + 1);
        g_assert_nonnull (node);
        obey (self, json_node_get_object (node));
    }
    return self->source_id != 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* --- What the program asks --- */

static CwSession *
session_new (const CwSessionOptions *options, const char *kind)
{
    CwSession *self = g_object_new (CW_TYPE_SESSION, NULL);
    const char *fd = g_getenv ("CW_FAKE_FD");

    g_assert_nonnull (fd);
    self->fd = atoi (fd);
    tell (self, "%s code=%s length=%u verify=%d no-direct=%d mailbox=%s relay=%s", kind,
          options->code != NULL ? options->code : "-", options->settings->code_length,
          options->verify, options->no_direct,
          options->settings->mailbox_set ? options->settings->mailbox_urls[0] : "-",
          options->settings->transit_relay != NULL ? options->settings->transit_relay : "-");
    return self;
}

CwSession *
cw_session_new_send (const CwSessionOptions *options, CwOutgoing *outgoing, const char *text)
{
    g_autofree char *kind
        = text != NULL ? g_strdup_printf ("send-text %s", text) : g_strdup ("send");
    CwSession *self = session_new (options, kind);

    self->outgoing = outgoing;
    return self;
}

CwSession *
cw_session_new_receive (const CwSessionOptions *options)
{
    return session_new (options, "receive");
}

void
cw_session_start (CwSession *self)
{
    self->source_id = g_unix_fd_add (self->fd, G_IO_IN | G_IO_HUP, on_readable, self);
    tell (self, "start");
}

void
cw_session_list_nameplates (CwSession *self)
{
    tell (self, "list");
}

void
cw_session_claim (CwSession *self, const char *nameplate)
{
    g_assert_null (self->claimed);
    self->claimed = g_strdup (nameplate);
    tell (self, "claim %s", nameplate);
}

gboolean
cw_session_set_code (CwSession *self, const char *code, GError **error)
{
    size_t len = self->claimed != NULL ? strlen (self->claimed) : 0;

    if (len > 0 && (strncmp (code, self->claimed, len) != 0 || code[len] != '-')) {
        g_set_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_CODE,
                     "number %s is claimed already", self->claimed);
        return FALSE;
    }
    tell (self, "set-code %s", code);
    return TRUE;
}

void
cw_session_confirm (CwSession *self, gboolean same)
{
    tell (self, "confirm %s", same ? "yes" : "no");
}

void
cw_session_accept (CwSession *self, const char *folder, int output_fd)
{
    tell (self, "accept %s %d", folder != NULL ? folder : "-", output_fd);
    if (output_fd >= 0)
        g_assert_cmpint (write (output_fd, "\001data\n", 6), ==, 6);
}

void
cw_session_decline (CwSession *self)
{
    tell (self, "decline");
}

void
cw_session_cancel (CwSession *self)
{
    tell (self, "cancel");
}

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

static void
cw_session_finalize (GObject *object)
{
    CwSession *self = CW_SESSION (object);

    g_clear_handle_id (&self->source_id, g_source_remove);
    g_clear_pointer (&self->outgoing, cw_outgoing_free);
    cw_transfer_unref (self->transfer);
    g_ptr_array_unref (self->paths);
    g_string_free (self->input, TRUE);
    g_free (self->peer.name);
    g_free (self->peer.fingerprint);
    g_free (self->claimed);
    G_OBJECT_CLASS (cw_session_parent_class)->finalize (object);
}

static void
new_signal (const char *name, GType parameter)
{
    g_signal_new (name, CW_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                  parameter != G_TYPE_NONE ? 1 : 0, parameter);
}

static void
cw_session_class_init (CwSessionClass *klass)
{
    G_OBJECT_CLASS (klass)->finalize = cw_session_finalize;
    new_signal ("motd", G_TYPE_STRING);
    new_signal ("nameplates", G_TYPE_STRV);
    new_signal ("code", G_TYPE_STRING);
    new_signal ("offline", G_TYPE_BOOLEAN);
    new_signal ("peer", G_TYPE_NONE);
    new_signal ("verify", G_TYPE_STRING);
    new_signal ("route", G_TYPE_POINTER);
    new_signal ("offer", G_TYPE_POINTER);
    new_signal ("text", G_TYPE_STRING);
    new_signal ("accepted", G_TYPE_NONE);
    new_signal ("finished", G_TYPE_ERROR);
}

static void
cw_session_init (CwSession *self)
{
    self->transfer = cw_transfer_new ();
    self->paths = g_ptr_array_new_with_free_func (g_free);
    self->input = g_string_new (NULL);
}
