# Language, warnings, sanitizers and hardening, as interface targets that every target of ours links.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # cleanup attribute, statement attributes
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Nothing of ours is a shared library, so no program needs to know where it was built.
set(CMAKE_SKIP_RPATH ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

set(CERTMILL_SANITIZE "" CACHE STRING "comma-separated sanitizers, such as address,undefined")
option(CERTMILL_WERROR "warnings are errors" OFF)
option(CERTMILL_DCHECK "compile the dear checks in (proto/base/err.h)" OFF)
option(CERTMILL_FUZZ "build fuzz targets with libFuzzer instead of the replay main" OFF)
option(CERTMILL_HARDEN "release hardening" OFF)

add_library(certmill_warnings INTERFACE)
target_compile_options(certmill_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wformat=2;-Wundef;-Wstrict-prototypes;-Wmissing-prototypes;-Wvla;-Wpointer-arith;-Wcast-qual;-Wwrite-strings>)
if(CERTMILL_WERROR)
  target_compile_options(certmill_warnings INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()

add_library(certmill_sanitize INTERFACE)
if(CERTMILL_SANITIZE)
  target_compile_options(certmill_sanitize INTERFACE -fsanitize=${CERTMILL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(certmill_sanitize INTERFACE -fsanitize=${CERTMILL_SANITIZE})
endif()

add_library(certmill_options INTERFACE)
target_include_directories(certmill_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(certmill_options INTERFACE _GNU_SOURCE CERTMILL_VERSION="${PROJECT_VERSION}"
  CERTMILL_BORINGSSL_VERSION="${CERTMILL_BORINGSSL_VERSION}")
if(CERTMILL_DCHECK)
  target_compile_definitions(certmill_options INTERFACE CERTMILL_DCHECK)
endif()
# No program carries the place where it was built: file names in asserts and debug information are relative.
target_compile_options(certmill_options INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
# libpq brings OpenSSL into the process; without this its symbols meet BoringSSL's and the program crashes. clang's sanitizers
# are static libraries that must stay visible, so that libstdc++ allocates and frees by the same ones.
if(CERTMILL_SANITIZE AND CMAKE_C_COMPILER_ID MATCHES "Clang")
  target_link_options(certmill_options INTERFACE -Wl,--exclude-libs,libcrypto.a:libssl.a)
else()
  target_link_options(certmill_options INTERFACE -Wl,--exclude-libs,ALL)
endif()
if(CERTMILL_HARDEN)
  target_compile_options(certmill_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
    -fstack-clash-protection
    $<IF:$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>,-fcf-protection=full,-mbranch-protection=standard>)
  target_link_options(certmill_options INTERFACE -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
target_link_libraries(certmill_options INTERFACE certmill_warnings certmill_sanitize)
