#include "comm/reduce_nodes.h"

#include <string.h>

#include "comm/additions.h"
#include "comm/covers.h"
#include "comm/leaders.h"
#include "nn/core/alloc.h"
#include "nn/core/bf16.h"

enum {
	SLICE_MAX = 1 << 16,	/* floats of one partial in one message: 256 KiB, 2 ms at 1 Gbit/s */
	RECEIVED_MAX = 1 << 21, /* floats of all partials received at once: 8 MiB; sets the slice on many nodes */
};

static const char what[] = "the sum of gradients";

/* Bf16 that have come, and where they belong as floats. */
struct landing {
	float *into;
	const uint16_t *from;
	size_t count;
};

struct node_reducer {
	struct comm *comm;
	size_t slice_max;
	struct covers covers; /* of the job's nodes; row i below is node i */
	struct addition *additions;
	int planned;
	float **rows; /* [rows], the slice at hand of every sum */
	float *received;
	bool bf16;
	uint16_t *outgoing; /* bf16 only: what is sent, [held][nodes * slice_max], and what has come for a place in memory */
	uint16_t *incoming;
	struct landing *landings; /* [requests] */
	int landed;
	MPI_Request *requests;
	int *request_nodes;
	int made;	/* requests under way */
	size_t *begins; /* [nodes + 1], slices of the chunk at hand */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static enum nn_status allocate(struct node_reducer *reducer, size_t most)
{
	size_t rows = (size_t)covers_total(&reducer->covers);
	size_t nodes = (size_t)reducer->comm->nodes;
	size_t held = (size_t)covers_held(&reducer->covers, reducer->comm->node_index);
	size_t requests = rows + nodes * held + 2 * nodes;
	enum nn_status status = nn_alloc(&reducer->additions, sizeof(*reducer->additions) * rows);

	reducer->slice_max = least(least(SLICE_MAX, RECEIVED_MAX / rows + 1), (most + nodes - 1) / nodes);
	if (status == NN_OK)
		status = nn_alloc(&reducer->rows, sizeof(*reducer->rows) * rows);
	if (status == NN_OK)
		status = nn_alloc(&reducer->received, sizeof(*reducer->received) * rows * reducer->slice_max);
	if (status == NN_OK)
		status = nn_alloc(&reducer->requests, sizeof(MPI_Request) * requests);
	if (status == NN_OK)
		status = nn_alloc(&reducer->request_nodes, sizeof(*reducer->request_nodes) * requests);
	if (status == NN_OK)
		status = nn_alloc(&reducer->begins, sizeof(*reducer->begins) * (nodes + 1));
	if (status == NN_OK && reducer->bf16)
		status = nn_alloc(&reducer->outgoing, sizeof(*reducer->outgoing) * held * nodes * reducer->slice_max);
	if (status == NN_OK && reducer->bf16)
		status = nn_alloc(&reducer->incoming, sizeof(*reducer->incoming) * (rows + nodes) * reducer->slice_max);
	if (status == NN_OK && reducer->bf16)
		status = nn_alloc(&reducer->landings, sizeof(*reducer->landings) * requests);
	return status;
}

enum nn_status node_reducer_create(struct node_reducer **out, struct comm *comm, int shard_count, size_t most, bool bf16)
{
	struct node_reducer *reducer;
	int next_row = 0;
	enum nn_status status = nn_alloc(&reducer, sizeof(*reducer));

	*out = NULL;
	if (status != NN_OK)
		return status;
	reducer->comm = comm;
	reducer->bf16 = bf16;
	status = covers_init(&reducer->covers, comm->node_firsts, 0, comm->nodes, comm->size, shard_count);
	if (status == NN_OK)
		status = allocate(reducer, most);
	if (status != NN_OK) {
		node_reducer_destroy(reducer);
		return status;
	}
	additions_plan(reducer->additions, &reducer->planned, reducer->covers.nodes, &next_row, 0, shard_count);
	*out = reducer;
	return NN_OK;
}

void node_reducer_destroy(struct node_reducer *reducer)
{
	if (!reducer)
		return;
	covers_release(&reducer->covers);
	nn_free(reducer->additions);
	nn_free(reducer->rows);
	nn_free(reducer->received);
	nn_free(reducer->requests);
	nn_free(reducer->request_nodes);
	nn_free(reducer->begins);
	nn_free(reducer->outgoing);
	nn_free(reducer->incoming);
	nn_free(reducer->landings);
	nn_free(reducer);
}

/* Into floats; `room` is where they come as bf16 when they do. */
static void receive(struct node_reducer *reducer, float *into, uint16_t *room, size_t count, int node)
{
	MPI_Comm leaders = reducer->comm->leaders[CHANNEL_GRADIENT];
	MPI_Request *request = &reducer->requests[reducer->made];

	reducer->request_nodes[reducer->made++] = node;
	if (reducer->bf16)
		reducer->landings[reducer->landed++] = (struct landing){into, room, count};
	comm_check(reducer->comm,
		   reducer->bf16 ? MPI_Irecv(room, (int)count, MPI_UINT16_T, node, 0, leaders, request)
				 : MPI_Irecv(into, (int)count, MPI_FLOAT, node, 0, leaders, request),
		   "MPI_Irecv");
}

/* Floats, or what `room` holds of them as bf16. */
static void send(struct node_reducer *reducer, const float *from, const uint16_t *room, size_t count, int node)
{
	MPI_Comm leaders = reducer->comm->leaders[CHANNEL_GRADIENT];
	MPI_Request *request = &reducer->requests[reducer->made];

	reducer->request_nodes[reducer->made++] = node;
	comm_check(reducer->comm,
		   reducer->bf16 ? MPI_Isend(room, (int)count, MPI_UINT16_T, node, 0, leaders, request)
				 : MPI_Isend(from, (int)count, MPI_FLOAT, node, 0, leaders, request),
		   "MPI_Isend");
}

/* Values that are bf16 already, without rounding. */
static void narrow(uint16_t *to, const float *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = bf16_from_float(from[i]);
}

static void wait_for_all(struct node_reducer *reducer)
{
	leaders_wait(reducer->comm, CHANNEL_GRADIENT, reducer->made, reducer->requests, reducer->request_nodes, what);
	reducer->made = 0;
	for (int i = 0; i < reducer->landed; i++) {
		const struct landing *landing = &reducer->landings[i];

		for (size_t k = 0; k < landing->count; k++)
			landing->into[k] = bf16_to_float(landing->from[k]);
	}
	reducer->landed = 0;
}

static size_t slice_floats(const struct node_reducer *reducer, int node)
{
	return reducer->begins[node + 1] - reducer->begins[node];
}

/* Where value `at` of the chunk of sum i is kept as bf16 to be sent. */
static uint16_t *outgoing(const struct node_reducer *reducer, int i, size_t at)
{
	size_t chunk = reducer->slice_max * (size_t)reducer->comm->nodes;

	return reducer->bf16 ? reducer->outgoing + (size_t)i * chunk + at : NULL;
}

/* After this, rows point to this node's slice of every sum; own[i] begins with the chunk. Peers are taken in rotated order, so that
 * no node is everybody's first. */
static void scatter(struct node_reducer *reducer, float *const *own, size_t offset)
{
	const struct covers *covers = &reducer->covers;
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	size_t count = slice_floats(reducer, mine);

	for (int i = 0; i < covers_held(covers, mine); i++)
		reducer->rows[covers->first[mine] + i] = own[i] + offset + reducer->begins[mine];
	for (int step = 1; step < nodes; step++) {
		int from = (mine + nodes - step) % nodes;

		for (int i = covers->first[from]; i < covers->first[from + 1]; i++) {
			size_t at = (size_t)i * reducer->slice_max;

			reducer->rows[i] = reducer->received + at;
			receive(reducer, reducer->rows[i], reducer->bf16 ? reducer->incoming + at : NULL, count, from);
		}
	}
	for (int i = 0; reducer->bf16 && i < covers_held(covers, mine); i++)
		narrow(outgoing(reducer, i, 0), own[i] + offset, reducer->begins[nodes]);
	for (int step = 1; step < nodes; step++) {
		int to = (mine + step) % nodes;

		for (int i = 0; i < covers_held(covers, mine); i++)
			send(reducer, own[i] + offset + reducer->begins[to], outgoing(reducer, i, reducer->begins[to]),
			     slice_floats(reducer, to), to);
	}
	wait_for_all(reducer);
}

static void gather(struct node_reducer *reducer, float *chunk)
{
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	uint16_t *own = NULL;

	if (reducer->bf16) {
		own = reducer->incoming + (size_t)covers_total(&reducer->covers) * reducer->slice_max +
		      (size_t)mine * reducer->slice_max;
		narrow(own, chunk + reducer->begins[mine], slice_floats(reducer, mine));
	}
	for (int step = 1; step < nodes; step++) {
		int from = (mine + nodes - step) % nodes, to = (mine + step) % nodes;
		uint16_t *room = reducer->bf16 ? own + (ptrdiff_t)(from - mine) * (ptrdiff_t)reducer->slice_max : NULL;

		receive(reducer, chunk + reducer->begins[from], room, slice_floats(reducer, from), from);
		send(reducer, chunk + reducer->begins[mine], own, slice_floats(reducer, mine), to);
	}
	wait_for_all(reducer);
}

/* At most nodes * slice_max floats. */
static void sum_chunk(struct node_reducer *reducer, float *total, float *const *sums, size_t offset, size_t count)
{
	int nodes = reducer->comm->nodes;
	float *slice;

	for (int k = 0; k <= nodes; k++)
		reducer->begins[k] = shard_begin(k, nodes, count);
	slice = total + offset + reducer->begins[reducer->comm->node_index];
	scatter(reducer, sums, offset);
	additions_run(reducer->additions, reducer->planned, reducer->rows, 0, slice_floats(reducer, reducer->comm->node_index),
		      reducer->bf16);
	if (slice != reducer->rows[0])
		memcpy(slice, reducer->rows[0], slice_floats(reducer, reducer->comm->node_index) * sizeof(float));
	gather(reducer, total + offset);
}

void node_reducer_sum(struct node_reducer *reducer, float *total, float *const *sums, size_t offset, size_t count)
{
	size_t chunk = reducer->slice_max * (size_t)reducer->comm->nodes;

	for (size_t done = 0; done < count; done += chunk)
		sum_chunk(reducer, total, sums, offset + done, least(chunk, count - done));
}
