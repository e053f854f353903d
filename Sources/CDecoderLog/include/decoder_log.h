// FFmpeg reports some damage in its log alone. This counts its error messages for each thread.
#pragma once

/// Makes FFmpeg's log go here: nothing is printed any more. For the whole process.
void tamring_decoder_log_install(void);

/// Forgets what was logged on this thread.
void tamring_decoder_log_clear(void);

/// How many errors decoders and parsers logged on this thread.
unsigned tamring_decoder_log_errors(void);

/// The first of them, without its line end; "" if there is none. Valid until the thread clears its log.
const char *tamring_decoder_log_first(void);
