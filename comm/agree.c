#include "comm/agree.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "comm/internal.h"

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
	int lowest;

	comm_check(comm, MPI_Allreduce(MPI_IN_PLACE, wishes, 2, MPI_INT, MPI_MIN, comm->world), "MPI_Allreduce");
	lowest = wishes[0];
	if (lowest == INT_MAX) {
		*value = -wishes[1];
		return NN_OK;
	}
	comm->failed_rank = lowest;
	snprintf(failure.message, sizeof(failure.message), "%s", nn_error_message());
	comm_check(comm, MPI_Bcast(&failure, sizeof(failure), MPI_BYTE, lowest, comm->world), "MPI_Bcast");
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
					  comm->host, what, comm->host_of_rank_0);
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
	for (size_t done = 0, length; done < bytes; done += length) {
		length = bytes - done < limit ? bytes - done : limit;
		comm_check(comm, MPI_Bcast(at + done, (int)length, MPI_BYTE, root, comm->world), "MPI_Bcast");
	}
}

void comm_sum_int64(struct comm *comm, int64_t *values, int n)
{
	comm_check(comm, MPI_Allreduce(MPI_IN_PLACE, values, n, MPI_INT64_T, MPI_SUM, comm->world), "MPI_Allreduce");
}

void comm_sum_float(struct comm *comm, float *values, size_t n)
{
	for (size_t done = 0, length; done < n; done += length) {
		length = n - done < COMM_CHUNK_MAX ? n - done : COMM_CHUNK_MAX;
		comm_check(comm, MPI_Allreduce(MPI_IN_PLACE, values + done, (int)length, MPI_FLOAT, MPI_SUM, comm->world),
			   "MPI_Allreduce");
	}
}

double comm_max_double(struct comm *comm, double value)
{
	double largest;

	comm_check(comm, MPI_Allreduce(&value, &largest, 1, MPI_DOUBLE, MPI_MAX, comm->world), "MPI_Allreduce");
	return largest;
}

void comm_barrier(struct comm *comm)
{
	comm_check(comm, MPI_Barrier(comm->world), "MPI_Barrier");
}
