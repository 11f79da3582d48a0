/* The board of a node, in memory that its ranks share, and the gates on it: where ranks meet without MPI.
 *
 * All ranks of the node come to the gate of a channel once a round. The last to come, or the node's first rank when there is MPI to
 * speak, does what is to be done once for all, and opens the gate; the others sleep in the kernel until then. A rank that comes
 * early costs nothing, however busy the cores are: only where the ranks have as many processors between them, and in the thread
 * that called comm_create, it first looks for half a millisecond whether the gate opens. */
#ifndef COMM_BOARD_H
#define COMM_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "comm/internal.h"
#include "nn/core/status.h"

struct board_gate {
	_Alignas(64) _Atomic uint32_t arrived; /* in all rounds together */
	_Alignas(64) _Atomic uint32_t opened;  /* rounds that are over */
};

/* What one rank shows the others of its node. */
struct board_member {
	_Alignas(64) int pid;
	_Atomic uint32_t rounds[CHANNEL_COUNT];	  /* gates it has come to */
	_Atomic int64_t waiting[CHANNEL_COUNT];	  /* when it last showed that it lives and waits, in milliseconds; 0: never */
	int wishes[2];				  /* comm/agree.c */
	char calls[CHANNEL_COUNT][COMM_CALL_MAX]; /* comm/calls.c */
};

struct board {
	struct board_gate gates[CHANNEL_COUNT];
	_Atomic int speaking; /* a rank of this node is about to end the job, and says why */
	int agreed[2];	      /* comm/agree.c */
	struct board_member members[];
};

/* Makes the node's board. Collective over the node's ranks. Ownership: board_release. Errors: NN_ERR_MEMORY. */
enum nn_status board_create(struct comm *comm);
void board_release(struct comm *comm);

/* Comes to the channel's gate and waits there. True: this rank completes the round, everybody is there, and board_open must follow;
 * false: that has been done. leads: the node's first rank completes, otherwise the last to come. `what` names the collective for
 * the watchdog. What members wrote before they came is seen by the rank that completes; what that wrote before board_open, by all.
 * Collective over the node's ranks. */
bool board_enter(struct comm *comm, enum channel channel, bool leads, const char *what);

/* The two halves of it, for work of one's own in between: board_arrive does not wait. True: this rank completes the round, as
 * above, and the second half is left out. */
bool board_arrive(struct comm *comm, enum channel channel, bool leads);
bool board_wait(struct comm *comm, enum channel channel, bool leads, const char *what);

void board_open(struct comm *comm, enum channel channel);

/* How long this thread may look for what it waits for before it sleeps, in nanoseconds: longer than ranks that compute the same
 * usually differ by, for to fall asleep and wake up takes tens of microseconds, which everybody waits for at the next exchange.
 * 0 for a thread that has no processor to itself. */
long board_spin_ns(const struct comm *comm);

#endif
