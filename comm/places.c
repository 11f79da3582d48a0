/* Who is where: nodes, places, and the communicators and tables that follow from them. */
#include <stdio.h>
#include <string.h>

#include "comm/internal.h"
#include "nn/core/alloc.h"

/* MPI runs already, and the other ranks do not know of this one's trouble. */
static void allocate(const struct comm *comm, void *out, size_t bytes)
{
	if (nn_alloc(out, bytes) != NN_OK)
		comm_abort(comm, comm->program, NN_ERR_MEMORY, nn_error_message());
}

static void return_errors(const struct comm *comm, MPI_Comm communicator)
{
	if (communicator != MPI_COMM_NULL)
		comm_check(comm, MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

static void find_node(struct comm *comm, int nodes)
{
	if (nodes > 0)
		comm_check(comm, MPI_Comm_split(comm->world, comm->rank % nodes, comm->rank, &comm->node), "MPI_Comm_split");
	else
		comm_check(comm, MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->node),
			   "MPI_Comm_split_type");
	return_errors(comm, comm->node);
	comm_check(comm, MPI_Comm_rank(comm->node, &comm->node_rank), "MPI_Comm_rank");
	comm_check(comm, MPI_Comm_size(comm->node, &comm->node_ranks), "MPI_Comm_size");
}

/* The first ranks of the nodes, in the order of their ranks, one communicator for each channel and one for the roll
 * call. */
static void find_leaders(struct comm *comm)
{
	int color = comm->node_rank == 0 ? 0 : MPI_UNDEFINED;
	int told[2] = {0, 0}; /* this node's number, number of nodes */

	for (int c = 0; c < CHANNEL_COUNT; c++) {
		comm_check(comm, MPI_Comm_split(comm->world, color, comm->rank, &comm->leaders[c]), "MPI_Comm_split");
		return_errors(comm, comm->leaders[c]);
	}
	comm_check(comm, MPI_Comm_split(comm->world, color, comm->rank, &comm->roll), "MPI_Comm_split");
	return_errors(comm, comm->roll);
	if (comm->node_rank == 0) {
		comm_check(comm, MPI_Comm_rank(comm->leaders[0], &told[0]), "MPI_Comm_rank");
		comm_check(comm, MPI_Comm_size(comm->leaders[0], &told[1]), "MPI_Comm_size");
	}
	comm_check(comm, MPI_Bcast(told, 2, MPI_INT, 0, comm->node), "MPI_Bcast");
	comm->node_index = told[0];
	comm->nodes = told[1];
}

static void find_places(struct comm *comm)
{
	int mine[2] = {comm->node_index, comm->node_rank};
	int(*all)[2];

	allocate(comm, &all, sizeof(*all) * (size_t)comm->size);
	allocate(comm, &comm->node_firsts, sizeof(int) * ((size_t)comm->nodes + 1));
	allocate(comm, &comm->rank_at, sizeof(int) * (size_t)comm->size);
	comm_check(comm, MPI_Allgather(mine, 2, MPI_INT, all, 2, MPI_INT, comm->world), "MPI_Allgather");
	for (int r = 0; r < comm->size; r++)
		comm->node_firsts[all[r][0] + 1]++;
	for (int k = 0; k < comm->nodes; k++)
		comm->node_firsts[k + 1] += comm->node_firsts[k];
	for (int r = 0; r < comm->size; r++)
		comm->rank_at[comm->node_firsts[all[r][0]] + all[r][1]] = r;
	comm->place = comm->node_firsts[comm->node_index] + comm->node_rank;
	nn_free(all);
}

static void find_names(struct comm *comm)
{
	char mine[COMM_HOST_MAX];
	int length;

	comm_check(comm, MPI_Get_processor_name(comm->host, &length), "MPI_Get_processor_name");
	snprintf(mine, sizeof(mine), "%.*s", COMM_HOST_MAX - 1, comm->host);
	allocate(comm, &comm->hosts, sizeof(*comm->hosts) * (size_t)comm->size);
	comm_check(comm, MPI_Allgather(mine, COMM_HOST_MAX, MPI_CHAR, comm->hosts, COMM_HOST_MAX, MPI_CHAR, comm->world),
		   "MPI_Allgather");
}

static void make_scratch(struct comm *comm)
{
	size_t nodes = (size_t)comm->nodes;

	for (int c = 0; c < CHANNEL_COUNT; c++) {
		allocate(comm, &comm->requests[c], sizeof(MPI_Request) * 2 * nodes);
		allocate(comm, &comm->request_nodes[c], sizeof(int) * 2 * nodes);
		allocate(comm, &comm->calls[c], sizeof(*comm->calls[c]) * nodes);
	}
	allocate(comm, &comm->missing, sizeof(*comm->missing) * nodes);
	allocate(comm, &comm->answers, sizeof(*comm->answers) * nodes);
	atomic_flag_clear(&comm->answering);
	allocate(comm, &comm->wishes, sizeof(*comm->wishes) * nodes);
	allocate(comm, &comm->wish_begins, sizeof(*comm->wish_begins) * (nodes + 1));
	allocate(comm, &comm->call_begins, sizeof(*comm->call_begins) * (nodes + 1));
	for (size_t k = 0; k <= nodes; k++) {
		comm->wish_begins[k] = k * sizeof(*comm->wishes);
		comm->call_begins[k] = k * sizeof(*comm->calls[0]);
	}
}

void comm_find_places(struct comm *comm, int nodes)
{
	comm_check(comm, MPI_Comm_dup(comm->world, &comm->sums), "MPI_Comm_dup");
	return_errors(comm, comm->sums);
	find_node(comm, nodes);
	find_leaders(comm);
	find_places(comm);
	find_names(comm);
	make_scratch(comm);
}

void comm_release_places(struct comm *comm)
{
	for (int c = 0; c < CHANNEL_COUNT; c++) {
		if (comm->leaders[c] != MPI_COMM_NULL)
			comm_check(comm, MPI_Comm_free(&comm->leaders[c]), "MPI_Comm_free");
		nn_free(comm->requests[c]);
		nn_free(comm->request_nodes[c]);
		nn_free(comm->calls[c]);
	}
	if (comm->roll != MPI_COMM_NULL)
		comm_check(comm, MPI_Comm_free(&comm->roll), "MPI_Comm_free");
	comm_check(comm, MPI_Comm_free(&comm->node), "MPI_Comm_free");
	comm_check(comm, MPI_Comm_free(&comm->sums), "MPI_Comm_free");
	nn_free(comm->node_firsts);
	nn_free(comm->rank_at);
	nn_free(comm->hosts);
	nn_free(comm->missing);
	nn_free(comm->answers);
	nn_free(comm->wishes);
	nn_free(comm->wish_begins);
	nn_free(comm->call_begins);
}
