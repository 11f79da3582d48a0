#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "nn/core/status.h"
#include "tests/unit/suites.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"
#include "trainer/state/safetensors.h"

enum { PATH_BYTES = 512, MESSAGE_BYTES = 1024 };

static char run[PATH_BYTES];

/* A network of one convolution, one norm and its counter, whose values follow from a number. */
struct network {
	float conv[24], bias[3], momentum[24];
	int64_t batches;
	struct tensor_entry model[3], optimizer[1];
};

static void fill(struct network *network, float first)
{
	*network = (struct network){.batches = (int64_t)first};
	for (int i = 0; i < 24; i++) {
		network->conv[i] = first + (float)i;
		network->momentum[i] = first - (float)i;
	}
	for (int i = 0; i < 3; i++)
		network->bias[i] = first / 3;
	network->model[0] =
	    (struct tensor_entry){.name = "conv.weight", .dims = 4, .shape = {3, 2, 2, 2}, .values = network->conv, .hwio = true};
	network->model[1] = (struct tensor_entry){.name = "bn.bias", .dims = 1, .shape = {3}, .values = network->bias};
	network->model[2] =
	    (struct tensor_entry){.name = "bn.num_batches_tracked", .type = TENSOR_I64, .values = &network->batches};
	network->optimizer[0] = network->model[0];
	network->optimizer[0].values = network->momentum;
}

static enum nn_status save_network(const struct network *network, long long step, json_t *state, int keep, bool best)
{
	struct checkpoint checkpoint = {.step = step,
					.model = network->model,
					.model_count = 3,
					.optimizer = network->optimizer,
					.optimizer_count = 1,
					.state = state,
					.keep = keep,
					.best = best};

	return checkpoint_save(run, &checkpoint);
}

static enum nn_status save_as(long long step, int keep, bool best)
{
	struct network network;
	json_t *state = json_pack("{s:i, s:f, s:s}", "epoch", 3, "best", 0.1, "self", "not this one");
	enum nn_status status;

	fill(&network, (float)step);
	status = save_network(&network, step, state, keep, best);
	CU_ASSERT_EQUAL(json_object_size(state), 3);
	json_decref(state);
	return status;
}

static enum nn_status save(long long step, int keep)
{
	return save_as(step, keep, false);
}

static void make_run(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(run, sizeof(run), "%s/checkpoint-XXXXXX", place && strlen(place) < 400 ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL(mkdtemp(run));
}

static void remove_run(void)
{
	CU_ASSERT_EQUAL(folder_remove(run), NN_OK);
}

/* RUN/checkpoints/name; valid until the fourth call from now. */
static const char *in_run(const char *name)
{
	static char paths[4][PATH_BYTES + 128];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/checkpoints/%s", run, name);
	return path;
}

static bool exists(const char *name)
{
	struct stat info;

	return lstat(in_run(name), &info) == 0;
}

/* Without syncing, for the tests that write thousands of files. */
static void put_bytes(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(bytes, 1, size, file), size);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

static void damage(const char *name)
{
	put_bytes(in_run(name), "broken", 6);
}

/* True when `path` resolves to the checkpoint RUN/checkpoints/name; the warning must hold `part`, or be empty for NULL. */
static bool resolves(const char *path, const char *name, const char *part)
{
	char folder[PATH_MAX], warning[MESSAGE_BYTES];
	size_t length, tail = strlen(name);

	if (checkpoint_resolve(folder, sizeof(folder), warning, sizeof(warning), path) != NN_OK)
		return false;
	length = strlen(folder);
	return length >= tail && strcmp(folder + length - tail, name) == 0 && (tail > 0 || length == 0) &&
	       (part ? strstr(warning, part) != NULL : warning[0] == '\0');
}

static enum nn_status resolve(const char *path)
{
	char folder[PATH_MAX], warning[MESSAGE_BYTES];

	return checkpoint_resolve(folder, sizeof(folder), warning, sizeof(warning), path);
}

static bool same_bits(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

static void a_saved_checkpoint_loads_with_every_bit(void)
{
	struct network saved, loaded;
	char digest[DIGEST_CHARS], again[DIGEST_CHARS];
	json_t *state;

	make_run();
	CU_ASSERT_EQUAL(save(12, 1), NN_OK);
	fill(&saved, 12);
	fill(&loaded, 0);
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("step-0000000012"), loaded.model, 3), NN_OK);
	CU_ASSERT_EQUAL(checkpoint_load_optimizer(in_run("latest"), loaded.optimizer, 1), NN_OK);
	CU_ASSERT(same_bits(saved.conv, loaded.conv, sizeof(saved.conv)));
	CU_ASSERT(same_bits(saved.bias, loaded.bias, sizeof(saved.bias)));
	CU_ASSERT(same_bits(saved.momentum, loaded.momentum, sizeof(saved.momentum)));
	CU_ASSERT_EQUAL(loaded.batches, 12);
	CU_ASSERT_EQUAL(digest_weights(digest, saved.model, 3), NN_OK);
	CU_ASSERT_EQUAL(digest_weights(again, loaded.model, 3), NN_OK);
	CU_ASSERT_STRING_EQUAL(digest, again);
	CU_ASSERT_EQUAL(checkpoint_load_state(&state, in_run("latest")), NN_OK);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(state, "step")), 12);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(state, "format")), 1);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(state, "epoch")), 3);
	CU_ASSERT_EQUAL(json_real_value(json_object_get(state, "best")), 0.1);
	CU_ASSERT_EQUAL(digest_file(digest, in_run("step-0000000012/model.safetensors")), NN_OK);
	CU_ASSERT_STRING_EQUAL(
	    json_string_value(json_object_get(json_object_get(json_object_get(state, "files"), "model.safetensors"), "xxh3_128")),
	    digest);
	json_decref(state);
	remove_run();
}

static void the_newest_stay_and_those_that_latest_and_best_name(void)
{
	char target[64] = {0};

	make_run();
	CU_ASSERT_EQUAL(save_as(1, 2, true), NN_OK);
	CU_ASSERT_EQUAL(save(2, 2), NN_OK);
	for (long long step = 3; step <= 5; step++)
		CU_ASSERT_EQUAL(save(step, 2), NN_OK);
	CU_ASSERT(exists("step-0000000001") && !exists("step-0000000002") && !exists("step-0000000003"));
	CU_ASSERT(exists("step-0000000004") && exists("step-0000000005"));
	CU_ASSERT(readlink(in_run("latest"), target, sizeof(target) - 1) > 0);
	CU_ASSERT_STRING_EQUAL(target, "step-0000000005");
	CU_ASSERT(resolves(in_run("best"), "/checkpoints/step-0000000001", NULL));
	/* going back to an earlier step: that one is not among the two newest, but it is the latest */
	CU_ASSERT_EQUAL(save(2, 2), NN_OK);
	CU_ASSERT(exists("step-0000000002") && exists("step-0000000004") && resolves(run, "/checkpoints/step-0000000002", NULL));
	CU_ASSERT_EQUAL(save_as(6, 1, true), NN_OK);
	CU_ASSERT_EQUAL(save(7, 1), NN_OK);
	CU_ASSERT(exists("step-0000000006") && exists("step-0000000007") && !exists("step-0000000005") &&
		  !exists("step-0000000001"));
	CU_ASSERT(resolves(in_run("best"), "/checkpoints/step-0000000006", NULL));
	remove_run();
}

static void a_damaged_tensor_is_named(void)
{
	char *bytes, *conv;
	size_t size;

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	CU_ASSERT_EQUAL(file_read(&bytes, &size, in_run("latest/model.safetensors"), 1 << 20), NN_OK);
	/* the data end with conv.weight 96, bn.bias 12, bn.num_batches_tracked 8 bytes */
	conv = bytes + size - 96 - 12 - 8;
	conv[95] ^= 1;
	CU_ASSERT_EQUAL(file_write(in_run("latest/model.safetensors"), bytes, size), NN_OK);
	CU_ASSERT_EQUAL(checkpoint_verify(in_run("latest")), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "model.safetensors is damaged in the tensor conv.weight"));
	conv[95] ^= 1;
	conv[96] ^= 1;
	CU_ASSERT_EQUAL(file_write(in_run("latest/model.safetensors"), bytes, size), NN_OK);
	CU_ASSERT_EQUAL(checkpoint_verify(in_run("latest")), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "in the tensor bn.bias"));
	nn_free(bytes);
	remove_run();
}

static void every_changed_byte_in_any_file_is_noticed(void)
{
	static const char *const names[] = {"step-0000000001/state.json", "step-0000000001/model.safetensors",
					    "step-0000000001/optimizer.safetensors"};
	static const int flips[] = {1, 32, 128, 255};

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	for (int f = 0; f < 3; f++) {
		char *bytes;
		size_t size;

		CU_ASSERT_EQUAL_FATAL(file_read(&bytes, &size, in_run(names[f]), 10000), NN_OK);
		for (size_t i = 0; i < size; i++)
			for (int k = 0; k < 4; k++) {
				struct network network;
				char whole = bytes[i];

				bytes[i] = (char)(whole ^ flips[k]);
				put_bytes(in_run(names[f]), bytes, size);
				bytes[i] = whole;
				CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_ERR_CHECKPOINT);
				/* unverified loading may succeed, but must not crash */
				fill(&network, 0);
				checkpoint_load_model(in_run("latest"), network.model, 3);
				checkpoint_load_optimizer(in_run("latest"), network.optimizer, 1);
			}
		put_bytes(in_run(names[f]), bytes, size);
		CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_OK);
		nn_free(bytes);
	}
	remove_run();
}

static void every_shorter_longer_or_missing_file_is_noticed(void)
{
	static const char *const names[] = {"step-0000000001/state.json", "step-0000000001/model.safetensors",
					    "step-0000000001/optimizer.safetensors"};

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	for (int f = 0; f < 3; f++) {
		char *bytes;
		size_t size;

		CU_ASSERT_EQUAL_FATAL(file_read(&bytes, &size, in_run(names[f]), 10000), NN_OK);
		for (size_t length = 0; length < size; length++) {
			put_bytes(in_run(names[f]), bytes, length);
			CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_ERR_CHECKPOINT);
		}
		put_bytes(in_run(names[f]), bytes, size + 1);
		CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_ERR_CHECKPOINT);
		CU_ASSERT_EQUAL(unlink(in_run(names[f])), 0);
		CU_ASSERT_EQUAL(resolve(in_run("step-0000000001")), NN_ERR_CHECKPOINT);
		CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), names[f]));
		put_bytes(in_run(names[f]), bytes, size);
		nn_free(bytes);
	}
	CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_OK);
	remove_run();
}

static void a_newer_format_is_named_as_such(void)
{
	static const char text[] = "{\n  \"self\": \"0\", \"format\": 2}";

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	put_bytes(in_run("step-0000000001/state.json"), text, strlen(text));
	CU_ASSERT_EQUAL(checkpoint_verify(in_run("latest")), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "format 2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "newer resnet-train"));
	remove_run();
}

static void every_kind_of_path_resolves(void)
{
	char warning[MESSAGE_BYTES], folder[8];

	make_run();
	CU_ASSERT(resolves(run, "", NULL));
	CU_ASSERT_EQUAL(resolve(in_run("step-0000000001")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(folder_create(in_run("")), NN_OK);
	CU_ASSERT(resolves(run, "", NULL));
	CU_ASSERT_EQUAL(save(1, 3), NN_OK);
	CU_ASSERT(resolves(run, "/checkpoints/step-0000000001", NULL));
	CU_ASSERT(resolves(in_run("step-0000000001/"), "/checkpoints/step-0000000001", NULL));
	CU_ASSERT(resolves(in_run("latest/"), "/checkpoints/step-0000000001", NULL));
	CU_ASSERT(resolves(in_run("latest/model.safetensors"), "/checkpoints/step-0000000001", NULL));
	CU_ASSERT_EQUAL(resolve(in_run("latest/state.json")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(checkpoint_resolve(folder, sizeof(folder), warning, sizeof(warning), run), NN_ERR_USAGE);
	remove_run();
}

static void a_damaged_latest_gives_way_to_the_newest_good_one_with_a_warning(void)
{
	make_run();
	for (long long step = 1; step <= 4; step++)
		CU_ASSERT_EQUAL(save(step, 9), NN_OK);
	damage("step-0000000004/optimizer.safetensors");
	CU_ASSERT(resolves(run, "step-0000000003", "step-0000000004"));
	damage("step-0000000003/state.json");
	CU_ASSERT(resolves(run, "step-0000000002", "step-0000000004"));
	CU_ASSERT_EQUAL(resolve(in_run("step-0000000003")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(resolve(in_run("latest")), NN_ERR_CHECKPOINT);
	CU_ASSERT_EQUAL(folder_remove(in_run("step-0000000004")), NN_OK);
	CU_ASSERT(resolves(run, "step-0000000002", "step-0000000004"));
	CU_ASSERT_EQUAL(unlink(in_run("latest")), 0);
	CU_ASSERT(resolves(run, "step-0000000002", "step-0000000003"));
	damage("step-0000000002/model.safetensors");
	damage("step-0000000001/model.safetensors");
	CU_ASSERT_EQUAL(resolve(run), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "none of the 3 checkpoints"));
	remove_run();
}

static void leftovers_of_an_interrupted_save_are_cleared(void)
{
	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	CU_ASSERT_EQUAL(folder_create(in_run(".tmp-step-0000000002")), NN_OK);
	damage(".tmp-step-0000000002/model.safetensors");
	CU_ASSERT_EQUAL(folder_create(in_run(".tmp-step-0000000007")), NN_OK);
	CU_ASSERT_EQUAL(symlink("step-0000000001", in_run("best.tmp")), 0);
	CU_ASSERT(resolves(run, "step-0000000001", NULL));
	CU_ASSERT_EQUAL(save(2, 1), NN_OK);
	CU_ASSERT(!exists(".tmp-step-0000000002") && !exists(".tmp-step-0000000007") && !exists("best.tmp") &&
		  !exists("step-0000000001"));
	CU_ASSERT(resolves(run, "step-0000000002", NULL));
	remove_run();
}

static void a_step_saved_again_is_replaced_and_never_lost(void)
{
	struct network network, loaded;
	json_t *state = json_object();

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	fill(&network, 50);
	fill(&loaded, 0);
	CU_ASSERT_EQUAL(save_network(&network, 1, state, 1, false), NN_OK);
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("latest"), loaded.model, 3), NN_OK);
	CU_ASSERT_EQUAL(loaded.batches, 50);
	CU_ASSERT(!exists(".tmp-old-step-0000000001"));
	/* stopped between the two renames: the old one still counts, and comes back with the next save */
	CU_ASSERT_EQUAL(file_rename(in_run("step-0000000001"), in_run(".tmp-old-step-0000000001")), NN_OK);
	CU_ASSERT(resolves(run, ".tmp-old-step-0000000001", NULL));
	CU_ASSERT(resolves(in_run("latest"), ".tmp-old-step-0000000001", NULL));
	CU_ASSERT(resolves(in_run("step-0000000001"), ".tmp-old-step-0000000001", NULL));
	CU_ASSERT_EQUAL(save(2, 2), NN_OK);
	CU_ASSERT(exists("step-0000000001") && !exists(".tmp-old-step-0000000001"));
	CU_ASSERT_EQUAL(checkpoint_verify(in_run("step-0000000001")), NN_OK);
	json_decref(state);
	remove_run();
}

static void a_checkpoint_that_cannot_be_put_back_is_not_removed_either(void)
{
	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	CU_ASSERT_EQUAL(file_rename(in_run("step-0000000001"), in_run(".tmp-old-step-0000000001")), NN_OK);
	put_bytes(in_run("step-0000000001"), "in the way", 10);
	CU_ASSERT_EQUAL(save(2, 1), NN_ERR_IO);
	CU_ASSERT_EQUAL(checkpoint_verify(in_run(".tmp-old-step-0000000001")), NN_OK);
	remove_run();
}

static void a_file_for_another_network_changes_nothing_in_memory(void)
{
	struct network network, loaded;

	make_run();
	CU_ASSERT_EQUAL(save(5, 1), NN_OK);
	fill(&network, 9);
	fill(&loaded, 9);
	loaded.model[2].name = "bn.weight";
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("latest"), loaded.model, 3), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "bn.weight"));
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("latest"), loaded.model, 1), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "bn.bias"));
	loaded.model[1].shape[0] = 2;
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("latest"), loaded.model, 2), NN_ERR_CHECKPOINT);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "[3]"));
	CU_ASSERT(same_bits(network.conv, loaded.conv, sizeof(network.conv)));
	/* a batch counter more than asked for is no error */
	loaded.model[1].shape[0] = 3;
	CU_ASSERT_EQUAL(checkpoint_load_model(in_run("latest"), loaded.model, 2), NN_OK);
	CU_ASSERT_EQUAL(loaded.conv[0], 5);
	remove_run();
}

static void a_failed_save_leaves_the_checkpoints_as_they_were(void)
{
	enum nn_status status = NN_ERR_MEMORY;
	long nth = 0;

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	while (status == NN_ERR_MEMORY && nth < 50) {
		nn_alloc_fail_at(++nth);
		status = save(2, 1);
		if (status == NN_ERR_MEMORY) {
			CU_ASSERT(!exists(".tmp-step-0000000002") && !exists("step-0000000002"));
			CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "out of memory"));
			CU_ASSERT(resolves(run, "step-0000000001", NULL));
		}
	}
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(status, NN_OK);
	CU_ASSERT(nth > 6);
	CU_ASSERT(resolves(run, "step-0000000002", NULL));
	remove_run();
}

static void every_failed_allocation_while_loading_is_reported(void)
{
	struct network network;
	enum nn_status status = NN_ERR_MEMORY;
	long nth = 0;

	make_run();
	CU_ASSERT_EQUAL(save(1, 1), NN_OK);
	fill(&network, 0);
	while (status == NN_ERR_MEMORY && nth < 50) {
		nn_alloc_fail_at(++nth);
		status = resolve(run);
		if (status == NN_OK)
			status = checkpoint_load_model(in_run("latest"), network.model, 3);
	}
	nn_alloc_fail_at(0);
	CU_ASSERT_EQUAL(status, NN_OK);
	CU_ASSERT(nth > 6);
	CU_ASSERT_EQUAL(network.batches, 1);
	remove_run();
}

void suite_checkpoint(void)
{
	static const struct test_row rows[] = {
	    TEST(a_saved_checkpoint_loads_with_every_bit),
	    TEST(the_newest_stay_and_those_that_latest_and_best_name),
	    TEST(a_damaged_tensor_is_named),
	    TEST(every_changed_byte_in_any_file_is_noticed),
	    TEST(every_shorter_longer_or_missing_file_is_noticed),
	    TEST(a_newer_format_is_named_as_such),
	    TEST(every_kind_of_path_resolves),
	    TEST(a_damaged_latest_gives_way_to_the_newest_good_one_with_a_warning),
	    TEST(leftovers_of_an_interrupted_save_are_cleared),
	    TEST(a_step_saved_again_is_replaced_and_never_lost),
	    TEST(a_checkpoint_that_cannot_be_put_back_is_not_removed_either),
	    TEST(a_file_for_another_network_changes_nothing_in_memory),
	    TEST(a_failed_save_leaves_the_checkpoints_as_they_were),
	    TEST(every_failed_allocation_while_loading_is_reported),
	};

	ADD_SUITE("checkpoint", rows);
}
