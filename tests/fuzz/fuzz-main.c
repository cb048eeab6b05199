/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* Runs a fuzz target without libFuzzer: every seed as it is, every truncation of the small ones,
 * then random mutations for CW_FUZZ_SECONDS (default 2) from a seed that is printed. */

#include <glib.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

#define MAX_MUTATED (1 << 20)

static void
run (const guint8 *data, size_t len)
{
    /* An exact heap copy, so that a sanitizer sees the first byte read past the end; malloc (0) is
     * no NULL, just as libFuzzer passes none. */
    guint8 *copy = malloc (len);

    if (len > 0)
        memcpy (copy, data, len);
    LLVMFuzzerTestOneInput (copy, len);
    free (copy);
}

static GPtrArray *
load_seeds (const char *folder)
{
    GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
        g_autofree char *path = g_build_filename (folder, name, NULL);
        char *data;
        gsize len;
        if (g_file_get_contents (path, &data, &len, NULL))
            g_ptr_array_add (seeds, g_bytes_new_take (data, len));
    }
    return seeds;
}

static void
replay (GPtrArray *seeds)
{
    run ((const guint8 *)"", 0);
    for (guint i = 0; i < seeds->len; i++) {
        gsize len;
        const guint8 *data = g_bytes_get_data (g_ptr_array_index (seeds, i), &len);
        run (data, len);
        for (gsize cut = 0; cut < MIN (len, 4096); cut++)
            run (data, cut);
    }
}

static void
mutate (GByteArray *input, GPtrArray *seeds, GRand *rand)
{
    static const guint8 interesting[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', '-', '/', '\n' };
    int rounds = g_rand_int_range (rand, 1, 9);

    while (rounds-- > 0) {
        guint at = input->len > 0 ? (guint)g_rand_int_range (rand, 0, (int)input->len) : 0;
        guint8 byte = (guint8)g_rand_int (rand);
        switch (g_rand_int_range (rand, 0, 6)) {
        case 0:
            if (input->len > 0)
                input->data[at] = byte;
            break;
        case 1:
            if (input->len > 0)
                input->data[at] ^= (guint8)(1u << (byte & 7));
            break;
        case 2:
            if (input->len > 0)
                input->data[at] = interesting[byte % G_N_ELEMENTS (interesting)];
            break;
        case 3:
            g_byte_array_set_size (input, at);
            break;
        case 4:
            if (input->len > 1)
                g_byte_array_remove_index (input, at);
            break;
        default:
            if (seeds->len > 0 && input->len < MAX_MUTATED) {
                gsize len;
                const guint8 *data = g_bytes_get_data (
                    g_ptr_array_index (seeds, g_rand_int (rand) % seeds->len), &len);
                gsize from = len > 0 ? g_rand_int (rand) % len : 0;
                g_byte_array_append (input, data + from, (guint)(len - from));
            }
            break;
        }
    }
}

int
main (int argc, char **argv)
{
    const char *seconds_text = g_getenv ("CW_FUZZ_SECONDS");
    double seconds = seconds_text != NULL ? g_ascii_strtod (seconds_text, NULL) : 2;
    const char *seed_text = g_getenv ("CW_FUZZ_SEED");
    guint32 seed
        = seed_text != NULL ? (guint32)g_ascii_strtoull (seed_text, NULL, 10) : g_random_int ();
    g_autoptr (GPtrArray) seeds = load_seeds (argc > 1 ? argv[1] : ".");
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (GByteArray) input = g_byte_array_new ();
    gint64 end;
    guint64 runs = 0;

    g_print ("# %u seeds, CW_FUZZ_SEED=%u\n1..1\n", seeds->len, seed);
    replay (seeds);
    end = g_get_monotonic_time () + (gint64)(seconds * G_USEC_PER_SEC);
    while (g_get_monotonic_time () < end) {
        g_byte_array_set_size (input, 0);
        if (seeds->len > 0) {
            gsize len;
            const guint8 *data = g_bytes_get_data (
                g_ptr_array_index (seeds, g_rand_int (rand) % seeds->len), &len);
            g_byte_array_append (input, data, (guint)len);
        }
        mutate (input, seeds, rand);
        run (input->data, input->len);
        runs++;
    }
    g_print ("# %" G_GUINT64_FORMAT " mutations\nok 1 %s\n", runs, "seeds and mutations");
    return seeds->len > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
