/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-json.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "cw-cli-words.h"

struct _CwJson {
    int fd;
};

CwJson *
cw_json_new (int fd)
{
    CwJson *self = g_new0 (CwJson, 1);

    self->fd = fd;
    return self;
}

void
cw_json_free (CwJson *self)
{
    g_free (self);
}

static JsonBuilder *
begin (const char *event)
{
    JsonBuilder *builder = json_builder_new ();

    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "event");
    json_builder_add_string_value (builder, event);
    return builder;
}

static void
add_string (JsonBuilder *builder, const char *name, const char *value)
{
    g_autofree char *valid = value != NULL ? g_utf8_make_valid (value, -1) : NULL;

    json_builder_set_member_name (builder, name);
    if (valid != NULL)
        json_builder_add_string_value (builder, valid);
    else
        json_builder_add_null_value (builder);
}

static void
add_int (JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_int_value (builder, value);
}

/* -1 becomes null. */
static void
add_int_or_null (JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name (builder, name);
    if (value < 0)
        json_builder_add_null_value (builder);
    else
        json_builder_add_int_value (builder, value);
}

static void
add_boolean (JsonBuilder *builder, const char *name, gboolean value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_boolean_value (builder, value);
}

static void
add_double (JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name (builder, name);
    json_builder_add_double_value (builder, value);
}

/* Ends the object that begin() began, writes its line and frees @builder. */
static void
end (CwJson *self, JsonBuilder *builder)
{
    g_autoptr (JsonGenerator) generator = json_generator_new ();
    g_autoptr (JsonNode) root = NULL;
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    const char *p;

    json_builder_end_object (builder);
    root = json_builder_get_root (builder);
    g_object_unref (builder);
    json_generator_set_root (generator, root);
    text = json_generator_to_data (generator, NULL);
    line = g_strconcat (text, "\n", NULL);
    for (p = line; *p != '\0';) {
        ssize_t n = write (self->fd, p, strlen (p));
        if (n < 0 && errno != EINTR)
            return; /* nobody reads any more */
        p += MAX (n, 0);
    }
}

void
cw_json_motd (CwJson *self, const char *text)
{
    JsonBuilder *builder = begin ("motd");

    add_string (builder, "text", text);
    end (self, builder);
}

static const char *
kind_name (CwItemKind kind)
{
    switch (kind) {
    case CW_ITEM_FILE:
        return "file";
    case CW_ITEM_FOLDER:
        return "folder";
    case CW_ITEM_SYMLINK:
        return "symlink";
    }
    g_return_val_if_reached ("file");
}

void
cw_json_offer (CwJson *self, const CwOffer *offer)
{
    JsonBuilder *builder = begin ("offer");

    add_string (builder, "kind", offer->text != NULL ? "text" : "files");
    json_builder_set_member_name (builder, "items");
    json_builder_begin_array (builder);
    for (guint i = 0; i < offer->items->len; i++) {
        const CwOfferItem *item = g_ptr_array_index (offer->items, i);

        json_builder_begin_object (builder);
        add_string (builder, "name", item->name);
        add_string (builder, "kind", kind_name (item->kind));
        add_int_or_null (builder, "size", item->size);
        add_int (builder, "files", (gint64)item->n_files);
        json_builder_end_object (builder);
    }
    json_builder_end_array (builder);
    add_int_or_null (builder, "size", offer->size);
    add_int (builder, "files", (gint64)offer->n_files);
    add_int (builder, "folders", (gint64)offer->n_folders);
    end (self, builder);
}

void
cw_json_code (CwJson *self, const char *code, const char *uri, const char *mailbox)
{
    JsonBuilder *builder = begin ("code");

    add_string (builder, "code", code);
    add_string (builder, "uri", uri);
    add_string (builder, "mailbox", mailbox);
    end (self, builder);
}

void
cw_json_mailbox (CwJson *self, gboolean connected)
{
    JsonBuilder *builder = begin ("mailbox");

    add_boolean (builder, "connected", connected);
    end (self, builder);
}

void
cw_json_peer (CwJson *self, const CwPeer *peer)
{
    JsonBuilder *builder = begin ("peer");

    add_boolean (builder, "causeway", peer->is_causeway);
    add_string (builder, "name", peer->name);
    add_string (builder, "fingerprint", peer->fingerprint);
    end (self, builder);
}

void
cw_json_verify (CwJson *self, const char *verifier)
{
    JsonBuilder *builder = begin ("verify");

    add_string (builder, "verifier", verifier);
    end (self, builder);
}

void
cw_json_route (CwJson *self, const CwRoute *route)
{
    JsonBuilder *builder = begin ("route");

    add_string (builder, "kind", cw_route_kind_get_name (route->kind));
    add_string (builder, "reason", cw_words_route_reason_name (route->reason));
    add_string (builder, "address", route->address);
    json_builder_set_member_name (builder, "rtt_ms");
    if (route->rtt_us < 0)
        json_builder_add_null_value (builder);
    else
        json_builder_add_double_value (builder, (double)route->rtt_us / 1000);
    end (self, builder);
}

void
cw_json_accepted (CwJson *self)
{
    end (self, begin ("accepted"));
}

void
cw_json_progress (CwJson *self, const CwProgress *progress)
{
    const CwTransferFigures *f = &progress->figures;
    JsonBuilder *builder = begin ("progress");

    add_int (builder, "bytes", (gint64)f->bytes_done);
    add_int_or_null (builder, "bytes_total", f->size_known ? (gint64)f->bytes_total : -1);
    add_int (builder, "bytes_kept", (gint64)f->bytes_kept);
    add_int (builder, "files", (gint64)f->files_done);
    add_int (builder, "files_total", (gint64)f->files_total);
    add_int (builder, "files_failed", (gint64)f->files_failed);
    add_string (builder, "current", f->current);
    add_int (builder, "bytes_per_second", (gint64)progress->rate);
    add_int_or_null (builder, "seconds_left", cw_progress_get_seconds_left (progress));
    end (self, builder);
}

void
cw_json_item_failed (CwJson *self, const CwTransferFailure *failure, CwSide side)
{
    CwMessage message = cw_message_for_error (failure->error, side);
    JsonBuilder *builder = begin ("item-failed");

    add_string (builder, "path", failure->path);
    add_string (builder, "error", message.name);
    add_string (builder, "detail", failure->error->message);
    end (self, builder);
}

void
cw_json_text (CwJson *self, const char *text)
{
    JsonBuilder *builder = begin ("text");

    add_string (builder, "text", text);
    end (self, builder);
}

static void
add_result (JsonBuilder *builder,
            const CwTransferFigures *figures,
            double seconds,
            GPtrArray *paths)
{
    add_int (builder, "files", (gint64)figures->files_done);
    add_int (builder, "files_failed", (gint64)figures->files_failed);
    add_int (builder, "bytes", (gint64)figures->bytes_done);
    add_int (builder, "bytes_kept", (gint64)figures->bytes_kept);
    add_double (builder, "seconds", seconds);
    json_builder_set_member_name (builder, "paths");
    json_builder_begin_array (builder);
    for (guint i = 0; paths != NULL && i < paths->len; i++) {
        g_autofree char *valid = g_utf8_make_valid (g_ptr_array_index (paths, i), -1);
        json_builder_add_string_value (builder, valid);
    }
    json_builder_end_array (builder);
}

void
cw_json_done (CwJson *self, const CwTransferFigures *figures, double seconds, GPtrArray *paths)
{
    JsonBuilder *builder = begin ("done");

    add_result (builder, figures, seconds, paths);
    end (self, builder);
}

void
cw_json_error (CwJson *self,
               const GError *error,
               const CwMessage *message,
               const CwTransferFigures *figures,
               double seconds,
               GPtrArray *paths)
{
    JsonBuilder *builder = begin ("error");

    add_string (builder, "error", message->name);
    add_string (builder, "message", message->title);
    add_string (builder, "detail", error->message);
    add_int (builder, "exit_code", message->exit_code);
    if (figures != NULL)
        add_result (builder, figures, seconds, paths);
    end (self, builder);
}

void
cw_json_id (CwJson *self, const char *name, const char *fingerprint)
{
    JsonBuilder *builder = begin ("id");

    add_string (builder, "name", name);
    add_string (builder, "fingerprint", fingerprint);
    end (self, builder);
}

void
cw_json_listening (CwJson *self, const char *url)
{
    JsonBuilder *builder = begin ("listening");

    add_string (builder, "url", url);
    end (self, builder);
}
