/* Who holds which nodes of the shard tree. Every rank can work this out for all places, so no counts are ever exchanged. */
#ifndef COMM_COVERS_H
#define COMM_COVERS_H

#include "nn/core/shards.h"
#include "nn/core/status.h"

/* The covers of consecutive places, one after the other. */
struct covers {
	int places;
	int *first;		  /* [places + 1]; place i holds nodes first[i] .. first[i + 1] - 1 */
	struct shard_node *nodes; /* [first[places]], in the order of shards */
};

/* The shards of one place out of `places`. */
struct shards covers_shards(int place, int places, int shard_count);

/* Works out the covers of places begin .. end - 1 out of `places`.
 * Ownership: the caller's, freed by covers_release, also after an error. Errors: NN_ERR_MEMORY. */
enum nn_status covers_init(struct covers *covers, int begin, int end, int places, int shard_count);

/* Frees what covers_init made; a zeroed struct is allowed. */
void covers_release(struct covers *covers);

/* The number of nodes that place i of these covers holds. */
int covers_held(const struct covers *covers, int i);

/* The number of nodes of all places. */
int covers_total(const struct covers *covers);

#endif
