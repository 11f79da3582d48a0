/* Logical shards and the one tree over them.
 *
 * A global batch of B samples is cut into V shards; shard v holds samples floor(v B / V) .. floor((v+1) B / V) - 1.
 * Everything that is summed over samples is summed inside a shard first, then over shards in one fixed binary tree:
 * the node [lo, hi) is the sum of [lo, mid) and [mid, hi) with mid = (lo + hi) / 2. A rank holds a contiguous range of
 * shards, that is, a few complete nodes of that tree (its cover). Since everybody adds in the tree's order, the bits of a
 * sum depend on V only, not on how many ranks took part. */
#ifndef NN_CORE_SHARDS_H
#define NN_CORE_SHARDS_H

#include <stddef.h>

#include "nn/core/status.h"

/* The shards [lo, hi) of `count` that one rank holds; lo == hi: none. */
struct shards {
	int count;
	int lo;
	int hi;
};

/* Most nodes that a cover can have, and most levels of the tree, for any number of shards in an int. */
enum { SHARD_COVER_MAX = 64, SHARD_DEPTH_MAX = 32 };

struct shard_node {
	int lo;
	int hi;
};

/* First sample of shard v, for v in [0, count]; the batch has `samples` samples. */
size_t shard_begin(int v, int count, size_t samples);

/* Samples of such a batch in these shards. */
size_t shards_samples(const struct shards *shards, size_t samples);

/* cover = the maximal complete nodes inside [lo, hi), in order. Returns their number (0 when lo == hi). */
int shards_cover(struct shard_node cover[SHARD_COVER_MAX], const struct shards *shards);

/* Levels below the node [lo, hi): 0 for one shard. */
int shards_depth(int lo, int hi);

/* Statistics are rows of 1 + 2 * channels doubles: count, first[channels], second[channels]. */
enum merge {
	MERGE_SUM,     /* count, first and second are added */
	MERGE_MOMENTS, /* first = mean, second = M2 (sum of squared deviations); Chan, Golub, LeVeque 1983 */
};

/* into = merge of into and from, from to the right of into. */
void statistics_merge(double *into, const double *from, int channels, enum merge merge);

/* Merges the whole tree from the rows of covers that together hold every shard, in order; row i belongs to nodes[i].
 * The result is row 0; the other rows are overwritten. With no nodes, row 0 becomes zeros. */
void statistics_tree(double *rows, const struct shard_node *nodes, int node_count, int shard_count, int channels, enum merge merge);

/* Merges rows of shards lo .. hi-1 (row 0 is lo's) into row 0, in the tree's order; the other rows are overwritten. */
void statistics_subtree(double *rows, int lo, int hi, int channels, enum merge merge);

/* Merges one row per local shard over all shards of all ranks. In: hi - lo rows. Out: row 0 is the merge of everything.
 * `rows` has room for at least one row, and for one row per local shard.
 * Collective over the ranks that train together. A NULL function means: one process holds every shard. */
typedef enum nn_status (*statistics_exchange_fn)(void *context, double *rows, int channels, enum merge merge);

/* Begins such a merge and waits for nobody; the function above, with the same arguments, completes it. May be NULL, or not called.
 */
typedef void (*statistics_begin_fn)(void *context, double *rows, int channels, enum merge merge);

#endif
