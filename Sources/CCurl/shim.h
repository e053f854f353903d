// The C headers behind CCurl. Swift cannot call functions with variable arguments: each kind of value has one of its
// own.
#pragma once
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

typedef size_t (*tamring_curl_sink)(char *bytes, size_t size, size_t count, void *opaque);

static inline CURLcode tamring_curl_set_text(CURL *curl, CURLoption option, const char *value) {
  return curl_easy_setopt(curl, option, value);
}

static inline CURLcode tamring_curl_set_number(CURL *curl, CURLoption option, long value) {
  return curl_easy_setopt(curl, option, value);
}

static inline CURLcode tamring_curl_set_headers(CURL *curl, struct curl_slist *headers) {
  return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
}

static inline CURLcode tamring_curl_set_sinks(CURL *curl, tamring_curl_sink body, tamring_curl_sink header, void *opaque) {
  CURLcode code = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body);
  if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_WRITEDATA, opaque);
  if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, header);
  if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_HEADERDATA, opaque);
  return code;
}

// CURLOPT_ERRORBUFFER, of CURL_ERROR_SIZE bytes; NULL for none.
static inline CURLcode tamring_curl_set_error_buffer(CURL *curl, char *buffer) {
  return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, buffer);
}

// Seconds that the server wants us to wait; 0 if it does not say.
static inline long tamring_curl_retry_after(CURL *curl) {
  curl_off_t seconds = 0;
  return curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK ? (long)seconds : 0;
}

static inline CURLcode tamring_curl_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }
