/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <string.h>

#include "cw-drop-error.h"
#include "cw-identity.h"
#include "cw-mailbox-client.h"
#include "cw-messages.h"
#include "cw-settings.h"
#include "cw-transit.h"

static const struct {
    GQuark (*get_domain) (void);
    const char *prefix;
    const char *headers[2]; /* the first that has the enumeration counts */
} domains[] = {
    { cw_mailbox_error_quark,
      "CW_MAILBOX_ERROR_",
      { "core/meet/mailbox/cw-mailbox-error.h", "core/meet/mailbox/cw-mailbox-client.h" } },
    { cw_transit_error_quark, "CW_TRANSIT_ERROR_", { "core/link/transit/cw-transit.h" } },
    { cw_drop_error_quark, "CW_DROP_ERROR_", { "core/drop/cw-drop-error.h" } },
    { cw_identity_error_quark, "CW_IDENTITY_ERROR_", { "core/base/cw-identity.h" } },
    { cw_settings_error_quark, "CW_SETTINGS_ERROR_", { "core/agent/cw-settings.h" } },
};

/* How many codes a domain has, from its header, since an enumeration cannot be asked: a code that
 * somebody adds without words fails here. */
static int
count_codes (const char *path, const char *prefix)
{
    g_autofree char *file = g_build_filename (g_getenv ("CW_SRC"), path, NULL);
    g_autofree char *text = NULL;
    g_autofree char *pattern = g_strdup_printf ("^    %s[A-Z_0-9]+,", prefix);
    g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_MULTILINE, 0, NULL);
    g_autoptr (GMatchInfo) match = NULL;
    int n = 0;

    if (!g_file_get_contents (file, &text, NULL, NULL))
        return 0;
    for (g_regex_match (regex, text, 0, &match); g_match_info_matches (match);
         g_match_info_next (match, NULL))
        n++;
    return n;
}

static void
check_sentence (const char *text, gboolean begins_small)
{
    if (text == NULL)
        return;
    g_assert_true (g_str_has_suffix (text, ".") || strchr (text, '(') != NULL);
    g_assert_cmpint (g_unichar_islower (g_utf8_get_char (text)), ==, begins_small);
    g_assert_null (strstr (text, "  "));
}

static void
check_words (const CwMessage *message)
{
    static const char *const jargon[]
        = { "SHA",      "PAKE",   "TCP",       "error code", "nameplate",
            "protocol", "socket", "handshake", "errno" };

    check_sentence (message->title, TRUE);
    check_sentence (message->cause, FALSE);
    for (size_t i = 0; i < G_N_ELEMENTS (jargon); i++) {
        g_assert_null (strstr (message->title, jargon[i]));
        g_assert_true (message->cause == NULL || strstr (message->cause, jargon[i]) == NULL);
    }
    for (const char *p = message->name; *p != '\0'; p++)
        g_assert_true (g_ascii_islower (*p) || *p == '-');
    g_assert_cmpuint (message->exit_code, >, CW_EXIT_OK);
    g_assert_true (message->exit_code <= CW_EXIT_INCOMPLETE
                   || message->exit_code == CW_EXIT_INTERRUPTED);
}

static void
test_every_code (void)
{
    static const CwSide sides[] = { CW_SIDE_SENDER, CW_SIDE_RECEIVER, CW_SIDE_ANY };
    g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
    g_autoptr (GHashTable) titles = g_hash_table_new (g_str_hash, g_str_equal);

    for (size_t d = 0; d < G_N_ELEMENTS (domains); d++) {
        int n = count_codes (domains[d].headers[0], domains[d].prefix);

        if (n == 0 && domains[d].headers[1] != NULL)
            n = count_codes (domains[d].headers[1], domains[d].prefix);
        g_assert_cmpint (n, >, 1);
        for (int code = 0; code < n; code++) {
            CwMessage message = { 0 }, any = { 0 };

            g_test_message ("%s%d", domains[d].prefix, code);
            g_assert_true (cw_message_look_up (domains[d].get_domain (), code, CW_SIDE_ANY, &any));
            g_assert_true (g_hash_table_add (names, (char *)any.name));
            g_assert_true (g_hash_table_add (titles, (char *)any.title));
            for (size_t s = 0; s < G_N_ELEMENTS (sides); s++) {
                g_assert_true (
                    cw_message_look_up (domains[d].get_domain (), code, sides[s], &message));
                g_assert_cmpstr (message.name, ==, any.name);
                g_assert_cmpint (message.exit_code, ==, any.exit_code);
                check_words (&message);
            }
        }
        g_assert_false (
            cw_message_look_up (domains[d].get_domain (), n, CW_SIDE_ANY, &(CwMessage){ 0 }));
    }
}

static void
test_exit_codes (void)
{
    g_autoptr (GError) wrong
        = g_error_new_literal (CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_WRONG_CODE, "x");
    g_autoptr (GError) stopped = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "x");
    g_autoptr (GError) unknown = g_error_new_literal (g_quark_from_string ("?"), 7, "x");

    g_assert_cmpint (cw_message_for_error (wrong, CW_SIDE_SENDER).exit_code, ==, 3);
    g_assert_cmpint (cw_message_for_error (stopped, CW_SIDE_SENDER).exit_code, ==, 130);
    g_assert_cmpint (cw_message_for_error (unknown, CW_SIDE_SENDER).exit_code, ==, 1);
    g_assert_cmpstr (cw_message_for_error (unknown, CW_SIDE_SENDER).name, ==, "failed");
    check_words (&(CwMessage[]){ cw_message_verifier_differs () }[0]);
}

/* Both sides of a wrong code are told, each what it can do. */
static void
test_sides (void)
{
    CwMessage sender, receiver;

    g_assert_true (cw_message_look_up (CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_WRONG_CODE,
                                       CW_SIDE_SENDER, &sender));
    g_assert_true (cw_message_look_up (CW_MAILBOX_ERROR, CW_MAILBOX_ERROR_WRONG_CODE,
                                       CW_SIDE_RECEIVER, &receiver));
    g_assert_cmpstr (receiver.title, ==, "the code was wrong, or somebody guessed at it.");
    g_assert_cmpstr (sender.title, !=, receiver.title);
    g_assert_cmpstr (sender.next, !=, receiver.next);
}

static void
test_detail (void)
{
    g_autoptr (GError) error
        = g_error_new_literal (CW_DROP_ERROR, CW_DROP_ERROR_PEER_FAILED, "no \033[31mspace\n");
    CwMessage message = cw_message_for_error (error, CW_SIDE_SENDER);
    g_autofree char *detail = cw_message_dup_detail (&message, error, 100);

    g_assert_cmpint (message.detail, ==, CW_DETAIL_PEER);
    g_assert_null (strchr (detail, '\033'));
    g_assert_null (strchr (detail, '\n'));
    g_assert_nonnull (strstr (detail, "space"));
    message.detail = CW_DETAIL_NONE;
    g_assert_null (cw_message_dup_detail (&message, error, 100));
}

/* The catalogues that the build made are found and used. */
static void
test_translated (void)
{
    g_autofree char *dir = g_build_filename (g_getenv ("CW_BUILD"), "po", NULL);
    g_autofree char *file = g_build_filename (dir, "de", "LC_MESSAGES", "causeway.mo", NULL);
    CwMessage message;

    if (!g_file_test (file, G_FILE_TEST_EXISTS)) {
        g_test_skip ("the German catalogue was not built (no msgfmt?)");
        return;
    }
    g_setenv ("LANGUAGE", "de", TRUE);
    if (setlocale (LC_ALL, "C.UTF-8") == NULL) {
        g_test_skip ("the locale C.UTF-8 is missing");
        return;
    }
    bindtextdomain (GETTEXT_PACKAGE, dir);
    bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
    textdomain (GETTEXT_PACKAGE);
    g_assert_true (
        cw_message_look_up (CW_DROP_ERROR, CW_DROP_ERROR_DECLINED, CW_SIDE_SENDER, &message));
    g_assert_cmpstr (message.title, ==, "die andere Person hat abgelehnt.");
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/messages/every-code", test_every_code);
    g_test_add_func ("/messages/exit-codes", test_exit_codes);
    g_test_add_func ("/messages/sides", test_sides);
    g_test_add_func ("/messages/detail", test_detail);
    g_test_add_func ("/messages/translated", test_translated);
    return g_test_run ();
}
