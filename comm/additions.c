#include "comm/additions.h"

#include "nn/core/bf16.h"

/* Floats added at a time, so that a block of every row stays in the cache. */
enum { BLOCK = 1 << 10 };

int additions_plan(struct addition *additions, int *planned, const struct shard_node *nodes, int *next_row, int lo, int hi)
{
	const struct shard_node *node = &nodes[*next_row];
	int mid = lo + (hi - lo) / 2;
	int left, right;

	if (node->lo == lo && node->hi == hi)
		return (*next_row)++;
	left = additions_plan(additions, planned, nodes, next_row, lo, mid);
	right = additions_plan(additions, planned, nodes, next_row, mid, hi);
	additions[(*planned)++] = (struct addition){.into = left, .from = right};
	return left;
}

static void add(float *restrict into, const float *restrict from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		into[i] += from[i];
}

void additions_run(const struct addition *additions, int planned, float *const *rows, size_t offset, size_t count, bool bf16)
{
	for (size_t begin = 0; begin < count; begin += BLOCK)
		for (int i = 0; i < planned; i++) {
			size_t length = count - begin < BLOCK ? count - begin : BLOCK;
			float *into = rows[additions[i].into] + offset + begin;

			add(into, rows[additions[i].from] + offset + begin, length);
			if (bf16)
				bf16_round(into, length);
		}
}
