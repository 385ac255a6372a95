/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_HELLO_H
#define SUPPORT_HELLO_H

/*
 * Writes ClientHellos for tests (RFC 8446 4.1.2).
 *
 *   hello_build(&hello, &(struct hello_options){.sni = "www.example.com", .tls13 = true});
 *   send(hello.bytes, hello.len);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hello_options {
    const char *sni;         /* NULL: no server_name extension */
    const char *const *alpn; /* NULL-terminated list; NULL: no such extension */
    bool tls13;              /* supported_versions 1.3 and 1.2; else TLS 1.2 */
    bool ech;                /* an encrypted_client_hello extension */
    size_t message_len;      /* pad the handshake message to this length; 0: no padding */
    unsigned records;        /* split over this many records of about equal length; 0 means 1 */
    const uint8_t *extra;    /* octets put behind the other extensions, such as a broken one */
    size_t extra_len;
};

struct hello {
    size_t len;
    uint8_t bytes[131072];
};

void hello_build(struct hello *hello, const struct hello_options *options);

/* Cuts handshake octets into records: the last step of hello_build(), for messages made by hand. */
void hello_wrap(struct hello *hello, const uint8_t *message, size_t len, unsigned records);

#endif
