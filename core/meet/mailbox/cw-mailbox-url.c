/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include "cw-mailbox-url.h"

#include <string.h>

#include "cw-mailbox-error.h"

#define MAX_URL 1024

static GUri *
parse_url (const char *url, GError **error)
{
    g_autoptr (GUri) uri = NULL;
    const char *wrong = NULL;

    if (strlen (url) <= MAX_URL && strcspn (url, " \t\r\n") == strlen (url))
        uri = g_uri_parse (url, G_URI_FLAGS_ENCODED, NULL);
    if (uri == NULL)
        wrong = "is not a URL";
    else if (strcmp (g_uri_get_scheme (uri), "ws") != 0
             && strcmp (g_uri_get_scheme (uri), "wss") != 0)
        wrong = "does not start with ws:// or wss://";
    else if (g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0')
        wrong = "names no host";
    else if (g_uri_get_port (uri) == 0)
        wrong = "has no usable port";
    else if (g_uri_get_userinfo (uri) != NULL || g_uri_get_query (uri) != NULL
             || g_uri_get_fragment (uri) != NULL)
        wrong = "has more than host, port and path";
    if (wrong != NULL) {
        g_set_error (error, CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_BAD_URL, "mailbox address '%.*s' %s",
                     100, url, wrong);
        return NULL;
    }
    return g_steal_pointer (&uri);
}

gboolean
cw_mailbox_url_check (const char *url, GError **error)
{
    g_autoptr (GUri) uri = parse_url (url, error);

    return uri != NULL;
}

gboolean
cw_mailbox_url_is_usual (const char *url)
{
    g_autoptr (GUri) uri = parse_url (url, NULL);
    int port = uri != NULL ? g_uri_get_port (uri) : 0;
    gboolean secure = uri != NULL && strcmp (g_uri_get_scheme (uri), "wss") == 0;

    /* The same server and database behind both. */
    return uri != NULL && g_ascii_strcasecmp (g_uri_get_host (uri), "relay.magic-wormhole.io") == 0
           && (secure ? port == -1 || port == 443 : port == 4000)
           && strcmp (g_uri_get_path (uri), "/v1") == 0;
}

char *
cw_mailbox_url_dup_rendezvous (const char *url)
{
    const char *slash = strchr (url, '/');

    if (slash != NULL && g_str_has_prefix (slash, "//"))
        slash = strchr (slash + 2, '/');
    return slash != NULL && strcmp (slash, "/v1") == 0 ? g_strndup (url, (gsize)(slash - url))
                                                       : g_strdup (url);
}

char *
cw_mailbox_url_from_rendezvous (const char *text, GError **error)
{
    g_autoptr (GUri) uri = parse_url (text, error);

    if (uri == NULL)
        return NULL;
    if (*g_uri_get_path (uri) == '\0')
        return g_strconcat (text, "/v1", NULL);
    if (strcmp (g_uri_get_path (uri), "/") == 0)
        return g_strconcat (text, "v1", NULL);
    return g_strdup (text);
}
