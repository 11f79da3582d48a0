/* Who holds which nodes of the shard tree. Every rank can work this out for all places, so no counts are ever exchanged. */
#ifndef COMM_COVERS_H
#define COMM_COVERS_H

#include "nn/core/shards.h"
#include "nn/core/status.h"

/* The covers of consecutive holders, one after the other. A holder is a place, or a node of the job with all of its places. */
struct covers {
	int holders;
	int *first;		  /* [holders + 1]; holder i has nodes first[i] .. first[i + 1] - 1 */
	struct shard_node *nodes; /* [first[holders]], in the order of shards */
};

/* The shards of one place out of `places`. */
struct shards covers_shards(int place, int places, int shard_count);

/* The shards of places begin .. end - 1 together. */
struct shards covers_range(int begin, int end, int places, int shard_count);

/* Works out the covers of `holders` holders: holder i has the places firsts[i] .. firsts[i + 1] - 1 out of `places`; firsts ==
 * NULL: holder i is place begin + i. Ownership: the caller's, freed by covers_release, also after an error. Errors: NN_ERR_MEMORY.
 */
enum nn_status covers_init(struct covers *covers, const int *firsts, int begin, int holders, int places, int shard_count);

/* Frees what covers_init made; a zeroed struct is allowed. */
void covers_release(struct covers *covers);

/* The number of nodes that holder i has. */
int covers_held(const struct covers *covers, int i);

/* The number of nodes of all holders. */
int covers_total(const struct covers *covers);

#endif
