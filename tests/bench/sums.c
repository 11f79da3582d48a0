/* Times sums over all ranks, all ways taking turns; each turn is as many sums as 4 MiB take, of which it gives the mean: a single
 * small one would be carried by what the links' token buckets saved up during another way's turn.
 *   mpirun -np 8 sums ROUNDS BYTES WAY...
 * A way is one of --allreduce's: own (its default choice), pairwise, ring, doubling, halving; mpi, Open MPI's MPI_Allreduce on its
 * own choice; or mpi:1 ... mpi:6, an algorithm of its coll_tuned (3 recursive doubling, 4 ring, 5 ring in segments, 6
 * Rabenseifner), for which mpirun wants --mca coll_tuned_use_dynamic_rules 1. Prints for each way: bytes, name, and the median,
 * least and most of the rounds in milliseconds of the slowest rank. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/reduce.h"
#include "comm/world.h"

enum { WAYS_MAX = 16, ROUNDS_MAX = 99, TURN_BYTES = 4 << 20 };

struct way {
	const char *name;
	struct reduce_choice choice; /* of ours */
	MPI_Comm theirs;	     /* MPI_COMM_NULL: ours */
	double milliseconds[ROUNDS_MAX];
};

static struct comm *comm;

static _Noreturn void refuse(const char *message)
{
	comm_abort(comm, "sums", NN_ERR_USAGE, message);
}

/* From now on coll_tuned gives new communicators this algorithm; 0: its own choice. */
static void force(int algorithm)
{
	MPI_T_cvar_handle handle;
	int provided, index, count;

	MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
	if (MPI_T_cvar_get_index("coll_tuned_allreduce_algorithm", &index) != MPI_SUCCESS ||
	    MPI_T_cvar_handle_alloc(index, NULL, &handle, &count) != MPI_SUCCESS ||
	    MPI_T_cvar_write(handle, &algorithm) != MPI_SUCCESS)
		refuse("this MPI lets nobody choose coll_tuned's algorithm");
	MPI_T_cvar_handle_free(&handle);
	MPI_T_finalize();
}

static void prepare(struct way *way, const char *name)
{
	enum reduce_algorithm algorithm = reduce_named(name);

	way->name = name;
	way->theirs = MPI_COMM_NULL;
	way->choice = reduce_choice_default(comm_nodes(comm));
	for (int i = 0; i < REDUCE_SIZES && algorithm >= REDUCE_PAIRWISE; i++)
		way->choice.by_size[i] = algorithm;
	if (strncmp(name, "mpi:", 4) == 0)
		force((int)strtol(name + 4, NULL, 10));
	if (strncmp(name, "mpi", 3) == 0)
		MPI_Comm_dup(MPI_COMM_WORLD, &way->theirs);
	else if (algorithm == REDUCE_ALGORITHMS)
		refuse("no such way to sum");
	if (strncmp(name, "mpi:", 4) == 0)
		force(0);
}

static double time_turn(struct way *way, struct reducer *reducer, size_t count)
{
	size_t sums = (TURN_BYTES + count * sizeof(float) - 1) / (count * sizeof(float));
	double start;

	reducer_choose(reducer, &way->choice);
	comm_barrier(comm);
	start = MPI_Wtime();
	for (size_t i = 0; i < sums; i++)
		if (way->theirs == MPI_COMM_NULL)
			reducer_sum(reducer, 0, count);
		else
			MPI_Allreduce(MPI_IN_PLACE, reducer_memory(reducer), (int)count, MPI_FLOAT, MPI_SUM, way->theirs);
	return comm_max_double(comm, MPI_Wtime() - start) * 1e3 / (double)sums;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static struct way ways[WAYS_MAX];
	int rounds, count = argc - 3;
	size_t bytes;
	struct reducer *reducer;

	if (comm_create(&comm, &argc, &argv) != NN_OK)
		return 2;
	if (argc < 4 || count > WAYS_MAX)
		refuse("sums ROUNDS BYTES WAY...");
	rounds = (int)strtol(argv[1], NULL, 10);
	bytes = (size_t)strtoll(argv[2], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		refuse("1 to 99 rounds");
	if (bytes < sizeof(float))
		refuse("a sum of less than 4 bytes");
	for (int i = 0; i < count; i++)
		prepare(&ways[i], argv[3 + i]);
	if (reducer_create(&reducer, comm, comm_shards(comm, comm_size(comm)), bytes / sizeof(float), REDUCE_OWN, false) != NN_OK)
		refuse(nn_error_message());
	memset(reducer_memory(reducer), 0, bytes); /* pages of its own, also where only MPI writes */
	for (int round = -1; round < rounds; round++)
		for (int i = 0; i < count; i++) {
			double milliseconds = time_turn(&ways[i], reducer, bytes / sizeof(float));

			if (round >= 0)
				ways[i].milliseconds[round] = milliseconds;
		}
	for (int i = 0; i < count && comm_rank(comm) == 0; i++) {
		double *sorted = ways[i].milliseconds;

		qsort(sorted, (size_t)rounds, sizeof(*sorted), compare);
		printf("%zu %s %.3f %.3f %.3f\n", bytes, ways[i].name, sorted[rounds / 2], sorted[0], sorted[rounds - 1]);
	}
	for (int i = 0; i < count; i++)
		if (ways[i].theirs != MPI_COMM_NULL)
			MPI_Comm_free(&ways[i].theirs);
	reducer_destroy(reducer);
	comm_destroy(comm);
	return 0;
}
