/* Mutates PNG files and puts the checksums of their chunks right, without which libpng would look at nothing behind them. */
#include <string.h>

#include "tests/fuzz/targets.h"

enum { SIGNATURE = 8, FRAME = 12 };

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

static uint32_t load_be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
	size_t at = SIGNATURE;

	(void)seed;
	size = LLVMFuzzerMutate(bytes, size, most);
	while (at + FRAME <= size) {
		size_t length = load_be32(bytes + at);
		uint32_t crc;

		if (length > size - at - FRAME)
			break;
		crc = checksum(bytes + at + 4, length + 4);
		for (size_t i = 0; i < 4; i++)
			bytes[at + 8 + length + i] = (uint8_t)(crc >> (24 - 8 * i));
		at += length + FRAME;
	}
	return size;
}
