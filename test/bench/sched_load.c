/* SPDX-License-Identifier: MIT
 *
 * The load of sched.c, planned before the clock runs, so that no random
 * number is drawn in a timed loop: who sends when, and how often.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sched_load.h"

#define CYCLE_NS 20000000.0 /* in which every stream sends one message on average */
#define UTILISATION 0.999999
#define STREAMS_MAX 4000000u
#define QUEUED_MAX 16000000u

/* xorshift64*, Vigna 2016. */
static uint64_t random_bits(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull) >> 11; /* 53 bits */
}

static void plan_arrivals(struct load *load, uint64_t *seed)
{
	uint32_t len = load->streams > ARRIVALS ? load->streams : ARRIVALS;

	load->arrivals = map_memory(len * sizeof(*load->arrivals));
	for (uint32_t i = 0; i < load->streams; i++) {
		uint32_t j = (uint32_t)(random_bits(seed) % (i + 1));

		load->arrivals[i] = load->arrivals[j]; /* Fisher, Yates */
		load->arrivals[j] = i;
	}
	for (uint32_t i = 0; load->sparse && i < ARRIVALS; i++)
		load->arrivals[i] = (uint32_t)(random_bits(seed) % load->streams);
}

/* In whole ns, their sum a load of UTILISATION. */
static void plan_periods(struct load *load, double spread, uint64_t *seed)
{
	double sum = 0;

	load->sources = map_memory(load->streams * sizeof(*load->sources));
	for (uint32_t i = 0; i < load->streams; i++) {
		double part = (double)random_bits(seed) / (1ull << 53);

		load->sources[i].period_ns = (uint64_t)(1e6 * (1 + part * (spread - 1)));
		sum += (double)load->tx_ns / (double)load->sources[i].period_ns;
	}
	for (uint32_t i = 0; i < load->streams; i++)
		load->sources[i].period_ns =
			(uint64_t)((double)load->sources[i].period_ns * sum / UTILISATION) + 1;
}

void plan_load(struct load *load, int sparse, char **argument)
{
	uint64_t seed = 0x51ed270b1a5ull;
	double lead = number(argument[3], "LEAD", 0, 1000);

	load->sparse = sparse;
	load->streams = (uint32_t)number(argument[0], "STREAMS", 1, STREAMS_MAX);
	load->depth = (uint32_t)number(argument[1], "DEPTH", 1, QUEUED_MAX / load->streams);
	load->queued = sparse ? SPARSE_QUEUED : load->streams * load->depth;
	load->tx_ns = (uint64_t)(CYCLE_NS / load->streams);
	load->rate = (MESSAGE_BYTES * 1000000000ull + load->tx_ns - 1) / load->tx_ns;
	plan_arrivals(load, &seed);
	plan_periods(load, number(argument[2], "SPREAD", 1, 100), &seed);
	for (uint32_t i = 0; i < load->streams; i++) {
		struct source *source = &load->sources[i];

		if (!sparse)
			source->deadline_ns = (uint64_t)(lead * CYCLE_NS) + 1 +
					      random_bits(&seed) % source->period_ns;
		else if (source->period_ns < SPARSE_DUE * load->tx_ns)
			source->period_ns = SPARSE_DUE * load->tx_ns;
	}
}

double number(const char *text, const char *name, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		die("Cannot run: %s must be %.0f to %.0f, got \"%s\"", name, least, most, text);
	return value;
}

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

void *map_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("Cannot get %zu bytes of memory", bytes);
	return memory;
}
