/* The additions that sum rows of floats in the order of the tree over shards, written down once and run on any range. */
#ifndef COMM_ADDITIONS_H
#define COMM_ADDITIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/shards.h"

/* Row `into` += row `from`. */
struct addition {
	int into;
	int from;
};

/* Writes down the additions that make the node [lo, hi) of the tree from the rows of nodes[*next_row], nodes[*next_row + 1], ...,
 * which together are that node; *next_row is then the first row behind them. Appends to additions[*planned] and returns the row
 * that holds the sum at the end. */
int additions_plan(struct addition *additions, int *planned, const struct shard_node *nodes, int *next_row, int lo, int hi);

/* Runs them on elements [offset, offset + count) of the rows; with bf16 every sum is rounded to one. */
void additions_run(const struct addition *additions, int planned, float *const *rows, size_t offset, size_t count, bool bf16);

#endif
