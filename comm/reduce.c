#include "comm/reduce.h"

#include <assert.h>
#include <string.h>

#include "comm/additions.h"
#include "comm/board.h"
#include "comm/calls.h"
#include "comm/covers.h"
#include "comm/guard.h"
#include "comm/leaders.h"
#include "comm/reduce_nodes.h"
#include "nn/core/alloc.h"

/* Floats of a cache line: a slice begins with one, so that no two ranks write to the same. */
enum { LINE = 16 };

static const char what[] = "the sum of gradients";

struct reducer {
	struct comm *comm;
	size_t floats;
	enum reduce_algorithm algorithm;
	bool bf16;
	struct covers covers; /* of the ranks of this node; row i below is node i */
	struct addition *additions;
	int planned;
	float **rows;		      /* [rows]: whole vectors */
	float *sums[SHARD_COVER_MAX]; /* those that hold the node's sums: the cover of its range */
	struct shared shared;	      /* each rank's partials, one after the other */
	float *total;		      /* the vector of this node that the result is for */
	struct node_reducer *between; /* the first rank's, when there are other nodes */
	struct guard *guard;	      /* of REDUCE_MPI, where another thread may look */
};

/* A group is a node of the cover of this node's range: a complete subtree. */
static void plan(struct reducer *reducer, int sum_rows[SHARD_COVER_MAX], int *groups, const struct shards *range)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int next_row = 0;

	*groups = shards_cover(cover, range);
	for (int i = 0; i < *groups; i++)
		sum_rows[i] = additions_plan(reducer->additions, &reducer->planned, reducer->covers.nodes, &next_row, cover[i].lo,
					     cover[i].hi);
}

/* Everything that this rank can do by itself. */
static enum nn_status prepare(struct reducer *reducer, int shard_count)
{
	struct comm *comm = reducer->comm;
	size_t rows;
	enum nn_status status =
	    covers_init(&reducer->covers, NULL, comm_place_of(comm, 0), comm->node_ranks, comm->size, shard_count);

	if (status != NN_OK)
		return status;
	rows = (size_t)covers_total(&reducer->covers);
	status = nn_alloc(&reducer->additions, sizeof(*reducer->additions) * rows);
	if (status == NN_OK)
		status = nn_alloc(&reducer->rows, sizeof(*reducer->rows) * rows);
	if (status == NN_OK && reducer->algorithm != REDUCE_MPI && comm->nodes > 1 && comm->node_rank == 0)
		status = node_reducer_create(&reducer->between, comm, shard_count, reducer->floats, reducer->bf16);
	if (status == NN_OK && reducer->algorithm == REDUCE_MPI && comm->size > 1 && comm->threads)
		status = guard_create(&reducer->guard, comm, CHANNEL_GRADIENT, what);
	return status;
}

void reducer_choose(struct reducer *reducer, const struct reduce_choice *choice)
{
	if (reducer->between)
		node_reducer_use(reducer->between, reducer->algorithm, choice);
}

/* The rows are known when everybody's memory is. */
static void place_rows(struct reducer *reducer, int shard_count)
{
	const struct comm *comm = reducer->comm;
	const struct covers *covers = &reducer->covers;
	struct shards range = covers_range(comm_place_of(comm, 0), comm_place_of(comm, comm->node_ranks), comm->size, shard_count);
	int sum_rows[SHARD_COVER_MAX], groups;

	for (int m = 0; m < covers->holders; m++)
		for (int i = 0; i < covers_held(covers, m); i++)
			reducer->rows[covers->first[m] + i] = (float *)reducer->shared.parts[m] + (size_t)i * reducer->floats;
	plan(reducer, sum_rows, &groups, &range);
	for (int i = 0; i < groups; i++)
		reducer->sums[i] = reducer->rows[sum_rows[i]];
	if (reducer->algorithm == REDUCE_MPI)
		reducer->total = reducer_memory(reducer);
	else
		reducer->total = groups > 0 ? reducer->sums[0] : reducer->shared.parts[0];
}

enum nn_status reducer_create(struct reducer **out, struct comm *comm, struct shards shards, size_t floats,
			      enum reduce_algorithm algorithm, bool bf16)
{
	struct reducer *reducer;
	struct shared shared;
	size_t held = 1;
	enum nn_status status = nn_alloc(&reducer, sizeof(*reducer));

	assert(!bf16 || algorithm != REDUCE_MPI);
	*out = NULL;
	if (status == NN_OK) {
		*reducer = (struct reducer){.comm = comm, .floats = floats, .algorithm = algorithm, .bf16 = bf16};
		status = prepare(reducer, shards.count);
	}
	if (status == NN_OK)
		held = (size_t)reducer_partials(reducer);
	status = shared_create(&shared, comm, held * floats * sizeof(float), status);
	if (reducer)
		reducer->shared = shared;
	else
		shared_release(&shared);
	if (status == NN_OK && reducer) {
		struct reduce_choice choice = reduce_choice_default(comm->nodes);

		place_rows(reducer, shards.count);
		reducer_choose(reducer, &choice);
		*out = reducer;
	} else {
		reducer_destroy(reducer);
	}
	return status;
}

void reducer_destroy(struct reducer *reducer)
{
	if (!reducer)
		return;
	guard_destroy(reducer->guard);
	node_reducer_destroy(reducer->between);
	shared_release(&reducer->shared);
	covers_release(&reducer->covers);
	nn_free(reducer->additions);
	nn_free(reducer->rows);
	nn_free(reducer);
}

int reducer_partials(const struct reducer *reducer)
{
	int held = covers_held(&reducer->covers, reducer->comm->node_rank);

	return held > 0 ? held : 1;
}

float *reducer_memory(const struct reducer *reducer)
{
	return reducer->shared.parts[reducer->comm->node_rank];
}

const float *reducer_total(const struct reducer *reducer)
{
	return reducer->total;
}

/* Where slice i of this node's ranks begins. */
static size_t slice_begin(const struct reducer *reducer, int i, size_t count)
{
	size_t begin = (shard_begin(i, reducer->comm->node_ranks, count) + LINE - 1) / LINE * LINE;

	return begin < count ? begin : count;
}

/* Adds this rank's slice of all partials of the node, which are complete when everybody has come. */
static void add_slice(struct reducer *reducer, size_t offset, size_t count)
{
	int own = reducer->comm->node_rank;
	size_t begin = slice_begin(reducer, own, count), end = slice_begin(reducer, own + 1, count);

	if (board_enter(reducer->comm, CHANNEL_GRADIENT, false, what))
		board_open(reducer->comm, CHANNEL_GRADIENT);
	additions_run(reducer->additions, reducer->planned, reducer->rows, offset + begin, end - begin, reducer->bf16);
}

/* A plain MPI_Allreduce, for comparison; but where only one thread may call MPI, nobody could look for silent ranks meanwhile. */
static void sum_chunk(struct reducer *reducer, float *values, int count)
{
	struct comm *comm = reducer->comm;
	MPI_Request request;

	if (reducer->guard) {
		guard_begin(reducer->guard);
		comm_check(comm, MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, comm->sums), "MPI_Allreduce");
		guard_end(reducer->guard);
		return;
	}
	comm_check(comm, MPI_Iallreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, comm->sums, &request), "MPI_Iallreduce");
	leaders_wait(comm, CHANNEL_GRADIENT, 1, &request, NULL, what);
	comm_check(comm, MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait"); /* nothing is left to wait for */
}

/* MPI may add in whatever order it likes. */
static void sum_by_mpi(struct reducer *reducer, size_t offset, size_t count)
{
	float *first = reducer->total + offset;
	int held = covers_held(&reducer->covers, reducer->comm->node_rank);

	if (held == 0)
		memset(first, 0, count * sizeof(*first));
	for (int p = 1; p < held; p++)
		for (size_t i = 0; i < count; i++)
			first[i] += first[(size_t)p * reducer->floats + i];
	for (size_t done = 0, length; done < count; done += length) {
		length = count - done < COMM_CHUNK_MAX ? count - done : COMM_CHUNK_MAX;
		sum_chunk(reducer, first + done, (int)length);
	}
}

void reducer_sum(struct reducer *reducer, size_t offset, size_t count)
{
	struct comm *comm = reducer->comm;

	assert(offset + count <= reducer->floats);
	if (comm->size == 1 || count == 0)
		return; /* a cover of one rank is the whole tree */
	calls_compare(comm, CHANNEL_GRADIENT, true, what, (int64_t)offset, (int64_t)count);
	if (reducer->algorithm == REDUCE_MPI) {
		sum_by_mpi(reducer, offset, count);
		return;
	}
	if (comm->node_ranks > 1)
		add_slice(reducer, offset, count);
	if (!board_enter(comm, CHANNEL_GRADIENT, comm->nodes > 1, what))
		return;
	if (comm->nodes > 1)
		node_reducer_sum(reducer->between, reducer->total, reducer->sums, offset, count);
	board_open(comm, CHANNEL_GRADIENT);
}
