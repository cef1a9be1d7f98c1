/*
 * tfrecord.h -- TensorFlow's framing of records, each with two check sums
 *
 *     length     8 bytes                      little endian
 *                4 bytes                      masked crc32c of these eight
 *     data       length bytes
 *                4 bytes                      masked crc32c of data
 *
 *     masked(c) = (c rotated right by 15) + 0xa282ead8
 *
 * Local.  Source: tensorflow/core/lib/io/record_writer.h; crc32c: RFC 3720, appendix B.4.  Tests: tests/io/base/test_events.c
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { TFRECORD_FRAME = 16 };           /* bytes around the data */

/* Castagnoli's crc, reflected 0x82f63b78. */
uint32_t crc32c(const void *bytes, size_t n);
/* Frames n bytes of data into out, which has room for n + TFRECORD_FRAME; returns that. */
size_t tfrecord_frame(uint8_t *out, const void *data, size_t n);
