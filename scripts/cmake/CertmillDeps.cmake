# dep::*: everything that is not ours. scripts/setup provides it: from the host's packages, or under CERTMILL_DEPS.
if(DEFINED ENV{CERTMILL_DEPS})
  set(CERTMILL_DEPS_DEFAULT $ENV{CERTMILL_DEPS})
else()
  set(CERTMILL_DEPS_DEFAULT ${CMAKE_SOURCE_DIR}/.deps)
endif()
set(CERTMILL_DEPS ${CERTMILL_DEPS_DEFAULT} CACHE PATH "what scripts/setup unpacked and built")

# certmill_dep(NAME header library...) makes dep::NAME from a header and libraries; the .deps tree is searched first.
function(certmill_dep name header)
  find_path(DEP_${name}_INCLUDE ${header} HINTS ${CERTMILL_DEPS}/root/usr/include NO_CMAKE_SYSTEM_PATH PATH_SUFFIXES ${ARGV3})
  find_path(DEP_${name}_INCLUDE ${header} REQUIRED PATH_SUFFIXES ${ARGV3})
  find_library(DEP_${name}_LIBRARY NAMES ${ARGV2} HINTS ${CERTMILL_DEPS}/root/usr/lib ${CERTMILL_DEPS}/root/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} NO_CMAKE_SYSTEM_PATH)
  find_library(DEP_${name}_LIBRARY NAMES ${ARGV2} REQUIRED)
  mark_as_advanced(DEP_${name}_INCLUDE DEP_${name}_LIBRARY)
  add_library(dep::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(dep::${name} PROPERTIES IMPORTED_LOCATION ${DEP_${name}_LIBRARY})
  if(NOT DEP_${name}_INCLUDE STREQUAL "/usr/include")
    set_target_properties(dep::${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${DEP_${name}_INCLUDE})
  endif()
endfunction()

find_package(Threads REQUIRED)
# BoringSSL's headers come before the system's OpenSSL because -I is searched before /usr/include.
foreach(lib crypto ssl)
  add_library(dep::${lib} STATIC IMPORTED GLOBAL)
  set_target_properties(dep::${lib} PROPERTIES
    IMPORTED_LOCATION ${CERTMILL_DEPS}/boringssl/lib/lib${lib}.a
    INTERFACE_INCLUDE_DIRECTORIES ${CERTMILL_DEPS}/boringssl/include)
endforeach()
target_link_libraries(dep::crypto INTERFACE Threads::Threads)
target_link_libraries(dep::ssl INTERFACE dep::crypto)

certmill_dep(nghttp2 nghttp2/nghttp2.h nghttp2)
certmill_dep(llhttp llhttp.h libllhttp.a)
certmill_dep(yyjson yyjson.h yyjson)
certmill_dep(uring liburing.h uring)
certmill_dep(cares ares.h cares)
certmill_dep(pq libpq-fe.h pq postgresql)
certmill_dep(protobuf_c protobuf-c/protobuf-c.h protobuf-c)
certmill_dep(yaml yaml.h yaml)
certmill_dep(cmocka cmocka.h cmocka)
certmill_dep(seccomp seccomp.h seccomp)
find_program(CERTMILL_PROTOC_C NAMES protoc-c REQUIRED)
