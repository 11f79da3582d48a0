#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "tests/unit/suites.h"
#include "trainer/run/config_file.h"
#include "trainer/run/option_compare.h"
#include "trainer/run/option_value.h"

static char folder[256], ini[300];

static void make_folder(void)
{
	const char *root = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/options-XXXXXX", root ? root : "/tmp");
	if (!mkdtemp(folder))
		CU_FAIL("no temporary folder");
	snprintf(ini, sizeof(ini), "%s/config.ini", folder);
}

static void remove_folder(void)
{
	unlink(ini);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void write_ini(const char *text)
{
	FILE *stream = fopen(ini, "w");

	if (!stream) {
		CU_FAIL("cannot write the file");
		return;
	}
	fputs(text, stream);
	fclose(stream);
}

/* Parses "resnet-train LINE", with arguments between single blanks. */
static enum nn_status parse(struct options *options, const char *line)
{
	char copy[2048], program[] = "resnet-train", *argv[32] = {program}, *rest = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word && argc < 31; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	return options_parse(options, argc, argv);
}

static void refused(const char *line, const char *message)
{
	struct options options;

	CU_ASSERT_EQUAL(parse(&options, line), NN_ERR_USAGE);
	if (!strstr(nn_error_message(), message))
		printf("\n%s\n  says: %s\n  not: %s\n", line, nn_error_message(), message);
	CU_ASSERT(strstr(nn_error_message(), message) != NULL);
	options_release(&options);
}

static void defaults_depend_on_the_network(void)
{
	struct options options;

	CU_ASSERT_EQUAL(parse(&options, ""), NN_OK);
	CU_ASSERT_STRING_EQUAL(options.arch, "resnet50");
	CU_ASSERT_EQUAL(options.global_batch, 256);
	CU_ASSERT_EQUAL(options.epochs, 90);
	CU_ASSERT_EQUAL(options.image_size, 224);
	CU_ASSERT_EQUAL(options.save_every, SAVE_EVERY_EPOCH);
	CU_ASSERT_EQUAL(options.lr_schedule, OPTION_STEP);
	CU_ASSERT_DOUBLE_EQUAL(options.weight_decay, 1e-4, 0);
	CU_ASSERT(options.decay_bn && options.shuffle && !options.nesterov);
	CU_ASSERT_EQUAL(parse(&options, "--arch preresnet164 --augment none"), NN_OK);
	CU_ASSERT_EQUAL(options.global_batch, 128);
	CU_ASSERT_EQUAL(options.epochs, 164);
	CU_ASSERT_EQUAL(options.image_size, 32);
	CU_ASSERT_EQUAL(options.augment, OPTION_AUGMENT_NONE);
	CU_ASSERT_EQUAL(options.lr_milestones.count, 2);
	CU_ASSERT_DOUBLE_EQUAL(options.lr_milestones.values[1], 123, 0);
	CU_ASSERT(options_cifar_net("resnet20") && options_cifar_net("plain110"));
	CU_ASSERT(!options_cifar_net("resnet18") && !options_cifar_net("plain34") && !options_cifar_net("vgg19"));
}

/* text = `piece` again and again for at least `length` bytes, then `last`. */
static void repeat(char text[OPTION_VALUE_MAX], size_t length, const char *piece, const char *last)
{
	size_t used = 0;

	while (used < length)
		used += (size_t)snprintf(text + used, OPTION_VALUE_MAX - used, "%s", piece);
	snprintf(text + used, OPTION_VALUE_MAX - used, "%s", last);
}

/* A value that is not the default, for any row. */
static void sample(char text[OPTION_VALUE_MAX], const struct option_spec *spec)
{
	switch (spec->kind) {
	case OPTION_INT:
		snprintf(text, OPTION_VALUE_MAX, "%d", (int)spec->min + 17);
		break;
	case OPTION_SEED:
		snprintf(text, OPTION_VALUE_MAX, "18446744073709551615");
		break;
	case OPTION_REAL:
		snprintf(text, OPTION_VALUE_MAX, "0.30000000000000004");
		break;
	case OPTION_REALS:
		snprintf(text, OPTION_VALUE_MAX, "0.25,7,1e+08");
		break;
	case OPTION_FACTORS:
		snprintf(text, OPTION_VALUE_MAX, "0.4,0.30000000000000004,0.25,0.1");
		break;
	case OPTION_SWITCH:
		snprintf(text, OPTION_VALUE_MAX, "%s", strcmp(spec->fallback[0], "on") == 0 ? "off" : "on");
		break;
	case OPTION_WORD:
	case OPTION_NAME:
		snprintf(text, OPTION_VALUE_MAX, "%s", spec->words[strcmp(spec->words[0], spec->fallback[0]) == 0]);
		break;
	case OPTION_NAMES:
		repeat(text, 600, "lr,", "momentum");
		break;
	case OPTION_PATH:
		repeat(text, 900, "a bc;#d ", "/e=f:g"); /* lines are cut next to each of blank, ; and # */
		break;
	}
}

static void every_option_comes_back_from_config_ini(void)
{
	static struct options before, after;

	make_folder();
	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];
		char text[OPTION_VALUE_MAX], old[OPTION_VALUE_MAX], new[OPTION_VALUE_MAX], line[400];

		if (spec->command_only)
			continue;
		sample(text, spec);
		options_init(&before);
		CU_ASSERT_EQUAL(options_set(&before, spec->name, text), NN_OK);
		CU_ASSERT_EQUAL(options_resolve(&before), NN_OK);
		CU_ASSERT_EQUAL(options_write_ini(&before, ini), NN_OK);
		snprintf(line, sizeof(line), "--config %s", ini);
		CU_ASSERT_EQUAL(parse(&after, line), NN_OK);
		option_write(new, &after, spec);
		CU_ASSERT_STRING_EQUAL(new, text);
		CU_ASSERT_STRING_NOT_EQUAL(new, spec->fallback[0]);
		for (int j = 0; j < option_count; j++) {
			option_write(old, &before, &option_table[j]);
			option_write(new, &after, &option_table[j]);
			if (!option_table[j].command_only)
				CU_ASSERT_STRING_EQUAL(old, new);
		}
	}
	remove_folder();
}

static void a_bad_value_is_refused_with_the_options_name(void)
{
	for (int i = 0; i < option_count; i++) {
		const struct option_spec *spec = &option_table[i];
		char line[64], message[64];

		if (spec->kind == OPTION_PATH)
			continue;
		snprintf(line, sizeof(line), "--%s=12x", spec->name);
		snprintf(message, sizeof(message), "--%s 12x: ", spec->name);
		refused(line, message);
		snprintf(line, sizeof(line), "--%s=", spec->name);
		snprintf(message, sizeof(message), "--%s: a value is missing", spec->name);
		if (spec->kind != OPTION_NAMES)
			refused(line, message);
	}
	refused("--global-batch 0", "--global-batch 0: must be at least 1");
	refused("--global-batch -3", "--global-batch -3: must be at least 1");
	refused("--global-batch 99999999999999999999", "must be at most 2147483647");
	refused("--steps 1e3", "--steps 1e3: must be a whole number");
	refused("--seed -3", "--seed -3: must be a whole number, 0 or more");
	refused("--seed 18446744073709551616", "must be at most 18446744073709551615");
	refused("--lr 1e999", "--lr 1e999: is out of the range of numbers");
	refused("--lr nan", "--lr nan: must be a number");
	refused("--lr inf", "--lr inf: must be a number");
	refused("--lr 0x1", "--lr 0x1: must be a number");
	refused("--lr -0.1", "--lr -0.1: must be at least 0");
	refused("--momentum 1.5", "--momentum 1.5: must be at most 1");
	refused("--lr-milestones 30,60,", "must be a number");
	refused("--lr-milestones 60,30", "must increase");
	refused("--lr-milestones 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16 numbers");
	refused("--optimizer adam", "--optimizer adam: must be one of sgd, lars");
	refused("--save-every epochs", "--save-every epochs: must be a whole number or epoch");
	refused("--save-every -1", "must be at least 0");
	refused("--allow-change lr,arhc", "did you mean arch?");
	refused("--allow-change threads", "threads may change without being named here");
	refused("--shuffle maybe", "--shuffle maybe: must be on or off");
}

static void wrong_names_and_missing_values_are_explained(void)
{
	refused("--foo", "unknown option '--foo'; see resnet-train --help");
	refused("--arhc resnet20", "unknown option '--arhc'; did you mean --arch?");
	refused("--seed 1 --batch 3 --epochs 2", "unknown option '--batch'; did you mean --global-batch?");
	refused("--weight_decay=1", "did you mean --weight-decay?");
	refused("-lr 0.1", "unknown option '-lr'; did you mean --lr?");
	refused("--warmup 3", "'--warmup' could be more than one");
	refused("--seed 4 --lr", "--lr: a value is missing (X)");
	refused("--milestone", "did you mean --lr-milestones?");
	refused("--data --out x", "--data: a value is missing (DIR) before --out");
	refused("resnet20", "unexpected argument 'resnet20'");
	refused("--seed 3 -- x", "unexpected argument 'x'");
}

static void a_switch_takes_its_value_in_every_way(void)
{
	struct options options;

	CU_ASSERT_EQUAL(parse(&options, "--nesterov --shuffle off --drop-last=on --decay-bn=off --zero-gamma on --reset-head"),
			NN_OK);
	CU_ASSERT(options.nesterov && options.drop_last && options.zero_gamma && options.reset_head);
	CU_ASSERT(!options.shuffle && !options.decay_bn);
}

static void the_command_line_wins_over_the_file_and_the_file_over_defaults(void)
{
	struct options options;
	char line[400];

	make_folder();
	write_ini("lr = 0.5\n[train]\n# comment\nmomentum: 0.8 ; why\narch = resnet20\nsteps = 10\ndata = /a\n b c\n\t/d\n");
	snprintf(line, sizeof(line), "--lr 0.25 --config %s --lr 0.125", ini);
	CU_ASSERT_EQUAL(parse(&options, line), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(options.lr, 0.125, 0);
	CU_ASSERT_DOUBLE_EQUAL(options.momentum, 0.8, 0);
	CU_ASSERT_EQUAL(options.global_batch, 128);
	CU_ASSERT_STRING_EQUAL(options.data, "/ab c/d");
	CU_ASSERT_EQUAL(options.steps, 10);
	CU_ASSERT_EQUAL(options.epochs, 0);
	snprintf(line, sizeof(line), "--config %s --epochs 3", ini);
	CU_ASSERT_EQUAL(parse(&options, line), NN_OK);
	CU_ASSERT_EQUAL(options.steps, 0);
	CU_ASSERT_EQUAL(options.epochs, 3);
	refused("--epochs 3 --steps 4", "--epochs 3 and --steps 4: give one of them");
	remove_folder();
}

static void a_recipe_comes_after_the_command_line_and_the_file_but_before_defaults(void)
{
	struct options options;
	char line[400];

	make_folder();
	CU_ASSERT_EQUAL(setenv("RESNET_RECIPES", folder, 1), 0);
	refused("--recipe config", "--recipe config: no recipes (*.ini) in ");
	write_ini("arch = resnet32\nlr = 0.5\nmomentum = 0.5\nsteps = 7\n");
	CU_ASSERT_EQUAL(parse(&options, "--lr 0.25 --recipe config"), NN_OK);
	CU_ASSERT_STRING_EQUAL(options.arch, "resnet32");
	CU_ASSERT_EQUAL(options.global_batch, 128);
	CU_ASSERT_EQUAL(options.steps, 7);
	CU_ASSERT_DOUBLE_EQUAL(options.lr, 0.25, 0);
	CU_ASSERT_DOUBLE_EQUAL(options.momentum, 0.5, 0);
	snprintf(line, sizeof(line), "--recipe config --config %s", ini);
	write_ini("lr = 0.75\n");
	CU_ASSERT_EQUAL(parse(&options, line), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(options.lr, 0.75, 0);
	CU_ASSERT_EQUAL(option_source(&options, option_find("lr", 2)), OPTION_FROM_FILE);
	refused("--recipe cofnig", "--recipe cofnig: must be one of config");
	write_ini("recipe = config\n");
	refused("--recipe config", "config.ini:1: unknown option 'recipe'");
	unsetenv("RESNET_RECIPES");
	remove_folder();
}

static void the_papers_recipe_divides_the_learning_rate_at_its_steps(void)
{
	struct options options;
	const int steps_per_epoch = 391; /* of 50,000 images */

	CU_ASSERT_EQUAL(setenv("RESNET_RECIPES", "jobs/recipes", 1), 0);
	CU_ASSERT_EQUAL(parse(&options, "--recipe cifar10-resnet110"), NN_OK);
	CU_ASSERT_STRING_EQUAL(options.arch, "resnet110");
	CU_ASSERT_EQUAL(llround(options.lr_milestones.values[0] * steps_per_epoch), 32000);
	CU_ASSERT_EQUAL(llround(options.lr_milestones.values[1] * steps_per_epoch), 48000);
	CU_ASSERT_EQUAL(llround(options.warmup_epochs * steps_per_epoch), 400);
	CU_ASSERT_EQUAL(options.steps, 64000);
	CU_ASSERT_EQUAL(options.epochs, 0);
	CU_ASSERT_EQUAL(parse(&options, "--recipe imagenet-resnet152"), NN_OK);
	CU_ASSERT_EQUAL(options.image_size, 224);
	refused("--recipe imagenet-resnet20", "imagenet-plain34, imagenet-resnet101");
	unsetenv("RESNET_RECIPES");
}

static void a_fault_in_the_file_is_told_with_its_line(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	    {"lr = 0.1\nlr-gama = 2\n", "config.ini:2: unknown option 'lr-gama'; did you mean lr-gamma?"},
	    {"[train]\n\nglobal-batch = 0\n", "config.ini:3: global-batch 0: must be at least 1"},
	    {"lr =\n", "config.ini:1: lr: a value is missing"},
	    {"lr = 1\nseed = 1\nlr = 2\n", "config.ini:3: lr stands in the file twice"},
	    {"[test]\nlr = 1\n", "config.ini:2: section [test]: only [train] has a meaning"},
	    {"seed = 1\nnonsense\n", "config.ini:2: must be a line like"},
	    {"config = other.ini\n", "config.ini:1: unknown option 'config'"},
	    {"lr = 1\n  seed = 2\n", "config.ini:2: lr: the value cannot go on in an indented line"},
	    {"data = /a\n\ndata = /b\n", "config.ini:3: data stands in the file twice"},
	};
	char line[400], text[400];

	make_folder();
	snprintf(line, sizeof(line), "--config %s", ini);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_ini(cases[i].text);
		refused(line, cases[i].message);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "data = ", 7);
	write_ini(text);
	refused(line, "config.ini:1: the line has more than");
	unlink(ini);
	refused(line, "cannot open");
	snprintf(line, sizeof(line), "--config %s", folder);
	refused(line, "cannot read");
	remove_folder();
}

struct seen {
	int changes, allowed, mathematics;
	char last[200];
};

static void count_change(void *context, const struct option_change *change)
{
	struct seen *seen = context;

	seen->changes++;
	seen->allowed += change->allowed;
	seen->mathematics += change->mathematics;
	snprintf(seen->last, sizeof(seen->last), "%s %.50s %.50s", change->name, change->was, change->now);
}

static void a_change_of_mathematics_is_found_unless_allowed(void)
{
	struct options options;
	struct seen seen = {0};

	make_folder();
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --lr 0.1 --shards 8"), NN_OK);
	CU_ASSERT_EQUAL(options_write_ini(&options, ini), NN_OK);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --threads 2 --epochs 200 --log-every 1"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, count_change, &seen), NN_OK);
	CU_ASSERT(seen.changes == 3 && seen.allowed == 3 && seen.mathematics == 0);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --shards 4"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --lr 0.2 --seed 9"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_ERR_CHECKPOINT);
	CU_ASSERT(strstr(nn_error_message(), "--seed is 9, but the run in ") != NULL);
	CU_ASSERT(strstr(nn_error_message(), "was trained with 0, and others differ too; give --seed 0 --lr 0.1, or --allow-change "
					     "seed,lr to go on with the new values") != NULL);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --lr 0.2 --seed 9 --allow-change seed"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_ERR_CHECKPOINT);
	CU_ASSERT(strstr(nn_error_message(), "--lr is 0.2, but") && strstr(nn_error_message(), "was trained with 0.1;"));
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --lr 0.2 --allow-change seed,lr"), NN_OK);
	memset(&seen, 0, sizeof(seen));
	CU_ASSERT_EQUAL(options_compare(&options, ini, count_change, &seen), NN_OK);
	CU_ASSERT(seen.changes == 2 && seen.allowed == 2 && seen.mathematics == 1);
	CU_ASSERT_STRING_EQUAL(seen.last, "allow-change  seed,lr");
	unlink(ini);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_ERR_CHECKPOINT);
	remove_folder();
}

static void algorithms_of_equal_bits_are_no_change(void)
{
	struct options options;

	make_folder();
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --allreduce ring"), NN_OK);
	CU_ASSERT_EQUAL(options_write_ini(&options, ini), NN_OK);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --tune off"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_OK);
	CU_ASSERT_EQUAL(parse(&options, "--arch resnet20 --allreduce mpi"), NN_OK);
	CU_ASSERT_EQUAL(options_compare(&options, ini, NULL, NULL), NN_ERR_CHECKPOINT);
	remove_folder();
}

static void help_shows_every_option_and_default_without_printing(void)
{
	struct options options;

	CU_ASSERT_EQUAL(parse(&options, "--lr 0.1 --help --nonsense"), NN_OK);
	if (options.exit_text) {
		for (int i = 0; i < option_count; i++) {
			char text[64];

			snprintf(text, sizeof(text), "--%s%s=", option_table[i].name, option_table[i].alone ? "[" : "");
			CU_ASSERT(strstr(options.exit_text, text) != NULL);
			CU_ASSERT(strstr(options.exit_text, option_table[i].heading) != NULL);
		}
		CU_ASSERT(strstr(options.exit_text, "(default: 0.0001)") != NULL);
		CU_ASSERT(strstr(options.exit_text, "Usage: resnet-train [OPTION...]") != NULL);
	}
	CU_ASSERT_PTR_NOT_NULL(options.exit_text);
	options_release(&options);
	CU_ASSERT_EQUAL(parse(&options, "--version"), NN_OK);
	CU_ASSERT_STRING_EQUAL(options.exit_text ? options.exit_text : "", "resnet-train " RESNET_VERSION "\n");
	options_release(&options);
	CU_ASSERT_EQUAL(parse(&options, "--usage"), NN_OK);
	CU_ASSERT(options.exit_text && strstr(options.exit_text, "[--arch=NAME]") != NULL);
	options_release(&options);
}

static void a_failed_allocation_is_reported(void)
{
	struct options options;

	for (long nth = 1; nth <= 2; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(parse(&options, "--help"), NN_ERR_MEMORY);
		nn_alloc_fail_at(0);
		CU_ASSERT_PTR_NULL(options.exit_text);
		options_release(&options);
	}
}

static void an_ini_file_that_cannot_be_written_is_an_io_error(void)
{
	struct options options;

	CU_ASSERT_EQUAL(parse(&options, ""), NN_OK);
	CU_ASSERT_EQUAL(options_write_ini(&options, "/dev/null/config.ini"), NN_ERR_IO);
	CU_ASSERT(strstr(nn_error_message(), "/dev/null/config.ini") != NULL);
}

void suite_options(void)
{
	static const struct test_row rows[] = {
	    TEST(defaults_depend_on_the_network),
	    TEST(every_option_comes_back_from_config_ini),
	    TEST(a_bad_value_is_refused_with_the_options_name),
	    TEST(wrong_names_and_missing_values_are_explained),
	    TEST(a_switch_takes_its_value_in_every_way),
	    TEST(the_command_line_wins_over_the_file_and_the_file_over_defaults),
	    TEST(a_recipe_comes_after_the_command_line_and_the_file_but_before_defaults),
	    TEST(the_papers_recipe_divides_the_learning_rate_at_its_steps),
	    TEST(a_fault_in_the_file_is_told_with_its_line),
	    TEST(a_change_of_mathematics_is_found_unless_allowed),
	    TEST(algorithms_of_equal_bits_are_no_change),
	    TEST(help_shows_every_option_and_default_without_printing),
	    TEST(a_failed_allocation_is_reported),
	    TEST(an_ini_file_that_cannot_be_written_is_an_io_error),
	};

	ADD_SUITE("options", rows);
}
