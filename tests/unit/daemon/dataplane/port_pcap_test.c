// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "core/clock.h"

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

static struct port_pcap_options options;

static int open_capture(const char *name)
{
    options.path = name;
    return port_pcap_open(&options, &port, &error);
}

/* A capture hands out one frame at a time. */
static int receive(struct port_frame *ret_frame)
{
    struct port_frame frames[PORT_BURST];
    int rc = port->kind->receive(port, frames);

    *ret_frame = frames[0];
    return rc;
}

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

    cr_assert_eq(open_capture(path), 0, "%s", error.ptr);
    cr_assert_eq(receive(&frame), 1);
    cr_assert_eq(frame.at, UINT64_C(100000005000));
    cr_assert_eq(frame.octets.len, 5);
    cr_assert_eq(frame.wire_len, 15);
    cr_assert_eq(frame.link, POL_LINK_ETHERNET);
    cr_assert_eq(receive(&frame), 1);
    cr_assert_eq(frame.at, UINT64_C(100000005000));
    cr_assert_eq(receive(&frame), 1);
    cr_assert_eq(frame.at, UINT64_C(101000000000));
    cr_assert_eq(receive(&frame), -ENODATA);
}

Test(port_pcap, a_cut_off_recording_names_the_packet)
{
    FILE *file = begin(1);
    struct port_frame frame;

    put_packet(file, 100, 0, "first");
    put(file, 101);
    fclose(file);

    cr_assert_eq(open_capture(path), 0);
    cr_assert_eq(receive(&frame), 1);
    cr_assert_eq(receive(&frame), -EIO);
    cr_assert(strstr(port->kind->problem(port), "packet 2 is cut off"), "%s",
              port->kind->problem(port));
}

Test(port_pcap, what_cannot_be_judged_is_refused_at_the_start)
{
    fclose(begin(147));
    cr_assert_lt(open_capture(path), 0);
    cr_assert(strstr(error.ptr, "link type 147"), "%s", error.ptr);
    text_clear(&error);
    cr_assert_lt(open_capture("/nonexistent.pcap"), 0);
    cr_assert(strstr(error.ptr, "No such file"), "%s", error.ptr);
    cr_assert_null(port);
}

Test(port_pcap, repeated_its_clock_goes_on)
{
    FILE *file = begin(1);
    struct port_frame frame;

    put_packet(file, 100, 0, "first");
    put_packet(file, 103, 0, "second");
    fclose(file);

    options.loop = true;
    cr_assert_eq(open_capture(path), 0, "%s", error.ptr);
    for (uint64_t round = 0; round < 3; round++) {
        uint64_t first = UINT64_C(100000000000) + round * UINT64_C(3001000000);

        cr_assert_eq(receive(&frame), 1);
        cr_assert_eq(frame.at, first);
        cr_assert_eq(frame.octets.len, 5);
        cr_assert_eq(receive(&frame), 1);
        cr_assert_eq(frame.at, first + UINT64_C(3000000000));
    }
}

Test(port_pcap, one_without_frames_ends_though_it_is_to_be_repeated)
{
    struct port_frame frame;

    fclose(begin(1));
    options.loop = true;
    cr_assert_eq(open_capture(path), 0, "%s", error.ptr);
    cr_assert_eq(receive(&frame), -ENODATA);
}

Test(port_pcap, what_cannot_be_read_twice_is_not_repeated)
{
    options.loop = true;
    cr_assert_eq(open_capture("/dev/null"), -EINVAL);
    cr_assert(strstr(error.ptr, "only a file can be repeated"), "%s", error.ptr);
}

Test(port_pcap, paced_a_frame_waits_for_its_moment)
{
    FILE *file = begin(1);
    struct port_frame frame;
    uint64_t began;

    put_packet(file, 100, 0, "first");
    put_packet(file, 100, 60000, "second");
    fclose(file);

    options.paced = true;
    cr_assert_eq(open_capture(path), 0, "%s", error.ptr);
    cr_assert_eq(receive(&frame), 1);
    began = clock_mono();
    cr_assert_eq(receive(&frame), 0, "not yet");
    cr_assert_leq(port->kind->now(port), UINT64_C(100060000000));
    for (int i = 0; i < 1000 && receive(&frame) == 0; i++)
        port->kind->wait(port, -1, 100);
    cr_assert_eq(frame.octets.len, 6);
    cr_assert_eq(frame.at, UINT64_C(100060000000));
    cr_assert_geq(clock_mono() - began, UINT64_C(58000000));
}
