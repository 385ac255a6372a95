# SPDX-License-Identifier: Apache-2.0
# Defines MbedTLS::crypto, MbedTLS::x509 and MbedTLS::tls. Versions 2.28 (Debian 12) and 3.6
# (Debian 13) are both fine; what differs between them is handled in the *_mbedtls.c files.
find_path(MbedTLS_INCLUDE_DIR mbedtls/version.h)
find_library(MbedTLS_CRYPTO_LIBRARY mbedcrypto)
find_library(MbedTLS_X509_LIBRARY mbedx509)
find_library(MbedTLS_TLS_LIBRARY mbedtls)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MbedTLS REQUIRED_VARS
  MbedTLS_CRYPTO_LIBRARY MbedTLS_X509_LIBRARY MbedTLS_TLS_LIBRARY MbedTLS_INCLUDE_DIR)

if(MbedTLS_FOUND AND NOT TARGET MbedTLS::crypto)
  foreach(part crypto x509 tls)
    string(TOUPPER ${part} upper)
    add_library(MbedTLS::${part} UNKNOWN IMPORTED)
    set_target_properties(MbedTLS::${part} PROPERTIES
      IMPORTED_LOCATION "${MbedTLS_${upper}_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${MbedTLS_INCLUDE_DIR}")
  endforeach()
  set_property(TARGET MbedTLS::x509 PROPERTY INTERFACE_LINK_LIBRARIES MbedTLS::crypto)
  set_property(TARGET MbedTLS::tls PROPERTY INTERFACE_LINK_LIBRARIES MbedTLS::x509)
endif()
mark_as_advanced(MbedTLS_INCLUDE_DIR MbedTLS_CRYPTO_LIBRARY MbedTLS_X509_LIBRARY MbedTLS_TLS_LIBRARY)
