#include "nn/core/shards.h"

#include <stdint.h>
#include <string.h>

size_t shard_begin(int v, int count, size_t samples)
{
	return (size_t)((uint64_t)v * samples / (uint64_t)count);
}

size_t shards_samples(const struct shards *shards, size_t samples)
{
	return shard_begin(shards->hi, shards->count, samples) - shard_begin(shards->lo, shards->count, samples);
}

static int cover_node(struct shard_node *cover, int used, int lo, int hi, const struct shards *shards)
{
	int mid = lo + (hi - lo) / 2;

	if (hi <= shards->lo || lo >= shards->hi)
		return used;
	if (lo >= shards->lo && hi <= shards->hi) {
		cover[used] = (struct shard_node){lo, hi};
		return used + 1;
	}
	used = cover_node(cover, used, lo, mid, shards);
	return cover_node(cover, used, mid, hi, shards);
}

int shards_cover(struct shard_node cover[SHARD_COVER_MAX], const struct shards *shards)
{
	return cover_node(cover, 0, 0, shards->count, shards);
}

int shards_depth(int lo, int hi)
{
	int depth = 0;

	for (int width = hi - lo; width > 1; width = width / 2 + width % 2)
		depth++;
	return depth;
}

static void merge_sum(double *into, const double *from, int channels)
{
	for (int i = 0; i < 1 + 2 * channels; i++)
		into[i] += from[i];
}

static void merge_moments(double *into, const double *from, int channels)
{
	double total = into[0] + from[0];
	double share = from[0] / total;
	double weight = into[0] * share;

	for (int c = 1; c <= channels; c++) {
		double delta = from[c] - into[c];

		into[c] += delta * share;
		into[channels + c] += from[channels + c] + delta * delta * weight;
	}
	into[0] = total;
}

void statistics_merge(double *into, const double *from, int channels, enum merge merge)
{
	if (from[0] == 0.0)
		return;
	if (into[0] == 0.0)
		memcpy(into, from, (1 + 2 * (size_t)channels) * sizeof(*into));
	else if (merge == MERGE_SUM)
		merge_sum(into, from, channels);
	else
		merge_moments(into, from, channels);
}

/* Leaves the merge of [lo, hi) in the row of the first node inside it and returns that row; *next is the first node not yet used.
 */
static double *tree_node(double *rows, const struct shard_node *nodes, int *next, int lo, int hi, int channels, enum merge merge)
{
	size_t width = 1 + 2 * (size_t)channels;
	int mid = lo + (hi - lo) / 2;
	double *left, *right;

	if (nodes[*next].lo == lo && nodes[*next].hi == hi)
		return rows + width * (size_t)(*next)++;
	left = tree_node(rows, nodes, next, lo, mid, channels, merge);
	right = tree_node(rows, nodes, next, mid, hi, channels, merge);
	statistics_merge(left, right, channels, merge);
	return left;
}

void statistics_tree(double *rows, const struct shard_node *nodes, int node_count, int shard_count, int channels, enum merge merge)
{
	int next = 0;

	if (node_count == 0)
		memset(rows, 0, (1 + 2 * (size_t)channels) * sizeof(*rows));
	else
		tree_node(rows, nodes, &next, 0, shard_count, channels, merge);
}

void statistics_subtree(double *rows, int lo, int hi, int channels, enum merge merge)
{
	size_t width = 1 + 2 * (size_t)channels;
	int mid = lo + (hi - lo) / 2;
	double *right = rows + width * (size_t)(mid - lo);

	if (hi - lo < 2)
		return;
	statistics_subtree(rows, lo, mid, channels, merge);
	statistics_subtree(right, mid, hi, channels, merge);
	statistics_merge(rows, right, channels, merge);
}
