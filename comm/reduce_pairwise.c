/* The owner of a slice adds it from all nodes; then the slices go to all, each to everybody or round a ring. Each node sends and
 * receives 2 (N - 1) / N of the vector, the least there is (Thakur, Rabenseifner, Gropp 2005, sections 3.3 and 4.5).
 *
 * In step s a node sends to the s-th behind it and receives from the s-th before it. Short messages of all steps go at once. Long
 * ones go step by step, so that each link has one sender and one receiver: all at once slow each other down. */
#include <string.h>

#include "comm/node_reducer.h"

/* Floats of long messages: 64 KiB. */
enum { LONG = 1 << 14 };

static size_t slice_floats(const struct node_reducer *reducer, int node)
{
	return reducer->begins[node + 1] - reducer->begins[node];
}

/* The last one: shard_begin rounds down. The same on all nodes. */
static size_t longest_slice(const struct node_reducer *reducer)
{
	return slice_floats(reducer, reducer->comm->nodes - 1);
}

static int node_before(const struct node_reducer *reducer, int step)
{
	int nodes = reducer->comm->nodes;

	return (reducer->comm->node_index + nodes - step) % nodes;
}

static int node_behind(const struct node_reducer *reducer, int step)
{
	return (reducer->comm->node_index + step) % reducer->comm->nodes;
}

/* Receives the slice at hand of all sums of the node before; rows point to them. */
static void receive_rows(struct node_reducer *reducer, int step)
{
	const struct covers *covers = &reducer->covers;
	int from = node_before(reducer, step);

	for (int i = covers->first[from]; i < covers->first[from + 1]; i++) {
		reducer->rows[i] = reducer->received + (size_t)i * reducer->slice_max;
		parcels_receive(&reducer->parcels, reducer->rows[i], slice_floats(reducer, reducer->comm->node_index), from);
	}
}

/* After this, rows point to this node's slice of every sum. */
static void scatter(struct node_reducer *reducer, float *const *sums)
{
	const struct covers *covers = &reducer->covers;
	int mine = reducer->comm->node_index;
	bool stepwise = longest_slice(reducer) >= LONG;

	for (int i = 0; i < covers_held(covers, mine); i++)
		reducer->rows[covers->first[mine] + i] = sums[i] + reducer->begins[mine];
	for (int step = 1; step < reducer->comm->nodes; step++) {
		int to = node_behind(reducer, step);

		receive_rows(reducer, step);
		for (int i = 0; i < covers_held(covers, mine); i++)
			parcels_send(&reducer->parcels, sums[i] + reducer->begins[to], slice_floats(reducer, to), to);
		if (stepwise)
			parcels_wait(&reducer->parcels);
	}
	parcels_wait(&reducer->parcels);
}

/* Leaves this node's slice of the total where it belongs. */
static void sum_slice(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	float *slice;

	for (int k = 0; k <= nodes; k++)
		reducer->begins[k] = shard_begin(k, nodes, count);
	scatter(reducer, sums);
	additions_run(reducer->additions, reducer->planned, reducer->rows, 0, slice_floats(reducer, mine), reducer->bf16);
	slice = total + reducer->begins[mine];
	if (slice != reducer->rows[0])
		memcpy(slice, reducer->rows[0], slice_floats(reducer, mine) * sizeof(float));
}

void reduce_pairwise(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	bool stepwise;

	sum_slice(reducer, total, sums, count);
	stepwise = longest_slice(reducer) >= LONG;
	for (int step = 1; step < nodes; step++) {
		int from = node_before(reducer, step), to = node_behind(reducer, step);

		parcels_receive(&reducer->parcels, total + reducer->begins[from], slice_floats(reducer, from), from);
		parcels_send(&reducer->parcels, total + reducer->begins[mine], slice_floats(reducer, mine), to);
		if (stepwise)
			parcels_wait(&reducer->parcels);
	}
	parcels_wait(&reducer->parcels);
}

/* A slice goes on as soon as it has come; what was sent before need not have left. */
void reduce_ring(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	int from = node_before(reducer, 1), to = node_behind(reducer, 1);

	sum_slice(reducer, total, sums, count);
	parcels_send(&reducer->parcels, total + reducer->begins[mine], slice_floats(reducer, mine), to);
	for (int step = 1; step < nodes; step++) {
		int slice = node_before(reducer, step);

		parcels_receive(&reducer->parcels, total + reducer->begins[slice], slice_floats(reducer, slice), from);
		parcels_wait_last(&reducer->parcels);
		if (step < nodes - 1)
			parcels_send(&reducer->parcels, total + reducer->begins[slice], slice_floats(reducer, slice), to);
	}
	parcels_wait(&reducer->parcels);
}
