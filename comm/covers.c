#include "comm/covers.h"

#include <stdint.h>

#include "nn/core/alloc.h"

struct shards covers_shards(int place, int places, int shard_count)
{
	int64_t count = shard_count;

	return (struct shards){
	    .count = shard_count,
	    .lo = (int)(place * count / places),
	    .hi = (int)((place + 1) * count / places),
	};
}

struct shards covers_range(int begin, int end, int places, int shard_count)
{
	struct shards range = covers_shards(begin, places, shard_count);

	range.hi = covers_shards(end - 1, places, shard_count).hi;
	return range;
}

static struct shards holder_shards(const int *firsts, int begin, int i, int places, int shard_count)
{
	if (firsts)
		return covers_range(firsts[i], firsts[i + 1], places, shard_count);
	return covers_shards(begin + i, places, shard_count);
}

enum nn_status covers_init(struct covers *covers, const int *firsts, int begin, int holders, int places, int shard_count)
{
	struct shard_node cover[SHARD_COVER_MAX];
	struct shards shards;
	enum nn_status status;

	*covers = (struct covers){.holders = holders};
	status = nn_alloc(&covers->first, sizeof(*covers->first) * ((size_t)holders + 1));
	if (status != NN_OK)
		return status;
	for (int i = 0; i < holders; i++) {
		shards = holder_shards(firsts, begin, i, places, shard_count);
		covers->first[i + 1] = covers->first[i] + shards_cover(cover, &shards);
	}
	status = nn_alloc(&covers->nodes, sizeof(*covers->nodes) * (size_t)covers_total(covers));
	if (status != NN_OK)
		return status;
	for (int i = 0; i < holders; i++) {
		shards = holder_shards(firsts, begin, i, places, shard_count);
		shards_cover(cover, &shards);
		for (int j = 0; j < covers_held(covers, i); j++)
			covers->nodes[covers->first[i] + j] = cover[j];
	}
	return NN_OK;
}

void covers_release(struct covers *covers)
{
	nn_free(covers->first);
	nn_free(covers->nodes);
	*covers = (struct covers){0};
}

int covers_held(const struct covers *covers, int i)
{
	return covers->first[i + 1] - covers->first[i];
}

int covers_total(const struct covers *covers)
{
	return covers->first[covers->holders];
}
