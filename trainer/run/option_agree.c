#include "trainer/run/option_agree.h"

#include <string.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/run/option_value.h"

static bool is_common(const struct option_spec *spec)
{
	return strcmp(spec->name, "threads") != 0 && strcmp(spec->name, "loader-threads") != 0;
}

/* A path may be another on each host, but is given on all or on none. */
static bool is_alike(const struct option_spec *spec, const char *mine, const char *first)
{
	return spec->kind == OPTION_PATH ? !*mine == !*first : strcmp(mine, first) == 0;
}

static enum nn_status compare(const struct comm *comm, const struct options *options, char (*first)[OPTION_VALUE_MAX])
{
	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];
		char mine[OPTION_VALUE_MAX];

		if (!is_common(spec))
			continue;
		option_write(mine, options, spec);
		if (!is_alike(spec, mine, first[i]))
			return nn_error(
			    NN_ERR_USAGE,
			    "--%s is '%.200s' on rank %d on host %s, but '%.200s' on rank 0 on host %s; start all ranks "
			    "with the same options and files",
			    spec->name, mine, comm_rank(comm), comm_host(comm), first[i], comm_host_of(comm, 0));
	}
	return NN_OK;
}

/* After --help and the like there are no values. */
static enum nn_status compare_purpose(struct comm *comm, const struct options *options)
{
	bool prints = options->exit_text != NULL, first = prints;
	enum nn_status status = NN_OK;

	comm_broadcast(comm, &first, sizeof(first), 0);
	if (prints != first)
		status =
		    nn_error(NN_ERR_USAGE,
			     "only one of rank %d on host %s and rank 0 on host %s is given --help or --version; start all ranks "
			     "with the same options",
			     comm_rank(comm), comm_host(comm), comm_host_of(comm, 0));
	return comm_agree(comm, status);
}

enum nn_status options_same(struct comm *comm, const struct options *options)
{
	char(*texts)[OPTION_VALUE_MAX];
	enum nn_status status = compare_purpose(comm, options);

	if (status != NN_OK || options->exit_text)
		return status;
	status = comm_agree(comm, nn_alloc(&texts, sizeof(*texts) * (size_t)option_count));
	if (status == NN_OK) {
		for (int i = 0; i < option_count; i++)
			option_write(texts[i], options, &option_table[i]);
		comm_broadcast(comm, texts, sizeof(*texts) * (size_t)option_count, 0);
		status = comm_agree(comm, compare(comm, options, texts));
	}
	nn_free(texts);
	return status;
}
