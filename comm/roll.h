/* The roll call: before the first rank of a node says that others are silent it asks all other first ranks whether they wait, too.
 * Who waits answers, whatever it waits for; who is stopped, hangs or is cut off does not. In a collective of several rounds most
 * ranks wait for ranks that wait themselves, so that who sent nothing is no answer to who is silent.
 *
 * Messages are empty: their tag says which question it is about. One that cannot be sent is one that is not answered. */
#ifndef COMM_ROLL_H
#define COMM_ROLL_H

#include <stdbool.h>

#include "comm/internal.h"

/* Whether this thread may ask: one that may call MPI, of the first rank of a node, where there are several nodes. */
bool roll_asks(const struct comm *comm);

/* Asks, and returns the number of the question. Where roll_asks. */
int roll_call(struct comm *comm);

/* Answers the questions that have come, for this rank waits, and takes note of answers. To be called now and then by a rank that
 * waits; does nothing unless roll_asks. */
void roll_answer(struct comm *comm);

/* Whether node k has answered the question. */
bool roll_answered(const struct comm *comm, int k, int question);

#endif
