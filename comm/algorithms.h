/* The algorithms by which nodes sum gradients, by name, and which of them is for which size.
 *
 * All of them add in the order of the tree over shards and give the same bits: they differ in who adds, and in which messages go.
 * So the choice may follow the clock. */
#ifndef COMM_ALGORITHMS_H
#define COMM_ALGORITHMS_H

#include <stdbool.h>
#include <stddef.h>

enum reduce_algorithm {
	REDUCE_OWN, /* one of those from REDUCE_PAIRWISE on, by size */
	REDUCE_MPI, /* each rank adds its partials, then one MPI_Allreduce: bits depend on the ranks and on how the vector is cut.
		     * To compare with */
	REDUCE_PAIRWISE,
	REDUCE_RING,
	REDUCE_DOUBLING,
	REDUCE_HALVING,
	REDUCE_ALGORITHMS, /* so many names */
};

/* A choice is made for these sizes, in bytes of one vector as nodes send it; other sizes go with the nearest, by ratio. */
enum { REDUCE_SIZES = 4 };
extern const size_t reduce_sizes[REDUCE_SIZES];

struct reduce_choice {
	enum reduce_algorithm by_size[REDUCE_SIZES];
};

/* The name, as --allreduce has it. */
const char *reduce_name(enum reduce_algorithm algorithm);

/* Which has that name; REDUCE_ALGORITHMS: none. */
enum reduce_algorithm reduce_named(const char *name);

/* The choice without any measurement. For two nodes there is none to be made: doubling sends no more than the others, all of it at
 * once. */
struct reduce_choice reduce_choice_default(int nodes);

/* What the choice says for a vector of so many bytes. */
enum reduce_algorithm reduce_choose(const struct reduce_choice *choice, size_t bytes);

/* Whether the choice names only algorithms that sum between nodes: a file may say anything. */
bool reduce_choice_is_valid(const struct reduce_choice *choice);

/* text = the choice for people: "doubling up to 16 KiB, pairwise above". */
void reduce_choice_print(char *text, size_t size, const struct reduce_choice *choice);

#endif
