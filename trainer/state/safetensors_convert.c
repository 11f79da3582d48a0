#include "trainer/state/safetensors_convert.h"

#include <stdint.h>
#include <string.h>

#include "trainer/state/bytes.h"

/* Exact: every half is an fp32 number. */
static uint32_t fp32_from_half(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = (half >> 10) & 31;
	uint32_t fraction = half & 0x3ff;
	float subnormal = (float)fraction * 0x1p-24f;
	uint32_t bits;

	if (exponent == 31)
		return sign | 0x7f800000 | fraction << 13;
	if (exponent != 0)
		return sign | (exponent + 127 - 15) << 23 | fraction << 13;
	memcpy(&bits, &subnormal, sizeof(bits));
	return sign | bits;
}

static void convert_f16(unsigned char *fp32, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_le32(fp32 + 4 * i, fp32_from_half(load_le16(bytes + 2 * i)));
}

static void convert_bf16(unsigned char *fp32, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_le32(fp32 + 4 * i, (uint32_t)load_le16(bytes + 2 * i) << 16);
}

static void convert_f64(unsigned char *fp32, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t wide = load_le64(bytes + 8 * i);
		uint32_t bits;
		double value;
		float rounded;

		memcpy(&value, &wide, sizeof(value));
		rounded = (float)value;
		memcpy(&bits, &rounded, sizeof(bits));
		store_le32(fp32 + 4 * i, bits);
	}
}

safetensors_convert_fn safetensors_converter(const char *dtype)
{
	if (strcmp(dtype, "F16") == 0)
		return convert_f16;
	if (strcmp(dtype, "BF16") == 0)
		return convert_bf16;
	if (strcmp(dtype, "F64") == 0)
		return convert_f64;
	return NULL;
}
