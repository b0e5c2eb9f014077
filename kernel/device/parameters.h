/* SPDX-License-Identifier: MIT
 *
 * A qdisc's parameters: those that the kernel shows, and those that it takes.
 */
#ifndef QS_PARAMETERS_H
#define QS_PARAMETERS_H

#include "netlink.h"

/* All of these are pure. */

/* NULL where all that a root qdisc is can be shown and taken, else why not. */
const char *parameters_lost(const struct root *root);
/* Makes of what is shown what has to be said for the same to be shown again. */
void parameters_to_set(struct root *root);
/* Whether two that are shown are of the same parameters, whatever they count. */
int parameters_same(const struct root *a, const struct root *b);

#endif
