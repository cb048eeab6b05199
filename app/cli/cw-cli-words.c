/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-cli-words.h"

#include <glib/gi18n.h>

#include "cw-cli-progress.h"
#include "cw-cli-text.h"
#include "cw-names.h"

#define NAMED_ITEMS 3  /* in a sentence */
#define LISTED_ITEMS 5 /* in a list */
#define NAME_MAX_SHOWN 60
#define NAME_MIN_SHOWN 12

/* ngettext() wants an unsigned long; only its last digits matter to a language. */
static unsigned long
plural (guint64 n)
{
    return (unsigned long)(n > 1000000 ? n % 1000000 + 1000000 : n);
}

char *
cw_words_files (guint64 n_files)
{
    g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, n_files);

    return g_strdup_printf (ngettext ("%s file", "%s files", plural (n_files)), number);
}

static char *
dup_item (const CwOfferItem *item)
{
    g_autofree char *name = cw_name_dup_display (item->name, NAME_MAX_SHOWN);
    g_autofree char *files = NULL;

    if (item->kind != CW_ITEM_FOLDER)
        return g_steal_pointer (&name);
    files = cw_words_files (item->n_files);
    /* TRANSLATORS: a folder and how much is in it: “photos (214 files)” */
    return g_strdup_printf (_ ("%s (%s)"), name, files);
}

static char *
dup_more (guint n)
{
    return g_strdup_printf (ngettext ("%u more", "%u more", n), n);
}

/* "a", "a and b", "a, b and c", "a, b, c and 7 more". */
char *
cw_words_items (const CwOffer *offer)
{
    guint n = offer->items->len;
    guint n_named = MIN (n, NAMED_ITEMS);
    g_autofree char *list = NULL;

    if (n == 0)
        return g_strdup (_ ("nothing"));
    for (guint i = 0; i < n_named; i++) {
        g_autofree char *item = dup_item (g_ptr_array_index (offer->items, i));
        g_autofree char *before = g_steal_pointer (&list);

        if (before == NULL)
            list = g_strdup (item);
        else if (i + 1 < n) /* TRANSLATORS: a list of names that goes on */
            list = g_strdup_printf (_ ("%s, %s"), before, item);
        else /* TRANSLATORS: the end of a list of names */
            list = g_strdup_printf (_ ("%s and %s"), before, item);
    }
    if (n > n_named) {
        g_autofree char *more = dup_more (n - n_named);
        g_autofree char *before = g_steal_pointer (&list);
        list = g_strdup_printf (_ ("%s and %s"), before, more);
    }
    return g_steal_pointer (&list);
}

char *
cw_words_sending (const CwOffer *offer)
{
    g_autofree char *items = NULL;
    g_autofree char *size = NULL;

    if (offer->text != NULL)
        return g_strdup (_ ("Sending a text."));
    items = cw_words_items (offer);
    if (offer->size < 0) /* TRANSLATORS: %s are names; it comes from a pipe */
        return g_strdup_printf (_ ("Sending %s; its size is not known."), items);
    size = cw_format_size ((guint64)offer->size);
    if (offer->items->len == 1) /* TRANSLATORS: names, size */
        return g_strdup_printf (_ ("Sending %s, %s."), items, size);
    /* TRANSLATORS: names, size */
    return g_strdup_printf (_ ("Sending %s, %s in all."), items, size);
}

static char *
dup_measure (CwItemKind kind, guint64 n_files, gint64 size)
{
    g_autofree char *bytes
        = size >= 0 ? cw_format_size ((guint64)size) : g_strdup (_ ("size not known"));
    g_autofree char *files = cw_words_files (n_files);

    if (kind != CW_ITEM_FOLDER)
        return g_steal_pointer (&bytes);
    /* TRANSLATORS: “214 files, 1.3 GB” */
    return g_strdup_printf (_ ("%s, %s"), files, bytes);
}

static char *
dup_listed_name (const CwOfferItem *item, unsigned columns)
{
    g_autofree char *name = cw_name_dup_display (item->name, 4 * NAME_MAX_SHOWN);
    g_autofree char *cut = cw_text_cut_middle (name, columns);

    return item->kind == CW_ITEM_FOLDER ? g_strconcat (cut, "/", NULL) : g_steal_pointer (&cut);
}

char *
cw_words_offer_list (const CwOffer *offer, unsigned width)
{
    GString *list = g_string_new (NULL);
    guint n = offer->items->len;
    /* Six that fit beat five and "1 more". */
    guint n_listed = n <= LISTED_ITEMS + 1 ? n : LISTED_ITEMS;
    unsigned room = width > 40 ? MIN (width - 30, NAME_MAX_SHOWN) : NAME_MIN_SHOWN;
    unsigned column = 0;

    for (guint i = 0; i < n_listed; i++) {
        g_autofree char *name = dup_listed_name (g_ptr_array_index (offer->items, i), room);
        column = MAX (column, cw_text_columns (name));
    }
    for (guint i = 0; i < n_listed; i++) {
        const CwOfferItem *item = g_ptr_array_index (offer->items, i);
        g_autofree char *name = dup_listed_name (item, room);
        g_autofree char *padded = cw_text_pad (name, column);
        g_autofree char *measure = dup_measure (item->kind, item->n_files, item->size);

        g_string_append_printf (list, "%s  %s  %s", i > 0 ? "\n" : "", padded, measure);
    }
    if (n > n_listed) {
        g_autofree char *more = dup_more (n - n_listed);
        g_autofree char *measure = offer->size >= 0
                                       ? dup_measure (CW_ITEM_FOLDER, offer->n_files, offer->size)
                                       : cw_words_files (offer->n_files);

        /* TRANSLATORS: under a list of names: “and 12 more: 214 files, 1.3 GB in all” */
        g_string_append_printf (list, _ ("\n  and %s: %s in all"), more, measure);
    }
    return g_string_free (list, FALSE);
}

/* --- Routes --- */

static char *
dup_rtt (gint64 rtt_us)
{
    double ms = (double)rtt_us / 1000;

    if (ms < 1) /* TRANSLATORS: less than a millisecond */
        return g_strdup (_ ("under 1 ms"));
    /* TRANSLATORS: milliseconds */
    return g_strdup_printf (_ ("%.0f ms"), ms);
}

static char *
dup_kind (const CwRoute *route)
{
    switch (route->kind) {
    case CW_ROUTE_LAN:
        return g_strdup (_ ("same network"));
    case CW_ROUTE_DIRECT:
        return g_strdup (_ ("direct"));
    case CW_ROUTE_TAILNET:
        return g_strdup (_ ("tailnet"));
    case CW_ROUTE_RELAY:
        break;
    }
    switch (route->reason) {
    case CW_ROUTE_REASON_NO_DIRECT:
        return g_strdup (_ ("relay: no direct connection worked"));
    case CW_ROUTE_REASON_DIRECT_OFF:
        return g_strdup (_ ("relay: direct connections are switched off"));
    case CW_ROUTE_REASON_BEST:
        break;
    }
    return g_strdup (_ ("relay"));
}

char *
cw_words_route (const CwRoute *route)
{
    GString *words = g_string_new (NULL);
    g_autofree char *kind = dup_kind (route);

    g_string_append (words, kind);
    /* The address of a relay is nobody's, so it is left to --json. */
    if (route->kind != CW_ROUTE_RELAY && route->address != NULL) {
        g_autofree char *address = cw_name_dup_display (route->address, NAME_MAX_SHOWN);
        g_string_append_printf (words, ", %s", address);
    }
    if (route->rtt_us >= 0) {
        g_autofree char *rtt = dup_rtt (route->rtt_us);
        g_string_append_printf (words, ", %s", rtt);
    }
    return g_string_free (words, FALSE);
}

const char *
cw_words_route_reason_name (CwRouteReason reason)
{
    switch (reason) {
    case CW_ROUTE_REASON_BEST:
        return "best";
    case CW_ROUTE_REASON_NO_DIRECT:
        return "no-direct";
    case CW_ROUTE_REASON_DIRECT_OFF:
        return "direct-off";
    }
    g_return_val_if_reached ("best");
}

/* --- The end --- */

char *
cw_words_done (const CwTransferFigures *figures, gint64 seconds)
{
    g_autofree char *files = cw_words_files (figures->files_done);
    g_autofree char *size = cw_format_size (figures->bytes_done);
    g_autofree char *duration = cw_format_duration (MAX (seconds, 1));
    g_autofree char *kept = NULL;

    if (figures->bytes_kept == 0) /* TRANSLATORS: “Done: 215 files, 3.2 GB in 34 s, verified.” */
        return g_strdup_printf (_ ("Done: %s, %s in %s, verified."), files, size, duration);
    kept = cw_format_size (figures->bytes_kept);
    /* TRANSLATORS: the last %s is the size of what an earlier, interrupted attempt had brought */
    return g_strdup_printf (_ ("Done: %s, %s in %s, verified; %s were there already."), files, size,
                            duration, kept);
}

char *
cw_words_receive_command (const char *code, const char *mailbox_url)
{
    g_autofree char *word = cw_text_dup_shell_word (code);
    g_autofree char *url = NULL;

    if (mailbox_url == NULL)
        return g_strdup_printf ("causeway receive %s", word);
    url = cw_text_dup_shell_word (mailbox_url);
    return g_strdup_printf ("causeway receive --mailbox %s %s", url, word);
}
