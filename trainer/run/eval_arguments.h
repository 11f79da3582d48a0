/* The command line of resnet-eval. */
#ifndef TRAINER_RUN_EVAL_ARGUMENTS_H
#define TRAINER_RUN_EVAL_ARGUMENTS_H

#include <stdbool.h>

#include "nn/core/status.h"
#include "trainer/data/views.h"

struct eval_arguments {
	const char *checkpoint;
	const char *data;   /* NULL: not given */
	const char *scores; /* file to write; NULL: none */
	bool digest;
	bool train_split;
	struct protocol protocol;
	int batch;
	int threads; /* 0: as many as there are cores */
	char **images;
	int image_count;
	char *text; /* not NULL: print this (one rank) and leave; freed by free() */
	int at;	    /* the argument that argp looks at now */
	enum nn_status status;
};

/* Reads the command line; pictures' names move to the front of argv. Prints nothing, so that one rank can speak for all.
 * Ownership: texts are argv's, but for `text`. Errors: NN_ERR_USAGE, NN_ERR_MEMORY. */
enum nn_status eval_arguments_parse(struct eval_arguments *arguments, int argc, char **argv);

#endif
