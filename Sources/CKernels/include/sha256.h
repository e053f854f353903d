// SHA-256 by the CPU's own instructions, several times as fast as without them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this CPU has them. `tamring_sha256_blocks` may be called only then.
bool tamring_has_sha256(void);

/// Takes whole blocks of 64 bytes into the state: eight words, in the order of FIPS 180-4.
void tamring_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);
