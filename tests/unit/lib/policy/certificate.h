/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_POLICY_CERTIFICATE_H
#define TEST_POLICY_CERTIFICATE_H

/* A self-signed certificate as it stands in a JSON string. */
#define CERTIFICATE_PEM                                                                            \
    "-----BEGIN CERTIFICATE-----\\n"                                                               \
    "MIIBxTCCAWugAwIBAgIUEFoc6SlBzRO1bcFlYgNaBc8lu7cwCgYIKoZIzj0EAwIw\\n"                          \
    "ODELMAkGA1UEBhMCVVMxEDAOBgNVBAoMB0V4YW1wbGUxFzAVBgNVBAMMDmRiLmV4\\n"                          \
    "YW1wbGUuY29tMB4XDTI2MTEyMjE2NTYyNloXDTM2MTExOTE2NTYyNlowODELMAkG\\n"                          \
    "A1UEBhMCVVMxEDAOBgNVBAoMB0V4YW1wbGUxFzAVBgNVBAMMDmRiLmV4YW1wbGUu\\n"                          \
    "Y29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYVPe/1Y3Dedl2e2Xq151wk3T\\n"                          \
    "PxFCr409K9xa/H1lvRCjpI2aMmMWylfgel/7aj6QOt+Y+swHDJspQW9rwC+T16NT\\n"                          \
    "MFEwHQYDVR0OBBYEFJBG0Q4IYOaxXlmNhJ39GYN/zsHHMB8GA1UdIwQYMBaAFJBG\\n"                          \
    "0Q4IYOaxXlmNhJ39GYN/zsHHMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID\\n"                          \
    "SAAwRQIgfg+1F+olIAcHP4aNwIiqA3wHj/mwTkY6Hv/UP8lD7IECIQDQkls5rtTn\\n"                          \
    "1H8iYeG/S7Z39XJUOHkee6i3KOU1HUFMrg==\\n"                                                      \
    "-----END CERTIFICATE-----\\n"

#endif
