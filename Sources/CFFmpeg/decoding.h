// FFmpeg's macros that decoding needs, as functions that Swift can call.
#pragma once
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/cpu.h>

static inline int tamring_ffmpeg_eof(void) { return AVERROR_EOF; }
static inline int tamring_ffmpeg_again(void) { return AVERROR(EAGAIN); }
static inline int tamring_ffmpeg_no_memory(void) { return AVERROR(ENOMEM); }
static inline int64_t tamring_ffmpeg_no_timestamp(void) { return AV_NOPTS_VALUE; }

/// The stream's 3x3 display matrix, or NULL.
static inline const int32_t *tamring_ffmpeg_display_matrix(const AVStream *stream) {
#if LIBAVCODEC_VERSION_MAJOR >= 61
  const AVPacketSideData *data = av_packet_side_data_get(
      stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return data && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)data->data : NULL;
#else
  size_t size = 0;
  const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}
