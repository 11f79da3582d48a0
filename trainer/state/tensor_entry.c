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

/* Values up to the end of the current output, at most `count`; when none is missing at its front, of up to BLOCK outputs. A block
 * is a few cache lines of memory's innermost dimension: value by value each line would be fetched many times. */
enum { BLOCK = 64 };

static size_t walk_block(const struct walk *walk, size_t count)
{
	size_t row = walk->inputs * walk->positions, rows = count / row;

	if (walk->input == 0 && walk->position == 0 && rows > 0)
		return (rows < BLOCK ? rows : BLOCK) * row;
	row -= walk->input * walk->positions + walk->position;
	return count < row ? count : row;
}

static void store_value(unsigned char *bytes, const float *value)
{
	uint32_t bits;

	memcpy(&bits, value, sizeof(bits));
	store_le32(bytes, bits);
}

static void load_value(float *value, const unsigned char *bytes)
{
	uint32_t bits = load_le32(bytes);

	memcpy(value, &bits, sizeof(bits));
}

enum { LITTLE_ENDIAN_HOST = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };

typedef uint32_t quad __attribute__((vector_size(16)));

static quad load_quad(const unsigned char *from)
{
	quad value;

	memcpy(&value, from, sizeof(value));
	return value;
}

/* to[r][j] = from[j][r] for 4 x 4 values of 4 bytes; strides in bytes. */
static void transpose_quads(unsigned char *to, size_t to_stride, const unsigned char *from, size_t from_stride)
{
	quad a = load_quad(from), b = load_quad(from + from_stride);
	quad c = load_quad(from + 2 * from_stride), d = load_quad(from + 3 * from_stride);
	quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
	quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
	quad rows[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
			__builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
			__builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};

	for (size_t i = 0; i < 4; i++)
		memcpy(to + i * to_stride, &rows[i], sizeof(rows[i]));
}

/* to[r][j] = from[j][r] for r < rows, j < width, as above. */
static void transpose(unsigned char *to, size_t to_stride, const unsigned char *from, size_t from_stride, size_t rows, size_t width)
{
	size_t whole_rows = rows / 4 * 4, whole_width = width / 4 * 4;

	for (size_t j = 0; j < whole_width; j += 4)
		for (size_t r = 0; r < whole_rows; r += 4)
			transpose_quads(to + r * to_stride + 4 * j, to_stride, from + j * from_stride + 4 * r, from_stride);
	for (size_t r = 0; r < rows; r++)
		for (size_t j = r < whole_rows ? whole_width : 0; j < width; j++)
			memcpy(to + r * to_stride + 4 * j, from + j * from_stride + 4 * r, 4);
}

/* Whole outputs from the walk's place on, `rows` of them, tile by tile: what is far apart on one side is together on the other, and
 * places that are a power of two apart would push each other out of the cache. */
static void pack_rows(unsigned char *bytes, const float *values, const struct walk *walk, size_t rows)
{
	size_t row = walk->inputs * walk->positions, plane = walk->inputs * walk->outputs;
	const float *at = values + walk->output;
	float tile[BLOCK][BLOCK];

	for (size_t begin = 0, i = 0, p = 0; begin < row; begin += BLOCK) {
		size_t width = row - begin < BLOCK ? row - begin : BLOCK;

		for (size_t j = 0; j < width; j++) {
			memcpy(tile[j], at + p * plane + i * walk->outputs, rows * sizeof(float));
			i += ++p == walk->positions;
			p = p == walk->positions ? 0 : p;
		}
		if (LITTLE_ENDIAN_HOST)
			transpose(bytes + 4 * begin, 4 * row, (const unsigned char *)tile, sizeof(tile[0]), rows, width);
		else
			for (size_t r = 0; r < rows; r++)
				for (size_t j = 0; j < width; j++)
					store_value(bytes + 4 * (r * row + begin + j), &tile[j][r]);
	}
}

static void unpack_rows(float *values, const unsigned char *bytes, const struct walk *walk, size_t rows)
{
	size_t row = walk->inputs * walk->positions, plane = walk->inputs * walk->outputs;
	float *at = values + walk->output;
	float tile[BLOCK][BLOCK];

	for (size_t begin = 0, i = 0, p = 0; begin < row; begin += BLOCK) {
		size_t width = row - begin < BLOCK ? row - begin : BLOCK;

		if (LITTLE_ENDIAN_HOST)
			transpose((unsigned char *)tile, sizeof(tile[0]), bytes + 4 * begin, 4 * row, width, rows);
		else
			for (size_t r = 0; r < rows; r++)
				for (size_t j = 0; j < width; j++)
					load_value(&tile[j][r], bytes + 4 * (r * row + begin + j));
		for (size_t j = 0; j < width; j++) {
			memcpy(at + p * plane + i * walk->outputs, tile[j], rows * sizeof(float));
			i += ++p == walk->positions;
			p = p == walk->positions ? 0 : p;
		}
	}
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
	for (size_t k = 0, some; k < count; k += some) {
		size_t row = walk.inputs * walk.positions;

		some = walk_block(&walk, count - k);
		if (some >= row) {
			pack_rows(bytes + 4 * k, entry->values, &walk, some / row);
			walk.output += some / row;
		} else {
			for (size_t i = 0; i < some; i++)
				store_value(bytes + 4 * (k + i), (const float *)entry->values + walk_next(&walk));
		}
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
	for (size_t k = 0, some; k < count; k += some) {
		size_t row = walk.inputs * walk.positions;

		some = walk_block(&walk, count - k);
		if (some >= row) {
			unpack_rows(entry->values, bytes + 4 * k, &walk, some / row);
			walk.output += some / row;
		} else {
			for (size_t i = 0; i < some; i++)
				load_value((float *)entry->values + walk_next(&walk), bytes + 4 * (k + i));
		}
	}
}
