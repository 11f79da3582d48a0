/* The table of options: one row decides an option's name, type, range, default, help text and meaning on resume. */
#ifndef TRAINER_RUN_OPTION_TABLE_H
#define TRAINER_RUN_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "trainer/run/options.h"

enum option_kind {
	OPTION_INT,	/* int in [min, max]; words[i], if any, stands for -1 - i */
	OPTION_SEED,	/* uint64_t */
	OPTION_REAL,	/* double in [min, max] */
	OPTION_SWITCH,	/* bool: on or off */
	OPTION_WORD,	/* an enum: the word's place */
	OPTION_NAME,	/* char array holding one of the words */
	OPTION_PATH,	/* char array */
	OPTION_REALS,	/* struct option_list, increasing, in [min, max] */
	OPTION_FACTORS, /* struct option_list of four, in [min, max] */
	OPTION_NAMES,	/* char array: names of mathematics options, with commas between */
};

/* Mathematics decides the trained weights; operation does not. */
enum option_class { OPTION_MATHEMATICS, OPTION_OPERATION };

struct option_spec {
	const char *heading; /* the group it stands under */
	const char *name;
	const char *argument; /* what --help shows after the = */
	const char *help;
	enum option_kind kind;
	enum option_class class;
	size_t offset;		 /* of the field in struct options */
	size_t bytes;		 /* of the field */
	const char *fallback[2]; /* default for other nets, for CIFAR nets */
	const char *const *words;
	const char *alone; /* the value that the name alone stands for; NULL: a value must follow */
	double min;
	double max;
	bool command_only; /* no key of INI files */
};

extern const struct option_spec option_table[];
extern const int option_count;

/* The row named by the first `length` bytes of `name`; NULL: none. */
const struct option_spec *option_find(const char *name, size_t length);

/* The name that a wrong name of `length` bytes was probably meant to be; NULL: none is near. */
const char *option_suggest(const char *wrong, size_t length);

/* The option's field. Ownership: part of `options`. */
void *option_field(struct options *options, const struct option_spec *spec);

/* Where the option's value came from. */
enum option_source option_source(const struct options *options, const struct option_spec *spec);

#endif
