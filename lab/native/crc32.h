/* The CRC-32 of AAL5 (ITU-T I.363.5): generator 0x04c11db7, most significant bit first, all ones at
 * the start, complemented at the end.
 *
 * Where the processor multiplies polynomials the sum is folded 64 bytes at a time: every message is
 * summed twice, and by table alone that would cost the line cards more than all the rest.
 */
#ifndef LAB_CRC32_H
#define LAB_CRC32_H

#include <stddef.h>
#include <stdint.h>

#define CRC32_START 0xffffffffu

/* Once, before the first sum. */
void crc32_prepare(void);
/* The state after `bytes` more; the sum of all is its complement. */
uint32_t crc32_add(uint32_t state, const uint8_t *data, size_t bytes);
/* The same by table, on every machine. */
uint32_t crc32_add_plain(uint32_t state, const uint8_t *data, size_t bytes);

#endif
