#include "comm/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/covers.h"
#include "comm/internal.h"
#include "nn/core/alloc.h"

static _Noreturn void end_job(const char *program, enum nn_status status, const char *message)
{
	fprintf(stderr, "%s: error: %s\n", program, message);
	MPI_Abort(MPI_COMM_WORLD, nn_exit_code(status));
	_Exit(nn_exit_code(status));
}

void comm_check(const struct comm *comm, int code, const char *call)
{
	char text[MPI_MAX_ERROR_STRING] = "unknown error";
	char message[MPI_MAX_ERROR_STRING + 128];
	int length;

	if (code == MPI_SUCCESS)
		return;
	MPI_Error_string(code, text, &length);
	snprintf(message, sizeof(message), "%s failed on rank %d: %s", call, comm->rank, text);
	end_job(comm->program, NN_ERR_PEER, message);
}

void comm_abort(const struct comm *comm, const char *program, enum nn_status status, const char *message)
{
	char text[1152];

	snprintf(text, sizeof(text), "%s (rank %d)", message, comm->rank);
	end_job(program, status, text);
}

static void split(const struct comm *comm, MPI_Comm *out, int color, int key)
{
	comm_check(comm, MPI_Comm_split(comm->world, color, key, out), "MPI_Comm_split");
	if (*out != MPI_COMM_NULL)
		comm_check(comm, MPI_Comm_set_errhandler(*out, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

/* nodes > 0: made-up nodes. */
static void find_node(struct comm *comm, int nodes)
{
	if (nodes > 0)
		split(comm, &comm->node, comm->rank % nodes, comm->rank);
	else
		comm_check(comm, MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->node),
			   "MPI_Comm_split_type");
	comm_check(comm, MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
	comm_check(comm, MPI_Comm_rank(comm->node, &comm->node_rank), "MPI_Comm_rank");
	comm_check(comm, MPI_Comm_size(comm->node, &comm->node_ranks), "MPI_Comm_size");
}

/* The first rank of each node adds up the ranks of the nodes before its own, and tells its node. */
static void find_place(struct comm *comm)
{
	int told[2] = {0, 0}; /* ranks on earlier nodes, number of nodes */
	MPI_Comm leaders;

	split(comm, &leaders, comm->node_rank == 0 ? 0 : MPI_UNDEFINED, comm->rank);
	if (leaders != MPI_COMM_NULL) {
		comm_check(comm, MPI_Scan(&comm->node_ranks, &told[0], 1, MPI_INT, MPI_SUM, leaders), "MPI_Scan");
		told[0] -= comm->node_ranks;
		comm_check(comm, MPI_Comm_size(leaders, &told[1]), "MPI_Comm_size");
		comm_check(comm, MPI_Comm_free(&leaders), "MPI_Comm_free");
	}
	comm_check(comm, MPI_Bcast(told, 2, MPI_INT, 0, comm->node), "MPI_Bcast");
	comm->node_first = told[0];
	comm->nodes = told[1];
	comm->place = comm->node_first + comm->node_rank;
	split(comm, &comm->ordered, 0, comm->place);
}

static void find_names(struct comm *comm, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	int length;

	snprintf(comm->program, sizeof(comm->program), "%s", slash ? slash + 1 : path ? path : "resnet");
	comm_check(comm, MPI_Get_processor_name(comm->host, &length), "MPI_Get_processor_name");
	memcpy(comm->host_of_rank_0, comm->host, sizeof(comm->host));
	comm_check(comm, MPI_Bcast(comm->host_of_rank_0, sizeof(comm->host), MPI_CHAR, 0, comm->world), "MPI_Bcast");
}

enum nn_status comm_create_on_nodes(struct comm **out, int *argc, char ***argv, int nodes)
{
	int granted = MPI_THREAD_SINGLE;
	struct comm *comm;
	/* Before MPI_Init: a process that leaves here with an error still takes the job down with it. */
	enum nn_status status = nn_alloc(&comm, sizeof(*comm));

	*out = NULL;
	if (status != NN_OK)
		return status;
	MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &granted);
	if (granted < MPI_THREAD_FUNNELED) {
		MPI_Finalize();
		nn_free(comm);
		return nn_error(NN_ERR_USAGE, "this MPI library grants no MPI_THREAD_FUNNELED; use one built with thread support");
	}
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	comm->failed_rank = -1;
	MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
	comm_check(comm, MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "MPI_Comm_dup");
	comm_check(comm, MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
	find_names(comm, (*argv)[0]);
	find_node(comm, nodes);
	find_place(comm);
	*out = comm;
	return NN_OK;
}

enum nn_status comm_create(struct comm **out, int *argc, char ***argv)
{
	return comm_create_on_nodes(out, argc, argv, 0);
}

void comm_destroy(struct comm *comm)
{
	if (!comm)
		return;
	comm_check(comm, MPI_Comm_free(&comm->ordered), "MPI_Comm_free");
	comm_check(comm, MPI_Comm_free(&comm->node), "MPI_Comm_free");
	comm_check(comm, MPI_Comm_free(&comm->world), "MPI_Comm_free");
	MPI_Finalize();
	nn_free(comm);
}

int comm_rank(const struct comm *comm)
{
	return comm->rank;
}

int comm_size(const struct comm *comm)
{
	return comm->size;
}

int comm_order(const struct comm *comm)
{
	return comm->place;
}

int comm_nodes(const struct comm *comm)
{
	return comm->nodes;
}

int comm_node_ranks(const struct comm *comm)
{
	return comm->node_ranks;
}

int comm_node_rank(const struct comm *comm)
{
	return comm->node_rank;
}

const char *comm_host(const struct comm *comm)
{
	return comm->host;
}

struct shards comm_shards(const struct comm *comm, int count)
{
	return covers_shards(comm->place, comm->size, count);
}
