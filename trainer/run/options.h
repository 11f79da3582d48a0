/* The options of resnet-train: from the command line, from an INI file, or by default.
 *
 * A value comes from the command line, else from the file named by --config, else from the recipe named by --recipe, else from the
 * table of defaults, where some depend on whether the network is one for CIFAR. option_table.c holds the one row per option from
 * which the parser, --help, the INI file, the range checks and the comparison on resume all follow. */
#ifndef TRAINER_RUN_OPTIONS_H
#define TRAINER_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/core/status.h"

enum { OPTION_MAX = 96, OPTION_NAME_MAX = 24, OPTION_TEXT_MAX = 1024, OPTION_LIST_MAX = 16 };

/* save_every for `--save-every epoch`: after every epoch. 0 is no periodic save, N > 0 every N steps. */
enum { SAVE_EVERY_EPOCH = -1 };

/* plan for `--plan` without a number: of the ranks that run. */
enum { PLAN_JOB = -1 };

enum option_shortcut { OPTION_SHORTCUT_DEFAULT, OPTION_SHORTCUT_A, OPTION_SHORTCUT_B, OPTION_SHORTCUT_C };
enum option_stride { OPTION_STRIDE_3X3, OPTION_STRIDE_1X1 };
enum option_optimizer { OPTION_SGD, OPTION_LARS };
enum option_schedule { OPTION_CONSTANT, OPTION_STEP, OPTION_COSINE, OPTION_POLY };
enum option_augment { OPTION_AUGMENT_NONE, OPTION_AUGMENT_CIFAR, OPTION_AUGMENT_INCEPTION, OPTION_AUGMENT_PAPER };
enum option_normalize { OPTION_NORMALIZE_CHANNEL, OPTION_NORMALIZE_IMAGENET, OPTION_NORMALIZE_PIXEL_MEAN };
enum option_protocol { OPTION_PROTOCOL_SINGLE, OPTION_PROTOCOL_TEN_CROP, OPTION_PROTOCOL_MULTI_SCALE };
enum option_precision { OPTION_FP32, OPTION_BF16 };
enum option_allreduce { /* as enum reduce_algorithm */
			OPTION_ALLREDUCE_OWN,
			OPTION_ALLREDUCE_MPI,
			OPTION_ALLREDUCE_PAIRWISE,
			OPTION_ALLREDUCE_RING,
			OPTION_ALLREDUCE_DOUBLING,
			OPTION_ALLREDUCE_HALVING,
};
enum option_sync_bn { OPTION_SYNC_GLOBAL, OPTION_SYNC_NODE, OPTION_SYNC_OFF };

/* Where a value came from; a greater source wins. */
enum option_source { OPTION_FROM_DEFAULT, OPTION_FROM_RECIPE, OPTION_FROM_FILE, OPTION_FROM_COMMAND };

struct option_list {
	double values[OPTION_LIST_MAX];
	int count;
};

struct options {
	/* network */
	char arch[OPTION_NAME_MAX];
	enum option_shortcut shortcut;
	enum option_stride stride_in;
	bool zero_gamma;
	enum option_precision precision;
	bool winograd;
	char init_from[OPTION_TEXT_MAX]; /* "": random weights */
	bool reset_head;

	/* data */
	char data[OPTION_TEXT_MAX]; /* "": not given */
	int global_batch;
	enum option_augment augment;
	enum option_normalize normalize;
	struct option_list color_jitter; /* brightness, contrast, saturation, hue */
	double random_erasing;		 /* probability */
	double mixup, cutmix;		 /* alpha; 0: off */
	int image_size;
	bool shuffle;
	int shuffle_window; /* images; 0: all */
	bool drop_last;
	bool reduced_decode;
	bool final_flip; /* of final_protocol, below */
	int holdout;
	int max_bad; /* images */
	uint64_t seed;

	/* length and report; of epochs and steps exactly one is positive */
	int epochs;
	int steps;
	int eval_every; /* epochs; 0: never */
	int log_every;	/* steps; 0: never */
	enum option_protocol final_protocol;
	int bn_recalibrate; /* batches after training; 0: none */
	double time_limit;  /* seconds; 0: none */

	/* optimiser */
	enum option_optimizer optimizer;
	double momentum;
	bool nesterov;
	bool decay_bn;
	double weight_decay;
	double label_smoothing;
	double trust;

	/* learning rate */
	double lr;
	enum option_schedule lr_schedule;
	struct option_list lr_milestones; /* epochs, increasing */
	double lr_gamma;
	double lr_power;
	double warmup_epochs;
	double warmup_lr;

	/* ranks and threads; 0: chosen by the program */
	int shards;
	enum option_sync_bn sync_bn;
	int threads;
	int loader_threads;
	enum option_allreduce allreduce;
	bool tune;
	enum option_precision gradient_dtype;
	int audit_every; /* steps; 0: never */
	double bucket_mb;
	double watchdog;	     /* seconds; 0: off */
	char trace[OPTION_TEXT_MAX]; /* "": none */
	bool overlap;
	bool recompute;

	/* run folder */
	char out[OPTION_TEXT_MAX];
	char config[OPTION_TEXT_MAX]; /* "": none */
	char recipe[OPTION_TEXT_MAX]; /* "": none */
	int save_every;		      /* steps; 0: never; SAVE_EVERY_EPOCH */
	int keep;
	int plan; /* 0: train; PLAN_JOB: only print the memory plan, of this job; N > 0: of a job with N ranks */
	char resume[OPTION_TEXT_MAX]; /* "auto", "never" or a checkpoint's path */
	char allow_change[OPTION_TEXT_MAX];

	unsigned char source[OPTION_MAX]; /* enum option_source, by row of the table */
	char *exit_text;		  /* not NULL: print this (one rank) and leave with exit code 0 */
};

/* Makes every option a default that options_resolve fills in. */
void options_init(struct options *options);

/* Fills `options` from the command line, the file it names, and the defaults; argv is not changed.
 * After --help, --usage or --version only exit_text has a meaning. Prints nothing, so that one rank can speak for all.
 * Ownership: options_release frees it, and may be called after an error too.
 * Errors: NN_ERR_USAGE with the option's name in the message; NN_ERR_MEMORY. */
enum nn_status options_parse(struct options *options, int argc, char **argv);

/* Frees what options_parse allocated. */
void options_release(struct options *options);

/* Sets one option by name, as the command line would. Errors: NN_ERR_USAGE, and the option keeps its value. */
enum nn_status options_set(struct options *options, const char *name, const char *text);

/* Fills in whatever was not given, in part by the architecture, and settles between epochs and steps: the one from the
 * greater source wins and the other becomes 0. Errors: NN_ERR_USAGE when both come from the same source. */
enum nn_status options_resolve(struct options *options);

/* Whether the architecture is one for small images (32x32), which decides on many defaults. */
bool options_cifar_net(const char *arch);

#endif
