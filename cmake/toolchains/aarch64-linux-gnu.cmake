# SPDX-License-Identifier: Apache-2.0
# For 64-bit ARM with Debian's cross compiler:
#
#   cmake/toolchains/arm64-sysroot build/arm64-sysroot
#   cmake -S . -B build/arm64 -G Ninja --toolchain cmake/toolchains/aarch64-linux-gnu.cmake
#     -DCMAKE_SYSROOT=$PWD/build/arm64-sysroot -DPOLICY_BUILD_DAEMON=OFF -DPOLICY_BUILD_EXAMPLES=OFF
#
# The tests that do without Criterion are built and, with qemu-user, run.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

find_program(POLICY_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(POLICY_QEMU)
if(POLICY_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${POLICY_QEMU} -L ${CMAKE_SYSROOT})
endif()
