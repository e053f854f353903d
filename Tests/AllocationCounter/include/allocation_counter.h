// Counts what a thread asks of malloc. Linked into the tests, where these functions stand before the C library's.
#pragma once
#include <stdint.h>

typedef struct {
  uint64_t calls, bytes;
} tamring_allocations;

/// Of the calling thread since it began: malloc, calloc, realloc and their aligned kin.
tamring_allocations tamring_thread_allocations(void);
