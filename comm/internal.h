/* What the files of comm share, and nobody else sees: the communicators and the check of every MPI call. */
#ifndef COMM_INTERNAL_H
#define COMM_INTERNAL_H

#include <limits.h>
#include <mpi.h>

#include "comm/world.h"

/* Bytes, or elements, that one MPI call may carry: its counts are ints. */
enum { COMM_CHUNK_MAX = INT_MAX };

struct comm {
	MPI_Comm world;	  /* ranks by their number in the job */
	MPI_Comm ordered; /* ranks by their place */
	MPI_Comm node;	  /* the ranks of this node, in the order of their places */
	int rank;
	int size;
	int place;
	int nodes;
	int node_rank;
	int node_ranks;
	int node_first; /* place of this node's first rank */
	char host[MPI_MAX_PROCESSOR_NAME];
	char host_of_rank_0[MPI_MAX_PROCESSOR_NAME];
	int failed_rank;  /* of the last agreement that failed; -1: none */
	char program[64]; /* for the message of a failed MPI call */
};

/* Ends the job when `code`, which the call named `call` returned, is an error. */
void comm_check(const struct comm *comm, int code, const char *call);

#endif
