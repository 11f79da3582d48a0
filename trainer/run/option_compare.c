#include "trainer/run/option_compare.h"

#include <stdio.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/run/config_file.h"
#include "trainer/run/option_value.h"

/* What may not change and has: the first option in full, and the others behind it. */
struct refusal {
	int count;
	char first[700];
	char others[300]; /* " --NAME VALUE" of the run, for each */
	char names[200];  /* ",NAME" */
};

static void append(char *text, size_t size, const char *format, const char *name, const char *value)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, format, name, value);
}

static void refuse(struct refusal *refusal, const struct option_change *change, const char *path)
{
	if (refusal->count++ == 0)
		snprintf(refusal->first, sizeof(refusal->first), "--%s is %.200s, but the run in %.200s was trained with %.200s",
			 change->name, change->now, path, change->was);
	append(refusal->others, sizeof(refusal->others), " --%s %.60s", change->name, change->was);
	append(refusal->names, sizeof(refusal->names), ",%s", change->name, "");
}

static enum nn_status refused(const struct refusal *refusal)
{
	if (refusal->count == 0)
		return NN_OK;
	return nn_error(NN_ERR_CHECKPOINT, "%s%s; give%s, or --allow-change %s to go on with the new value%s", refusal->first,
			refusal->count > 1 ? ", and others differ too" : "", refusal->others, refusal->names + 1,
			refusal->count > 1 ? "s" : "");
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
	struct refusal refusal = {.count = 0};

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
		if (!change.allowed)
			refuse(&refusal, &change, path);
	}
	return refused(&refusal);
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
