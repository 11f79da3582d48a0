/* The owner of a slice adds it from all nodes; then the slices go to all, each to everybody or round a ring. Each node sends and
 * receives 2 (N - 1) / N of the vector, the least there is (Thakur, Rabenseifner, Gropp 2005, sections 3.3 and 4.5). */
#include <string.h>

#include "comm/node_reducer.h"

static size_t slice_floats(const struct node_reducer *reducer, int node)
{
	return reducer->begins[node + 1] - reducer->begins[node];
}

/* After this, rows point to this node's slice of every sum. Peers are taken in rotated order, so that no node is everybody's first.
 */
static void scatter(struct node_reducer *reducer, float *const *sums)
{
	const struct covers *covers = &reducer->covers;
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;
	size_t count = slice_floats(reducer, mine);

	for (int i = 0; i < covers_held(covers, mine); i++)
		reducer->rows[covers->first[mine] + i] = sums[i] + reducer->begins[mine];
	for (int step = 1; step < nodes; step++) {
		int from = (mine + nodes - step) % nodes;

		for (int i = covers->first[from]; i < covers->first[from + 1]; i++) {
			reducer->rows[i] = reducer->received + (size_t)i * reducer->slice_max;
			parcels_receive(&reducer->parcels, reducer->rows[i], count, from);
		}
	}
	for (int step = 1; step < nodes; step++) {
		int to = (mine + step) % nodes;

		for (int i = 0; i < covers_held(covers, mine); i++)
			parcels_send(&reducer->parcels, sums[i] + reducer->begins[to], slice_floats(reducer, to), to);
	}
	parcels_wait(&reducer->parcels, 0);
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

	sum_slice(reducer, total, sums, count);
	for (int step = 1; step < nodes; step++) {
		int from = (mine + nodes - step) % nodes, to = (mine + step) % nodes;

		parcels_receive(&reducer->parcels, total + reducer->begins[from], slice_floats(reducer, from), from);
		parcels_send(&reducer->parcels, total + reducer->begins[mine], slice_floats(reducer, mine), to);
	}
	parcels_wait(&reducer->parcels, 1);
}

void reduce_ring(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	int mine = reducer->comm->node_index, nodes = reducer->comm->nodes;

	sum_slice(reducer, total, sums, count);
	for (int step = 1; step < nodes; step++) {
		int comes = (mine + nodes - step) % nodes, goes = (comes + 1) % nodes;

		parcels_receive(&reducer->parcels, total + reducer->begins[comes], slice_floats(reducer, comes),
				(mine + nodes - 1) % nodes);
		parcels_send(&reducer->parcels, total + reducer->begins[goes], slice_floats(reducer, goes), (mine + 1) % nodes);
		parcels_wait(&reducer->parcels, step);
	}
}
