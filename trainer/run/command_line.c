#include "trainer/run/command_line.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/run/option_value.h"

static const char program[] = "resnet-train";

enum { DOC_MAX = 400, HEADINGS_MAX = 16, ROWS_MAX = OPTION_MAX + HEADINGS_MAX + 4 };

/* Keys outside of the characters, so that no option gets a short form by accident. KEY_OPTION + i is row i of the table. */
enum { KEY_HELP = 256, KEY_USAGE, KEY_VERSION, KEY_OPTION };

/* What argp needs, and how far it came. */
struct command {
	struct argp argp;
	struct argp_option rows[ROWS_MAX];
	char docs[OPTION_MAX][DOC_MAX];
	struct options *options;
	enum nn_status status;
	int at; /* the argument that argp looks at now */
};

/* A word `default` leaves the choice to the network, and the help text says which. */
static void write_doc(char doc[DOC_MAX], const struct option_spec *spec)
{
	const char *other = spec->fallback[0], *cifar = spec->fallback[1];

	if (strcmp(other, cifar) != 0)
		snprintf(doc, DOC_MAX, "%s (default: %s for CIFAR nets, else %s)", spec->help, cifar, other);
	else if (*other && strcmp(other, "default") != 0)
		snprintf(doc, DOC_MAX, "%s (default: %s)", spec->help, other);
	else
		snprintf(doc, DOC_MAX, "%s", spec->help);
}

static void fill_rows(struct command *command)
{
	struct argp_option *row = command->rows;
	const char *heading = NULL;
	int group = 0;

	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];

		if (spec->heading != heading) {
			heading = spec->heading;
			*row++ = (struct argp_option){.doc = heading, .group = ++group};
		}
		write_doc(command->docs[i], spec);
		*row++ = (struct argp_option){
		    .name = spec->name,
		    .key = KEY_OPTION + i,
		    .arg = spec->argument,
		    .flags = spec->alone ? OPTION_ARG_OPTIONAL : 0,
		    .doc = command->docs[i],
		    .group = group,
		};
	}
	*row++ = (struct argp_option){.doc = "Help", .group = -1};
	*row++ = (struct argp_option){.name = "help", .key = KEY_HELP, .doc = "print this text", .group = -1};
	*row++ = (struct argp_option){.name = "usage", .key = KEY_USAGE, .doc = "print the options in short", .group = -1};
	*row++ = (struct argp_option){.name = "version", .key = KEY_VERSION, .doc = "print the version", .group = -1};
}

static enum nn_status print_text(FILE *stream, struct command *command, int key)
{
	static char name[] = "resnet-train";

	if (key == KEY_VERSION)
		fprintf(stream, "%s %s\n", program, RESNET_VERSION);
	else
		argp_help(&command->argp, stream,
			  key == KEY_HELP ? ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC : ARGP_HELP_USAGE, name);
	return fclose(stream) == 0 ? NN_OK : nn_error(NN_ERR_MEMORY, "out of memory for the text of --help");
}

/* exit_text = what `key` asks for. */
static enum nn_status make_text(struct command *command, int key)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);
	enum nn_status status;

	if (!stream)
		return nn_error(NN_ERR_MEMORY, "out of memory for the text of --help");
	status = print_text(stream, command, key);
	if (status == NN_OK)
		status = nn_alloc(&command->options->exit_text, bytes + 1);
	if (status == NN_OK)
		memcpy(command->options->exit_text, text, bytes + 1);
	free(text);
	return status;
}

static enum nn_status take_option(struct command *command, const struct option_spec *spec, const char *value,
				  struct argp_state *state)
{
	enum nn_status status;

	/* argp does not take an optional value from the next argument; no other argument can stand there. */
	if (!value && state->next < state->argc && state->argv[state->next][0] != '-')
		value = state->argv[state->next++];
	if (!value)
		value = spec->alone;
	if (strncmp(value, "--", 2) == 0)
		return nn_error(NN_ERR_USAGE, "--%s: a value is missing (%s) before %s", spec->name, spec->argument, value);
	status = option_read(command->options, spec, value, "--");
	if (status == NN_OK)
		command->options->source[spec - option_table] = OPTION_FROM_COMMAND;
	return status;
}

/* argp has refused argument `given`: says why. */
static enum nn_status refuse(const char *given)
{
	const char *name = given + strspn(given, "-");
	size_t length = strcspn(name, "=");
	bool complete = given[0] == '-' && given[1] == '-';
	const struct option_spec *spec = option_find(name, length);
	const char *near = option_suggest(name, length);
	int begun = 0;

	for (int i = 0; i < option_count && !spec; i++)
		begun += strncmp(option_table[i].name, name, length) == 0;
	for (int i = 0; i < option_count && begun == 1 && !spec; i++)
		if (strncmp(option_table[i].name, name, length) == 0)
			spec = &option_table[i];
	if (complete && spec)
		return nn_error(NN_ERR_USAGE, "--%s: a value is missing (%s)", spec->name, spec->argument);
	if (complete && begun > 1)
		return nn_error(NN_ERR_USAGE, "option '%s' could be more than one; see %s --help", given, program);
	if (near)
		return nn_error(NN_ERR_USAGE, "unknown option '%s'; did you mean --%s?", given, near);
	return nn_error(NN_ERR_USAGE, "unknown option '%s'; see %s --help", given, program);
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct command *command = state->input;

	if (key == ARGP_KEY_ARG)
		command->status =
		    nn_error(NN_ERR_USAGE, "unexpected argument '%s': options begin with --; see %s --help", value, program);
	else if (key >= KEY_OPTION && key < KEY_OPTION + option_count)
		command->status = take_option(command, &option_table[key - KEY_OPTION], value, state);
	else if (key == KEY_HELP || key == KEY_USAGE || key == KEY_VERSION) {
		command->status = make_text(command, key);
		state->next = state->argc;
	} else
		return ARGP_ERR_UNKNOWN;
	command->at = state->next;
	return command->status == NN_OK ? 0 : EINVAL;
}

enum nn_status command_line_read(struct options *options, int argc, char **argv)
{
	struct command *command;
	error_t failed;
	enum nn_status status = nn_alloc(&command, sizeof(*command));

	if (status != NN_OK)
		return status;
	fill_rows(command);
	command->argp = (struct argp){
	    .options = command->rows,
	    .parser = take,
	    .doc = "Trains a residual network on images, on as many MPI ranks as mpirun or srun starts.\v"
		   "Every option but --config, --recipe and --plan is also a key of INI files.",
	};
	command->options = options;
	command->at = 1;
	failed = argp_parse(&command->argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, command);
	status = command->status;
	if (failed == ENOMEM && status == NN_OK)
		status = nn_error(NN_ERR_MEMORY, "out of memory while reading the command line");
	else if (failed && status == NN_OK)
		status = refuse(argv[command->at < argc ? command->at : argc - 1]);
	nn_free(command);
	return status;
}
