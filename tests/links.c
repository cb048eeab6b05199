/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* That this links is the test; see meson.build. */
int
main (void)
{
    return 0;
}
