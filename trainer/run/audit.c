/* The replica audit: every rank computes the same weights, so a rank that holds others has a fault that no loss shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/replicas.h"
#include "trainer/run/internal.h"
#include "trainer/state/digest.h"

/* 60 bits are enough to tell a handful of replicas apart. */
static int64_t digest_of(const struct run *run)
{
	size_t parameters = run->graph.parameters * sizeof(float);
	/* Ranks gather running statistics of their own unless batch norm is synchronised over all. */
	size_t statistics = run->options.sync_bn == OPTION_SYNC_GLOBAL ? run->graph.statistics * sizeof(float) : 0;
	char parts[3][DIGEST_CHARS], whole[DIGEST_CHARS];

	digest_bytes(parts[0], network_parameters(run->network), parameters);
	digest_bytes(parts[1], run->velocity, parameters);
	digest_bytes(parts[2], network_statistics(run->network), statistics);
	digest_bytes(whole, parts, sizeof(parts));
	whole[15] = '\0';
	return (int64_t)strtoull(whole, NULL, 16);
}

enum nn_status audit(struct run *run)
{
	char found[512];
	enum nn_status status;

	if (comm_size(run->comm) == 1)
		return NN_OK;
	status = replicas_compare(run->comm, run->all_ranks, digest_of(run));
	if (status == NN_OK)
		return NN_OK;
	snprintf(found, sizeof(found), "%s", nn_error_message());
	return nn_error(status, "replicas differ after step %lld: %s; the same command goes on from the last checkpoint",
			(long long)run->position.step, found);
}
