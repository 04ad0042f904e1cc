// The floor: what the kernel asks of a WebSocket server, and nothing else.
//
// epoll, one read per readable socket and turn, one write per answer, frames unmasked in place; what
// came for /hub in a turn is written to each other member at once. No timeouts, no limits, no checks,
// no memory for peers that read slowly (they are cut): no server to use, but the line below which no
// server of one thread gets. Built by run.py with `cc -O2`. Prints its URL; ends on SIGTERM.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLACES = 1 << 16, BUFFER = 1 << 20, EVENTS = 1024 };

// By descriptor: what it is, and what has arrived of a request or frame.
static enum { FREE, REQUEST, ECHO_PATH, HUB_PATH } state[PLACES];
static char *part[PLACES];
static uint32_t part_size[PLACES];
static int members[PLACES], place_of[PLACES], member_count;
static unsigned char in[BUFFER], out[BUFFER], shared[BUFFER];
static size_t shared_size;
static int shared_from, is_closing;

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

// SHA-1 (RFC 3174) of a text below 120 bytes.
static void sha1(const char *text, size_t size, unsigned char digest[20]) {
  unsigned char block[128] = {0};
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  size_t total = size < 56 ? 64 : 128;
  memcpy(block, text, size);
  block[size] = 0x80;
  block[total - 1] = (unsigned char)(size * 8);
  block[total - 2] = (unsigned char)(size * 8 >> 8);
  for (size_t at = 0; at < total; at += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) memcpy(&w[i], block + at + 4 * i, 4), w[i] = ntohl(w[i]);
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20   ? (b & c) | (~b & d)
                   : i < 40 ? b ^ c ^ d
                   : i < 60 ? (b & c) | (b & d) | (c & d)
                            : b ^ c ^ d;
      static const uint32_t k[4] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
      uint32_t next = rotate(a, 5) + f + e + k[i / 20] + w[i];
      e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

// The Sec-WebSocket-Accept of a key of 24 characters (RFC 6455 section 4.2.2).
static void accept_of(const char *key, char text[29]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char salted[61];
  unsigned char digest[21] = {0};
  memcpy(salted, key, 24);
  memcpy(salted + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
  sha1(salted, 60, digest);
  for (int i = 0; i < 7; i++) {
    uint32_t bits = (uint32_t)digest[3 * i] << 16 | digest[3 * i + 1] << 8 | digest[3 * i + 2];
    for (int j = 0; j < 4; j++) text[4 * i + j] = digits[bits >> (18 - 6 * j) & 63];
  }
  text[27] = '=', text[28] = 0;
}

static void cut(int peer) {
  if (state[peer] == HUB_PATH) {
    int last = members[--member_count];
    members[place_of[peer]] = last, place_of[last] = place_of[peer];
  }
  state[peer] = FREE;
  free(part[peer]), part[peer] = NULL, part_size[peer] = 0;
  close(peer);
}

static void send_all(int peer, const void *bytes, size_t size) {
  if (write(peer, bytes, size) != (ssize_t)size) shutdown(peer, SHUT_RDWR);
}

static size_t upgrade(int peer, const unsigned char *bytes, size_t size) {
  const unsigned char *end = memmem(bytes, size, "\r\n\r\n", 4);
  const char *key = end ? strcasestr((const char *)bytes, "sec-websocket-key: ") : NULL;
  if (!key) return 0;
  char accept[29], answer[256];
  accept_of(key + 19, accept);
  int length = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
  state[peer] = memcmp(bytes, "GET /hub", 8) ? ECHO_PATH : HUB_PATH;
  if (state[peer] == HUB_PATH) members[member_count] = peer, place_of[peer] = member_count++;
  send_all(peer, answer, (size_t)length);
  return (size_t)(end + 4 - bytes);
}

// One frame of a client, answered into `out` at `*filled`; 0 if it is not whole.
static size_t frame(int peer, unsigned char *bytes, size_t size, size_t *filled) {
  if (size < 6) return 0;
  uint64_t length = bytes[1] & 127;
  size_t head = 2;
  if (length == 126) length = (uint64_t)bytes[2] << 8 | bytes[3], head = 4;
  else if (length == 127) {
    if (size < 10) return 0;
    memcpy(&length, bytes + 2, 8), length = be64toh(length), head = 10;
  }
  if (length > BUFFER / 2 || size < head + 4 + length) return 0;
  unsigned char *mask = bytes + head, *payload = mask + 4;
  uint32_t word;
  memcpy(&word, mask, 4);
  uint64_t wide = (uint64_t)word << 32 | word;
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    uint64_t eight;
    memcpy(&eight, payload + at, 8), eight ^= wide, memcpy(payload + at, &eight, 8);
  }
  for (; at < length; at++) payload[at] ^= mask[at % 4];
  unsigned char *to = out + *filled;
  size_t *grown = filled;
  if (state[peer] == HUB_PATH && (bytes[0] & 15) < 8) {
    to = shared + shared_size, grown = &shared_size, shared_from = peer;
  }
  if (*grown + head + length > BUFFER) return 0;
  memcpy(to, bytes, head), to[1] &= 127;
  if ((bytes[0] & 15) == 9) to[0] = 0x8A; // A Ping is answered; a Close is sent back as it is.
  is_closing = (bytes[0] & 15) == 8;
  memcpy(to + head, payload, length);
  *grown += head + length;
  return head + 4 + length;
}

static void readable(int peer) {
  size_t had = part_size[peer], used = 0, filled = 0;
  memcpy(in, part[peer] ? part[peer] : (char *)in, had);
  ssize_t got = read(peer, in + had, BUFFER - 1 - had);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) cut(peer);
    return;
  }
  size_t size = had + (size_t)got;
  in[size] = 0;
  for (size_t taken = 1; taken > 0 && used < size && !is_closing; used += taken) {
    taken = state[peer] == REQUEST ? upgrade(peer, in + used, size - used)
                                   : frame(peer, in + used, size - used, &filled);
  }
  if (filled > 0) send_all(peer, out, filled);
  if (is_closing) {
    is_closing = 0;
    cut(peer);
    return;
  }
  if (size - used > had) part[peer] = realloc(part[peer], size - used);
  else if (size == used) free(part[peer]), part[peer] = NULL;
  part_size[peer] = (uint32_t)(size - used);
  if (part[peer]) memcpy(part[peer], in + used, size - used);
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < PLACES ? files.rlim_max : PLACES;
  setrlimit(RLIMIT_NOFILE, &files);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int one = 1, queue = epoll_create1(0);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = listener}}, events[EVENTS];
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
      getsockname(listener, (struct sockaddr *)&address, &length) ||
      epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event)) {
    perror("floor");
    return 1;
  }
  printf("ws://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int count = epoll_wait(queue, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int peer = events[i].data.fd;
      if (peer != listener) {
        readable(peer);
        continue;
      }
      while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        event.events = EPOLLIN, event.data.fd = peer, state[peer] = REQUEST;
        epoll_ctl(queue, EPOLL_CTL_ADD, peer, &event);
      }
    }
    for (int i = 0; shared_size > 0 && i < member_count; i++) {
      if (members[i] != shared_from) send_all(members[i], shared, shared_size);
    }
    shared_size = 0;
  }
}
