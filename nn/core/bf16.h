/* bf16: the upper half of a float. */
#ifndef NN_CORE_BF16_H
#define NN_CORE_BF16_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Rounded to nearest, ties to even; a subnormal number becomes 0, a NaN stays one: as Intel's VCVTNEPS2BF16. */
static inline uint16_t bf16_from_float(float x)
{
	uint32_t bits, rounded;

	memcpy(&bits, &x, sizeof(bits));
	rounded = (bits & 0x7f800000) == 0 ? bits >> 16 & 0x8000 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
	return (uint16_t)(x != x ? bits >> 16 | 0x40 : rounded);
}

static inline float bf16_to_float(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Rounds floats in place. */
static inline void bf16_round(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = bf16_to_float(bf16_from_float(x[i]));
}

#endif
