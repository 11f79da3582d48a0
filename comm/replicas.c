#include "comm/replicas.h"

#include <string.h>

#include "comm/agree.h"
#include "comm/internal.h"

void replicas_gather(struct comm *comm, int64_t *all, int64_t mine)
{
	memset(all, 0, sizeof(*all) * (size_t)comm->size);
	all[comm->rank] = mine;
	comm_sum_int64(comm, all, comm->size);
}

static int count_equal(const int64_t *all, int size, int64_t digest)
{
	int count = 0;

	for (int r = 0; r < size; r++)
		count += all[r] == digest;
	return count;
}

enum nn_status replicas_compare(struct comm *comm, int64_t *all, int64_t digest)
{
	int right = 0, most, odd = 0;

	replicas_gather(comm, all, digest);
	most = count_equal(all, comm->size, all[0]);
	if (most == comm->size)
		return NN_OK;
	for (int r = 1; r < comm->size; r++) {
		int count = count_equal(all, comm->size, all[r]);

		right = count > most ? r : right;
		most = count > most ? count : most;
	}
	while (all[odd] == all[right])
		odd++;
	comm->failed_rank = odd;
	if (most == 1)
		return nn_error(NN_ERR_PEER, "rank %d on host %s and rank %d on host %s hold different weights", odd,
				comm->hosts[odd], right, comm->hosts[right]);
	return nn_error(NN_ERR_PEER, "rank %d on host %s holds other weights than %d of the ranks do", odd, comm->hosts[odd], most);
}
