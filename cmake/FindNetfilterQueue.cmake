# SPDX-License-Identifier: Apache-2.0
# Defines NetfilterQueue::NetfilterQueue. Looks for the header and the library themselves, as the other modules here do.
find_path(NetfilterQueue_INCLUDE_DIR libnetfilter_queue/libnetfilter_queue.h)
find_library(NetfilterQueue_LIBRARY netfilter_queue)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NetfilterQueue
  REQUIRED_VARS NetfilterQueue_LIBRARY NetfilterQueue_INCLUDE_DIR)

if(NetfilterQueue_FOUND AND NOT TARGET NetfilterQueue::NetfilterQueue)
  add_library(NetfilterQueue::NetfilterQueue UNKNOWN IMPORTED)
  set_target_properties(NetfilterQueue::NetfilterQueue PROPERTIES
    IMPORTED_LOCATION "${NetfilterQueue_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${NetfilterQueue_INCLUDE_DIR}")
endif()
mark_as_advanced(NetfilterQueue_INCLUDE_DIR NetfilterQueue_LIBRARY)
