/* Little-endian loads and stores, the byte order of safetensors files and of digests; compilers turn each into one instruction. */
#ifndef TRAINER_STATE_BYTES_H
#define TRAINER_STATE_BYTES_H

#include <stdint.h>

static inline uint16_t load_le16(const unsigned char *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t load_le32(const unsigned char *bytes)
{
	return (uint32_t)load_le16(bytes) | (uint32_t)load_le16(bytes + 2) << 16;
}

static inline uint64_t load_le64(const unsigned char *bytes)
{
	return (uint64_t)load_le32(bytes) | (uint64_t)load_le32(bytes + 4) << 32;
}

static inline void store_le32(unsigned char *bytes, uint32_t value)
{
	bytes[0] = (unsigned char)value;
	bytes[1] = (unsigned char)(value >> 8);
	bytes[2] = (unsigned char)(value >> 16);
	bytes[3] = (unsigned char)(value >> 24);
}

static inline void store_le64(unsigned char *bytes, uint64_t value)
{
	store_le32(bytes, (uint32_t)value);
	store_le32(bytes + 4, (uint32_t)(value >> 32));
}

#endif
