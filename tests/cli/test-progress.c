/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
#include <string.h>

#include "cw-cli-progress.h"
#include "cw-cli-text.h"

#define MB G_GUINT64_CONSTANT (1000000)
#define SECOND G_TIME_SPAN_SECOND

static void
assert_takes (char *text, const char *wanted)
{
    g_assert_cmpstr (text, ==, wanted);
    g_free (text);
}

static void
test_durations (void)
{
    assert_takes (cw_format_duration (0), "0 s");
    assert_takes (cw_format_duration (59), "59 s");
    assert_takes (cw_format_duration (60), "1 min 0 s");
    assert_takes (cw_format_duration (3599), "59 min 59 s");
    assert_takes (cw_format_duration (3600), "1 h 0 min");
    assert_takes (cw_format_duration (90000), "1 d 1 h");
    assert_takes (cw_format_duration (G_MAXINT64), "9999 d 15 h");
}

static void
test_sizes (void)
{
    assert_takes (cw_format_size (0), "0 bytes");
    assert_takes (cw_format_size (1), "1 byte");
    assert_takes (cw_format_size (3200 * MB), "3.2 GB");
    assert_takes (cw_format_size_of (2000 * MB, 3200 * MB), "2.0 of 3.2 GB");
    assert_takes (cw_format_size_of (900 * MB, 3200 * MB), "900.0 MB of 3.2 GB");
    assert_takes (cw_format_rate (96.3e6), "96.3 MB/s");
}

static CwTransferFigures
figures (guint64 done, guint64 total)
{
    CwTransferFigures f = { .bytes_total = total,
                            .size_known = TRUE,
                            .bytes_done = done,
                            .files_total = 214,
                            .files_done = 118 };

    strcpy (f.current, "photos/2024/a.jpg");
    return f;
}

/* After a while at a steady speed the rate is that speed. */
static void
test_rate (void)
{
    CwProgress progress;
    gint64 now = 5 * SECOND;

    cw_progress_begin (&progress, now);
    for (int i = 1; i <= 100; i++) {
        CwTransferFigures f = figures ((guint64)i * 10 * MB, 2000 * MB);
        now += SECOND / 10;
        cw_progress_update (&progress, &f, now);
        if (i < 5)
            g_assert_cmpint (cw_progress_get_seconds_left (&progress), ==, -1);
    }
    g_assert_cmpfloat_with_epsilon (progress.rate, 100e6, 1e6);
    g_assert_cmpint (cw_progress_get_seconds_left (&progress), ==, 10);
    /* One slow second changes it a little, not altogether. */
    {
        CwTransferFigures f = figures (1000 * MB, 2000 * MB);
        cw_progress_update (&progress, &f, now + SECOND);
        g_assert_cmpfloat (progress.rate, <, 80e6);
        g_assert_cmpfloat (progress.rate, >, 60e6);
    }
}

/* What an earlier attempt had brought is done, but not fast. */
static void
test_kept_is_not_speed (void)
{
    CwProgress progress;
    CwTransferFigures f = figures (1010 * MB, 2000 * MB);

    f.bytes_kept = 1000 * MB;
    cw_progress_begin (&progress, 0);
    cw_progress_update (&progress, &f, SECOND);
    g_assert_cmpfloat_with_epsilon (progress.rate, 10e6, 1);
}

static void
test_taken_back_is_no_negative_speed (void)
{
    CwProgress progress;
    CwTransferFigures f = figures (100 * MB, 2000 * MB);

    cw_progress_begin (&progress, 0);
    cw_progress_update (&progress, &f, SECOND);
    f.bytes_done = 50 * MB;
    cw_progress_update (&progress, &f, 2 * SECOND);
    g_assert_cmpfloat (progress.rate, >, 0);
    f.bytes_done = 150 * MB;
    cw_progress_update (&progress, &f, 3 * SECOND);
    g_assert_cmpfloat_with_epsilon (progress.rate, 100e6, 1e3);
}

static void
make_example (CwProgress *progress)
{
    CwTransferFigures f = figures (1984 * MB, 3200 * MB);

    cw_progress_begin (progress, 0);
    cw_progress_update (progress, &f, SECOND);
    progress->rate = 96e6;
}

static void
test_line (void)
{
    CwProgress progress;

    make_example (&progress);
    assert_takes (cw_progress_dup_line (&progress, 100, FALSE, TRUE),
                  "photos/ 118 of 214  ━━━━━━━━━━━━━━━━━━╸───────────  62 %  2.0 of 3.2 GB  "
                  "96.0 MB/s  13 s left");
    assert_takes (
        cw_progress_dup_line (&progress, 80, FALSE, FALSE),
        "photos/ 118 of 214  ##########------  62 %  2.0 of 3.2 GB  96.0 MB/s  13 s left");
    assert_takes (cw_progress_dup_line (&progress, 100, TRUE, TRUE),
                  "photos/ 118 of 214  ━━━━━━━━━━━━━━━━━━╸\033[2m━━━━━━━━━━━\033[0m  62 %  "
                  "2.0 of 3.2 GB  96.0 MB/s  13 s left");
    assert_takes (cw_progress_dup_plain_line (&progress),
                  "photos/ 118 of 214  62 %  2.0 of 3.2 GB  96.0 MB/s  13 s left");
}

/* Whatever the width, the line is shorter than it, and percent is what stays longest. */
static void
test_every_width (void)
{
    CwProgress progress;

    make_example (&progress);
    strcpy (progress.figures.current, "写真と動画-a-rather-long-name-for-a-folder/x");
    for (unsigned width = 1; width < 160; width++) {
        g_autofree char *line = cw_progress_dup_line (&progress, width, FALSE, TRUE);

        g_assert_true (g_utf8_validate (line, -1, NULL));
        g_assert_cmpuint (cw_text_columns (line), <, MAX (width, 2));
        if (width > 20)
            g_assert_nonnull (strstr (line, "62 %"));
        if (width > 80)
            g_assert_nonnull (strstr (line, "━"));
    }
}

static void
test_unknown_size (void)
{
    CwProgress progress;
    CwTransferFigures f = { .bytes_done = 512 * MB, .files_total = 1, .current = "stdin" };

    cw_progress_begin (&progress, 0);
    cw_progress_update (&progress, &f, 2 * SECOND);
    assert_takes (cw_progress_dup_line (&progress, 80, FALSE, TRUE), "stdin  512.0 MB  256.0 MB/s");
    g_assert_cmpint (cw_progress_get_seconds_left (&progress), ==, -1);
}

/* More bytes than announced, no files, control characters in a name: nothing breaks. */
static void
test_odd_figures (void)
{
    CwProgress progress;
    CwTransferFigures f
        = { .size_known = TRUE, .bytes_done = 10, .bytes_total = 5, .current = "\033[2J" };
    CwTransferFigures none = { .size_known = TRUE };
    g_autofree char *line = NULL;

    cw_progress_begin (&progress, 0);
    cw_progress_update (&progress, &f, SECOND);
    line = cw_progress_dup_line (&progress, 80, FALSE, TRUE);
    g_assert_nonnull (strstr (line, "100 %"));
    g_assert_null (strchr (line, '\033'));
    cw_progress_begin (&progress, 0);
    cw_progress_update (&progress, &none, SECOND);
    g_free (line);
    line = cw_progress_dup_line (&progress, 80, FALSE, TRUE);
    g_assert_nonnull (strstr (line, "0 %"));
}

int
main (int argc, char **argv)
{
    g_test_init (&argc, &argv, NULL);
    g_test_add_func ("/progress/durations", test_durations);
    g_test_add_func ("/progress/sizes", test_sizes);
    g_test_add_func ("/progress/rate", test_rate);
    g_test_add_func ("/progress/rate/kept", test_kept_is_not_speed);
    g_test_add_func ("/progress/rate/taken-back", test_taken_back_is_no_negative_speed);
    g_test_add_func ("/progress/line", test_line);
    g_test_add_func ("/progress/line/every-width", test_every_width);
    g_test_add_func ("/progress/line/unknown-size", test_unknown_size);
    g_test_add_func ("/progress/line/odd-figures", test_odd_figures);
    return g_test_run ();
}
