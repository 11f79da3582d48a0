/* A check for debug builds: before each collective, that all ranks are in the same one with the same arguments.
 *
 * Two threads of a rank may be in collectives at once, so each channel has a sequence of its own. A mismatch is a bug of ours, and
 * without this check a job that waits for ever, or sums the wrong things. */
#ifndef COMM_CALLS_H
#define COMM_CALLS_H

#include "comm/internal.h"

/* Meets the other ranks of the node, and with `everywhere` of all nodes, when comparing is on (comm_compare_calls); otherwise does
 * nothing. `what` and the two arguments name the collective. Errors: none; a mismatch ends the job, as comm_abort does, with
 * NN_ERR_PEER's exit code, naming two ranks and what each of them called. */
void calls_compare(struct comm *comm, enum channel channel, bool everywhere, const char *what, int64_t a, int64_t b);

#endif
