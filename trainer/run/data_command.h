/* The command line of resnet-data. */
#ifndef TRAINER_RUN_DATA_COMMAND_H
#define TRAINER_RUN_DATA_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/core/status.h"
#include "trainer/data/shrink.h"
#include "trainer/data/split.h"
#include "trainer/data/synth.h"

enum verb { VERB_NONE, VERB_SYNTH, VERB_DIGEST, VERB_PACK, VERB_UNPACK, VERB_VERIFY, VERB_STAT, VERB_SPLIT, VERB_CHECK, VERBS };

struct data_command {
	enum verb verb;
	const char *paths[2];
	int path_count;
	struct synth_options options; /* split has the seed, too */
	int split;		      /* of digest: an enum data_split, or -1: both */
	uint64_t piece_bytes;	      /* of a packed set */
	struct shrink shrink;
	int threads;
	struct split_size val; /* of split */
	const char *val_text;  /* as it was given; read when the verb is known */
	unsigned given;	       /* bits: the options that were given */
	bool help;
	bool version;
	int at; /* the argument that argp looks at now */
	enum nn_status status;
};

/* Fills *command; its paths point into argv. After help or version nothing else has a meaning. Errors: NN_ERR_USAGE. */
enum nn_status data_command_parse(struct data_command *command, int argc, char **argv);

/* Prints what --help shows. */
void data_command_help(FILE *stream);

#endif
