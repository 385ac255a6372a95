/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/capture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* pcap, little-endian, nanoseconds (draft-ietf-opsawg-pcap) */
struct head {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snap_len, link;
};

struct frame_head {
    uint32_t seconds, nanoseconds, captured, wire;
};

static char path[] = "/tmp/capture_test_XXXXXX";
static char error[CAPTURE_ERROR_TEXT];

static FILE *begin(uint32_t link)
{
    struct head head = {0xa1b23c4d, 2, 4, 0, 0, 65535, link};
    FILE *file = fdopen(mkstemp(path), "wb");

    fwrite(&head, sizeof(head), 1, file);
    return file;
}

static void add(FILE *file, uint32_t seconds, uint32_t captured, uint32_t wire)
{
    struct frame_head head = {seconds, 5, captured, wire};
    static const uint8_t octets[64] = {1, 2, 3};

    fwrite(&head, sizeof(head), 1, file);
    fwrite(octets, captured < 64 ? captured : 64, 1, file);
}

static void clean(void)
{
    unlink(path);
}

static struct capture *open_it(void)
{
    struct capture *capture = NULL;

    cr_assert(capture_open(path, &capture, error, sizeof(error)), "%s", error);
    return capture;
}

static enum capture_status next(struct capture *capture, struct capture_frame *frame)
{
    return capture_next(capture, frame, error, sizeof(error));
}

Test(capture, frames_come_with_number_time_and_lengths, .fini = clean)
{
    FILE *file = begin(1);
    struct capture *capture;
    struct capture_frame frame;

    add(file, 100, 60, 1500);
    add(file, 101, 20, 20);
    fclose(file);
    capture = open_it();

    cr_assert_eq(next(capture, &frame), CAPTURE_FRAME);
    cr_assert_eq(frame.number, 1);
    cr_assert_eq(frame.time_ns, 100 * POL_SECONDS + 5);
    cr_assert_eq(frame.data.len, 60);
    cr_assert_eq(frame.data.ptr[2], 3);
    cr_assert_eq(frame.wire_len, 1500);
    cr_assert_eq(next(capture, &frame), CAPTURE_FRAME);
    cr_assert_eq(frame.number, 2);
    cr_assert_eq(capture_position(capture), capture_size(capture));
    cr_assert_eq(next(capture, &frame), CAPTURE_END);
    cr_assert_eq(next(capture, &frame), CAPTURE_END);
    capture_close(capture);
}

Test(capture, wire_length_is_never_below_what_was_captured, .fini = clean)
{
    FILE *file = begin(1);
    struct capture *capture;
    struct capture_frame frame;

    add(file, 100, 60, 10);
    fclose(file);
    capture = open_it();
    cr_assert_eq(next(capture, &frame), CAPTURE_FRAME);
    cr_assert_eq(frame.wire_len, 60);
    capture_close(capture);
}

Test(capture, cut_off_file_names_the_packet_and_stays_at_the_error, .fini = clean)
{
    FILE *file = begin(1);
    struct capture *capture;
    struct capture_frame frame;

    add(file, 100, 60, 60);
    add(file, 100, 60, 60);
    fflush(file);
    cr_assert_eq(ftruncate(fileno(file), ftell(file) - 10), 0);
    fclose(file);
    capture = open_it();

    cr_assert_eq(next(capture, &frame), CAPTURE_FRAME);
    cr_assert_eq(next(capture, &frame), CAPTURE_ERROR);
    cr_assert_not_null(strstr(error, "packet 2 is cut off"), "%s", error);
    error[0] = '\0';
    cr_assert_eq(next(capture, &frame), CAPTURE_ERROR);
    cr_assert_not_null(strstr(error, "packet 2"));
    capture_close(capture);
}

Test(capture, damaged_length_is_told_as_damage, .fini = clean)
{
    FILE *file = begin(1);
    struct capture *capture;
    struct capture_frame frame;

    add(file, 100, 60, 60);
    add(file, 100, 0x7fffffff, 60);
    fclose(file);
    capture = open_it();

    cr_assert_eq(next(capture, &frame), CAPTURE_FRAME);
    cr_assert_eq(next(capture, &frame), CAPTURE_ERROR);
    cr_assert_not_null(strstr(error, "packet 2 cannot be read: the file is damaged"), "%s", error);
    capture_close(capture);
}

static void expect_refusal(const char *file, const char *cause)
{
    struct capture *capture = NULL;

    cr_assert_not(capture_open(file, &capture, error, sizeof(error)));
    cr_assert_null(capture);
    cr_assert_not_null(strstr(error, cause), "%s", error);
}

Test(capture, what_is_no_capture_is_refused_with_its_cause, .fini = clean)
{
    FILE *file = fdopen(mkstemp(path), "wb");

    expect_refusal("/nonexistent/a.pcap", "/nonexistent/a.pcap: No such file or directory");
    expect_refusal("/tmp", "/tmp: is a directory");
    expect_refusal(path, "the file is empty");
    fputs("just some text, long enough to hold a header", file);
    fclose(file);
    expect_refusal(path, "not a readable pcap or pcapng file");
}

Test(capture, unsupported_link_type_is_named, .fini = clean)
{
    fclose(begin(105));
    expect_refusal(path, "link type 105 (IEEE802_11) is not supported");
}

Test(capture, link_types_of_ip_are_known, .fini = clean)
{
    struct capture *capture;

    fclose(begin(101));
    capture = open_it();
    cr_assert_eq(capture_link(capture), POL_LINK_RAW_IP);
    capture_close(capture);
}
