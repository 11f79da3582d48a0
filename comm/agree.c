#include "comm/agree.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "comm/board.h"
#include "comm/calls.h"
#include "comm/leaders.h"

/* MPI_Wait has nothing left to wait for: it is there for readers, people and checkers, that look for the end of a request. */
static void end_request(struct comm *comm, MPI_Request *request, const char *what)
{
	comm_finish(comm, request, what);
	comm_check(comm, MPI_Wait(request, MPI_STATUS_IGNORE), "MPI_Wait");
}

static void broadcast(struct comm *comm, void *data, size_t bytes, int root)
{
	MPI_Request request;

	comm_check(comm, MPI_Ibcast(data, (int)bytes, MPI_BYTE, root, comm->world, &request), "MPI_Ibcast");
	end_request(comm, &request, "the broadcast");
}

/* values = the sums, or whatever `operation` makes of them. */
static void combine(struct comm *comm, void *values, size_t n, MPI_Datatype type, MPI_Op operation, const char *what)
{
	MPI_Request request;

	comm_check(comm, MPI_Iallreduce(MPI_IN_PLACE, values, (int)n, type, operation, comm->world, &request), "MPI_Iallreduce");
	end_request(comm, &request, what);
}

static void keep_lowest(int into[2], const int from[2])
{
	for (int i = 0; i < 2; i++)
		into[i] = from[i] < into[i] ? from[i] : into[i];
}

/* Replaces both wishes by the lowest of all ranks. Every rank has come when this returns. */
static void agree_on(struct comm *comm, int wishes[2], const char *what)
{
	struct board *board = comm->board;

	memcpy(board->members[comm->node_rank].wishes, wishes, sizeof(board->agreed));
	if (board_enter(comm, CHANNEL_MAIN, comm->nodes > 1, what)) {
		for (int i = 0; i < comm->node_ranks; i++)
			keep_lowest(wishes, board->members[i].wishes);
		if (comm->nodes > 1) {
			memcpy(comm->wishes[comm->node_index], wishes, sizeof(comm->wishes[0]));
			leaders_gather(comm, CHANNEL_MAIN, comm->wishes, comm->wish_begins, what);
			for (int k = 0; k < comm->nodes; k++)
				keep_lowest(wishes, comm->wishes[k]);
		}
		memcpy(board->agreed, wishes, sizeof(board->agreed));
		board_open(comm, CHANNEL_MAIN);
	}
	memcpy(wishes, board->agreed, sizeof(board->agreed));
}

/* Everybody is here: what follows between all ranks does not wait long. The numbers are arguments that ranks must have alike. */
static void meet(struct comm *comm, const char *what, size_t count, int root)
{
	int unused[2] = {0, 0};

	calls_compare(comm, CHANNEL_MAIN, true, what, (int64_t)count, root);
	agree_on(comm, unused, what);
}

enum nn_status comm_agree(struct comm *comm, enum nn_status mine)
{
	int unused = 0;

	return comm_agree_most(comm, mine, &unused);
}

enum nn_status comm_agree_most(struct comm *comm, enum nn_status mine, int *value)
{
	struct {
		int status;
		char message[1024];
	} failure = {.status = (int)mine};
	int wishes[2] = {mine == NN_OK ? INT_MAX : comm->rank, -*value}; /* of both the lowest counts */

	calls_compare(comm, CHANNEL_MAIN, true, "the agreement", 0, 0);
	agree_on(comm, wishes, "the agreement");
	if (wishes[0] == INT_MAX) {
		*value = -wishes[1];
		return NN_OK;
	}
	comm->failed_rank = wishes[0];
	snprintf(failure.message, sizeof(failure.message), "%s", nn_error_message());
	broadcast(comm, &failure, sizeof(failure), wishes[0]);
	return nn_error((enum nn_status)failure.status, "%s", failure.message);
}

int comm_failed_rank(const struct comm *comm)
{
	return comm->failed_rank;
}

enum nn_status comm_same(struct comm *comm, const void *bytes, size_t n, const char *what)
{
	const char *mine = bytes;
	enum nn_status status = NN_OK;
	char piece[4096];

	for (size_t done = 0, length; done < n; done += length) {
		length = n - done < sizeof(piece) ? n - done : sizeof(piece);
		memcpy(piece, mine + done, length);
		comm_broadcast(comm, piece, length, 0);
		if (memcmp(piece, mine + done, length) != 0)
			status = nn_error(NN_ERR_DATA, "rank %d on host %s sees another %s than rank 0 on host %s", comm->rank,
					  comm->host, what, comm->hosts[0]);
	}
	return comm_agree(comm, status);
}

void comm_broadcast(struct comm *comm, void *data, size_t bytes, int root)
{
	comm_broadcast_limited(comm, data, bytes, root, COMM_CHUNK_MAX);
}

void comm_broadcast_limited(struct comm *comm, void *data, size_t bytes, int root, size_t limit)
{
	char *at = data;

	assert(limit > 0 && limit <= COMM_CHUNK_MAX);
	meet(comm, "the broadcast", bytes, root);
	for (size_t done = 0, length; done < bytes; done += length) {
		length = bytes - done < limit ? bytes - done : limit;
		broadcast(comm, at + done, length, root);
	}
}

void comm_give(struct comm *comm, void *out, const void *mine, size_t bytes, int from)
{
	MPI_Request request;

	meet(comm, "a message to rank 0", bytes, from);
	if (from == 0 || (comm->rank != 0 && comm->rank != from))
		return;
	for (size_t done = 0, length; done < bytes; done += length) {
		length = bytes - done < COMM_CHUNK_MAX ? bytes - done : COMM_CHUNK_MAX;
		if (comm->rank == 0)
			comm_check(comm, MPI_Irecv((char *)out + done, (int)length, MPI_BYTE, from, 0, comm->world, &request),
				   "MPI_Irecv");
		else
			comm_check(comm, MPI_Isend((const char *)mine + done, (int)length, MPI_BYTE, 0, 0, comm->world, &request),
				   "MPI_Isend");
		end_request(comm, &request, "a message to rank 0");
	}
}

void comm_sum_int64(struct comm *comm, int64_t *values, int n)
{
	meet(comm, "a sum", (size_t)n, 0);
	combine(comm, values, (size_t)n, MPI_INT64_T, MPI_SUM, "a sum");
}

void comm_sum_float(struct comm *comm, float *values, size_t n)
{
	meet(comm, "a sum of floats", n, 0);
	for (size_t done = 0, length; done < n; done += length) {
		length = n - done < COMM_CHUNK_MAX ? n - done : COMM_CHUNK_MAX;
		combine(comm, values + done, length, MPI_FLOAT, MPI_SUM, "a sum");
	}
}

double comm_max_double(struct comm *comm, double value)
{
	meet(comm, "a maximum", 1, 0);
	combine(comm, &value, 1, MPI_DOUBLE, MPI_MAX, "a maximum");
	return value;
}

void comm_barrier(struct comm *comm)
{
	meet(comm, "a barrier", 0, 0);
}
