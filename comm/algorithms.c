#include "comm/algorithms.h"

#include <stdio.h>
#include <string.h>

#include "comm/node_reducer.h"

const size_t reduce_sizes[REDUCE_SIZES] = {4 << 10, 64 << 10, 512 << 10, 4 << 20};

/* Up to where each size counts: the geometric mean of neighbours. */
static const size_t limits[REDUCE_SIZES - 1] = {16 << 10, 181 << 10, 1448 << 10};

static const struct {
	const char *name;
	node_sum_fn sum;
} table[REDUCE_ALGORITHMS] = {
    [REDUCE_OWN] = {"own", NULL}, /* by size */
    [REDUCE_MPI] = {"mpi", NULL},
    [REDUCE_PAIRWISE] = {"pairwise", reduce_pairwise}, /* each node adds one slice of all and sends it to all */
    [REDUCE_RING] = {"ring", reduce_ring},	       /* the same, and the slices go round */
    [REDUCE_DOUBLING] = {"doubling", reduce_doubling}, /* along the tree, every node adds everything */
    [REDUCE_HALVING] = {"halving", reduce_halving},    /* along the tree, each node adds half as much at every level */
};

const char *reduce_name(enum reduce_algorithm algorithm)
{
	return table[algorithm].name;
}

node_sum_fn reduce_function(enum reduce_algorithm algorithm)
{
	return table[algorithm].sum;
}

enum reduce_algorithm reduce_named(const char *name)
{
	int i = 0;

	while (i < REDUCE_ALGORITHMS && strcmp(table[i].name, name) != 0)
		i++;
	return (enum reduce_algorithm)i;
}

struct reduce_choice reduce_choice_default(int nodes)
{
	if (nodes == 2)
		return (struct reduce_choice){{REDUCE_DOUBLING, REDUCE_DOUBLING, REDUCE_DOUBLING, REDUCE_DOUBLING}};
	return (struct reduce_choice){{REDUCE_DOUBLING, REDUCE_PAIRWISE, REDUCE_PAIRWISE, REDUCE_PAIRWISE}};
}

enum reduce_algorithm reduce_choose(const struct reduce_choice *choice, size_t bytes)
{
	int i = 0;

	while (i < REDUCE_SIZES - 1 && bytes > limits[i])
		i++;
	return choice->by_size[i];
}

bool reduce_choice_is_valid(const struct reduce_choice *choice)
{
	for (int i = 0; i < REDUCE_SIZES; i++)
		if (choice->by_size[i] < REDUCE_PAIRWISE || choice->by_size[i] >= REDUCE_ALGORITHMS)
			return false;
	return true;
}

void reduce_choice_print(char *text, size_t size, const struct reduce_choice *choice)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < REDUCE_SIZES && used < size; i++) {
		const char *name = reduce_name(choice->by_size[i]);

		if (i < REDUCE_SIZES - 1 && choice->by_size[i] == choice->by_size[i + 1])
			continue;
		if (i < REDUCE_SIZES - 1)
			used += (size_t)snprintf(text + used, size - used, "%s up to %zu KiB, ", name, limits[i] >> 10);
		else
			used += (size_t)snprintf(text + used, size - used, used > 0 ? "%s above" : "%s", name);
	}
}
