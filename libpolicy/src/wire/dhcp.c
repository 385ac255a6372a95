/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dhcp.h"

enum {
    COOKIE = 0x63825363, /* RFC 2131 3 */
    SERVER_NAME = 64,
    BOOT_FILE = 128,
    HARDWARE_MAX = 16
};

enum option {
    PAD = 0,
    LEASE_TIME = 51,
    OVERLOAD = 52,
    MESSAGE_TYPE = 53,
    SERVER_ID = 54,
    END = 255
};

/* Where options can stand, RFC 2131 4.1. */
enum { IN_FILE = 1, IN_SERVER_NAME = 2 };

struct options {
    pol_bytes type, server, lease, overload; /* NULL: not there */
};

static pol_bytes *field_of(struct options *options, uint8_t code)
{
    switch (code) {
    case LEASE_TIME:
        return &options->lease;
    case OVERLOAD:
        return &options->overload;
    case MESSAGE_TYPE:
        return &options->type;
    case SERVER_ID:
        return &options->server;
    default:
        return NULL;
    }
}

static int read_options(pol_bytes area, struct options *options)
{
    struct cursor in = cursor_of(area);

    while (cursor_left(&in) > 0) {
        uint8_t code = cursor_u8(&in);
        pol_bytes value, *field = field_of(options, code);

        if (code == PAD)
            continue;
        if (code == END)
            break;
        value = cursor_take(&in, cursor_u8(&in));
        if (in.failed)
            return POL_E_TRUNCATED;
        if (field && field->ptr)
            return POL_E_FORMAT;
        if (field)
            *field = value;
    }
    return POL_OK;
}

/* The file is read before the server name, RFC 2131 4.1. */
static int read_overloaded(pol_bytes server_name, pol_bytes file, struct options *options)
{
    uint8_t where = options->overload.len == 1 ? options->overload.ptr[0] : 0;
    int rc = POL_OK;

    if (options->overload.ptr && (where == 0 || where > (IN_FILE | IN_SERVER_NAME)))
        return POL_E_FORMAT;
    if (where & IN_FILE)
        rc = read_options(file, options);
    if (rc == POL_OK && where & IN_SERVER_NAME)
        rc = read_options(server_name, options);
    return rc;
}

static bool has_length(pol_bytes value, size_t len, bool needed)
{
    return value.ptr ? value.len == len : !needed;
}

static uint32_t number_of(pol_bytes value)
{
    struct cursor in = cursor_of(value);

    return cursor_u32(&in);
}

/* 0.0.0.0 is no address. */
static pol_addr address_of(pol_bytes octets)
{
    pol_addr addr = {0};

    if (octets.len == 4 && number_of(octets) != 0) {
        addr.family = 4;
        memcpy(addr.bytes, octets.ptr, 4);
    }
    return addr;
}

static int put_options(const struct options *options, struct dhcp_message *message)
{
    if (!has_length(options->type, 1, true) || !has_length(options->server, 4, false) ||
        !has_length(options->lease, 4, false))
        return POL_E_FORMAT;
    message->type = options->type.ptr[0];
    message->server = address_of(options->server);
    message->lease = options->lease.ptr ? number_of(options->lease) : 0;
    return POL_OK;
}

int dhcp_read(pol_bytes payload, struct dhcp_message *ret_message)
{
    struct dhcp_message message = {0};
    struct options options = {0};
    struct cursor in = cursor_of(payload);
    pol_bytes client, server_name, file;
    uint8_t hardware_len;
    int rc;

    message.op = cursor_u8(&in);
    cursor_skip(&in, 1);
    hardware_len = cursor_u8(&in);
    cursor_skip(&in, 1);
    message.transaction = cursor_u32(&in);
    cursor_skip(&in, 16); /* seconds, flags, client, own and next server address */
    message.relay = address_of(cursor_take(&in, 4));
    client = cursor_take(&in, HARDWARE_MAX);
    server_name = cursor_take(&in, SERVER_NAME);
    file = cursor_take(&in, BOOT_FILE);
    if (cursor_u32(&in) != COOKIE)
        return in.failed ? POL_E_TRUNCATED : POL_E_FORMAT;
    if ((message.op != DHCP_REQUEST && message.op != DHCP_REPLY) || hardware_len > HARDWARE_MAX)
        return POL_E_FORMAT;
    memcpy(message.client, client.ptr, hardware_len);

    rc = read_options((pol_bytes){in.at, cursor_left(&in)}, &options);
    if (rc == POL_OK)
        rc = read_overloaded(server_name, file, &options);
    if (rc == POL_OK)
        rc = put_options(&options, &message);
    if (rc == POL_OK)
        *ret_message = message;
    return rc;
}
