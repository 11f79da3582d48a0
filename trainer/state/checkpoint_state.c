#include "trainer/state/checkpoint_state.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/core/alloc.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/files.h"

enum { STATE_BYTES_MAX = 1 << 24, DIGITS = DIGEST_CHARS - 1 };

static const char OPENING[] = "{\n  \"self\": \"";
static const char ZEROS[] = "00000000000000000000000000000000";

enum nn_status checkpoint_damaged(const char *folder, const char *format, ...)
{
	char reason[768];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	return nn_error(NN_ERR_CHECKPOINT, "the checkpoint %s cannot be used: %s; remove it or name another one", folder, reason);
}

enum nn_status checkpoint_unreadable(enum nn_status status, const char *folder)
{
	char reason[768];

	if (status == NN_OK || status == NN_ERR_MEMORY)
		return status;
	snprintf(reason, sizeof(reason), "%s", nn_error_message());
	return checkpoint_damaged(folder, "%s", reason);
}

/* *bytes and digest of the file folder/name. */
static enum nn_status measure(long long *bytes, char digest[DIGEST_CHARS], const char *folder, const char *name)
{
	char path[PATH_MAX];
	struct stat info;
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", folder, name);

	*bytes = 0;
	if (status != NN_OK)
		return status;
	if (stat(path, &info) != 0)
		return file_failed("open", path);
	*bytes = (long long)info.st_size;
	return digest_file(digest, path);
}

/* Replaces the self digest in the text by that of the text. */
static void seal(char *text, size_t size)
{
	char *self = text + strlen(OPENING);
	char digest[DIGEST_CHARS];

	assert(size > strlen(OPENING) + DIGITS && memcmp(text, OPENING, strlen(OPENING)) == 0);
	memcpy(self, ZEROS, DIGITS);
	digest_bytes(digest, text, size);
	memcpy(self, digest, DIGITS);
}

static bool seal_holds(char *text, size_t size)
{
	char stated[DIGITS];

	if (size <= strlen(OPENING) + DIGITS || memcmp(text, OPENING, strlen(OPENING)) != 0)
		return false;
	memcpy(stated, text + strlen(OPENING), DIGITS);
	seal(text, size);
	return memcmp(stated, text + strlen(OPENING), DIGITS) == 0;
}

static enum nn_status write_sealed(const char *folder, const json_t *json)
{
	char path[PATH_MAX];
	char *text = json_dumps(json, JSON_INDENT(2));
	enum nn_status status;

	if (!text)
		return nn_error(NN_ERR_MEMORY, "out of memory for %s/" CHECKPOINT_STATE, folder);
	seal(text, strlen(text));
	status = path_format(path, sizeof(path), "%s/" CHECKPOINT_STATE, folder);
	if (status == NN_OK)
		status = file_write(path, text, strlen(text));
	free(text);
	return status;
}

json_t *checkpoint_file_record(const struct safetensors_written *written, const struct tensor_entry *entries, int count)
{
	json_t *tensors = json_object();

	for (int i = 0; i < count && tensors; i++)
		if (json_object_set_new(tensors, entries[i].name, json_string(written->tensors[i])) != 0) {
			json_decref(tensors);
			tensors = NULL;
		}
	return tensors ? json_pack("{s:I, s:s, s:o}", "bytes", (json_int_t)written->bytes, "xxh3_128", written->digest, "tensors",
				   tensors)
		       : NULL;
}

enum nn_status checkpoint_state_write(const char *folder, long long step, json_t *state, json_t *model, json_t *optimizer)
{
	enum nn_status status = NN_OK;
	json_t *json = NULL;

	assert(json_is_object(state));
	/* "self" comes first: OPENING counts on it */
	if (model && optimizer)
		json = json_pack("{s:s, s:i, s:I, s:{s:O, s:O}}", "self", ZEROS, "format", CHECKPOINT_FORMAT, "step",
				 (json_int_t)step, "files", CHECKPOINT_MODEL, model, CHECKPOINT_OPTIMIZER, optimizer);
	if (!json || json_object_update_missing(json, state) != 0)
		status = nn_error(NN_ERR_MEMORY, "out of memory for %s/" CHECKPOINT_STATE, folder);
	if (status == NN_OK)
		status = write_sealed(folder, json);
	json_decref(json);
	json_decref(model);
	json_decref(optimizer);
	return status;
}

/* The format comes before the digest: a newer format may seal in another way. */
static enum nn_status check_state(const json_t *json, char *text, size_t size, const char *folder)
{
	const json_t *format = json_object_get(json, "format");

	if (!json_is_integer(format) || json_integer_value(format) < 1)
		return checkpoint_damaged(folder, CHECKPOINT_STATE " has no format number");
	if (json_integer_value(format) > CHECKPOINT_FORMAT)
		return checkpoint_damaged(folder, "it has format %lld and this version reads up to %d: use a newer resnet-train",
					  (long long)json_integer_value(format), CHECKPOINT_FORMAT);
	if (!seal_holds(text, size))
		return checkpoint_damaged(folder, CHECKPOINT_STATE " was changed or is damaged: its digest does not fit");
	return NN_OK;
}

enum nn_status checkpoint_load_state(json_t **state, const char *folder)
{
	char path[PATH_MAX];
	char *text = NULL;
	size_t size;
	json_error_t error;
	enum nn_status status = path_format(path, sizeof(path), "%s/" CHECKPOINT_STATE, folder);

	*state = NULL;
	if (status == NN_OK)
		status = file_read(&text, &size, path, STATE_BYTES_MAX);
	if (status != NN_OK)
		return checkpoint_unreadable(status, folder);
	*state = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!*state)
		status = checkpoint_damaged(folder, CHECKPOINT_STATE " is not JSON (line %d: %.200s)", error.line, error.text);
	else
		status = check_state(*state, text, size, folder);
	if (status != NN_OK) {
		json_decref(*state);
		*state = NULL;
	}
	nn_free(text);
	return status;
}

/* The first tensor whose bytes are not those that were written; "" when they all are, or when the file has no usable header. */
static void damaged_tensor(char name[256], const char *path, const json_t *record)
{
	const json_t *tensors = json_object_get(record, "tensors");
	struct safetensors *file;

	name[0] = '\0';
	if (safetensors_open(&file, path) != NN_OK)
		return;
	for (int i = 0; i < safetensors_count(file) && !name[0]; i++) {
		const char *tensor = safetensors_name(file, i), *stated = json_string_value(json_object_get(tensors, tensor));
		char digest[DIGEST_CHARS];

		if (safetensors_digest(digest, file, tensor) != NN_OK || !stated || strcmp(stated, digest) != 0)
			snprintf(name, 256, "%.255s", tensor);
	}
	safetensors_close(file);
}

static enum nn_status say_damage(const char *folder, const char *name, const json_t *record)
{
	char path[PATH_MAX], tensor[256];
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", folder, name);

	if (status != NN_OK)
		return status;
	damaged_tensor(tensor, path, record);
	if (*tensor)
		return checkpoint_damaged(folder, "%s is damaged in the tensor %s: its digest does not fit", name, tensor);
	return checkpoint_damaged(folder, "%s is damaged: its digest does not fit", name);
}

static enum nn_status verify_file(const char *folder, const json_t *state, const char *name)
{
	const json_t *record = json_object_get(json_object_get(state, "files"), name);
	const char *stated = json_string_value(json_object_get(record, "xxh3_128"));
	const json_t *size = json_object_get(record, "bytes");
	char digest[DIGEST_CHARS];
	long long bytes;
	enum nn_status status;

	if (!stated || !json_is_integer(size))
		return checkpoint_damaged(folder, CHECKPOINT_STATE " does not describe %s", name);
	status = checkpoint_unreadable(measure(&bytes, digest, folder, name), folder);
	if (status != NN_OK)
		return status;
	if (bytes != (long long)json_integer_value(size))
		return checkpoint_damaged(folder, "%s has %lld bytes instead of %lld", name, bytes,
					  (long long)json_integer_value(size));
	if (strcmp(digest, stated) != 0)
		return say_damage(folder, name, record);
	return NN_OK;
}

enum nn_status checkpoint_verify(const char *folder)
{
	json_t *state;
	enum nn_status status = checkpoint_load_state(&state, folder);

	if (status == NN_OK)
		status = verify_file(folder, state, CHECKPOINT_MODEL);
	if (status == NN_OK)
		status = verify_file(folder, state, CHECKPOINT_OPTIMIZER);
	json_decref(state);
	return status;
}
