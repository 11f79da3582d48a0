#include "trainer/state/tensor_entry.h"

#include <assert.h>
#include <string.h>

#include "trainer/state/bytes.h"

/* Walks the file's order (output, input, position) and knows where memory holds each value: at (position, input, output).
 * A tensor that is not permuted is one output and one input with as many positions as values. */
struct walk {
	size_t outputs, inputs, positions;
	size_t output, input, position;
};

size_t tensor_entry_count(const struct tensor_entry *entry)
{
	size_t count = 1;

	assert(entry->dims >= 0 && entry->dims <= TENSOR_ENTRY_DIMS);
	for (int i = 0; i < entry->dims; i++)
		count *= (size_t)entry->shape[i];
	return count;
}

int tensor_entry_file_shape(int64_t shape[TENSOR_ENTRY_DIMS], const struct tensor_entry *entry)
{
	memcpy(shape, entry->shape, sizeof(entry->shape));
	if (!entry->flat)
		return entry->dims;
	assert(entry->dims == 4);
	shape[1] *= shape[2] * shape[3];
	return 2;
}

size_t tensor_entry_value_bytes(const struct tensor_entry *entry)
{
	return entry->type == TENSOR_I64 ? sizeof(int64_t) : sizeof(float);
}

/* The tensor must not be empty. */
static struct walk walk_from(const struct tensor_entry *entry, size_t first)
{
	struct walk walk = {.outputs = 1, .inputs = 1, .positions = 1};

	if (entry->hwio && (entry->dims == 4 || entry->dims == 2)) {
		walk.outputs = (size_t)entry->shape[0];
		walk.inputs = (size_t)entry->shape[1];
		if (entry->dims == 4)
			walk.positions = (size_t)entry->shape[2] * (size_t)entry->shape[3];
	} else {
		walk.positions = tensor_entry_count(entry);
	}
	walk.position = first % walk.positions;
	walk.input = first / walk.positions % walk.inputs;
	walk.output = first / walk.positions / walk.inputs;
	return walk;
}

/* Index in memory of the current value; then moves to the file's next one. */
static size_t walk_next(struct walk *walk)
{
	size_t index = (walk->position * walk->inputs + walk->input) * walk->outputs + walk->output;

	if (++walk->position == walk->positions) {
		walk->position = 0;
		if (++walk->input == walk->inputs) {
			walk->input = 0;
			walk->output++;
		}
	}
	return index;
}

void tensor_entry_pack(unsigned char *bytes, const struct tensor_entry *entry, size_t first, size_t count)
{
	struct walk walk;

	if (count == 0)
		return;
	walk = walk_from(entry, first);
	if (entry->type == TENSOR_I64) {
		for (size_t k = 0; k < count; k++)
			store_le64(bytes + 8 * k, (uint64_t)((const int64_t *)entry->values)[walk_next(&walk)]);
		return;
	}
	for (size_t k = 0; k < count; k++) {
		uint32_t bits;

		memcpy(&bits, (const float *)entry->values + walk_next(&walk), sizeof(bits));
		store_le32(bytes + 4 * k, bits);
	}
}

void tensor_entry_unpack(const struct tensor_entry *entry, const unsigned char *bytes, size_t first, size_t count)
{
	struct walk walk;

	if (count == 0)
		return;
	walk = walk_from(entry, first);
	if (entry->type == TENSOR_I64) {
		for (size_t k = 0; k < count; k++)
			((int64_t *)entry->values)[walk_next(&walk)] = (int64_t)load_le64(bytes + 8 * k);
		return;
	}
	for (size_t k = 0; k < count; k++) {
		uint32_t bits = load_le32(bytes + 4 * k);

		memcpy((float *)entry->values + walk_next(&walk), &bits, sizeof(bits));
	}
}
