#include "comm/exchange.h"

#include <assert.h>
#include <string.h>

#include "comm/board.h"
#include "comm/calls.h"
#include "comm/covers.h"
#include "comm/doubling.h"
#include "nn/core/alloc.h"

/* Nodes that exchange in one round. A message takes some microseconds of a processor; a round a trip, a sleep, and the wait for
 * gradients that are on the line before it. Of 2, 4, ..., 32 this does best in most cells of `make scale`, and up to 16 nodes
 * stay at one round. */
enum { GROUP_MAX = 16 };

static const char what[] = "the exchange of statistics";

/* A complete node of the tree, and the gathered rows that make it up. */
struct group {
	int shards;
	int first;
	int rows;
};

/* How far an exchange has come. */
enum progress {
	NOT_BEGUN,
	ARRIVED, /* this rank's rows are laid out */
	SENT,	 /* those of the node have been merged, and are on their way to other nodes where these take part */
	OPENED,	 /* the result is there, and this rank has shown it to the node's others */
};

struct exchange {
	struct comm *comm;
	enum exchange_scope scope;
	int max_channels;
	int lo;		      /* the first local shard */
	int member;	      /* this rank's number among the holders of covers */
	struct covers covers; /* of the ranks of this node, or of this rank alone */
	int group_count;
	struct group groups[SHARD_COVER_MAX];
	struct shard_node *nodes; /* like covers.nodes, but counted from the first shard of their group */
	double *gathered;	  /* (nodes of covers, row); one row that stays zero when there are none */
	struct shared shared;	  /* each member's part: a row for the result, of which the first member's is used, and its rows */
	struct doubling doubling; /* between the job's nodes; zeroed when rows do not leave this one */
	double *node_rows;	  /* (slots of doubling, row) */
	enum merge merge;	  /* of the exchange at hand */
	int channels;
	enum progress progress;
};

static bool is_alone(const struct exchange *exchange)
{
	return exchange->scope == EXCHANGE_OFF || exchange->comm->node_ranks == 1;
}

static bool leaves_node(const struct exchange *exchange)
{
	return exchange->scope == EXCHANGE_GLOBAL && exchange->comm->nodes > 1;
}

/* The groups are the cover of the node's whole range. Members' covers only cut these nodes finer, and a half of a node depends on
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

static size_t row_doubles(int channels)
{
	return 1 + 2 * (size_t)channels;
}

static enum nn_status allocate(struct exchange *exchange)
{
	size_t row_bytes = sizeof(double) * row_doubles(exchange->max_channels);
	size_t total = (size_t)covers_total(&exchange->covers);
	enum nn_status status = nn_alloc(&exchange->nodes, sizeof(*exchange->nodes) * total);

	if (status == NN_OK)
		status = nn_alloc(&exchange->gathered, row_bytes * (total > 0 ? total : 1));
	if (status == NN_OK && leaves_node(exchange))
		status = nn_alloc(&exchange->node_rows, row_bytes * (size_t)exchange->doubling.plan.slots);
	return status;
}

/* Everything that this rank can do by itself. */
static enum nn_status prepare(struct exchange *exchange, int shard_count)
{
	struct comm *comm = exchange->comm;
	int begin = is_alone(exchange) ? comm->place : comm->node_firsts[comm->node_index];
	int holders = is_alone(exchange) ? 1 : comm->node_ranks;
	struct shards range = covers_range(begin, begin + holders, comm->size, shard_count);
	enum nn_status status = covers_init(&exchange->covers, NULL, begin, holders, comm->size, shard_count);

	exchange->member = comm->place - begin;
	if (status == NN_OK && leaves_node(exchange))
		status = doubling_init(&exchange->doubling, comm, CHANNEL_MAIN, shard_count, GROUP_MAX,
				       row_doubles(exchange->max_channels) * sizeof(double), what);
	if (status == NN_OK)
		status = allocate(exchange);
	if (status == NN_OK)
		find_groups(exchange, &range);
	return status;
}

enum nn_status exchange_create(struct exchange **out, struct comm *comm, struct shards shards, enum exchange_scope scope,
			       int max_channels)
{
	struct exchange *exchange;
	size_t rows = 1;
	enum nn_status status = nn_alloc(&exchange, sizeof(*exchange));

	*out = NULL;
	assert(shards.lo == comm_shards(comm, shards.count).lo && shards.hi == comm_shards(comm, shards.count).hi);
	if (status == NN_OK) {
		*exchange = (struct exchange){.comm = comm, .scope = scope, .max_channels = max_channels, .lo = shards.lo};
		status = prepare(exchange, shards.count);
	}
	if (status == NN_OK)
		rows += (size_t)covers_held(&exchange->covers, exchange->member);
	if (scope != EXCHANGE_OFF && comm->node_ranks > 1) {
		struct shared shared;

		status = shared_create(&shared, comm, rows * row_doubles(max_channels) * sizeof(double), status);
		if (exchange)
			exchange->shared = shared;
		else
			shared_release(&shared);
	}
	if (status == NN_OK)
		*out = exchange;
	else
		exchange_destroy(exchange);
	return status;
}

void exchange_destroy(struct exchange *exchange)
{
	if (!exchange)
		return;
	shared_release(&exchange->shared);
	covers_release(&exchange->covers);
	doubling_release(&exchange->doubling);
	nn_free(exchange->nodes);
	nn_free(exchange->gathered);
	nn_free(exchange->node_rows);
	nn_free(exchange);
}

/* Where a member's rows lie: behind the widest row, for a member may lay out its next rows while another still reads a result. */
static double *rows_of(const struct exchange *exchange, int member)
{
	return is_alone(exchange) ? exchange->gathered
				  : (double *)exchange->shared.parts[member] + row_doubles(exchange->max_channels);
}

/* Lays out the merged subtrees of the local shards. */
static void merge_own(struct exchange *exchange, double *rows)
{
	const struct covers *covers = &exchange->covers;
	size_t width = row_doubles(exchange->channels);
	double *out = rows_of(exchange, exchange->member);

	for (int i = covers->first[exchange->member]; i < covers->first[exchange->member + 1]; i++, out += width) {
		const struct shard_node *node = &covers->nodes[i];
		double *subtree = rows + width * (size_t)(node->lo - exchange->lo);

		statistics_subtree(subtree, node->lo, node->hi, exchange->channels, exchange->merge);
		memcpy(out, subtree, width * sizeof(*rows));
	}
}

static void merge_rows(const void *context, void *into, const void *from, size_t bytes)
{
	const enum merge *merge = context;

	statistics_merge(into, from, (int)((bytes / sizeof(double) - 1) / 2), *merge);
}

static struct doubling_values values_of(const struct exchange *exchange)
{
	return (struct doubling_values){exchange->node_rows, row_doubles(exchange->channels) * sizeof(double), merge_rows,
					&exchange->merge};
}

/* Merges each group into its first row, and sends these to the other nodes. */
static void send_groups(struct exchange *exchange)
{
	const struct covers *covers = &exchange->covers;
	size_t width = row_doubles(exchange->channels);

	for (int m = 0; !is_alone(exchange) && m < covers->holders; m++)
		memcpy(exchange->gathered + width * (size_t)covers->first[m], rows_of(exchange, m),
		       width * (size_t)covers_held(covers, m) * sizeof(double));
	for (int i = 0; i < exchange->group_count; i++) {
		const struct group *group = &exchange->groups[i];
		double *row = exchange->gathered + width * (size_t)group->first;

		statistics_tree(row, exchange->nodes + group->first, group->rows, group->shards, exchange->channels,
				exchange->merge);
		if (leaves_node(exchange)) /* they are the cover with which the plan begins */
			memcpy(exchange->node_rows + width * (size_t)i, row, width * sizeof(*row));
	}
	if (leaves_node(exchange)) {
		struct doubling_values values = values_of(exchange);

		assert(exchange->doubling.plan.own == exchange->group_count);
		doubling_begin(&exchange->doubling, &values);
	}
	exchange->progress = SENT;
}

/* Returns the row of everything. */
static const double *merge_all(struct exchange *exchange)
{
	size_t width = row_doubles(exchange->channels);

	if (leaves_node(exchange)) {
		struct doubling_values values = values_of(exchange);

		return doubling_finish(&exchange->doubling, &values);
	}
	for (int i = 1; i < exchange->group_count; i++)
		statistics_merge(exchange->gathered, exchange->gathered + width * (size_t)exchange->groups[i].first,
				 exchange->channels, exchange->merge);
	return exchange->gathered;
}

/* Shows the result to the node's ranks. */
static void open_gate(struct exchange *exchange)
{
	memcpy(exchange->shared.parts[0], merge_all(exchange), row_doubles(exchange->channels) * sizeof(double));
	board_open(exchange->comm, CHANNEL_MAIN);
	exchange->progress = OPENED;
}

void exchange_begin(void *context, double *rows, int channels, enum merge merge)
{
	struct exchange *exchange = context;

	assert(channels <= exchange->max_channels && exchange->progress == NOT_BEGUN);
	if (!is_alone(exchange) || leaves_node(exchange))
		calls_compare(exchange->comm, CHANNEL_MAIN, exchange->scope == EXCHANGE_GLOBAL, what, channels, (int64_t)merge);
	exchange->channels = channels;
	exchange->merge = merge;
	merge_own(exchange, rows);
	exchange->progress = ARRIVED;
	if (!is_alone(exchange) && !board_arrive(exchange->comm, CHANNEL_MAIN, leaves_node(exchange)))
		return;
	send_groups(exchange);
	if (!is_alone(exchange) && !leaves_node(exchange))
		open_gate(exchange);
}

enum nn_status exchange_statistics(void *context, double *rows, int channels, enum merge merge)
{
	struct exchange *exchange = context;
	const double *result;

	if (exchange->progress == NOT_BEGUN)
		exchange_begin(exchange, rows, channels, merge);
	assert(exchange->channels == channels && exchange->merge == merge);
	if (exchange->progress == ARRIVED && board_wait(exchange->comm, CHANNEL_MAIN, leaves_node(exchange), what))
		send_groups(exchange);
	if (exchange->progress == SENT && !is_alone(exchange))
		open_gate(exchange);
	result = is_alone(exchange) ? merge_all(exchange) : exchange->shared.parts[0];
	memcpy(rows, result, row_doubles(channels) * sizeof(*rows));
	exchange->progress = NOT_BEGUN;
	return NN_OK;
}
