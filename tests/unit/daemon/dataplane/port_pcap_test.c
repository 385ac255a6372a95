// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char path[] = "/tmp/port_pcap_test.XXXXXX";
static struct port *port;
static struct text error;

static void setup(void)
{
    close(mkstemp(path));
}

static void teardown(void)
{
    port_close(port);
    text_fini(&error);
    unlink(path);
}

TestSuite(port_pcap, .init = setup, .fini = teardown);

static void put(FILE *file, uint32_t value)
{
    fwrite(&value, sizeof(value), 1, file);
}

static void put_packet(FILE *file, uint32_t seconds, uint32_t micros, const char *octets)
{
    put(file, seconds);
    put(file, micros);
    put(file, (uint32_t)strlen(octets));
    put(file, (uint32_t)strlen(octets) + 10);
    fputs(octets, file);
}

static FILE *begin(uint32_t link)
{
    static const uint32_t header[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535};
    FILE *file = fopen(path, "w");

    fwrite(header, sizeof(header), 1, file);
    put(file, link);
    return file;
}

Test(port_pcap, time_is_the_recordings_and_never_runs_back)
{
    FILE *file = begin(1);
    struct port_frame frame;

    put_packet(file, 100, 5, "first");
    put_packet(file, 99, 0, "second");
    put_packet(file, 101, 0, "third");
    fclose(file);

    cr_assert_eq(port_pcap_open(path, &port, &error), 0, "%s", error.ptr);
    cr_assert_eq(port->receive(port, &frame), 1);
    cr_assert_eq(frame.at, UINT64_C(100000005000));
    cr_assert_eq(frame.octets.len, 5);
    cr_assert_eq(frame.wire_len, 15);
    cr_assert_eq(frame.link, POL_LINK_ETHERNET);
    cr_assert_eq(port->receive(port, &frame), 1);
    cr_assert_eq(frame.at, UINT64_C(100000005000));
    cr_assert_eq(port->receive(port, &frame), 1);
    cr_assert_eq(frame.at, UINT64_C(101000000000));
    cr_assert_eq(port->receive(port, &frame), -ENODATA);
}

Test(port_pcap, a_cut_off_recording_names_the_packet)
{
    FILE *file = begin(1);
    struct port_frame frame;

    put_packet(file, 100, 0, "first");
    put(file, 101);
    fclose(file);

    cr_assert_eq(port_pcap_open(path, &port, &error), 0);
    cr_assert_eq(port->receive(port, &frame), 1);
    cr_assert_eq(port->receive(port, &frame), -EIO);
    cr_assert(strstr(port->problem(port), "packet 2 is cut off"), "%s", port->problem(port));
}

Test(port_pcap, what_cannot_be_judged_is_refused_at_the_start)
{
    fclose(begin(147));
    cr_assert_lt(port_pcap_open(path, &port, &error), 0);
    cr_assert(strstr(error.ptr, "link type 147"), "%s", error.ptr);
    text_clear(&error);
    cr_assert_lt(port_pcap_open("/nonexistent.pcap", &port, &error), 0);
    cr_assert(strstr(error.ptr, "No such file"), "%s", error.ptr);
    cr_assert_null(port);
}
