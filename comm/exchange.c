#include "comm/exchange.h"

#include <assert.h>
#include <string.h>

#include "comm/covers.h"
#include "comm/internal.h"
#include "nn/core/alloc.h"

/* A complete node of the tree, and the gathered rows that make it up. */
struct group {
	int shards;
	int first;
	int rows;
};

struct exchange {
	const struct comm *comm;
	MPI_Comm scope; /* MPI_COMM_NULL: this rank alone */
	int member;	/* this rank's number in the scope */
	int max_channels;
	int lo; /* the first local shard */
	struct covers covers;
	int group_count;
	struct group groups[SHARD_COVER_MAX];
	struct shard_node *nodes; /* like covers.nodes, but counted from the first shard of their group */
	double *gathered;	  /* (nodes of all members, row); one row that stays zero when there are none */
	int *counts;		  /* [members], doubles of each, for MPI */
	int *displacements;	  /* [members] */
};

/* The groups are the cover of the scope's whole range. Members' covers only cut these nodes finer, and a half of a node depends on
 * its width alone, so a group is merged like a tree of its own. */
static void find_groups(struct exchange *exchange, const struct shards *range)
{
	struct shard_node cover[SHARD_COVER_MAX];
	int at = 0;

	exchange->group_count = shards_cover(cover, range);
	for (int i = 0; i < exchange->group_count; i++) {
		struct group *group = &exchange->groups[i];

		*group = (struct group){.shards = cover[i].hi - cover[i].lo, .first = at};
		for (; at < covers_total(&exchange->covers) && exchange->covers.nodes[at].hi <= cover[i].hi; at++) {
			exchange->nodes[at].lo = exchange->covers.nodes[at].lo - cover[i].lo;
			exchange->nodes[at].hi = exchange->covers.nodes[at].hi - cover[i].lo;
		}
		group->rows = at - group->first;
	}
}

static enum nn_status allocate(struct exchange *exchange)
{
	size_t row_bytes = sizeof(double) * (1 + 2 * (size_t)exchange->max_channels);
	size_t total = (size_t)covers_total(&exchange->covers);
	size_t members = (size_t)exchange->covers.places;
	enum nn_status status = nn_alloc(&exchange->nodes, sizeof(*exchange->nodes) * total);

	if (status == NN_OK)
		status = nn_alloc(&exchange->gathered, row_bytes * (total > 0 ? total : 1));
	if (status == NN_OK)
		status = nn_alloc(&exchange->counts, sizeof(int) * members);
	if (status == NN_OK)
		status = nn_alloc(&exchange->displacements, sizeof(int) * members);
	return status;
}

static void choose_scope(struct exchange *exchange, const struct comm *comm, enum exchange_scope scope, int *begin, int *end)
{
	*begin = scope == EXCHANGE_GLOBAL ? 0 : scope == EXCHANGE_NODE ? comm->node_first : comm->place;
	*end = *begin + (scope == EXCHANGE_GLOBAL ? comm->size : scope == EXCHANGE_NODE ? comm->node_ranks : 1);
	exchange->member = comm->place - *begin;
	exchange->scope = scope == EXCHANGE_GLOBAL ? comm->ordered : comm->node;
	if (*end - *begin == 1)
		exchange->scope = MPI_COMM_NULL;
}

enum nn_status exchange_create(struct exchange **out, struct comm *comm, struct shards shards, enum exchange_scope scope,
			       int max_channels)
{
	struct exchange *exchange;
	struct shards range = shards;
	int begin, end;
	enum nn_status status = nn_alloc(&exchange, sizeof(*exchange));

	*out = NULL;
	if (status != NN_OK)
		return status;
	assert(shards.lo == comm_shards(comm, shards.count).lo && shards.hi == comm_shards(comm, shards.count).hi);
	exchange->comm = comm;
	exchange->max_channels = max_channels;
	exchange->lo = shards.lo;
	choose_scope(exchange, comm, scope, &begin, &end);
	status = covers_init(&exchange->covers, begin, end, comm->size, shards.count);
	if (status == NN_OK)
		status = allocate(exchange);
	if (status != NN_OK) {
		exchange_destroy(exchange);
		return status;
	}
	range.lo = covers_shards(begin, comm->size, shards.count).lo;
	range.hi = covers_shards(end - 1, comm->size, shards.count).hi;
	find_groups(exchange, &range);
	*out = exchange;
	return NN_OK;
}

void exchange_destroy(struct exchange *exchange)
{
	if (!exchange)
		return;
	covers_release(&exchange->covers);
	nn_free(exchange->nodes);
	nn_free(exchange->gathered);
	nn_free(exchange->counts);
	nn_free(exchange->displacements);
	nn_free(exchange);
}

/* Puts the merged subtrees of the local shards where they belong among the gathered rows. */
static void merge_own(struct exchange *exchange, double *rows, int channels, enum merge merge)
{
	const struct covers *covers = &exchange->covers;
	size_t width = 1 + 2 * (size_t)channels;

	for (int i = covers->first[exchange->member]; i < covers->first[exchange->member + 1]; i++) {
		const struct shard_node *node = &covers->nodes[i];
		double *subtree = rows + width * (size_t)(node->lo - exchange->lo);

		statistics_subtree(subtree, node->lo, node->hi, channels, merge);
		memcpy(exchange->gathered + width * (size_t)i, subtree, width * sizeof(*rows));
	}
}

static void gather(struct exchange *exchange, int channels)
{
	const struct covers *covers = &exchange->covers;
	int width = 1 + 2 * channels;

	for (int i = 0; i < covers->places; i++) {
		exchange->counts[i] = covers_held(covers, i) * width;
		exchange->displacements[i] = covers->first[i] * width;
	}
	comm_check(exchange->comm,
		   MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, exchange->gathered, exchange->counts, exchange->displacements,
				  MPI_DOUBLE, exchange->scope),
		   "MPI_Allgatherv");
}

enum nn_status exchange_statistics(void *context, double *rows, int channels, enum merge merge)
{
	struct exchange *exchange = context;
	size_t width = 1 + 2 * (size_t)channels;
	double *gathered = exchange->gathered;

	assert(channels <= exchange->max_channels);
	merge_own(exchange, rows, channels, merge);
	if (exchange->scope != MPI_COMM_NULL)
		gather(exchange, channels);
	for (int i = 0; i < exchange->group_count; i++) {
		const struct group *group = &exchange->groups[i];
		double *first = gathered + width * (size_t)group->first;

		statistics_tree(first, exchange->nodes + group->first, group->rows, group->shards, channels, merge);
		if (i > 0)
			statistics_merge(gathered, first, channels, merge);
	}
	memcpy(rows, gathered, width * sizeof(*rows));
	return NN_OK;
}
