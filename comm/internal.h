/* What the files of comm share, and nobody else sees: who is where, the communicators, the node's board, the check of every call.
 */
#ifndef COMM_INTERNAL_H
#define COMM_INTERNAL_H

#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/shared.h"
#include "comm/world.h"

enum {
	COMM_CHUNK_MAX = INT_MAX, /* bytes, or elements, that one MPI call may carry: its counts are ints */
	COMM_HOST_MAX = 64,	  /* bytes of a host's name that messages show */
	COMM_CALL_MAX = 96,	  /* bytes of a collective's name and arguments, comm/calls.c */
};

/* Two threads of a rank may be in collectives at once, each in a channel of its own. */
enum channel {
	CHANNEL_MAIN,	  /* the thread that created comm: agreements, statistics */
	CHANNEL_GRADIENT, /* who sums gradients */
	CHANNEL_COUNT,
};

struct board; /* comm/board.h */

struct comm {
	MPI_Comm world;			 /* ranks by their number in the job */
	MPI_Comm sums;			 /* the same, for plain sums of gradients */
	MPI_Comm node;			 /* the ranks of this node, in the order of their places */
	MPI_Comm leaders[CHANNEL_COUNT]; /* the first rank of each node, by node; MPI_COMM_NULL on others */
	MPI_Comm roll;			 /* the same, for comm/roll.c */
	int rank;
	int size;
	int place;
	int nodes;
	int node_index; /* this node's number */
	int node_rank;
	int node_ranks;
	int *node_firsts;	      /* [nodes + 1]; node k has places node_firsts[k] .. node_firsts[k + 1] - 1 */
	int *rank_at;		      /* [size]: the rank at each place */
	char (*hosts)[COMM_HOST_MAX]; /* [size], by rank */
	char host[MPI_MAX_PROCESSOR_NAME];
	bool threads;	  /* MPI may be called by several threads at once */
	int failed_rank;  /* of the last agreement that failed; -1: none */
	char program[64]; /* for messages */

	struct shared board_memory;
	struct board *board;		/* of this node; all of its ranks see it */
	uint32_t rounds[CHANNEL_COUNT]; /* gates that this rank has come to; each belongs to its channel's thread */
	bool spins;			/* the ranks of this node have a processor each */
	pthread_t thread;		/* the one that called comm_create */

	/* comm/roll.c */
	_Atomic int *answers;	    /* [nodes]: the last question that each has answered; 0: none */
	_Atomic unsigned questions; /* asked so far */
	atomic_flag answering;

	bool compare_calls;		  /* comm/calls.c */
	uint32_t compared[CHANNEL_COUNT]; /* collectives so far */

	_Atomic int64_t watch_limit; /* milliseconds; 0: the watchdog is off */
	_Atomic int64_t step;	     /* for its message */
	const char *_Atomic advice;  /* for its message; NULL: none */

	/* comm/leaders.c */
	long nap_ns;	   /* of who waits for sums of gradients, as it follows from the waits; the gradient channel's thread's */
	long given_nap_ns; /* in its place, by who knows how long messages take; 0: by nobody */
	/* scratch of the main channel's gathers */
	MPI_Request *requests[CHANNEL_COUNT];	     /* [2 nodes] */
	int *request_nodes[CHANNEL_COUNT];	     /* [2 nodes] */
	bool *missing;				     /* [nodes], for a message */
	size_t *wish_begins;			     /* [nodes + 1] */
	int (*wishes)[2];			     /* [nodes], comm/agree.c */
	char (*calls[CHANNEL_COUNT])[COMM_CALL_MAX]; /* [nodes], comm/calls.c */
	size_t *call_begins;			     /* [nodes + 1] */
};

/* places.c: finds nodes and places, and makes the communicators. nodes > 0: made-up nodes. Collective. */
void comm_find_places(struct comm *comm, int nodes);
void comm_release_places(struct comm *comm);

/* Ends the job when `code`, which the call named `call` returned, is an error. */
void comm_check(const struct comm *comm, int code, const char *call);

/* The place of a rank of this node, counted from the node's first. */
static inline int comm_place_of(const struct comm *comm, int node_rank)
{
	return comm->node_firsts[comm->node_index] + node_rank;
}

#endif
