#include "decoder_log.h"

#include <libavutil/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local unsigned errors;
static _Thread_local char first[200];

// Messages of decoders, and of the bit-stream filters and parsers that they use. What a demuxer logs concerns its own
// tables, and other streams too.
static int is_of_decoder(void *context) {
  if (!context) return 0;
  const AVClass *class = *(const AVClass **)context;
  if (!class) return 0;
  const AVClassCategory category = class->get_category ? class->get_category(context) : class->category;
  return category == AV_CLASS_CATEGORY_DECODER || category == AV_CLASS_CATEGORY_BITSTREAM_FILTER;
}

static void count(void *context, int level, const char *format, va_list arguments) {
  if ((level & 0xff) > AV_LOG_ERROR || !is_of_decoder(context)) return;
  if (errors++ > 0) return;
  vsnprintf(first, sizeof first, format, arguments);
  first[strcspn(first, "\r\n")] = 0;
}

void tamring_decoder_log_install(void) { av_log_set_callback(count); }

void tamring_decoder_log_clear(void) {
  errors = 0;
  first[0] = 0;
}

unsigned tamring_decoder_log_errors(void) { return errors; }

const char *tamring_decoder_log_first(void) { return first; }
