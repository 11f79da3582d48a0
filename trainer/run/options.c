#include "trainer/run/options.h"

#include <limits.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/run/command_line.h"
#include "trainer/run/config_file.h"
#include "trainer/run/option_value.h"
#include "trainer/run/recipe.h"

void options_init(struct options *options)
{
	memset(options, 0, sizeof(*options));
}

void options_release(struct options *options)
{
	nn_free(options->exit_text);
	options->exit_text = NULL;
}

enum nn_status options_set(struct options *options, const char *name, const char *text)
{
	const struct option_spec *spec = option_find(name, strlen(name));
	enum nn_status status;

	if (!spec)
		return nn_error(NN_ERR_USAGE, "unknown option '%s'", name);
	status = option_read(options, spec, text, "--");
	if (status == NN_OK)
		options->source[spec - option_table] = OPTION_FROM_COMMAND;
	return status;
}

static enum nn_status fill_default(struct options *options, const struct option_spec *spec)
{
	return option_read(options, spec, spec->fallback[options_cifar_net(options->arch)], "--");
}

/* One of epochs and steps is to be positive. */
static enum nn_status settle_length(struct options *options)
{
	const struct option_spec *epochs = option_find("epochs", strlen("epochs"));
	enum option_source from_epochs = option_source(options, epochs);
	enum option_source from_steps = option_source(options, option_find("steps", strlen("steps")));

	if (!options->epochs && !options->steps)
		return fill_default(options, epochs);
	if (!options->epochs || !options->steps)
		return NN_OK;
	if (from_epochs == from_steps)
		return nn_error(NN_ERR_USAGE, "--epochs %d and --steps %d: give one of them", options->epochs, options->steps);
	if (from_epochs > from_steps)
		options->steps = 0;
	else
		options->epochs = 0;
	return NN_OK;
}

enum nn_status options_resolve(struct options *options)
{
	enum nn_status status = NN_OK;

	/* The architecture, on which other defaults depend, is the table's first row. */
	for (int i = 0; i < option_count && status == NN_OK; i++)
		if (options->source[i] == OPTION_FROM_DEFAULT)
			status = fill_default(options, &option_table[i]);
	if (status == NN_OK && options->color_jitter.values[3] > 0.5)
		return nn_error(NN_ERR_USAGE, "--color-jitter: hue is turned by at most 0.5, not %.10g",
				options->color_jitter.values[3]);
	if (status == NN_OK && options->gradient_dtype == OPTION_BF16 && options->allreduce == OPTION_ALLREDUCE_MPI)
		return nn_error(NN_ERR_USAGE,
				"--gradient-dtype bf16 and --allreduce mpi do not go together: MPI_Allreduce knows no bf16");
	return status == NN_OK ? settle_length(options) : status;
}

static enum nn_status read_recipe(struct options *options)
{
	char path[PATH_MAX];
	enum nn_status status = recipe_find(path, sizeof(path), options->recipe);

	return status == NN_OK ? options_read_ini(options, path, OPTION_FROM_RECIPE) : status;
}

enum nn_status options_parse(struct options *options, int argc, char **argv)
{
	enum nn_status status;

	options_init(options);
	status = command_line_read(options, argc, argv);
	if (status != NN_OK || options->exit_text)
		return status;
	if (options->config[0])
		status = options_read_ini(options, options->config, OPTION_FROM_FILE);
	if (status == NN_OK && options->recipe[0])
		status = read_recipe(options);
	return status == NN_OK ? options_resolve(options) : status;
}
