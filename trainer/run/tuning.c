/* Which algorithm sums gradients between nodes: stored for this cluster, or measured now. It changes no bits. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/tune.h"
#include "nn/core/alloc.h"
#include "trainer/run/internal.h"
#include "trainer/run/tuning_file.h"
#include "trainer/state/digest.h"

enum { KEY_MAX = 512 };

/* Everything that the times depend on and that another job may have otherwise. */
static enum nn_status describe_job(char key[KEY_MAX], const struct run *run)
{
	const struct options *options = &run->options;
	int ranks = comm_size(run->comm);
	char hosts[DIGEST_CHARS], library[128];
	struct digest *digest;
	enum nn_status status = digest_create(&digest);

	if (status != NN_OK)
		return status;
	for (int r = 0; r < ranks; r++)
		digest_update(digest, comm_host_of(run->comm, r), strlen(comm_host_of(run->comm, r)) + 1);
	digest_result(hosts, digest);
	digest_destroy(digest);
	comm_library(library, sizeof(library));
	snprintf(key, KEY_MAX, "resnet-train %s, %s, %d ranks on %d nodes, hosts %s, %d shards, %s", RESNET_VERSION, library, ranks,
		 comm_nodes(run->comm), hosts, options->shards, options->gradient_dtype == OPTION_BF16 ? "bf16" : "fp32");
	return NN_OK;
}

/* On rank 0. That there is no file to read or write is no error; path is empty before and then stays so. */
static bool recall(struct run *run, char path[PATH_MAX], char key[KEY_MAX])
{
	if (describe_job(key, run) != NN_OK || tuning_file_path(path, PATH_MAX, key) != NN_OK)
		return false;
	return tuning_file_read(&run->choice, path, key);
}

static void keep(struct run *run, const char *path, const char *key)
{
	if (path[0] && tuning_file_write(path, key, &run->choice) == NN_OK)
		run_note(run, "the choice of an algorithm for sums is kept in %s", path);
}

enum nn_status tune_sums(struct run *run)
{
	char path[PATH_MAX] = "", key[KEY_MAX];
	enum nn_status status = NN_OK;
	int stored = 0;

	run->choice = reduce_choice_default(comm_nodes(run->comm));
	run->tuned = "off";
	if (!run->options.tune || run->options.allreduce != OPTION_ALLREDUCE_OWN || comm_nodes(run->comm) <= 2)
		return NN_OK;
	if (run->master)
		stored = recall(run, path, key);
	comm_broadcast(run->comm, &stored, sizeof(stored), 0);
	run->tuned = stored ? "stored" : "measured";
	if (stored)
		comm_broadcast(run->comm, &run->choice, sizeof(run->choice), 0);
	else
		status = reduce_tune(&run->choice, run->comm, run->options.shards, run->options.gradient_dtype == OPTION_BF16);
	if (status == NN_OK && !stored && run->master)
		keep(run, path, key);
	return status;
}

void tuning_describe(char *text, size_t size, const struct run *run)
{
	if (run->options.allreduce == OPTION_ALLREDUCE_OWN && comm_nodes(run->comm) > 1)
		reduce_choice_print(text, size, &run->choice);
	else
		snprintf(text, size, "%s", reduce_name((enum reduce_algorithm)run->options.allreduce));
}
