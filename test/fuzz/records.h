/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers share: an input is a row of records of one size, the first
 * of them about the whole run, each other one operation. So the mutator can
 * move, repeat and drop operations without tearing others apart, and whatever
 * the bytes are, they are a program.
 *
 * FUZZ_TRACE=1 in the environment prints each operation: for reading a
 * reproducer.
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES 16
#define RECORDS_MAX 512

/* What must hold: else the fuzzer stops, and keeps the input. */
#define MUST(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: broken: %s\n\t", __FILE__, __LINE__, #condition);  \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define TRACE(...)                                                                                 \
	do {                                                                                       \
		if (tracing) {                                                                     \
			printf(__VA_ARGS__);                                                       \
			fflush(stdout);                                                            \
		}                                                                                  \
	} while (0)

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(array, byte) ((array)[(byte) % LEN(array)])

static int tracing;

/* One record, read byte by byte; zeros behind its end. */
struct record {
	const uint8_t *at, *end;
};

static inline uint8_t byte_of(struct record *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static inline uint16_t short_of(struct record *r)
{
	uint16_t low = byte_of(r);

	return (uint16_t)(low | byte_of(r) << 8);
}

static inline uint32_t records_len(size_t bytes)
{
	size_t len = (bytes + RECORD_BYTES - 1) / RECORD_BYTES;

	return len < RECORDS_MAX ? (uint32_t)len : RECORDS_MAX;
}

static inline struct record record_at(const uint8_t *data, size_t bytes, uint32_t index)
{
	size_t start = (size_t)index * RECORD_BYTES;

	if (start >= bytes)
		return (struct record){data, data};
	return (struct record){
		data + start, data + (bytes - start < RECORD_BYTES ? bytes : start + RECORD_BYTES)};
}

/* libFuzzer's names (llvm.org/docs/LibFuzzer.html, "Custom mutators"). */
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t bytes_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes,
				 uint8_t *out, size_t out_bytes_max, unsigned seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static inline uint32_t next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed)
{
	size_t len = (bytes + RECORD_BYTES - 1) / RECORD_BYTES, max = bytes_max / RECORD_BYTES;
	size_t from, to, some;

	if (max < 2)
		return LLVMFuzzerMutate(data, bytes, bytes_max);
	if (len > max)
		len = max;
	if (len * RECORD_BYTES > bytes)
		memset(data + bytes, 0, len * RECORD_BYTES - bytes);
	if (len < 2) {
		memset(data + len * RECORD_BYTES, 0, (2 - len) * RECORD_BYTES);
		len = 2;
	}
	from = 1 + next_random(&seed) % (len - 1);
	to = 1 + next_random(&seed) % (len - 1);
	some = 1 + next_random(&seed) % 4;
	switch (next_random(&seed) % 10) {
	case 0: /* drop some */
		if (len - from < some)
			some = len - from;
		if (len - some < 2)
			break;
		memmove(data + from * RECORD_BYTES, data + (from + some) * RECORD_BYTES,
			(len - from - some) * RECORD_BYTES);
		return (len - some) * RECORD_BYTES;
	case 1: /* repeat some elsewhere */
	case 2:
		if (len - from < some)
			some = len - from;
		if (len + some > max)
			break;
		{
			uint8_t moved[4 * RECORD_BYTES];

			memcpy(moved, data + from * RECORD_BYTES, some * RECORD_BYTES);
			memmove(data + (to + some) * RECORD_BYTES, data + to * RECORD_BYTES,
				(len - to) * RECORD_BYTES);
			memcpy(data + to * RECORD_BYTES, moved, some * RECORD_BYTES);
		}
		return (len + some) * RECORD_BYTES;
	case 3: /* swap two */
		for (size_t i = 0; i < RECORD_BYTES; i++) {
			uint8_t kept = data[from * RECORD_BYTES + i];

			data[from * RECORD_BYTES + i] = data[to * RECORD_BYTES + i];
			data[to * RECORD_BYTES + i] = kept;
		}
		return len * RECORD_BYTES;
	case 4: /* one that is new */
		if (len == max)
			break;
		for (size_t i = 0; i < RECORD_BYTES; i++)
			data[len * RECORD_BYTES + i] = (uint8_t)next_random(&seed);
		return (len + 1) * RECORD_BYTES;
	case 5: /* about the whole run */
		from = 0;
		break;
	case 6: /* one byte */
	case 7:
		data[from * RECORD_BYTES + next_random(&seed) % RECORD_BYTES] =
			(uint8_t)next_random(&seed);
		return len * RECORD_BYTES;
	default:
		break;
	}
	/* libFuzzer's own ideas, within one record: comparisons it has seen, say */
	LLVMFuzzerMutate(data + from * RECORD_BYTES, RECORD_BYTES, RECORD_BYTES);
	return len * RECORD_BYTES;
}

/* The first part of one input, and the last of another. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes,
				 uint8_t *out, size_t out_bytes_max, unsigned seed)
{
	size_t a_len = a_bytes / RECORD_BYTES, b_len = b_bytes / RECORD_BYTES;
	size_t max = out_bytes_max / RECORD_BYTES, first, last;

	if (a_len < 2 || b_len < 2 || max < 2)
		return 0;
	first = 1 + next_random(&seed) % (a_len - 1);
	last = 1 + next_random(&seed) % (b_len - 1);
	if (first > max)
		first = max;
	if (last > max - first)
		last = max - first;
	memcpy(out, a, first * RECORD_BYTES);
	memcpy(out + first * RECORD_BYTES, b + (b_len - last) * RECORD_BYTES, last * RECORD_BYTES);
	return (first + last) * RECORD_BYTES;
}

#endif
