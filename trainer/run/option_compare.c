#include "trainer/run/option_compare.h"

#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/run/config_file.h"
#include "trainer/run/option_value.h"

static enum nn_status refuse(const struct option_change *change, const char *path)
{
	return nn_error(NN_ERR_CHECKPOINT,
			"--%s is %.200s, but the run in %s was trained with %.200s; give --%s %.200s, or --allow-change %s to go "
			"on with the new value",
			change->name, change->now, path, change->was, change->name, change->was, change->name);
}

/* Different words that do not change what is trained. */
static bool means_the_same(const struct option_spec *spec, const struct options *now, const struct options *was)
{
	if (strcmp(spec->name, "shards") == 0)
		return now->shards == 0;
	if (strcmp(spec->name, "allreduce") == 0)
		return now->allreduce != OPTION_ALLREDUCE_MPI && was->allreduce != OPTION_ALLREDUCE_MPI;
	return false;
}

static enum nn_status compare_all(const struct options *now, const struct options *was, const char *path, option_change_fn report,
				  void *context)
{
	enum nn_status status = NN_OK;

	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];
		char old[OPTION_VALUE_MAX], new[OPTION_VALUE_MAX];
		struct option_change change = {
		    .name = spec->name,
		    .was = old,
		    .now = new,
		    .mathematics = spec->class == OPTION_MATHEMATICS,
		    .allowed = spec->class == OPTION_OPERATION || option_named(now->allow_change, spec->name),
		};

		option_write(old, was, spec);
		option_write(new, now, spec);
		if (strcmp(old, new) == 0 || spec->command_only)
			continue;
		if (means_the_same(spec, now, was))
			continue;
		if (report)
			report(context, &change);
		if (!change.allowed && status == NN_OK)
			status = refuse(&change, path);
	}
	return status;
}

enum nn_status options_compare(const struct options *now, const char *path, option_change_fn report, void *context)
{
	struct options *was;
	enum nn_status status = nn_alloc(&was, sizeof(*was));

	if (status != NN_OK)
		return status;
	options_init(was);
	status = options_read_ini(was, path, OPTION_FROM_FILE);
	if (status == NN_OK)
		status = options_resolve(was);
	/* The message is about the run's file, whichever function found the fault. */
	status = status == NN_OK ? compare_all(now, was, path, report, context) : NN_ERR_CHECKPOINT;
	nn_free(was);
	return status;
}
