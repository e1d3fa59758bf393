/* codec/tfevents.h: TensorBoard event files: scalars over steps.
 *
 *     length (u64) | masked CRC of length (u32) | Event (protobuf) | masked CRC of Event (u32)
 *
 * Each call appends one whole record to a buffer; the caller appends that to its file. Sources:
 * tensorflow/core/util/event.proto, summary.proto; lib/io/record_writer; CRC-32C of RFC 3720. */
#ifndef WH_CODEC_TFEVENTS_H
#define WH_CODEC_TFEVENTS_H

#include "base/buf.h"

/* The first record of every file. seconds: since 1970. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_tfevents_begin(wh_buf *out, double seconds);
/* One scalar. tag: "train/loss", at most 1024 bytes (WHIST_E_RANGE). step >= 0. */
WH_MUST_CHECK whist_status wh_tfevents_scalar(wh_buf *out, double seconds, int64_t step, const char *tag, float value);
/* The name TensorBoard looks for: "events.out.tfevents.1700000000.LABEL". WHIST_E_RANGE where the
 * label has more than 64 bytes or other letters than A-Z a-z 0-9 . _ - */
WH_MUST_CHECK whist_status wh_tfevents_name(char out[128], int64_t unix_seconds, const char *label);

/* CRC-32C (Castagnoli), reflected, as iSCSI has it. */
uint32_t wh_crc32c(whist_bytes bytes);

#endif
