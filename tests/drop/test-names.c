/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <glib.h>
#include <string.h>

#include "cw-names.h"

static void
assert_safe (const char *name, gboolean top_level, const char *expected)
{
    g_autofree char *safe = cw_name_make_safe (name, strlen (name), top_level);
    g_autofree char *again = cw_name_make_safe (safe, strlen (safe), top_level);

    g_assert_cmpstr (safe, ==, expected);
    g_assert_cmpstr (again, ==, expected);
}

static void
test_make_safe (void)
{
    static const char *const cases[][2] = {
        { "photo.jpg", "photo.jpg" },
        { "Grüße 🚀.txt", "Grüße 🚀.txt" },
        { "", "_" },
        { ".", "_" },
        { "..", "_" },
        { "...", "_" },
        { " . . ", "_" },
        { "a/b", "a_b" },
        { "/etc/passwd", "_etc_passwd" },
        { "a\tb\nc\x7f\x1b[31m", "a_b_c__[31m" },
        { "a\xc2\x85z", "a_z" }, /* C1 */
        { "gpj.\xe2\x80\xae"
          "exe",
          "gpj._exe" },                           /* right-to-left override */
        { "a\xe2\x80\xa8z\xe2\x81\xa6", "a_z_" }, /* line separator, isolate */
        { "\xff\xfe"
          "abc\xe2\x80",
          "__abc__" },             /* no UTF-8 */
        { "\xed\xa0\x80", "___" }, /* a surrogate */
        { "  a b . ", "a b" },
        { "\xc2\xa0"
          "a\xe3\x80\x80",
          "a" }, /* no-break and ideographic space */
        { "con", "_con" },
        { "CON.txt", "_CON.txt" },
        { "nul .tar.gz", "_nul .tar.gz" },
        { "com1", "_com1" },
        { "LPT9.x", "_LPT9.x" },
        { "com\xc2\xb9", "_com\xc2\xb9" },
        { "com10", "com10" },
        { "console", "console" },
        { "back\\slash", "back\\slash" },
        { ".profile", ".profile" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
        assert_safe (cases[i][0], FALSE, cases[i][1]);
    assert_safe (".profile", TRUE, "_profile");
    assert_safe (" .profile", TRUE, "_profile");
    assert_safe (".causeway-abc.part", TRUE, "_causeway-abc.part");
}

/* A name is bytes and a length: what is behind it does not count, and neither does a NUL end it. */
static void
test_length (void)
{
    g_autofree char *cut = cw_name_make_safe ("abcdef", 3, TRUE);
    g_autofree char *nul = cw_name_make_safe ("a\0b", 3, TRUE);
    g_autofree char *half = cw_name_make_safe ("a\xc3\xbc", 2, TRUE);

    g_assert_cmpstr (cut, ==, "abc");
    g_assert_cmpstr (nul, ==, "a_b");
    g_assert_cmpstr (half, ==, "a_");
}

static void
test_shorten (void)
{
    g_autofree char *stem = g_strnfill (5000, 'x');
    g_autofree char *file = g_strconcat (stem, ".tar.gz", NULL);
    g_autofree char *safe = cw_name_make_safe (file, strlen (file), FALSE);
    g_autofree char *plain = cw_name_make_safe (stem, 5000, FALSE);
    g_autoptr (GString) wide = g_string_new (NULL);
    g_autofree char *narrow = NULL;

    g_assert_cmpuint (strlen (safe), ==, 255);
    g_assert_true (g_str_has_suffix (safe, "xx.tar.gz"));
    g_assert_cmpuint (strlen (plain), ==, 255);
    for (int i = 0; i < 100; i++)
        g_string_append (wide, "𝄞"); /* four bytes */
    g_string_append (wide, ".ogg");
    narrow = cw_name_make_safe (wide->str, wide->len, FALSE);
    g_assert_true (g_utf8_validate (narrow, -1, NULL));
    g_assert_cmpuint (strlen (narrow), ==, 62 * 4 + 4);
    g_assert_true (g_str_has_suffix (narrow, "𝄞.ogg"));
}

static void
test_number (void)
{
    static const struct {
        const char *name;
        gboolean folder;
        const char *expected;
    } cases[] = {
        { "name.ext", FALSE, "name (2).ext" }, { "a.tar.gz", FALSE, "a (2).tar.gz" },
        { "a.TAR.xz", FALSE, "a (2).TAR.xz" }, { ".tar.gz", FALSE, ".tar (2).gz" },
        { "name", FALSE, "name (2)" },         { ".profile", FALSE, ".profile (2)" },
        { "Dr. No", FALSE, "Dr. No (2)" },     { "photos.old", TRUE, "photos.old (2)" },
        { "v1.2", TRUE, "v1.2 (2)" },
    };
    g_autofree char *stem = g_strnfill (251, 'x');
    g_autofree char *file = g_strconcat (stem, ".txt", NULL);
    g_autofree char *numbered = cw_name_number (file, 4294967295u, FALSE);

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        g_autofree char *got = cw_name_number (cases[i].name, 2, cases[i].folder);
        g_assert_cmpstr (got, ==, cases[i].expected);
    }
    g_assert_cmpuint (strlen (numbered), ==, 255);
    g_assert_true (g_str_has_suffix (numbered, "x (4294967295).txt"));
}

static void
test_links (void)
{
    static const struct {
        const char *path, *target;
        gboolean inside;
    } cases[] = {
        { "a/l", "b", TRUE },
        { "a/l", "./b/c", TRUE },
        { "a/l", ".", TRUE },
        { "a/l", "..", FALSE },
        { "a/l", "../a/b", FALSE },
        { "a/b/l", "..", TRUE },
        { "a/b/l", "../c", TRUE },
        { "a/b/l", "../../a", FALSE },
        { "a/b/l", "../..", FALSE },
        { "a/b/c/l", "../../x", TRUE },
        { "a/b/l", "/a/b", FALSE },
        { "a/b/l", "", FALSE },
        { "l", "b", FALSE },
        { "a//l", "..", FALSE },
        { "a/./l", "..", FALSE },
        { "a/../l", "..", FALSE },
        { "a/b/l", ".././../x", FALSE },
        { "a/b/l", "..//c", TRUE },
        /* lexically inside, but "c" may be a link to the top */
        { "a/b/l", "c/..", FALSE },
        { "a/b/l", "c/../../x", FALSE },
        { "a/b/l", "..c/...", TRUE },
    };

    for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
        g_test_message ("%s -> %s", cases[i].path, cases[i].target);
        g_assert_cmpint (cw_name_link_stays_inside (cases[i].path, cases[i].target), ==,
                         cases[i].inside);
    }
}

static void
assert_display (const char *name, size_t max, const char *expected)
{
    g_autofree char *shown = cw_name_dup_display (name, max);

    g_assert_cmpstr (shown, ==, expected);
}

static void
test_display (void)
{
    assert_display ("photo.jpg", 20, "photo.jpg");
    assert_display ("photo.jpg", 9, "photo.jpg");
    assert_display ("photograph.jpg", 9, "phot….jpg");
    assert_display ("äöüäöüäöü", 4, "äö…ü");
    assert_display ("ab", 1, "…");
    assert_display ("ab", 0, "");
    assert_display ("", 0, "");
    assert_display ("a\x1b[31m\n\xff\xe2\x80\xae", 20, "a�[31m���");
    assert_display ("a/b c", 20, "a/b c");
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/names/make-safe", test_make_safe);
    g_test_add_func ("/names/length", test_length);
    g_test_add_func ("/names/shorten", test_shorten);
    g_test_add_func ("/names/number", test_number);
    g_test_add_func ("/names/links", test_links);
    g_test_add_func ("/names/display", test_display);
    return g_test_run ();
}
