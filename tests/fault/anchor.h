/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULT_ANCHOR_H
#define FAULT_ANCHOR_H

/* A self-signed certificate with an RSA key, as it stands in a JSON string. */
#define ANCHOR_PEM                                                                                 \
    "-----BEGIN CERTIFICATE-----\\n"                                                               \
    "MIICEDCCAXmgAwIBAgIUaDmLJ7lOyYblkBXsRyWSEaqwmzMwDQYJKoZIhvcNAQEL\\n"                          \
    "BQAwGTEXMBUGA1UEAwwOYW5jaG9yLmV4YW1wbGUwIBcNMjYxMTIyMjIzMjA1WhgP\\n"                          \
    "MjEyNjEwMjkyMjMyMDVaMBkxFzAVBgNVBAMMDmFuY2hvci5leGFtcGxlMIGfMA0G\\n"                          \
    "CSqGSIb3DQEBAQUAA4GNADCBiQKBgQCu8CcVg4O0iIbpSPbuleYARa6/m+A+JWtz\\n"                          \
    "qe26AYsRrEjIXrVOIuFk5dVQja3IHiLxAjiqsxlo3Qo93uf97yZ8nBNItajrVBzm\\n"                          \
    "DGxPFkrKo2O1UaDMb0KXX+LxyragqP8CAVnX0VbXImvSUBqXxL0yQtaRZ9+BmesH\\n"                          \
    "FHA7MAkz3wIDAQABo1MwUTAdBgNVHQ4EFgQUzgOLppmmNKo51jy28/ndqFv6fZEw\\n"                          \
    "HwYDVR0jBBgwFoAUzgOLppmmNKo51jy28/ndqFv6fZEwDwYDVR0TAQH/BAUwAwEB\\n"                          \
    "/zANBgkqhkiG9w0BAQsFAAOBgQB8HDxLsAfgUERG49jIuL17FBLquqCegoQIuut+\\n"                          \
    "ftHjbK+ftk4BYDdTJPkbZvdXss6y7uPUe9pyClljh3I9z+DvX2YqIK76e1vZ371F\\n"                          \
    "5MJPNoV+z6IPrLT1QNmrWeG+5L3cNbGxM8CCXYwXTMHRHIqgUxCnIMvga2/V+pNd\\n"                          \
    "klZVtQ==\\n"                                                                                  \
    "-----END CERTIFICATE-----\\n"

#endif
