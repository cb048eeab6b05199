/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* What people type and links say. What passes is a fixed point, and every completion of a code goes
 * on with what was typed. */
#include <string.h>

#include "cw-code.h"
#include "cw-mailbox-url.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_code (const char *text)
{
    g_autofree char *mailbox = NULL;
    g_autofree char *code = cw_code_normalize (text, &mailbox, NULL);
    g_autofree char *again = NULL;
    g_autofree char *uri = NULL;
    g_autofree char *back = NULL;
    g_autofree char *mailbox_back = NULL;
    g_autofree char *nameplate = NULL;

    if (code == NULL)
        return;
    again = cw_code_normalize (code, NULL, NULL);
    g_assert_cmpstr (again, ==, code);
    nameplate = cw_code_dup_nameplate (code);
    g_assert_nonnull (nameplate);
    uri = cw_code_to_uri (code, mailbox);
    back = cw_code_normalize (uri, &mailbox_back, NULL);
    g_assert_cmpstr (back, ==, code);
    if (mailbox != NULL)
        g_assert_true (cw_mailbox_url_check (mailbox, NULL));
    g_assert_cmpstr (mailbox_back, ==, mailbox);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
    static const char *const nameplates[] = { "1", "12", "7", NULL };
    g_autofree char *text = g_strndup (size > 0 ? (const char *)data : "", size);
    g_autofree char *lower = g_ascii_strdown (text, -1);
    g_auto (GStrv) completions = cw_code_complete (text, nameplates, size % 5);

    for (char **completion = completions; *completion != NULL; completion++)
        g_assert_true (g_str_has_prefix (*completion, lower));
    check_code (text);
    return 0;
}
