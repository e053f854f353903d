// FFmpeg's macros that decoding needs, as functions that Swift can call.
#pragma once
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/cpu.h>

static inline int tamring_ffmpeg_eof(void) { return AVERROR_EOF; }
static inline int tamring_ffmpeg_again(void) { return AVERROR(EAGAIN); }
static inline int tamring_ffmpeg_stopped(void) { return AVERROR_EXIT; }
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

/// Whether the packet changes how the decoder is set up: what an entry point behind it would miss.
static inline int tamring_ffmpeg_changes_decoder(const AVPacket *packet) {
  for (int i = 0; i < packet->side_data_elems; i++) {
    switch (packet->side_data[i].type) {
    case AV_PKT_DATA_NEW_EXTRADATA:
    case AV_PKT_DATA_PALETTE:
    case AV_PKT_DATA_PARAM_CHANGE:
      return 1;
    default:
      break;
    }
  }
  return 0;
}

/// Entries of the demuxer's own table of this stream's packets.
static inline int tamring_ffmpeg_table_entries(const AVStream *stream) {
  return avformat_index_get_entries_count(stream);
}
