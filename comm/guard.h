/* The watchdog for calls of MPI that block: a thread looks in their place (comm/watch.h), where several may call MPI. */
#ifndef COMM_GUARD_H
#define COMM_GUARD_H

#include "comm/internal.h"
#include "nn/core/status.h"

struct guard;

/* `what` names the calls. Ownership: the caller's, ended by guard_destroy; keeps pointers to both. Not collective.
 * Errors: NN_ERR_MEMORY, also when no thread is to be had; *out is then NULL. */
enum nn_status guard_create(struct guard **out, struct comm *comm, enum channel channel, const char *what);

/* Ends the thread, within a tenth of a second, and frees; NULL is allowed. Not during a call. */
void guard_destroy(struct guard *guard);

/* Around the call. They cost nothing: the thread looks ten times a second whether the same call still goes on. */
void guard_begin(struct guard *guard);
void guard_end(struct guard *guard);

#endif
